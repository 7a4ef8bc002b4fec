// SPDX-License-Identifier: Apache-2.0
#include "eval/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lzma.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "base/error.h"
#include "base/error_of.h"
#include "eval/dataset_reader.h"
#include "paths.h"
#include "text/text_file.h"

namespace fathom::dataset_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class DatasetTest : public ::testing::Test {
 protected:
  DatasetTest() {
    std::string name = (fs::temp_directory_path() / "fathom_dataset_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error("cannot make a scratch folder");
    root_ = name;
  }
  ~DatasetTest() override { fs::remove_all(root_); }

  void write(const fs::path& file, std::string_view text) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file, std::ios::binary) << text;
  }

  Dataset load(std::string_view task, Split split) const {
    return load_dataset(find_task(task), split, root_);
  }

  fs::path root_;
};

std::string xz(std::string_view text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  size_t size = 0;
  const auto* in = reinterpret_cast<const uint8_t*>(text.data());
  EXPECT_EQ(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, nullptr, in, text.size(),
                                    reinterpret_cast<uint8_t*>(out.data()), &size, out.size()),
            LZMA_OK);
  out.resize(size);
  return out;
}

std::vector<double> golds(const Dataset& data) {
  std::vector<double> out;
  for (const Pair& pair : data.pairs) out.push_back(pair.gold);
  return out;
}

std::vector<uint32_t> rows(const Dataset& data) {
  std::vector<uint32_t> out;
  for (const Pair& pair : data.pairs) out.push_back(pair.row);
  return out;
}

const std::string kMrpcHeader = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n";

TEST(Tasks, AreFoundByName) {
  EXPECT_EQ(find_task("mrpc").gold, Gold::kLabel);
  EXPECT_EQ(find_task("stsb").gold, Gold::kScore);
  EXPECT_THROW(find_task("MRPC"), UsageError);
  EXPECT_THAT(error_of([] { find_task("nli"); }), HasSubstr("expected one of mrpc, stsb"));
  for (const Task& task : tasks()) {
    EXPECT_EQ(&find_task(task.name), &task) << "names are unique";
    EXPECT_EQ(task.folders.back(), "") << "the task's own folder is accepted";
  }
}

TEST(Tasks, TheSamplePairsAreWhole) {
  const Dataset data = load_dataset(find_task("sample"), Split::kTest, test::kSourceDir);
  EXPECT_GE(data.pairs.size(), 200u);
  std::map<int, size_t> n_of_grade;
  for (const Pair& pair : data.pairs) {
    EXPECT_NE(pair.a, pair.b);
    ++n_of_grade[static_cast<int>(pair.gold)];
  }
  for (int grade = 0; grade <= 5; ++grade) EXPECT_GE(n_of_grade[grade], 30u) << grade;
  EXPECT_TRUE(data.task->for_show);
}

TEST(Splits, HaveNames) {
  for (Split split : {Split::kTrain, Split::kValidation, Split::kTest})
    EXPECT_EQ(parse_split(name_of(split)), split);
  EXPECT_EQ(parse_split("dev"), Split::kValidation);
  EXPECT_THROW(parse_split("Train"), UsageError);
}

TEST_F(DatasetTest, TakesRowsAsTheyAre) {
  // A byte-order mark, CR LF, quotes that do not pair, other line separators, bytes that are not
  // UTF-8, no newline at the end.
  write("glue/MRPC/dev.tsv",
        "\xEF\xBB\xBFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
        "1\t11\t12\t\"He said\tshe said \"\"no\"\r\n"
        "0\t13\t14\t caf\xE9 \xFF\tb\xC2\x85"
        "c\xE2\x80\xA8"
        "d\r\r\n"
        "1\t15\t16\ty\tx");
  const Dataset data = load("mrpc", Split::kValidation);
  ASSERT_EQ(data.pairs.size(), 3u);
  EXPECT_EQ(data.pairs[0].a, "\"He said");
  EXPECT_EQ(data.pairs[0].b, "she said \"\"no\"");
  EXPECT_EQ(data.pairs[1].a, " caf\xE9 \xFF");
  EXPECT_EQ(data.pairs[1].b,
            "b\xC2\x85"
            "c\xE2\x80\xA8"
            "d\r");
  EXPECT_EQ(data.pairs[2].a, "y");
  EXPECT_EQ(data.pairs[2].b, "x");
  EXPECT_THAT(golds(data), ElementsAre(1, 0, 1));
  EXPECT_THAT(rows(data), ElementsAre(0, 1, 2));
  EXPECT_THAT(data.parts, ElementsAre("mrpc"));
  EXPECT_THAT(data.files, ElementsAre(root_ / "glue/MRPC/dev.tsv"));
  EXPECT_EQ(data.task->name, "mrpc");
  EXPECT_EQ(data.split, Split::kValidation);
}

