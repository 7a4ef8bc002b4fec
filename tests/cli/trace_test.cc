// SPDX-License-Identifier: Apache-2.0
// fathom trace: names and shapes of ../shared/golden/README.md; the numbers themselves are tested
// in tests/model, tests/encode and, where golden files are present, here.
#include <cmath>
#include <cstring>

#include "base/json.h"
#include "cli/models.h"

namespace fathom::test::trace_test {
namespace {

using testing::HasSubstr;
using Shapes = std::map<std::string, std::vector<size_t>>;

Shapes shapes_of(const StoredArrays& arrays) {
  Shapes shapes;
  for (const auto& [name, a] : arrays) shapes[name] = a.shape;
  return shapes;
}

StoredArrays trace_arrays(const TempFolder& folder, std::vector<std::string> arguments,
                          const RunOptions& options = {}) {
  const std::string out = folder.file("t.safetensors");
  arguments.insert(arguments.begin(), "trace");
  arguments.insert(arguments.end(), {"-o", out});
  run_ok(arguments, options);
  return read_arrays(out);
}

void expect_same(const StoredArrays& a, const StoredArrays& b) {
  ASSERT_EQ(shapes_of(a), shapes_of(b));
  for (const auto& [name, array] : a)
    EXPECT_EQ(0, std::memcmp(array.values.data(), b.at(name).values.data(),
                             array.values.size() * sizeof(float)))
        << name;
}

double relative_difference(const StoredArray& a, const StoredArray& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    difference = std::max(difference, std::abs(double{a.values[i]} - b.values[i]));
    size = std::max(size, std::abs(double{b.values[i]}));
  }
  return difference / size;
}

TEST(Trace, WritesEveryArrayInItsShape) {
  const TempFolder folder;
  const StoredArrays t = trace_arrays(folder, {byte_model(folder), "--ids", "34,105,110,0,255"});
  EXPECT_EQ(shapes_of(t), (Shapes{{"ids", {5}},
                                  {"hidden", {4, 5, 24}},
                                  {"final", {5, 24}},
                                  {"mean", {4, 24}},
                                  {"last", {4, 24}},
                                  {"mean_lnout", {4, 24}},
                                  {"last_lnout", {4, 24}},
                                  {"logits_last", {256}},
                                  {"logits", {5, 256}},
                                  {"state_att_x", {3, 24}},
                                  {"state_ffn_x", {3, 24}},
                                  {"state_wkv", {3, 3, 8, 8}}}));
  for (const auto& [name, a] : t)
    EXPECT_EQ(a.dtype, name == "ids" ? StoredType::kI32 : StoredType::kF32) << name;
  EXPECT_EQ(t.at("ids").values, (std::vector<float>{34, 105, 110, 0, 255}));
}

TEST(Trace, HasTheStateOfEachVersion) {
  const TempFolder v4, v7;
  const Shapes four = shapes_of(trace_arrays(v4, {byte_model(v4, Version::kV4), "--ids", "1,2"}));
  for (const char* name : {"state_aa", "state_bb", "state_pp"})
    EXPECT_EQ(four.at(name), (std::vector<size_t>{3, 24})) << name;
  EXPECT_FALSE(four.contains("state_wkv"));
  const Shapes seven = shapes_of(trace_arrays(v7, {byte_model(v7, Version::kV7), "--ids", "1,2"}));
  EXPECT_EQ(seven.at("state_wkv"), (std::vector<size_t>{3, 3, 8, 8}));
}

TEST(Trace, ItsArraysAreConsistent) {
  const TempFolder folder;
  const StoredArrays t = trace_arrays(folder, {byte_model(folder), "--text", "A sentence."});
  const size_t n = 11, c = 24;
  EXPECT_EQ(t.at("ids").shape, (std::vector<size_t>{n}));
  for (size_t layer = 0; layer < 4; ++layer) {
    EXPECT_EQ(row_of(t.at("last"), layer), row_of(t.at("hidden"), layer * n + n - 1));
    for (size_t i = 0; i < c; ++i) {
      double sum = 0;
      for (size_t k = 0; k < n; ++k) sum += t.at("hidden").values[(layer * n + k) * c + i];
      EXPECT_FLOAT_EQ(t.at("mean").values[layer * c + i], static_cast<float>(sum / n));
    }
  }
  EXPECT_EQ(row_of(t.at("last_lnout"), 3), row_of(t.at("final"), n - 1));
  EXPECT_EQ(t.at("logits_last").values, row_of(t.at("logits"), n - 1));
}

TEST(Trace, PiecesAndThreadsChangeNoBit) {
  const TempFolder folder;
  const std::string model = byte_model(folder), text = "The quick brown fox jumps over the dog.";
  const StoredArrays whole = trace_arrays(folder, {model, "--text", text});
  for (const char* chunk : {"1", "7", "16", "38"})
    expect_same(whole, trace_arrays(folder, {model, "--text", text, "--chunk", chunk}));
  for (const char* threads : {"1", "3"})
    expect_same(whole, trace_arrays(folder, {model, "--text", text, "--threads", threads}));
}

TEST(Trace, TakesTokensInThreeWays) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const StoredArrays by_text = trace_arrays(folder, {model, "--text", "Hi!"});
  expect_same(by_text, trace_arrays(folder, {model, "--ids", "72,105,33"}));
  expect_same(by_text, trace_arrays(folder, {model, "--ids", "[72, 105, 33]"}));
  const std::string file = folder.write("ids.txt", "72 105\n33\n");
  expect_same(by_text, trace_arrays(folder, {model, "--ids-file", file}));
  expect_same(trace_arrays(folder, {model, "--ids", "0,72,105,33"}),
              trace_arrays(folder, {model, "--text", "Hi!", "--bos", "0"}));
}

