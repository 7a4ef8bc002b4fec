// SPDX-License-Identifier: Apache-2.0
// Every command reads text in the same way: compressed or not, from a file, a pipe or standard
// input; JSON by the name; and what is no text is refused before the model is opened.
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "base/json.h"
#include "cli/models.h"
#include "formats/npy.h"
#include "text/packed.h"

namespace fathom::test::text_inputs_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kText = "The cat sat.\nA dog ran off.\n";
constexpr const char* kJsonLines =
    "{\"text\": \"The cat sat.\"}\n{\"id\": 2, \"text\": \"A dog ran off.\"}\n";

constexpr std::pair<const char*, std::string (*)(std::string_view)> kPackers[] = {
    {".xz", xz}, {".gz", gzip}, {".zst", zstd}};

// The vectors of two sentences, by `fathom embed` on one model.
class Embeddings {
 public:
  Embeddings() : model_(byte_model(folder)), want_(of({"-i", folder.write("want.txt", kText)})) {}

  std::vector<float> of(std::vector<std::string> flags, RunOptions options = {}) const {
    const std::string out = folder.file("e.npy");
    flags.insert(flags.begin(), {"embed", model_, "-o", out});
    run_ok(flags, options);
    const NpyArray array = read_npy(out);
    EXPECT_EQ(array.shape[0], 2u);
    return array.values;
  }
  void expect_same(const std::vector<std::string>& flags, RunOptions options = {}) const {
    EXPECT_EQ(of(flags, std::move(options)), want_);
  }
  Outcome refused(const std::string& input, const std::vector<std::string>& names) const {
    const std::string out = folder.file("none.npy");
    const Outcome run = run_fathom({"embed", model_, "-i", input, "-o", out});
    expect_refused(run, kDataError, names);
    EXPECT_FALSE(std::filesystem::exists(out));
    return run;
  }

  TempFolder folder;

 private:
  std::string model_;
  std::vector<float> want_;
};

// Writes `bytes` to a pipe of this name while `f` runs, which has to read it.
template <class F>
void with_pipe(const std::string& path, const std::string& bytes, const F& f) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path, std::ios::binary) << bytes; });
  f();
  writer.join();
  std::filesystem::remove(path);
}

TEST(TextInputs, EmbedReadsCompressedFilesPipesAndStandardInput) {
  const Embeddings e;
  for (const auto& [ending, pack] : kPackers) {
    SCOPED_TRACE(ending);
    const std::string packed = pack(kText), name = concat("s", ending + 1, ".txt");
    e.folder.write(name + ending, packed);
    e.expect_same({"-i", e.folder.file(name + ending)});
    e.expect_same({"-i", e.folder.file(name)});
    e.expect_same({}, {.input = packed});
    e.expect_same({"-i", "-"}, {.input = packed});
    with_pipe(e.folder.file("pipe"), packed, [&] { e.expect_same({"-i", e.folder.file("pipe")}); });
  }
  with_pipe(e.folder.file("pipe"), kText, [&] { e.expect_same({"-i", e.folder.file("pipe")}); });
  e.expect_same({}, {.input = "\xEF\xBB\xBFThe cat sat.\r\nA dog ran off."});
}

TEST(TextInputs, EndingsOfJsonLines) {
  const Embeddings e;
  for (const char* name : {"a.jsonl", "a.ndjson", "a.json", "a.JSONL", "a.NdJson"}) {
    SCOPED_TRACE(name);
    e.expect_same({"-i", e.folder.write(name, kJsonLines)});
    for (const auto& [ending, pack] : kPackers)
      e.expect_same({"-i", e.folder.write(concat("p_", name, ending), pack(kJsonLines))});
  }
  e.folder.write("found.jsonl.gz", gzip(kJsonLines));
  e.expect_same({"-i", e.folder.file("found.jsonl")});
  e.expect_same({"--field", "text"}, {.input = kJsonLines});
}

TEST(TextInputs, AJsonArray) {
  const Embeddings e;
  const std::string objects =
                        "[\n  {\"text\": \"The cat sat.\", \"q\": 1},\n  {\"text\": \"A dog "
                        "ran off.\", \"q\": [2]}\n]\n",
                    texts = "\xEF\xBB\xBF [\"The cat sat.\", \"A dog ran off.\"]",
                    mixed = "[\"The cat sat.\", {\"text\": \"A dog ran off.\"}]";
  for (const std::string& array : {objects, texts, mixed})
    for (const char* name : {"a.json", "a.jsonl"})
      e.expect_same({"-i", e.folder.write(name, array)});
  e.expect_same({"--field", "text"}, {.input = objects});
  e.refused(e.folder.write("b.json", "[{\"text\": \"A.\"}, {\"txt\": \"B.\"}]"),
            {"b.json", "item 2", "'text'"});
  e.refused(e.folder.write("b.json", "[\"A.\", 3]"), {"b.json", "item 2"});
  e.refused(e.folder.write("b.json", "[\"A.\", \"\"]"), {"b.json", "item 2", "empty"});
  e.refused(e.folder.write("b.json", "[\"A.\""), {"b.json", "not valid JSON"});
  e.refused(e.folder.write("b.json", "[]"), {"b.json", "no sentence"});
  e.refused(e.folder.write("b.json", "{\n  \"text\": \"A.\"\n}\n"), {"b.json", "line 1"});
}

