// SPDX-License-Identifier: Apache-2.0
// No file makes Checkpoint::open() allocate more than a constant, whatever it claims or holds:
// every allocation of this test program is counted, and files made to use as much as they can are
// opened.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "formats/build_files.h"
#include "formats/checks.h"
#include "formats/temp_folder.h"

namespace {

std::atomic<size_t> in_use{0}, peak{0};

void* allocate(size_t n) noexcept {
  void* p = std::malloc(n);
  if (!p) return nullptr;
  const size_t now = in_use += ::malloc_usable_size(p);
  size_t before = peak;
  while (now > before && !peak.compare_exchange_weak(before, now)) {
  }
  return p;
}

void release(void* p) noexcept {
  if (p) in_use -= ::malloc_usable_size(p);
  std::free(p);
}

}  // namespace

void* operator new(size_t n) {
  if (void* p = allocate(n)) return p;
  throw std::bad_alloc();
}
void* operator new[](size_t n) { return operator new(n); }
void* operator new(size_t n, const std::nothrow_t&) noexcept { return allocate(n); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return allocate(n); }
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, size_t) noexcept { release(p); }
void operator delete[](void* p, size_t) noexcept { release(p); }

namespace fathom::memory_test {
namespace {

namespace p = test::pickle;

using test::bytes_of;
using test::gguf;
using test::gguf_entry;
using test::safetensors;
using test::u16;
using test::u32;
using test::u64;

constexpr size_t kConstant = size_t{16} << 20;

// Peak of what opening `path` allocates, accepted or not.
size_t peak_of_opening(const std::filesystem::path& path) {
  const size_t before = in_use;
  peak = before;
  try {
    Checkpoint::open(path);
  } catch (const Error&) {
  }
  return peak - before;
}

// Repeats part(i) until the text has about n_byte bytes.
template <class Part>
std::string repeated(size_t n_byte, Part part) {
  std::string text;
  for (size_t i = 0; text.size() < n_byte; ++i) text += part(i);
  return text;
}

// n tensors "<i><padding>" of no elements, as the fields of a safetensors header.
std::string empty_tensors(size_t n, size_t n_padding, std::string_view shape) {
  std::string header = "{";
  for (size_t i = 0; i < n; ++i)
    header += concat(i ? "," : "", "\"", i, std::string(n_padding, 'x'),
                     R"(":{"dtype":"U8","shape":[)", shape, R"(],"data_offsets":[0,0]})");
  return header + "}";
}

class Memory : public testing::Test {
 protected:
  void expect_bounded(const char* what, const std::string& file) {
    const auto path = folder_.write("weights", file);
    EXPECT_LE(peak_of_opening(path), kConstant)
        << what << ", a file of " << file.size() << " bytes";
  }
  test::TempFolder folder_;
};

TEST_F(Memory, IsCounted) {
  const size_t before = in_use;
  peak = before;
  { std::vector<char> block(1 << 20); }
  EXPECT_GE(peak - before, size_t{1} << 20);
  EXPECT_EQ(in_use, before);
}

TEST_F(Memory, Safetensors) {
  expect_bounded("as many tensors as are accepted",
                 safetensors(empty_tensors(kMaxTensors, 240, "0,1,1,1,1,1,1,1"), ""));
  expect_bounded("more tensors", safetensors(empty_tensors(50'000, 0, "0"), ""));
  expect_bounded("one long string", safetensors("{\"" + std::string(20 << 20, 'x') + "\":1}", ""));
  expect_bounded("spaces", safetensors(std::string(20 << 20, ' ') + "{}", ""));
  expect_bounded("one long number",
                 safetensors(R"({"w":{"dtype":"U8","shape":[)" + std::string(20 << 20, '1'), ""));
  expect_bounded("one long shape", safetensors(R"({"w":{"dtype":"U8","shape":[0)" +
                                                   repeated(8 << 20, [](size_t) { return ",0"; }),
                                               ""));
  expect_bounded("brackets", safetensors(std::string(20 << 20, '['), ""));
  const auto metadata = [](const std::string& entries) {
    return safetensors(R"({"__metadata__":{"":"")" + entries + "}}", "");
  };
  expect_bounded("many metadata entries",
                 metadata(repeated(2 << 20, [](size_t i) { return concat(",\"", i, "\":\"\""); })));
  expect_bounded("a long metadata value",
                 metadata(",\"a\":\"" + std::string(20 << 20, 'x') + "\""));
  expect_bounded("metadata at the limit",
                 metadata(",\"a\":\"" + std::string((4 << 20) - 100, 'x') + "\""));
}

TEST_F(Memory, Gguf) {
  const std::string huge = u64(uint64_t{1} << 60);
  expect_bounded("claims tensors", concat("GGUF", u32(3), huge, u64(0)));
  expect_bounded("claims entries", concat("GGUF", u32(3), u64(0), huge));
  expect_bounded("claims strings", gguf({gguf_entry("k", 9, u32(8) + huge)}, {}, ""));
  std::vector<std::string> entries, records;
  for (size_t i = 0; i < 16384; ++i)
    entries.push_back(gguf_entry(std::string(200, 'k') + std::to_string(i), 0, "x"));
  expect_bounded("many entries", gguf(entries, {}, ""));
  for (size_t i = 0; i < 100'000; ++i)
    records.push_back(test::gguf_record(std::to_string(i), {0, 1, 1, 1}, 0, 0));
  expect_bounded("many tensors", gguf({}, records, ""));
  const std::string arrays = repeated(8 << 20, [](size_t) { return u32(9) + u64(0); });
  expect_bounded(
      "many arrays",
      gguf({gguf_entry("k", 9, concat(u32(9), u64(arrays.size() / 12), arrays))}, {}, ""));
}

TEST_F(Memory, Ggmf) {
  expect_bounded("many tensors", test::ggmf_header() + repeated(8 << 20, [](size_t i) {
                                   return test::ggmf_tensor(std::to_string(i), 0, {0}, "");
                                 }));
}

TEST_F(Memory, Pickle) {
  const auto body = [&](const char* what, const std::string& opcodes) {
    expect_bounded(what, test::torch_zip(opcodes, {}));
  };
  constexpr size_t kLong = 3 << 20;
  for (char opcode : {'}', ']', ')', 'N', '('})
    body("one opcode over and over", std::string(kLong, opcode));
  body("lists in a list", "](" + std::string(kLong, ']') + "e");
  body("values into one list",
       "]" + repeated(kLong, [](size_t) { return "(" + std::string(1000, 'N') + "e"; }));
  body("small lists",
       "]" + repeated(kLong, [](size_t) { return "(" + std::string(100, ']') + "e"; }));
  body("tuples of one", "]" + repeated(kLong, [](size_t) {
                          return "N\x85"
                                 "a";
                        }));
  body("memo", "N" + repeated(kLong, [](size_t i) { return concat("r", u32(i)); }));
  body("memo by order", "N" + std::string(kLong, '\x94'));
  body("storages",
       "]" + repeated(kLong, [](size_t) { return p::storage("FloatStorage", "0", 0) + "a"; }));
  // One text of a megabyte, named again and again.
  const std::string text = p::text(std::string(1 << 20, 't'));
  body("one text many times", "}(" + p::text("a") + "](" + text + "q" + std::string(1, '\0') +
                                  repeated(200'000, [](size_t) { return std::string("h\0", 2); }) +
                                  "eu");
  // Distinct entries that become neither tensors nor extras.
  body("many entries", "}" + repeated(kLong, [](size_t i) {
                         return p::text(std::to_string(i)) + p::global("torch", "IntStorage") + "s";
                       }));
  body("a long key", "}(" + p::text(std::string(8 << 20, 'k')) + "Nu");
}

// More tensors than the limits of a pickle let through.
TEST_F(Memory, StateDict) {
  std::string dict = "}";
  for (size_t i = 0; i < 20'000; ++i)
    dict += concat(p::text(concat(i, std::string(100, 'n'))),
                   p::tensor(p::storage("ByteStorage", "0", 0), 0, {0, 1, 1}, {1, 1, 1}), "s");
  expect_bounded("many tensors", test::torch_zip(dict, {{"0", ""}}));
  expect_bounded("many tensors, legacy", test::torch_legacy(dict, {{"0", ""}}, 1));
}

TEST_F(Memory, Zip) {
  std::vector<test::ZipPart> parts;
  for (size_t i = 0; i < 60'000; ++i) parts.push_back({std::to_string(i), ""});
  expect_bounded("many entries", test::zip(parts));
  for (size_t i = 60'000; i < 100'000; ++i) parts.push_back({std::to_string(i), ""});
  expect_bounded("too many entries", test::zip(parts, true));
}

TEST_F(Memory, Json) {
  const auto config = [&](const char* what, const std::string& text) {
    folder_.write("config.json", text);
    expect_bounded(what, safetensors(empty_tensors(1, 0, "0"), ""));
  };
  config("nested lists", "{\"a\":" + std::string(3 << 20, '['));
  config("one list", "{\"a\":[0" + repeated(3 << 20, [](size_t) { return ",0"; }) + "]}");
  config("one string", "{\"a\":\"" + std::string(3 << 20, 'x') + "\"}");
  config("one string and NaN", "{\"a\":NaN,\"b\":\"" + std::string(3 << 20, 'x') + "\"}");
  config("spaces", "{" + std::string(3 << 20, ' ') + "}");
  config("too long", "{" + std::string(30 << 20, ' ') + "}");
  config("keys",
         "{\"a\":0" + repeated(1 << 20, [](size_t i) { return concat(",\"", i, "\":{}"); }) + "}");
  config("keys at the limit",
         "{\"a\":0" + repeated(420'000, [](size_t i) { return concat(",\"", i, "\":{}"); }) + "}");
  std::filesystem::remove(folder_.file("config.json"));
  const auto index = [](size_t n, size_t n_padding) {
    std::string map;
    for (size_t i = 0; i < n; ++i)
      map += concat(i ? "," : "", "\"", i, std::string(n_padding, 'n'), "\":\"s\"");
    return "{\"weight_map\":{" + map + "}}";
  };
  expect_bounded("index", index(kMaxTensors, 220));
  expect_bounded("index of too many", index(100'000, 10));
  folder_.write("s", safetensors(empty_tensors(kMaxTensors, 220, "0"), ""));
  expect_bounded("index with its shard", index(kMaxTensors, 220));
  std::string wrapped = "{";
  for (size_t i = 0; i < kMaxTensors; ++i)
    wrapped += concat(i ? "," : "", "\"module._orig_mod.", std::string(200, 'x'), ".", i,
                      R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})");
  expect_bounded("wrapper's names", safetensors(wrapped + "}", ""));
  std::string roots = "{";
  for (size_t i = 0; i < kMaxTensors; ++i)
    roots += concat(i ? "," : "", "\"", std::string(100, 'x'), i / 2,
                    i % 2 ? ".emb.weight" : ".blocks.0.x",
                    R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})");
  expect_bounded("many models", safetensors(roots + "}", ""));
}

}  // namespace
}  // namespace fathom::memory_test