TEST_F(DatasetTest, FindsColumnsByName) {
  write("train.tsv", "x\t#2 String\tQuality\t#1 String\n-\tb\t1\ta\n");
  const Dataset data = load("mrpc", Split::kTrain);
  EXPECT_EQ(data.pairs.at(0).a, "a");
  EXPECT_EQ(data.pairs.at(0).b, "b");
}

TEST_F(DatasetTest, TakesTheRootItsGlueOrTheTasksFolder) {
  write("data/glue/MRPC/train.tsv", kMrpcHeader + "1\t1\t2\ta\tb\n");
  for (const char* root : {"data", "data/glue", "data/glue/MRPC"})
    EXPECT_EQ(load_dataset(find_task("mrpc"), Split::kTrain, root_ / root).pairs.size(), 1u)
        << root;
}

TEST_F(DatasetTest, ReadsCompressedFiles) {
  write("glue/MRPC/train.tsv.xz", xz(kMrpcHeader + "1\t1\t2\ta\tb\n"));
  const Dataset data = load("mrpc", Split::kTrain);
  EXPECT_EQ(data.pairs.size(), 1u);
  EXPECT_THAT(data.files, ElementsAre(root_ / "glue/MRPC/train.tsv.xz"));
}

TEST_F(DatasetTest, SplitsTheOriginalTrainingFileByItsIds) {
  write("msr_paraphrase_train.txt", kMrpcHeader +
                                        "1\t1\t2\ta\tb\n"
                                        "0\t3\t4\tc\td\n"
                                        "1\t2\t1\te\tf\n"
                                        "0\t5\t6\tg\th\n");
  EXPECT_THAT(error_of([&] { load("mrpc", Split::kTrain); }),
              AllOf(HasSubstr("msr_paraphrase_train.txt"), HasSubstr("without dev_ids.tsv")));
  write("dev_ids.tsv", "5\t6\r\n1\t2\r\n");
  const Dataset train = load("mrpc", Split::kTrain), dev = load("mrpc", Split::kValidation);
  ASSERT_EQ(train.pairs.size(), 2u);
  EXPECT_EQ(train.pairs[0].a, "c");
  EXPECT_EQ(train.pairs[1].a, "e") << "1, 2 is another pair than 2, 1";
  ASSERT_EQ(dev.pairs.size(), 2u);
  EXPECT_EQ(dev.pairs[0].a, "a") << "in the order of the data";
  EXPECT_EQ(dev.pairs[1].a, "g");
  EXPECT_THAT(rows(dev), ElementsAre(0, 1)) << "rows count within the split";

  write("train.tsv", kMrpcHeader + "1\t1\t2\tfrom tsv\tb\n");
  EXPECT_EQ(load("mrpc", Split::kTrain).pairs.at(0).a, "from tsv") << "preferred";

  write("dev_ids.tsv", "5\t6\n1\t9\n");
  EXPECT_THAT(error_of([&] { load("mrpc", Split::kValidation); }),
              HasSubstr("1 of the 2 id pairs of dev_ids.tsv are not in it"));
  write("dev_ids.tsv", "5\t6\n1\n");
  EXPECT_THAT(error_of([&] { load("mrpc", Split::kValidation); }), HasSubstr("dev_ids.tsv:2: "));
  write("dev_ids.tsv", "5\t6\n5\t6\n");
  EXPECT_THAT(error_of([&] { load("mrpc", Split::kValidation); }), HasSubstr("listed twice"));
}