TEST(TextInputs, PlainLinesThatLookLikeJsonAreMentioned) {
  const Embeddings e;
  const std::string out = e.folder.file("x.npy"), model = byte_model(e.folder);
  const Outcome run = run_ok({"embed", model, "-o", out}, {.input = kJsonLines});
  EXPECT_THAT(run.err, HasSubstr("standard input: line 1 is a JSON object"));
}

TEST(TextInputs, WhatIsNoTextIsRefusedByName) {
  const Embeddings e;
  const std::string utf16("\xFF\xFET\0h\0e\0", 8), utf32("\xFF\xFE\0\0T\0\0\0", 8);
  const std::pair<std::string, std::vector<std::string>> cases[] = {
      {utf16, {"UTF-16", "iconv -f UTF-16 -t UTF-8 "}},
      {utf32, {"UTF-32", "iconv -f UTF-32 -t UTF-8 "}},
      {gzip(utf16), {"UTF-16", "gzip -dc", "iconv"}},
      {"BZh91AY&SY\x01", {"bzip2"}},
      {"PK\x03\x04", {"ZIP", "unzip"}},
      {"PAR1\x15\x04", {"parquet", "python3 -c", "to_json"}},
      {gzip(gzip(kText)), {"compressed twice"}},
      {gzip(kText).substr(0, 20), {"truncated gzip"}},
      {zstd(kText).substr(0, 20), {"truncated zstd"}},
      {xz(kText).substr(0, 40), {"truncated xz"}},
      {std::string("The cat\0", 8), {"zero"}}};
  for (const auto& [bytes, names] : cases) {
    SCOPED_TRACE(names[0]);
    std::vector<std::string> all = names;
    all.push_back("bad.txt");
    e.refused(e.folder.write("bad.txt", bytes), all);
  }
  std::filesystem::create_directory(e.folder.file("none"));
  e.refused(e.folder.file("none"), {"none: a folder without a file"});
}

TEST(TextInputs, TokenizeAndMetricsReadTheSame) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const std::string cases =
      R"([{"name": "a", "kind": "binary", "truth": [1, 0, 1, 1], "pred": [1, 0, 0, 1]}])";
  const std::string want = run_ok({"metrics", folder.write("c.json", cases)}).out;
  EXPECT_THAT(want, HasSubstr("0.75"));
  for (const auto& [ending, pack] : kPackers) {
    SCOPED_TRACE(ending);
    EXPECT_EQ(run_ok({"tokenize", model, "--json"}, {.input = pack("Hi\n")}).out, "[72,105,10]\n");
    EXPECT_EQ(run_ok({"tokenize", model, "--decode"}, {.input = pack("[72,\r\n105]\r\n")}).out,
              "Hi");
    EXPECT_EQ(run_ok({"metrics", folder.write(concat("p.json", ending), pack(cases))}).out, want);
    EXPECT_EQ(run_ok({"metrics", "-"}, {.input = pack(cases)}).out, want);
  }
  expect_refused(run_fathom({"metrics", "-"}, {.input = "{"}), kDataError,
                 {"standard input", "not valid JSON"});
  expect_refused(run_fathom({"tokenize", model}, {.input = std::string("\xFE\xFF\0a", 4)}),
                 kDataError, {"standard input", "UTF-16"});
}

// The 256 bytes, ids 1 to 256, and "Hello".
std::string small_vocabulary() {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string lines;
  for (size_t byte = 0; byte < 256; ++byte)
    lines += concat(byte + 1, " b'\\x", kDigits[byte / 16], kDigits[byte % 16], "' 1\n");
  return lines + "257 'Hello' 5\n";
}

TEST(TextInputs, BenchVocabulariesAndIds) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const auto n_token = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> all = {"bench", model,    "--tokens",     "none",          "--repeats",
                                    "1",     "--json", "--no-ceiling", "--min-seconds", "0"};
    all.insert(all.end(), flags.begin(), flags.end());
    return Json::parse(run_ok(all).out)["runs"][0]["n_token"].get<size_t>();
  };
  EXPECT_EQ(n_token({"-i", folder.write("s.JSONL.gz", gzip(kJsonLines))}), 26u);
  EXPECT_EQ(n_token({"--ids-file", folder.write("ids.zst", zstd("[1,2]\r\n[3]\r\n"))}), 3u);
  const std::string vocab = folder.write("v.txt.gz", gzip(small_vocabulary()));
  EXPECT_EQ(run_ok({"tokenize", "--vocab", vocab, "--json", "Hello"}).out, "[257]\n");
  EXPECT_EQ(run_ok({"tokenize", "--vocab", folder.file("v.txt"), "--json", "Hello"}).out,
            "[257]\n");
}

