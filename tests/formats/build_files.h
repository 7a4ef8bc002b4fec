// SPDX-License-Identifier: Apache-2.0
// Builds small files of every format in memory, byte by byte, so that tests can also build wrong
// ones; and the checks that every parser has to pass. File contents are std::strings.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "formats/file_contents.h"
#include "formats/zip.h"

namespace fathom::test {

// The bytes of a number, little-endian.
template <class T>
std::string le(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}
inline std::string u16(uint64_t v) { return le(static_cast<uint16_t>(v)); }
inline std::string u32(uint64_t v) { return le(static_cast<uint32_t>(v)); }
inline std::string u64(uint64_t v) { return le(v); }

template <class T>
std::string data_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// ---- safetensors

inline std::string safetensors(std::string_view header, std::string_view data) {
  return u64(header.size()) + std::string(header) + std::string(data);
}

// ---- ZIP

struct ZipPart {
  std::string name, data;
  uint16_t method = 0, flags = 0;
  bool zip64 = false;                       // sizes and offset in the extra field
  std::optional<std::string> content = {};  // of a compressed entry
};

inline std::string zip(const std::vector<ZipPart>& parts, bool end64 = false) {
  std::string file, directory;
  for (const ZipPart& p : parts) {
    const std::string& content = p.content ? *p.content : p.data;
    const uint32_t crc = crc32(bytes_of(content));
    const std::string common = u16(p.flags) + u16(p.method) + u32(0) + u32(crc);
    const std::string sizes = u32(p.data.size()) + u32(content.size());
    const size_t offset = file.size();
    file += u32(0x04034b50) + u16(20) + common + sizes + u16(p.name.size()) + u16(3) + p.name;
    file += "pad" + p.data;
    const std::string ones = u32(0xffffffff);
    const std::string extra = p.zip64 ? u16(7) + u16(1) + "x" + u16(1) + u16(24) +
                                            u64(content.size()) + u64(p.data.size()) + u64(offset)
                                      : "";
    directory += u32(0x02014b50) + u16(20) + u16(20) + common + (p.zip64 ? ones + ones : sizes) +
                 u16(p.name.size()) + u16(extra.size()) + u16(1) + u16(0) + u16(0) + u32(0) +
                 (p.zip64 ? ones : u32(offset)) + p.name + extra + "c";
  }
  const size_t begin = file.size(), n = parts.size();
  file += directory;
  if (end64) {
    const size_t at = file.size();
    file += u32(0x06064b50) + u64(44) + u16(45) + u16(45) + u32(0) + u32(0) + u64(n) + u64(n) +
            u64(directory.size()) + u64(begin);
    file += u32(0x07064b50) + u32(0) + u64(at) + u32(1);
    return file + u32(0x06054b50) + u16(0) + u16(0) + u16(0xffff) + u16(0xffff) + u32(0xffffffff) +
           u32(0xffffffff) + u16(0);
  }
  return file + u32(0x06054b50) + u16(0) + u16(0) + u16(n) + u16(n) + u32(directory.size()) +
         u32(begin) + u16(0);
}

// ---- pickle, protocol 2, without memo

namespace pickle {

inline std::string text(std::string_view s) {
  return std::string("X") + u32(s.size()) + std::string(s);
}
inline std::string integer(int64_t v) { return std::string("\x8a\x08") + le(v); }
inline std::string global(std::string_view module, std::string_view name) {
  return std::string("c").append(module) + "\n" + std::string(name) + "\n";
}
inline std::string tuple(const std::vector<int64_t>& values) {
  std::string out = "(";
  for (int64_t v : values) out += integer(v);
  return out + "t";
}
inline std::string storage(std::string_view type, std::string_view key, int64_t n_element,
                           std::string_view module = "torch", std::string_view more = "") {
  return concat("(", text("storage"), global(module, type), text(key), text("cpu"),
                integer(n_element), more, "tQ");
}
inline std::string tensor(std::string_view storage, int64_t offset,
                          const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + std::string(storage) +
         integer(offset) + tuple(shape) + tuple(strides) + "\x89" +
         global("collections", "OrderedDict") + ")RtR";
}
using Entries = std::vector<std::pair<std::string, std::string>>;  // key, value as opcodes
inline std::string dict(const Entries& entries) {
  std::string out = "}(";
  for (const auto& [key, value] : entries) out += text(key) + value;
  return out + "u";
}
inline std::string whole(std::string_view body) {
  return std::string("\x80\x02").append(body) + ".";
}

}  // namespace pickle

struct Storage {
  std::string key, data;
};

// A .pth in the ZIP form. `body` is the opcodes of the object.
inline std::string torch_zip(std::string_view body, const std::vector<Storage>& storages,
                             std::vector<ZipPart> more = {}) {
  std::vector<ZipPart> parts = {{"m/data.pkl", pickle::whole(body)}};
  for (const Storage& s : storages) parts.push_back({"m/data/" + s.key, s.data});
  parts.insert(parts.end(), more.begin(), more.end());
  return zip(parts);
}

// A .pth in the legacy form; `item` is the bytes of an element.
inline std::string torch_legacy(std::string_view body, const std::vector<Storage>& storages,
                                size_t item, bool little_endian = true, int protocol = 1001) {
  std::string file = pickle::whole("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");
  file += pickle::whole(pickle::integer(protocol));
  file += pickle::whole(pickle::dict({{"little_endian", little_endian ? "\x88" : "\x89"}}));
  file += pickle::whole(body);
  std::string keys = "](";
  for (const Storage& s : storages) keys += pickle::text(s.key);
  file += pickle::whole(keys + "e");
  for (const Storage& s : storages) file += u64(s.data.size() / item) + s.data;
  return file;
}

// ---- GGUF

inline std::string gguf_text(std::string_view s) { return u64(s.size()) + std::string(s); }
inline std::string gguf_entry(std::string_view key, uint32_t type, std::string_view value) {
  return gguf_text(key) + u32(type) + std::string(value);
}
// ne: fastest dimension first, as in the file.
inline std::string gguf_record(std::string_view name, const std::vector<uint64_t>& ne,
                               uint32_t type, uint64_t offset) {
  std::string out = gguf_text(name) + u32(ne.size());
  for (uint64_t d : ne) out += u64(d);
  return out + u32(type) + u64(offset);
}
inline std::string gguf(const std::vector<std::string>& entries,
                        const std::vector<std::string>& records, std::string_view data,
                        size_t alignment = 32, uint32_t version = 3) {
  std::string file = std::string("GGUF") + u32(version) + u64(records.size()) + u64(entries.size());
  for (const std::string& e : entries) file += e;
  for (const std::string& r : records) file += r;
  file.append((alignment - file.size() % alignment) % alignment, '\0');
  return file + std::string(data);
}

// ---- ggmf

inline std::string ggmf_header(uint32_t version = 101, uint32_t dtype = 0) {
  return u32(0x67676d66) + u32(version) + u32(256) + u32(64) + u32(2) + u32(dtype);
}
inline std::string ggmf_tensor(std::string_view name, uint32_t type,
                               const std::vector<uint32_t>& ne, std::string_view data) {
  std::string out = u32(ne.size()) + u32(name.size()) + u32(type);
  for (uint32_t d : ne) out += u32(d);
  return out + std::string(name) + std::string(data);
}

// ---- checks

using Parse = FileContents (*)(std::span<const std::byte>);

// Contents together with the file they point into.
struct Parsed : FileContents {
  std::shared_ptr<const std::string> file;
};
inline Parsed parsed(Parse parse, std::string file) {
  const auto kept = std::make_shared<const std::string>(std::move(file));
  return {parse(bytes_of(*kept)), kept};
}

inline std::vector<float> values_of(const Tensor& tensor) {
  std::vector<float> values(tensor.n_element());
  read_f32(tensor, 0, values.size(), values);
  return values;
}

inline const Tensor& tensor_named(std::span<const Tensor> tensors, std::string_view name) {
  for (const Tensor& t : tensors)
    if (t.name == name) return t;
  throw Error(concat("no tensor ", name));
}

// The message with which `f` refuses; fails if it does not.
template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  ADD_FAILURE() << "was accepted";
  return {};
}