TEST_F(DatasetTest, ReadsJsonLines) {
  write("validation.jsonl",
        "{\"sentence1\": \"a \\\"b\\\" \\u00e9\", \"sentence2\": \"c\", \"label\": 1, \"idx\": 9}\n"
        "{\"label\": 0, \"sentence2\": \"d\\n\", \"sentence1\": \"e\"}");
  const Dataset data = load("mrpc", Split::kValidation);
  ASSERT_EQ(data.pairs.size(), 2u);
  EXPECT_EQ(data.pairs[0].a, "a \"b\" \u00e9");
  EXPECT_EQ(data.pairs[1].b, "d\n");
  EXPECT_THAT(golds(data), ElementsAre(1, 0));
  write("stsb/train.jsonl", "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 3.8}\n");
  EXPECT_THAT(golds(load("stsb", Split::kTrain)), ElementsAre(3.8));
}

TEST_F(DatasetTest, NamesFileAndLineOfBadJson) {
  const auto error = [&](const std::string& text) {
    write("test.jsonl", text);
    return error_of([&] { load("mrpc", Split::kTest); });
  };
  const std::string good = "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 1}\n";
  EXPECT_THAT(error(good + "{\"sentence1\": \"a\",\n"), HasSubstr("test.jsonl:2: not valid JSON"));
  EXPECT_THAT(error("[1]\n"), HasSubstr("test.jsonl:1: expected a JSON object"));
  EXPECT_THAT(error(good + std::string(100'000, '[') + "\n"),
              HasSubstr("test.jsonl:2: JSON nested deeper"));
  EXPECT_THAT(error("{\"sentence1\": \"\xFF\"}\n"), HasSubstr("UTF-8"));
  EXPECT_THAT(error("{\"sentence1\": \"a\", \"label\": 1}\n"), HasSubstr("no field \"sentence2\""));
  EXPECT_THAT(error("{\"sentence1\": \"a\", \"sentence2\": \"b\"}\n"),
              HasSubstr("no field \"label\""));
  EXPECT_THAT(error("{\"sentence1\": 1, \"sentence2\": \"b\", \"label\": 1}\n"),
              HasSubstr("expected text in \"sentence1\""));
  EXPECT_THAT(error("{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 2}\n"),
              HasSubstr("test.jsonl:1: expected a label 0 or 1, got '2'"));
  EXPECT_THAT(error("{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": -1}\n"),
              HasSubstr("hidden (-1)"));
}

TEST_F(DatasetTest, NamesFileAndLineOfBadRows) {
  const auto error = [&](const std::string& text) {
    write("glue/MRPC/train.tsv", text);
    return error_of([&] { load("mrpc", Split::kTrain); });
  };
  const std::string row = "1\t1\t2\ta\tb\n";
  EXPECT_THAT(error("Quality\t#1 String\n1\ta\n"),
              HasSubstr("glue/MRPC/train.tsv:1: no column '#2 String'"));
  EXPECT_THAT(error(row), HasSubstr("train.tsv:1: no column"));
  EXPECT_THAT(error(kMrpcHeader + row + "1\t1\t2\ta\n"),
              HasSubstr("train.tsv:3: expected 5 columns, got 4"));
  EXPECT_THAT(error(kMrpcHeader + "1\t1\t2\ta\tb\tc\n"), HasSubstr("expected 5 columns, got 6"));
  EXPECT_THAT(error(kMrpcHeader + row + "\n" + row), HasSubstr("train.tsv:3: expected 5 columns"));
  for (const char* label : {"2", "-1", "", "yes", "1.5", " 1", "nan", "0x1", "1e400"})
    EXPECT_THAT(error(kMrpcHeader + label + "\t1\t2\ta\tb\n"),
                HasSubstr(concat("train.tsv:2: expected a label 0 or 1, got '", label, "'")));
  EXPECT_THAT(error(kMrpcHeader), HasSubstr("train.tsv: no rows"));
  EXPECT_THAT(error(""), HasSubstr("train.tsv: the file is empty, expected a header"));
}

TEST_F(DatasetTest, SaysWhereItLookedAndWhatHasNoLabels) {
  const std::string missing = error_of([&] { load("mrpc", Split::kTest); });
  EXPECT_THAT(missing, AllOf(StartsWith("mrpc: no test data"), HasSubstr("glue/MRPC"),
                             HasSubstr("msr_paraphrase_test.txt"), HasSubstr("test.jsonl")));
  EXPECT_THAT(missing, ::testing::Not(HasSubstr("test.tsv"))) << "it would not help";
  write("glue/MRPC/test.tsv", "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\ta\tb\n");
  EXPECT_THAT(
      error_of([&] { load("mrpc", Split::kTest); }),
      AllOf(HasSubstr("glue/MRPC/test.tsv: has no labels"), HasSubstr("msr_paraphrase_test.txt")));
  write("glue/MRPC/msr_paraphrase_test.txt", kMrpcHeader + "0\t1\t2\ta\tb\n");
  EXPECT_THAT(golds(load("mrpc", Split::kTest)), ElementsAre(0));
  EXPECT_THAT(error_of([&] { load("sts12", Split::kTrain); }), HasSubstr("has no train split"));
}

TEST_F(DatasetTest, ReadsStsBenchmark) {
  write("STS-B/dev.tsv",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tg\tf\ty\t1\tn\tn\tA man.\t\"A\t4.750\n");
  const Dataset dev = load("stsb", Split::kValidation);
  EXPECT_EQ(dev.pairs.at(0).b, "\"A");
  EXPECT_THAT(golds(dev), ElementsAre(4.75));
  const std::string test =
      "g\tf\ty\t1\t2.500\tA girl.\tA woman.\nn\tf\ty\t2\t0\tc\td\tlicence\tmore\n";
  write("STS-B/original/sts-test.tsv", test);
  EXPECT_THAT(golds(load("stsb", Split::kTest)), ElementsAre(2.5, 0));
  EXPECT_EQ(load("stsb", Split::kTest).pairs[1].b, "d");
  write("STS-B/original/sts-test.tsv", test + "g\tf\ty\t1\t5.1\ta\tb\n");
  EXPECT_THAT(error_of([&] { load("stsb", Split::kTest); }),
              HasSubstr("sts-test.tsv:3: expected a score from 0 to 5, got '5.1'"));
  write("STS-B/original/sts-test.tsv", "g\tf\ty\t1\t2.500\tA girl.\n");
  EXPECT_THAT(error_of([&] { load("stsb", Split::kTest); }),
              HasSubstr("expected at least 7 columns, got 6"));
}

TEST_F(DatasetTest, ReadsSick) {
  write("sick/SICK_trial.txt",
        "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\t\r\n"
        "4\ta\tb\t3.6\tNEUTRAL\t\r\n");
  const Dataset data = load("sickr", Split::kValidation);
  EXPECT_EQ(data.pairs.at(0).a, "a");
  EXPECT_THAT(golds(data), ElementsAre(3.6));
}

TEST_F(DatasetTest, ReadsTheSetsOfAnStsYear) {
  for (const char* set : {"FNWN", "headlines", "OnWN"}) {
    write(concat("STS13/STS.input.", set, ".txt"), concat(set, " 1\tb\n", set, " 2\tb\textra\n"));
    write(concat("STS13/STS.gs.", set, ".txt"), "1.5\n5\n");
  }
  write("STS13/STS.gs.headlines.txt", "\n4\n\n");  // the first pair was not annotated
  const Dataset data = load("sts13", Split::kTest);
  EXPECT_THAT(data.parts, ElementsAre("FNWN", "headlines", "OnWN"));
  EXPECT_THAT(golds(data), ElementsAre(1.5, 5, 4, 1.5, 5));
  EXPECT_EQ(data.pairs[2].a, "headlines 2");
  EXPECT_EQ(data.pairs[2].part, 1u);
  EXPECT_EQ(data.pairs[4].part, 2u);
  EXPECT_THAT(rows(data), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(data.files.size(), 6u);

  write("STS13/STS.gs.OnWN.txt", "1\n");
  EXPECT_THAT(error_of([&] { load("sts13", Split::kTest); }),
              AllOf(HasSubstr("STS.gs.OnWN.txt: expected 2 lines"), HasSubstr("got 1")));
  write("STS13/STS.gs.OnWN.txt", "1\nx\n");
  EXPECT_THAT(error_of([&] { load("sts13", Split::kTest); }),
              HasSubstr("STS.gs.OnWN.txt:2: expected a score from 0 to 5, got 'x'"));
  write("STS13/STS.input.OnWN.txt", "a\tb\nno tab\n");
  EXPECT_THAT(error_of([&] { load("sts13", Split::kTest); }),
              HasSubstr("STS.input.OnWN.txt:2: expected two sentences"));
  fs::remove(root_ / "STS13/STS.input.OnWN.txt");
  EXPECT_THAT(error_of([&] { load("sts13", Split::kTest); }), HasSubstr("STS.input.OnWN.txt"))
      << "a year without one of its sets would give another figure";
}

// A year that the shared data does not hold, in its official layout.
TEST_F(DatasetTest, ReadsSts16) {
  for (const char* set :
       {"answer-answer", "headlines", "plagiarism", "postediting", "question-question"}) {
    write(concat("sts/STS16/STS.input.", set, ".txt"), "a\tb\tsource a\tsource b\nc\td\te\tf\n");
    write(concat("sts/STS16/STS.gs.", set, ".txt"), "\n3\n");
  }
  EXPECT_THAT(golds(load("sts16", Split::kTest)), ElementsAre(3, 3, 3, 3, 3));
}

TEST(Sample, DrawsWithoutReplacementInOldOrder) {
  Dataset data;
  for (uint32_t i = 0; i < 100; ++i) data.pairs.push_back({std::to_string(i), "", 0, i, 0});
  data.parts = {"mrpc"};
  const Dataset drawn = sample(data, 10, 1);
  // By a separate program (Python integers). A change here breaks users' recorded results.
  EXPECT_THAT(rows(drawn), ElementsAre(3, 34, 46, 55, 56, 74, 77, 81, 88, 97));
  EXPECT_EQ(drawn.pairs[1].a, std::to_string(drawn.pairs[1].row));
  EXPECT_THAT(drawn.parts, ElementsAre("mrpc"));
  EXPECT_EQ(rows(sample(data, 10, 1)), rows(drawn));
  EXPECT_NE(rows(sample(data, 10, 2)), rows(drawn));
  EXPECT_EQ(rows(sample(data, 100, 3)), rows(data)) << "all of them";
  EXPECT_THAT(error_of([&] { sample(data, 101, 1); }), HasSubstr("expected 1 to 100 rows"));
  EXPECT_THROW(sample(data, 0, 1), Error);
}

TEST(Sample, EveryRowIsAsLikely) {
  Dataset data;
  for (uint32_t i = 0; i < 10; ++i) data.pairs.push_back({"", "", 0, i, 0});
  std::vector<int> count(10);
  for (uint64_t seed = 0; seed < 5000; ++seed)
    for (uint32_t row : rows(sample(data, 3, seed))) ++count[row];
  for (int n : count) EXPECT_NEAR(n, 1500, 170);  // five standard deviations are 162
}

class DataRoot : public DatasetTest {
 protected:
  DataRoot() : old_folder_(fs::current_path()) {
    if (const char* shared = std::getenv("FATHOM_SHARED")) old_shared_ = shared;
    ::unsetenv("FATHOM_SHARED");
    fs::create_directories(root_ / "repository");
    fs::current_path(root_ / "repository");
  }
  ~DataRoot() override {
    fs::current_path(old_folder_);
    if (old_shared_) ::setenv("FATHOM_SHARED", old_shared_->c_str(), 1);
  }

 private:
  fs::path old_folder_;
  std::optional<std::string> old_shared_;
};

TEST_F(DataRoot, FlagThenEnvironmentThenBesideTheRepository) {
  const fs::path beside = fs::canonical(root_) / "shared/data";
  EXPECT_THAT(error_of([] { find_data_root(""); }),
              AllOf(HasSubstr("`data` is not given"), HasSubstr("$FATHOM_SHARED is not set"),
                    HasSubstr(fs::canonical(root_).string())));
  fs::create_directories(beside);
  EXPECT_EQ(fs::canonical(find_data_root("")), beside);
  ::setenv("FATHOM_SHARED", (root_ / "other").c_str(), 1);
  EXPECT_EQ(fs::canonical(find_data_root("")), beside) << "$FATHOM_SHARED/data is not there";
  fs::create_directories(root_ / "other/data");
  EXPECT_EQ(find_data_root(""), root_ / "other/data");
  EXPECT_EQ(find_data_root(root_.string()), root_);
  EXPECT_THAT(error_of([&] { find_data_root((root_ / "none").string()); }), HasSubstr("none"));
  fs::remove_all(root_ / "other/data");
  fs::remove_all(beside);
  EXPECT_THAT(error_of([] { find_data_root(""); }), HasSubstr("other/data ($FATHOM_SHARED)"));
  ::unsetenv("FATHOM_SHARED");
}

// The data sets as published: their official sizes, and figures counted from them independently.
class PublishedData : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("FATHOM_SHARED");
    data_ = fs::path(shared && *shared ? shared : concat(test::kSourceDir, "/../shared")) / "data";
    if (!fs::exists(data_ / "glue/MRPC")) GTEST_SKIP() << data_ << " is not there";
  }
  Dataset load(std::string_view task, Split split) const {
    return load_dataset(find_task(task), split, data_);
  }
  static size_t n_positive(const Dataset& data) {
    return static_cast<size_t>(std::count_if(data.pairs.begin(), data.pairs.end(),
                                             [](const Pair& pair) { return pair.gold == 1; }));
  }
  fs::path data_;
};

TEST_F(PublishedData, Mrpc) {
  const Dataset train = load("mrpc", Split::kTrain), dev = load("mrpc", Split::kValidation),
                test = load("mrpc", Split::kTest);
  EXPECT_EQ(train.pairs.size(), 3668u);
  EXPECT_EQ(dev.pairs.size(), 408u);
  EXPECT_EQ(test.pairs.size(), 1725u);
  EXPECT_EQ(n_positive(train), 2474u);
  EXPECT_EQ(n_positive(dev), 279u);
  EXPECT_EQ(n_positive(test), 1147u);
}

// train.tsv and dev.tsv were made from the original file and the list of ids: the same rows.
TEST_F(PublishedData, MrpcFromTheOriginalFile) {
  const fs::path folder = fs::temp_directory_path() / concat("fathom_mrpc_", ::getpid());
  fs::create_directories(folder);
  for (const char* file : {"msr_paraphrase_train.txt", "dev_ids.tsv"})
    fs::copy_file(data_ / "glue/MRPC" / file, folder / file);
  const Task& task = find_task("mrpc");
  for (Split split : {Split::kTrain, Split::kValidation}) {
    const Dataset original = load_dataset(task, split, folder), glue = load("mrpc", split);
    ASSERT_EQ(original.pairs.size(), glue.pairs.size());
    EXPECT_TRUE(original.pairs == glue.pairs) << name_of(split);
  }
  // Microsoft's own files: CR LF, not tokenised.
  const fs::path untokenised = data_ / "mrpc_original/msr_paraphrase_train.txt";
  if (fs::exists(untokenised)) {
    fs::copy_file(untokenised, folder / "msr_paraphrase_train.txt",
                  fs::copy_options::overwrite_existing);
    EXPECT_EQ(load_dataset(task, Split::kTrain, folder).pairs.size(), 3668u);
    EXPECT_EQ(load_dataset(task, Split::kValidation, folder).pairs.size(), 408u);
    const Dataset test = load_dataset(task, Split::kTest, data_ / "mrpc_original");
    EXPECT_EQ(test.pairs.size(), 1725u);
    EXPECT_EQ(n_positive(test), 1147u);
    EXPECT_THAT(error_of([&] { load_dataset(task, Split::kTrain, data_ / "mrpc_original"); }),
                HasSubstr("dev_ids.tsv"));
  }
  fs::remove_all(folder);
}

TEST_F(PublishedData, StsBenchmarkAndSick) {
  EXPECT_EQ(load("stsb", Split::kTrain).pairs.size(), 5749u);
  EXPECT_EQ(load("stsb", Split::kValidation).pairs.size(), 1500u);
  EXPECT_EQ(load("stsb", Split::kTest).pairs.size(), 1379u);
  EXPECT_EQ(load("sickr", Split::kTrain).pairs.size(), 4500u);
  EXPECT_EQ(load("sickr", Split::kValidation).pairs.size(), 500u);
  EXPECT_EQ(load("sickr", Split::kTest).pairs.size(), 4927u);
}

TEST_F(PublishedData, StsYears) {
  const std::pair<const char*, std::vector<size_t>> years[] = {
      {"sts12", {750, 750, 459, 750, 399}},
      {"sts13", {189, 750, 561}},
      {"sts14", {450, 300, 750, 750, 750, 750}},
      {"sts15", {375, 750, 375, 750, 750}},
  };
  for (const auto& [year, sizes] : years) {
    const Dataset data = load(year, Split::kTest);
    std::vector<size_t> counted(data.parts.size());
    for (const Pair& pair : data.pairs) ++counted[pair.part];
    EXPECT_EQ(counted, sizes) << year;
  }
}

}  // namespace
}  // namespace fathom::dataset_test