// Data sets: NAME.gz and NAME.zst where NAME is looked for; word vectors in an archive.
TEST(TextInputs, EvalReadsCompressedDataSetsAndWordVectors) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const std::string header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n";
  folder.write("dev.tsv.gz", gzip(header + "1\t1\t2\tthe cat\tthe dog\n0\t3\t4\tthe sun\ta cat\n"
                                           "1\t5\t6\ta dog\tthe cat\n"));
  folder.write("train.tsv.zst",
               zstd(header + "1\t1\t2\ta cat\tthe cat\n0\t3\t4\tthe dog\ta sun\n"));
  const std::string words = "the 1 0.5\ncat 0 1\ndog 1 1\nsun -1 0.5\n";
  const auto results = [&](const std::string& glove) {
    run_ok({"eval", model, "--data", folder.path(), "--no-timing", "--layers", "1", "--glove",
            glove, "-o", folder.file("out")});
    return Json::parse(read_whole(folder.file("out/results.json")));
  };
  const Json plain = results(folder.write("w.txt", words));
  EXPECT_THAT(plain["settings"]["data_files"].dump(),
              testing::AllOf(HasSubstr("dev.tsv.gz"), HasSubstr("dev.tsv")));
  EXPECT_EQ(plain["notes"].dump().find("WARNING"), std::string::npos);
  for (const auto& [name, bytes] : std::vector<std::pair<std::string, std::string>>{
           {"w.txt.gz", gzip(words)}, {"w2.zst", zstd(words)}})
    EXPECT_EQ(results(folder.write(name, bytes))["rows"], plain["rows"]) << name;
  const Json noted = results(folder.write("n.txt", "9 2\nnone nan 1\n" + words));
  EXPECT_EQ(noted["rows"], plain["rows"]);
  EXPECT_THAT(noted["notes"].dump(),
              testing::AllOf(HasSubstr("promises 9 words, the file has 5"), HasSubstr("NaN")));
}

TEST(TextInputs, AGloveThatKnowsHardlyAWordIsALoudNote) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const std::string header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n";
  const std::string rows =
      "1\t1\t2\ta b c d e f\tg h i j k l\n0\t3\t4\tm n o p q\tr s t u v\n"
      "1\t5\t6\ta b\tc d\n";
  folder.write("dev.tsv", header + rows);
  folder.write("train.tsv", header + rows);
  const auto eval = [&](const std::string& words) {
    return run_ok({"eval", model, "--data", folder.path(), "--no-timing", "--layers", "1",
                   "--glove", folder.write("w.txt", words), "-o", folder.file("out")})
        .out;
  };
  // 2 of 26 words; 3 of 26 are enough.
  const std::string out = eval("a 1 2\nzz 3 4\n");
  EXPECT_THAT(out, testing::AllOf(HasSubstr("WARNING: w knows 2 of 26 words (7.7 %)"),
                                  HasSubstr("w, 7.7 % of words!")));
  const std::string page = read_whole(folder.file("out/report.html"));
  EXPECT_THAT(page, HasSubstr("WARNING: w knows 2 of 26 words (7.7 %)"));
  EXPECT_THAT(Json::parse(read_whole(folder.file("out/results.json")))["notes"][0].dump(),
              HasSubstr("WARNING"));
  EXPECT_THAT(eval("a 1 2\ne 3 4\n"), testing::Not(HasSubstr("WARNING")));
}

// It would be empty for the second one.
TEST(TextInputs, APipeOfWordVectorsServesOneTask) {
  const TempFolder folder;
  std::filesystem::create_directories(folder.file("glue/MRPC"));
  std::filesystem::create_directories(folder.file("glue/STS-B"));
  folder.write("glue/MRPC/dev.tsv", "Quality\t#1 String\t#2 String\n1\ta\tb\n0\tc\td\n");
  folder.write("glue/STS-B/dev.tsv", "sentence1\tsentence2\tscore\na\tb\t1.5\nc\td\t2\n");
  expect_refused(run_fathom({"eval", byte_model(folder), "--data", folder.path(), "--task",
                             "mrpc,stsb", "--glove", "-", "-o", folder.file("out")}),
                 kUsageError, {"--glove: read once", "regular file", "got -"});
}

}  // namespace
}  // namespace fathom::test::text_inputs_test