struct BadFile {
  const char* why;
  std::string file;
  const char* message;  // a part of it
};

inline void expect_all_refused(Parse parse, const std::vector<BadFile>& files) {
  for (const BadFile& bad : files) {
    SCOPED_TRACE(bad.why);
    EXPECT_THAT(refusal([&] { parse(bytes_of(bad.file)); }), testing::HasSubstr(bad.message));
  }
}

// Parses a copy that ends where the heap block ends (so that sanitizers see every step too far) and
// reads what was accepted. True if it was accepted; anything but Error escapes.
inline bool survives(Parse parse, std::string_view file) {
  std::vector<char> copy(file.begin(), file.end());
  copy.shrink_to_fit();
  try {
    const FileContents contents = parse(bytes_of({copy.data(), copy.size()}));
    for (const Tensor& t : contents.tensors)
      if (t.n_element() <= 100'000 && t.dtype != StoredType::kOther) values_of(t);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Every prefix is refused (unless `may_end(length)`), and no flipped bit does harm.
template <class MayEnd>
void expect_robust(Parse parse, const std::string& file, MayEnd may_end) {
  ASSERT_TRUE(survives(parse, file));
  for (size_t length = 0; length < file.size(); ++length)
    ASSERT_EQ(survives(parse, file.substr(0, length)), may_end(length)) << "length " << length;
  std::string flipped = file;
  for (size_t i = 0; i < 8 * file.size(); ++i) {
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << i % 8));
    survives(parse, flipped);
    flipped[i / 8] = file[i / 8];
  }
}
inline void expect_robust(Parse parse, const std::string& file) {
  expect_robust(parse, file, [](size_t) { return false; });
}

}  // namespace fathom::test
