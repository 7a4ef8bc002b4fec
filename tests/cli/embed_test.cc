// SPDX-License-Identifier: Apache-2.0
// fathom embed: formats, order, empty lines, pooling; judged by `fathom trace`, which takes another
// way to the same numbers.
#include <cmath>

#include "base/json.h"
#include "cli/models.h"
#include "formats/npy.h"

namespace fathom::test::embed_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kText = "The cat sat.\nA dog ran off.\nX\n";
const std::vector<std::string> kSentences = {"The cat sat.", "A dog ran off.", "X"};

struct Embedded {
  NpyArray array;
  Json made_by;

  std::vector<float> row(size_t i) const {
    const size_t n = array.shape.back();
    return {array.values.begin() + static_cast<std::ptrdiff_t>(i * n),
            array.values.begin() + static_cast<std::ptrdiff_t>((i + 1) * n)};
  }
};

// Embeds kText, or what options.input holds, with `flags`.
Embedded embed(const TempFolder& folder, const std::vector<std::string>& flags,
               RunOptions options = {}) {
  if (options.input.empty()) options.input = kText;
  const std::string out = folder.file("e.npy");
  std::vector<std::string> all = {"embed", byte_model(folder), "-o", out};
  all.insert(all.end(), flags.begin(), flags.end());
  const Outcome run = run_ok(all, options);
  EXPECT_EQ(run.out, "");
  return {read_npy(out), Json::parse(read_whole(out + ".json"))};
}

TEST(Embed, PoolsWhatTraceShows) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const Embedded mean = embed(folder, {"--layers", "all"});
  const Embedded last = embed(folder, {"--layers", "0-3", "--pool", "last", "--norm", "ln_out"});
  EXPECT_THAT(mean.array.shape, ElementsAre(5, 3, 24));
  EXPECT_THAT(last.array.shape, ElementsAre(4, 3, 24));
  for (size_t i = 0; i < kSentences.size(); ++i) {
    const std::string out = folder.file("t.safetensors");
    run_ok({"trace", model, "--text", kSentences[i], "-o", out});
    const StoredArrays t = read_arrays(out);
    for (size_t layer = 0; layer <= 3; ++layer) {
      EXPECT_EQ(mean.row(layer * 3 + i), row_of(t.at("mean"), layer)) << layer << " " << i;
      EXPECT_EQ(last.row(layer * 3 + i), row_of(t.at("last_lnout"), layer)) << layer << " " << i;
    }
    EXPECT_EQ(mean.row(4 * 3 + i), row_of(t.at("mean_lnout"), 3)) << "final of " << i;
  }
}

TEST(Embed, AllFormatsHoldTheSameNumbers) {
  const TempFolder folder;
  const std::string model = byte_model(folder), in = folder.write("s.txt", kText);
  const Embedded npy = embed(folder, {"--layers", "2,final"});
  const auto write = [&](const char* name) {
    run_ok({"embed", model, "-i", in, "-o", folder.file(name), "--layers", "2,final"});
    return folder.file(name);
  };
  const StoredArrays tensors = read_arrays(write("e.safetensors"));
  const auto jsonl = lines_of(read_whole(write("e.jsonl")));
  const auto csv = lines_of(read_whole(write("e.csv")));
  ASSERT_EQ(tensors.size(), 2u);
  ASSERT_EQ(jsonl.size(), 3u);
  ASSERT_EQ(csv.size(), 1u + 6u);
  EXPECT_THAT(csv[0], testing::StartsWith("line,layer,e0,e1,"));
  for (size_t i = 0; i < 3; ++i) {
    const Json line = Json::parse(jsonl[i]);
    EXPECT_EQ(line["line"], i + 1);
    for (size_t l = 0; l < 2; ++l) {
      const std::string layer = l == 0 ? "2" : "final";
      const std::vector<float> want = npy.row(l * 3 + i);
      EXPECT_EQ(row_of(tensors.at("layer." + layer), i), want);
      EXPECT_EQ(line["embeddings"][layer].get<std::vector<float>>(), want);
      const std::string& text = csv[1 + 2 * i + l];
      const std::string start = concat(i + 1, ",", layer, ",");
      ASSERT_TRUE(text.starts_with(start)) << text;
      EXPECT_EQ(Json::parse("[" + text.substr(start.size()) + "]").get<std::vector<float>>(), want);
    }
  }
  EXPECT_TRUE(Checkpoint::open(folder.file("e.safetensors")).attributes().contains("fathom"));
  EXPECT_TRUE(std::filesystem::exists(folder.file("e.jsonl.json")));
  EXPECT_TRUE(std::filesystem::exists(folder.file("e.csv.json")));
}

TEST(Embed, OneLayerIsAMatrixAndAListOfOne) {
  const TempFolder folder;
  EXPECT_THAT(embed(folder, {}).array.shape, ElementsAre(3, 24));
  const std::string out = folder.file("e.jsonl");
  run_ok({"embed", byte_model(folder), "-o", out}, {.input = kText});
  EXPECT_EQ(Json::parse(lines_of(read_whole(out))[0])["embedding"].size(), 24u);
}

