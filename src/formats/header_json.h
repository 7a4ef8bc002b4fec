// SPDX-License-Identifier: Apache-2.0
// HeaderJson: reads the JSON of a safetensors header straight from the text. That JSON is objects,
// arrays of counts and strings, nothing else, and may be 100 MB: a general parser would build a
// tree of many times its size, or buffer a string as long as the header, before we could refuse it.
//
// The caller says what it expects next; whatever else is there is an Error. Keeps one string of the
// length the caller allows. The text must be UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fathom {

class HeaderJson {
 public:
  explicit HeaderJson(std::string_view text) : text_(text) {}

  // {"key": value, ...}: calls member(key) where the value stands; it has to read the value.
  template <class F>
  void object(size_t max_key_bytes, F&& member) {
    expect('{');
    if (consume('}')) return;
    do {
      const std::string key = string(max_key_bytes);
      expect(':');
      member(std::string_view(key));
    } while (consume(','));
    expect('}');
  }

  // [value, ...]: calls element() at each value.
  template <class F>
  void array(F&& element) {
    expect('[');
    if (consume(']')) return;
    do {
      element();
    } while (consume(','));
    expect(']');
  }

  std::string string(size_t max_bytes);
  size_t integer();  // digits only
  void end();        // nothing but white space is left

 private:
  void skip_space();
  bool consume(char c);
  void expect(char c);
  char next();
  uint32_t hex4();
  void append_escape(std::string& out);
  [[noreturn]] void fail(std::string_view expected) const;

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace fathom