TEST(Trace, BackendsAndTypesAgree) {
  const TempFolder folder;
  const std::string model = byte_model(folder), text = "The quick brown fox.";
  const StoredArrays cpu = trace_arrays(folder, {model, "--text", text});
  const StoredArrays reference =
      trace_arrays(folder, {model, "--text", text, "--backend", "reference"});
  const StoredArrays by_variable =
      trace_arrays(folder, {model, "--text", text}, {.environment = {"FATHOM_BACKEND=reference"}});
  const StoredArrays bf16 = trace_arrays(folder, {model, "--text", text, "--dtype", "bf16"});
  expect_same(reference, by_variable);
  for (const char* name : {"hidden", "final", "logits"}) {
    EXPECT_LE(relative_difference(cpu.at(name), reference.at(name)), 2e-5) << name;
    EXPECT_LE(relative_difference(bf16.at(name), reference.at(name)), 0.1) << name;
  }
}

TEST(Trace, RecordsHowItWasMade) {
  const TempFolder folder;
  const std::string out = folder.file("t.safetensors");
  run_ok({"trace", byte_model(folder), "--text", "it's", "-o", out});
  const Json made = Checkpoint::open(out).attributes();
  EXPECT_THAT(made["command"].get<std::string>(), HasSubstr("--text 'it'\\''s'"));
  EXPECT_EQ(Json::parse(made["model"].get<std::string>())["version"], "6");
  EXPECT_TRUE(made.contains("fathom"));
}

TEST(Trace, RefusesTokensThatAreNone) {
  const TempFolder folder;
  const std::string model = byte_model(folder), out = folder.file("t.safetensors");
  const auto refused = [&](std::vector<std::string> how, int code, std::vector<std::string> names) {
    how.insert(how.begin(), {"trace", model, "-o", out});
    expect_refused(run_fathom(how), code, names);
  };
  refused({}, kUsageError, {"--ids", "--text"});
  refused({"--ids", "1", "--text", "a"}, kUsageError, {"--ids", "--text"});
  refused({"--ids", "1,b"}, kDataError, {"--ids", "'b'"});
  refused({"--ids", "1,-2"}, kDataError, {"--ids", "-2"});
  refused({"--ids", "1,256"}, kDataError, {"256"});
  refused({"--ids", ","}, kDataError, {"no token"});
  refused({"--ids-file", "nothing.txt"}, kDataError, {"nothing.txt"});
  refused({"--ids", "1", "--bos", "x"}, kUsageError, {"--bos", "x"});
  refused({"--ids", "1", "--dtype", "f8"}, kUsageError, {"--dtype", "f8"});
  refused({"--ids", "1", "--backend", "abacus"}, kUsageError, {"abacus"});
  EXPECT_FALSE(std::filesystem::exists(out));
}

// Issue 2, check 2: rwkv.cpp's own logits of its test.
TEST(Trace, GivesTheLogitsOfTheRealTinyModel) {
  if (tiny_v6().empty()) GTEST_SKIP() << "no shared data";
  const TempFolder folder;
  const StoredArrays t = trace_arrays(folder, {tiny_v6(), "--ids", "34,105,110"});
  const std::string bytes =
      read_whole(std::filesystem::path(tiny_v6()).parent_path() / "expected-logits-6v0-1m.bin");
  std::vector<float> want(bytes.size() / sizeof(float));
  std::memcpy(want.data(), bytes.data(), bytes.size());
  ASSERT_EQ(want.size(), 256u);
  EXPECT_LE(relative_difference(t.at("logits_last"), {StoredType::kF32, {256}, want}), 1e-5);
}

}  // namespace
}  // namespace fathom::test::trace_test