TEST(Embed, RecordsHowItWasMade) {
  const TempFolder folder;
  const Json made = embed(folder, {"--layers", "1,final", "--pool", "weighted", "--bos", "0",
                                   "--normalize", "--backend", "reference", "--scan", "echo"})
                        .made_by;
  EXPECT_TRUE(made["fathom"].is_string());
  EXPECT_THAT(made["command"].get<std::string>(), HasSubstr("--pool weighted"));
  EXPECT_EQ(made["model"]["version"], "6");
  EXPECT_EQ(made["model"]["backend"], "reference");
  const Json& e = made["embedding"];
  EXPECT_EQ(e["layers"], Json::array({1, "final"}));
  EXPECT_EQ(e["pooling"], "weighted");
  EXPECT_EQ(e["norm"], "none");
  EXPECT_EQ(e["normalize"], true);
  EXPECT_EQ(e["bos"], 0);
  EXPECT_EQ(e["scan"], "echo");
  EXPECT_EQ(embed(folder, {}).made_by["embedding"]["bos"], "none");
}

TEST(Embed, KeepsTheOrder) {
  const TempFolder folder;
  const Embedded forward = embed(folder, {});
  const Embedded backward = embed(folder, {}, {.input = "X\nA dog ran off.\nThe cat sat.\n"});
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(forward.row(i), backward.row(2 - i));
}

TEST(Embed, BatchesAndThreadsChangeNoBit) {
  const TempFolder folder;
  std::string many;
  for (int i = 0; i < 40; ++i)
    many += std::string(1 + (i * 7) % 45, static_cast<char>('a' + i % 26)) + "\n";
  for (const char* dtype : {"f32", "bf16"}) {
    const Embedded one = embed(folder, {"--layers", "all", "--dtype", dtype}, {.input = many});
    for (const char* budget : {"1", "16", "50", "4096"})
      EXPECT_EQ(embed(folder, {"--layers", "all", "--dtype", dtype, "--batch-tokens", budget},
                      {.input = many})
                    .array.values,
                one.array.values)
          << dtype << " " << budget;
    EXPECT_EQ(
        embed(folder, {"--layers", "all", "--dtype", dtype, "--threads", "3"}, {.input = many})
            .array.values,
        one.array.values);
  }
}

TEST(Embed, NormalizesToLengthOne) {
  const TempFolder folder;
  const Embedded plain = embed(folder, {}), unit = embed(folder, {"--normalize"});
  for (size_t i = 0; i < 3; ++i) {
    double plain_square = 0, square = 0;
    for (float v : plain.row(i)) plain_square += double{v} * v;
    for (float v : unit.row(i)) square += double{v} * v;
    EXPECT_NEAR(square, 1, 1e-6);
    EXPECT_NEAR(unit.row(i)[0], plain.row(i)[0] / std::sqrt(plain_square), 1e-6);
  }
}

TEST(Embed, ScansBothWays) {
  const TempFolder folder;
  const std::vector<float> forward = embed(folder, {"--scan", "forward"}).array.values;
  const std::vector<float> reverse = embed(folder, {"--scan", "reverse"}).array.values;
  const std::vector<float> both = embed(folder, {"--scan", "both"}).array.values;
  const std::vector<float> echo = embed(folder, {"--scan", "echo"}).array.values;
  const std::vector<float> mirrored =
      embed(folder, {}, {.input = ".tas tac ehT\n.ffo nar god A\nX\n"}).array.values;
  EXPECT_EQ(reverse, mirrored);
  EXPECT_NE(echo, forward);
  for (size_t i = 0; i < both.size(); ++i) EXPECT_FLOAT_EQ(both[i], (forward[i] + reverse[i]) / 2);
}

TEST(Embed, EmptyLinesAreAnErrorUnlessTheUserSaysOtherwise) {
  const TempFolder folder;
  const std::string model = byte_model(folder), out = folder.file("e.npy");
  const std::string in = folder.write("s.txt", "The cat sat.\n\nX\n");
  expect_refused(run_fathom({"embed", model, "-i", in, "-o", out}), kDataError,
                 {"s.txt", "line 2", "--empty"});
  EXPECT_FALSE(std::filesystem::exists(out));
  EXPECT_FALSE(std::filesystem::exists(out + ".json"));

  const Embedded all = embed(folder, {});
  const Embedded zero = embed(folder, {"-i", in, "--empty", "zero"});
  EXPECT_THAT(zero.array.shape, ElementsAre(3, 24));
  EXPECT_EQ(zero.row(0), all.row(0));
  EXPECT_EQ(zero.row(1), std::vector<float>(24, 0));
  EXPECT_EQ(zero.row(2), all.row(2));
  const Embedded skip = embed(folder, {"-i", in, "--empty", "skip"});
  EXPECT_THAT(skip.array.shape, ElementsAre(2, 24));
  EXPECT_EQ(skip.row(1), all.row(2));
  EXPECT_EQ(skip.made_by["input"]["skipped_lines"], Json::array({2}));
}

