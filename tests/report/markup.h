// SPDX-License-Identifier: Apache-2.0
// A small judge of markup for tests: is it well-formed, and what stands in it. Stricter than a
// browser: every tag closed, every attribute quoted and named once, every & an entity, valid UTF-8.
#pragma once

#include <cctype>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "report/text.h"

namespace fathom {

enum class Language { kXml, kHtml };

struct Element {
  std::string name;
  std::map<std::string, std::string> attributes;
  std::string text;  // up to the first child, still escaped
};

// Reads `markup`; error() is empty where it is well-formed.
class Markup {
 public:
  Markup(std::string_view markup, Language language)
      : s_(markup), html_(language == Language::kHtml) {
    check_utf8();
    while (error_.empty() && at_ < s_.size()) {
      if (s_[at_] == '<') {
        read_tag();
      } else {
        read_text();
      }
    }
    if (error_.empty() && !open_.empty()) error_ = "not closed: " + elements_[open_.back()].name;
  }

  const std::string& error() const { return error_; }
  const std::vector<Element>& elements() const { return elements_; }

  std::vector<Element> all(std::string_view name) const {
    std::vector<Element> found;
    for (const Element& e : elements_) {
      if (e.name == name) found.push_back(e);
    }
    return found;
  }

 private:
  void fail(const std::string& what) {
    error_ = what + " at byte " + std::to_string(at_) + ": " +
             std::string(s_.substr(at_, std::min<size_t>(60, s_.size() - at_)));
  }

  void check_utf8() {
    for (size_t i = 0; i < s_.size();) {
      const size_t begin = i;
      const char32_t c = next_code_point(s_, i);
      if (c == 0xFFFD && s_.substr(begin, i - begin) != "\xEF\xBF\xBD") return fail("bad UTF-8");
      if (c < 0x20 && c != '\n' && c != '\t' && c != '\r') return fail("control character");
    }
  }

  void check_entities(std::string_view text) {
    static const std::set<std::string_view> known = {"amp", "lt", "gt", "quot", "#39"};
    for (size_t i = 0; (i = text.find('&', i)) != text.npos; ++i) {
      const size_t end = text.find(';', i);
      if (end == text.npos || !known.count(text.substr(i + 1, end - i - 1))) fail("stray &");
    }
  }

  void read_text() {
    const size_t end = std::min(s_.find('<', at_), s_.size());
    const std::string_view text = s_.substr(at_, end - at_);
    check_entities(text);
    if (!error_.empty()) return;
    if (!open_.empty()) elements_[open_.back()].text += text;
    at_ = end;
  }

  void read_tag() {
    for (const std::string_view skipped :
         {"<!DOCTYPE html>", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"}) {
      if (s_.substr(at_, skipped.size()) != skipped) continue;
      if (at_ != 0) return fail("not at the start");
      at_ += skipped.size();
      return;
    }
    ++at_;
    const bool closing = at_ < s_.size() && s_[at_] == '/';
    if (closing) ++at_;
    const std::string name = read_name();
    if (name.empty()) return fail("no tag name");
    if (closing) return close(name);
    Element element{name, {}, ""};
    while (error_.empty() && at_ < s_.size() && s_[at_] != '>' && s_[at_] != '/') {
      read_attribute(element);
    }
    if (!error_.empty() || at_ >= s_.size()) return fail("tag without end");
    const bool empty = s_[at_] == '/';
    if (empty) ++at_;
    if (at_ >= s_.size() || s_[at_] != '>') return fail("expected >");
    ++at_;
    elements_.push_back(element);
    static const std::set<std::string_view> void_elements = {"meta", "link", "br"};
    if (empty || (html_ && void_elements.count(name))) return;
    open_.push_back(elements_.size() - 1);
    if (html_ && (name == "script" || name == "style")) read_raw(name);
  }

  void close(const std::string& name) {
    if (open_.empty() || elements_[open_.back()].name != name)
      return fail("closes nothing: " + name);
    open_.pop_back();
    if (at_ >= s_.size() || s_[at_] != '>') return fail("expected >");
    ++at_;
  }

  void read_raw(const std::string& name) {
    const size_t end = s_.find("</" + name, at_);
    if (end == s_.npos) return fail("raw text without end");
    elements_[open_.back()].text = s_.substr(at_, end - at_);
    at_ = end;
  }

  std::string read_name() {
    const size_t begin = at_;
    while (at_ < s_.size() &&
           (std::isalnum(static_cast<unsigned char>(s_[at_])) || s_[at_] == '-')) {
      ++at_;
    }
    return std::string(s_.substr(begin, at_ - begin));
  }

  void read_attribute(Element& element) {
    if (s_[at_] != ' ') return fail("expected a blank before an attribute");
    while (at_ < s_.size() && s_[at_] == ' ') ++at_;
    const std::string name = read_name();
    if (name.empty() || s_.substr(at_, 2) != "=\"") return fail("expected name=\"");
    at_ += 2;
    const size_t end = s_.find('"', at_);
    if (end == s_.npos) return fail("attribute without end");
    const std::string_view value = s_.substr(at_, end - at_);
    if (value.find('<') != value.npos) return fail("< in an attribute");
    check_entities(value);
    if (!element.attributes.emplace(name, value).second) return fail("attribute twice: " + name);
    at_ = end + 1;
  }

  std::string_view s_;
  bool html_;
  size_t at_ = 0;
  std::vector<Element> elements_;
  std::vector<size_t> open_;  // indices into elements_
  std::string error_;
};

inline size_t count(std::string_view text, std::string_view part) {
  size_t n = 0;
  for (size_t i = 0; (i = text.find(part, i)) != text.npos; i += part.size()) ++n;
  return n;
}

}  // namespace fathom