TEST(Embed, ReadsJsonLines) {
  const TempFolder folder;
  const std::string with_field = folder.write(
      "q.jsonl", "{\"question\": \"The cat sat.\"}\r\n{\"id\": 7, \"question\": \"X\"}");
  const std::string plain =
      folder.write("s.jsonl", "{\"text\": \"The cat sat.\"}\n{\"text\": \"X\"}\n");
  const Embedded want = embed(folder, {});
  for (const Embedded& got :
       {embed(folder, {"-i", with_field, "--field", "question"}), embed(folder, {"-i", plain})}) {
    EXPECT_THAT(got.array.shape, ElementsAre(2, 24));
    EXPECT_EQ(got.row(0), want.row(0));
    EXPECT_EQ(got.row(1), want.row(2));
  }
  expect_refused(run_fathom({"embed", byte_model(folder), "-i", with_field, "-o",
                             folder.file("x.npy"), "--field", "answer"}),
                 kDataError, {"q.jsonl", "line 1", "answer"});
}

TEST(Embed, ReadsXz) {
  // printf 'The cat sat.\nA dog ran off.\n' | xz -9 --check=crc32
  const unsigned char packed[] = {
      0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00,
      0x21, 0x01, 0x1c, 0x00, 0x00, 0x00, 0x10, 0xcf, 0x58, 0xcc, 0x01, 0x00, 0x1b, 0x54,
      0x68, 0x65, 0x20, 0x63, 0x61, 0x74, 0x20, 0x73, 0x61, 0x74, 0x2e, 0x0a, 0x41, 0x20,
      0x64, 0x6f, 0x67, 0x20, 0x72, 0x61, 0x6e, 0x20, 0x6f, 0x66, 0x66, 0x2e, 0x0a, 0x00,
      0x2d, 0xca, 0xdd, 0x03, 0x00, 0x01, 0x30, 0x1c, 0x97, 0xdf, 0xc1, 0xeb, 0x90, 0x42,
      0x99, 0x0d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a};
  const TempFolder folder;
  folder.write("s.txt.xz", {reinterpret_cast<const char*>(packed), sizeof(packed)});
  const Embedded want = embed(folder, {});
  // By its own name, and found where the plain file would be.
  for (const char* name : {"s.txt.xz", "s.txt"}) {
    const Embedded got = embed(folder, {"-i", folder.file(name)});
    EXPECT_THAT(got.array.shape, ElementsAre(2, 24));
    EXPECT_EQ(got.row(0), want.row(0));
    EXPECT_EQ(got.row(1), want.row(1));
  }
}

TEST(Embed, EmptyInputIsRefused) {
  const TempFolder folder;
  expect_refused(run_fathom({"embed", byte_model(folder), "-o", folder.file("e.npy")}), kDataError,
                 {"standard input", "no sentence"});
}

TEST(Embed, WrongFlagsAreRefused) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const auto refused = [&](std::vector<std::string> flags, std::vector<std::string> names) {
    flags.insert(flags.begin(), {"embed", model, "-o", folder.file("e.npy")});
    expect_refused(run_fathom(flags, {.input = kText}), kUsageError, names);
  };
  refused({"--layers", "4"}, {"--layers", "'4'", "0 to 3"});
  refused({"--layers", "3-1"}, {"--layers", "3-1"});
  refused({"--layers", ""}, {"--layers"});
  refused({"--layers", "1,,2"}, {"--layers"});
  refused({"--pool", "median"}, {"--pool", "median"});
  refused({"--norm", "l2"}, {"--norm", "l2"});
  refused({"--scan", "sideways"}, {"--scan", "sideways"});
  refused({"--bos", "256"}, {"--bos", "256"});
  refused({"--empty", "maybe"}, {"--empty", "maybe"});
  expect_refused(run_fathom({"embed", model, "-o", folder.file("e.xlsx")}, {.input = kText}),
                 kUsageError, {"e.xlsx", ".npy"});
  EXPECT_EQ(folder.n_file(), 1u) << "only the model";
}

TEST(Embed, DrawsNoProgressBarIntoAPipe) {
  const TempFolder folder;
  const Outcome run =
      run_ok({"embed", byte_model(folder), "-o", folder.file("e.npy")}, {.input = kText});
  EXPECT_THAT(run.err, Not(HasSubstr("\r")));
  EXPECT_THAT(lines_of(run.err),
              testing::ElementsAre(testing::StartsWith("3 texts, 27 tokens"),
                                   HasSubstr("using layer final; `fathom eval` finds the best")));
}

}  // namespace
}  // namespace fathom::test::embed_test
