// SPDX-License-Identifier: Apache-2.0
// Rows that are not as they should be, in every layout: empty, damaged, quoted, without a gold
// value; JSON as Hugging Face writes it; and whose folder a folder is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error_of.h"
#include "eval/tsv.h"
#include "eval/whose_folder.h"
#include "formats/temp_folder.h"

namespace fathom::test::dataset_rows_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class DatasetRows : public testing::Test {
 protected:
  void write(const std::string& file, std::string_view text) const {
    std::filesystem::create_directories(folder_.file(file).parent_path());
    folder_.write(file, text);
  }
  Dataset load(std::string_view task, Split split = Split::kTrain) const {
    return load_dataset(find_task(task), split, folder_.path());
  }
  std::string error(std::string_view task, Split split = Split::kTrain) const {
    return error_of([&] { load(task, split); });
  }
  std::string path(const std::string& file) const { return folder_.file(file).string(); }

  TempFolder folder_;
};

std::vector<double> golds(const Dataset& data) {
  std::vector<double> out;
  for (const Pair& pair : data.pairs) out.push_back(pair.gold);
  return out;
}

// ---- empty sentences

TEST_F(DatasetRows, AnEmptySentenceIsCountedAndLeftOutInEveryLayout) {
  struct Case {
    const char *task, *file, *text, *first;  // first: "FILE:LINE" of the first empty one
    size_t n_empty;
  };
  const Case cases[] = {
      {"mrpc", "MRPC/train.tsv",
       "Quality\t#1 String\t#2 String\n1\ta\tb\n0\t\td\n1\te\t \n1\tg\th\n", "MRPC/train.tsv:3", 2},
      {"stsb", "STS-B/original/sts-train.tsv",
       "g\tf\ty\t1\t2\ta\tb\ng\tf\ty\t1\t2\ta\t\ng\tf\ty\t1\t2\ta\tb\n",
       "STS-B/original/sts-train.tsv:2", 1},
      {"cola", "CoLA/train.tsv", "x\t1\t\ta\nx\t0\t\t \nx\t0\t\tb\n", "CoLA/train.tsv:2", 1},
      {"rte", "RTE/train.jsonl",
       "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 0}\n\n"
       "{\"sentence1\": \"a\", \"sentence2\": \"\", \"label\": 0}\n"
       "{\"sentence1\": \"\\n\", \"sentence2\": \"b\", \"label\": 0}\n"
       "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 1}\n",
       "RTE/train.jsonl:3", 2},
      {"trec", "TREC/train_5500.label", "NUM:x a\nNUM:x \nABBR:x b\n", "TREC/train_5500.label:2",
       1},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.file);
    write(c.file, c.text);
    const Dataset data = load(c.task);
    EXPECT_EQ(data.pairs.size(), 2u);
    EXPECT_EQ(data.left_out.n_empty, c.n_empty);
    EXPECT_EQ(data.left_out.first_empty, path(c.first));
    EXPECT_EQ(data.left_out.total(), c.n_empty);
    EXPECT_THAT(notes_of(data),
                ElementsAre(AllOf(HasSubstr(std::to_string(c.n_empty)), HasSubstr("empty sentence"),
                                  HasSubstr(c.first), HasSubstr(c.task), HasSubstr("train"))));
    for (const Pair& pair : data.pairs) EXPECT_FALSE(pair.a.empty());
  }
}

TEST_F(DatasetRows, AnEmptySentenceOfSeveralFiles) {
  write("SNLI/labels.dev", "neutral\nentailment\ncontradiction\n");
  write("SNLI/s1.dev", "a\nb\nc\n");
  write("SNLI/s2.dev", "d\n\nf\n");
  const Dataset snli = load("snli", Split::kValidation);
  EXPECT_EQ(snli.left_out.first_empty, path("SNLI/s2.dev") + ":2") << "the file that it stands in";
  EXPECT_EQ(place_of(snli, 1), path("SNLI/s1.dev") + ":3");
  for (const char* set : {"FNWN", "headlines", "OnWN"}) {
    write(concat("STS13/STS.input.", set, ".txt"), "a\tb\nc\t\ne\tf\n");
    write(concat("STS13/STS.gs.", set, ".txt"), "1\n2\n3\n");
  }
  const Dataset sts = load("sts13", Split::kTest);
  EXPECT_EQ(sts.pairs.size(), 6u);
  EXPECT_EQ(sts.left_out.n_empty, 3u);
  EXPECT_EQ(sts.left_out.first_empty, path("STS13/STS.input.FNWN.txt") + ":2");
  EXPECT_EQ(place_of(sts, 5), path("STS13/STS.input.OnWN.txt") + ":3");
  // SentEval's own readers count blank lines as sentences.
  const std::string ten = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
  write("MR/rt-polarity.pos", ten + "\n");
  write("MR/rt-polarity.neg", " \n" + ten);
  const Dataset train = load("mr"), held_out = load("mr", Split::kValidation);
  EXPECT_EQ(train.pairs.size() + held_out.pairs.size(), 22u);
  EXPECT_EQ(train.left_out.n_empty + held_out.left_out.n_empty, 0u);
}

TEST_F(DatasetRows, AllEmptyIsAnErrorThatSaysSo) {
  write("MRPC/train.tsv", "Quality\t#1 String\t#2 String\n1\ta\t\n0\t\td\n");
  EXPECT_THAT(error("mrpc"), AllOf(HasSubstr("no rows"), HasSubstr("2 have an empty sentence")));
}

// A submission needs an answer to every row.
TEST_F(DatasetRows, RowsWithoutGoldValuesAreAllKept) {
  write("RTE/test.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n1\t\td\n2\te\tf\n");
  const Dataset data = load_unlabelled(find_task("rte"), folder_.path());
  ASSERT_EQ(data.pairs.size(), 3u);
  EXPECT_EQ(data.pairs[1].a, ".");
  EXPECT_EQ(data.left_out.n_filled, 1u);
  EXPECT_THAT(notes_of(data), ElementsAre(AllOf(HasSubstr("'.'"), HasSubstr("test.tsv:3"))));
}

// ---- damaged rows and quoted fields

const std::string kQqpHeader = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n";

// Rows as GLUE has them: ids in no order. `damaged` of them, at the end, lack their last columns.
std::string qqp_rows(size_t n, size_t damaged) {
  std::string text = kQqpHeader;
  for (size_t i = 0; i < n; ++i)
    text += i + damaged < n
                ? concat(7 * i % 1000 + 3, "\t1\t2\tq ", i, "\tr ", i, "\t", i % 2, "\n")
                : concat(7 * i % 1000 + 3, "\t1\t2\tq ", i, "\n");
  return text;
}

TEST_F(DatasetRows, OneDamagedRowInAHundredIsCountedMoreAreAnError) {
  write("QQP/train.tsv", qqp_rows(200, 2));
  const Dataset data = load("qqp");
  EXPECT_EQ(data.pairs.size(), 198u);
  EXPECT_EQ(data.left_out.n_damaged, 2u);
  EXPECT_EQ(data.left_out.first_damaged, path("QQP/train.tsv") + ":200");
  EXPECT_THAT(notes_of(data), ElementsAre(AllOf(HasSubstr("2 rows"), HasSubstr("damaged"),
                                                HasSubstr("train.tsv:200"))));
  write("QQP/train.tsv", qqp_rows(200, 3));
  EXPECT_THAT(error("qqp"), AllOf(HasSubstr("train.tsv:199: expected 6 columns, got 4"),
                                  HasSubstr("3 of the 200 rows"), HasSubstr("1 %")));
  write("QQP/dev.tsv", qqp_rows(1040, 1000));
  EXPECT_THAT(error("qqp", Split::kValidation),
              AllOf(HasSubstr("dev.tsv:42: "), HasSubstr("1000 of the 1040 rows")));
  write("QQP/train_sample.tsv", "1\t2\t3\tq\tr\t1\n4\t5\t6\tq\n");
  std::filesystem::remove(folder_.file("QQP/train.tsv"));
  EXPECT_THAT(error("qqp"), AllOf(HasSubstr("train_sample.tsv:2"), HasSubstr("1 of the 2 rows")));
}

// Rows that annotators did not agree on are not damaged: of SNLI they are 2 %.
TEST_F(DatasetRows, RowsWithoutAnAgreedLabelAreNoDamage) {
  std::string text;
  for (int i = 0; i < 10; ++i)
    text +=
        concat("{\"premise\": \"a\", \"hypothesis\": \"b\", \"label\": ", i < 4 ? -1 : 2, "}\n");
  write("SNLI/train.jsonl", text);
  const Dataset data = load("snli");
  EXPECT_EQ(data.pairs.size(), 6u);
  EXPECT_EQ(data.left_out.n_unlabelled, 4u);
  EXPECT_EQ(data.left_out.n_damaged, 0u);
}

// Quora's own file: ids from 0, fields in quotes, some over several lines.
const std::string kQuora = kQqpHeader +
                           "0\t1\t2\tWhat is it?\t\"What is \"\"it\"\"?\"\t1\n"
                           "1\t3\t4\t\"Two\nlines\tand a tab?\"\t\"\"\"Quoted\"\"\"\t0\r\n"
                           "2\t5\t6\tPlain \"inside\" quotes\t\"Over\r\n\r\nthree\"\t1\n"
                           "3\t7\t8\tlast\t\"one\"\t0";

void expect_quora(const Dataset& data) {
  ASSERT_EQ(data.pairs.size(), 4u);
  EXPECT_TRUE(data.quoted);
  EXPECT_EQ(data.left_out.n_damaged, 0u);
  EXPECT_THAT(golds(data), ElementsAre(1, 0, 1, 0));
  EXPECT_EQ(data.pairs[0].b, "What is \"it\"?");
  EXPECT_EQ(data.pairs[1].a, "Two\nlines\tand a tab?");
  EXPECT_EQ(data.pairs[1].b, "\"Quoted\"");
  EXPECT_EQ(data.pairs[2].a, "Plain \"inside\" quotes");
  EXPECT_EQ(data.pairs[2].b, "Over\r\n\r\nthree");
  EXPECT_EQ(data.pairs[3].b, "one");
  std::vector<uint32_t> lines;
  for (const Pair& pair : data.pairs) lines.push_back(pair.line);
  EXPECT_THAT(lines, ElementsAre(2, 3, 5, 8));
  EXPECT_THAT(notes_of(data), ElementsAre(HasSubstr("quotes")));
}

TEST_F(DatasetRows, QuorasOwnFileIsReadWithItsQuotes) {
  write("QQP/quora_duplicate_questions.tsv", kQuora);
  expect_quora(load("qqp"));
  write("QQP/train.tsv", kQuora);
  write("QQP/dev.tsv", kQuora);
  expect_quora(load("qqp"));
  expect_quora(load("qqp", Split::kValidation));
  // A large one, where what a plain reading damages is far below 1 %.
  std::string large = kQqpHeader;
  for (size_t i = 0; i < 1000; ++i)
    large += concat(i, "\t1\t2\tq\t", i == 500 ? "\"two\nlines\"" : "\"r\"", "\t1\n");
  write("QQP/train.tsv", large);
  const Dataset data = load("qqp");
  EXPECT_EQ(data.pairs.size(), 1000u);
  EXPECT_EQ(data.pairs[500].b, "two\nlines");
  EXPECT_EQ(data.pairs[501].b, "r");
  // Rows in another order, but too many that only quotes make whole.
  std::string shuffled = kQqpHeader;
  for (size_t i = 0; i < 50; ++i)
    shuffled += concat(900 - i, "\t1\t2\tq\t", i % 10 ? "\"r\"" : "\"two\nlines\"", "\t1\n");
  write("QQP/train.tsv", shuffled);
  EXPECT_EQ(load("qqp").pairs.size(), 50u);
  EXPECT_EQ(load("qqp").pairs[0].b, "two\nlines");
}

// GLUE's own files have Quora's quotes, too, but every reader of GLUE takes them for text.
TEST_F(DatasetRows, GluesFilesKeepTheirQuotes) {
  std::string text = qqp_rows(300, 0);
  text += "5\t1\t2\t\"Is \"\"it\"\"?\"\tr\t1\n6\t1\t2\tq\t\"two\nlines\"\t0\n";
  write("QQP/train.tsv", text);
  const Dataset data = load("qqp");
  EXPECT_FALSE(data.quoted);
  EXPECT_EQ(data.pairs.size(), 301u);
  EXPECT_EQ(data.pairs[300].a, "\"Is \"\"it\"\"?\"");
  EXPECT_EQ(data.left_out.n_damaged, 2u);
  write("MRPC/train.tsv",
        "Quality\t#1 String\t#2 String\n1\t\"Well formed\"\t\"He said\n0\t\"a\"\tb\n");
  EXPECT_EQ(load("mrpc").pairs.at(0).a, "\"Well formed\"");
  EXPECT_EQ(load("mrpc").pairs.at(0).b, "\"He said");
}

TEST_F(DatasetRows, AQuotedHeaderSaysThatFieldsAreQuoted) {
  write("RTE/train.tsv",
        "\"index\"\t\"sentence1\"\t\"sentence2\"\t\"label\"\n"
        "0\t\"a\tb\"\t\"c\"\t\"entailment\"\n1\td\te\tnot_entailment\n");
  const Dataset data = load("rte");
  EXPECT_THAT(golds(data), ElementsAre(1, 0));
  EXPECT_EQ(data.pairs[0].a, "a\tb");
}

TEST(QuotedTsv, AQuoteThatIsNotClosedIsPlainText) {
  const TsvTable table = read_quoted_tsv("a\t\"b\nc\td\n\"e\"f\tg\n\"h\ti\n\n\n");
  // "b opens and closes in front of f, which is no end of a field.
  EXPECT_EQ(table.n_stray, 3u);
  ASSERT_EQ(table.rows.size(), 4u);
  EXPECT_THAT(table.rows[0].fields, ElementsAre("a", "\"b"));
  EXPECT_THAT(table.rows[1].fields, ElementsAre("c", "d"));
  EXPECT_THAT(table.rows[2].fields, ElementsAre("\"e\"f", "g"));
  EXPECT_THAT(table.rows[3].fields, ElementsAre("\"h", "i"));
  EXPECT_EQ(table.rows[3].line, 4u);
  const TsvTable odd = read_quoted_tsv("\xEF\xBB\xBF\"a\"\t\"\"\t\"\"\"\"\t\r\n");
  ASSERT_EQ(odd.rows.size(), 1u);
  EXPECT_THAT(odd.rows[0].fields, ElementsAre("a", "", "\"", ""));
  EXPECT_THAT(read_quoted_tsv("").rows, IsEmpty());
  EXPECT_THAT(read_plain_tsv("\n\n").rows, IsEmpty());
}

// ---- JSON as Hugging Face writes it

TEST_F(DatasetRows, JsonLabelsAndFieldsOfHuggingFace) {
  struct Case {
    const char *task, *line;
    double gold;
  };
  const Case cases[] = {
      {"mrpc", R"({"sentence1": "a", "sentence2": "b", "label": 1.0})", 1},
      {"mrpc", R"({"sentence1": "a", "sentence2": "b", "label": 0.0})", 0},
      {"mrpc", R"({"sentence1": "a", "sentence2": "b", "label": true})", 1},
      {"mrpc", R"({"sentence1": "a", "sentence2": "b", "label": false})", 0},
      {"mrpc", R"({"sentence1": "a", "sentence2": "b", "label": "1"})", 1},
      {"mrpc", R"({"sentence1": "a", "sentence2": "b", "label": "1.0"})", 1},
      {"mrpc", R"({"text1": "a", "text2": "b", "label": 1, "label_text": "equivalent"})", 1},
      {"qqp", R"({"text1": "a", "text2": "b", "label": 1})", 1},
      {"qqp", R"({"question1": "a", "question2": "b", "is_duplicate": true})", 1},
      {"rte", R"({"text1": "a", "text2": "b", "label": 0.0})", 1},
      {"mnli", R"({"sentence1": "a", "sentence2": "b", "label": 2.0})", 2},
      {"sst2", R"({"text": "a", "label": 1})", 1},
      {"stsb", R"({"sentence1": "a", "sentence2": "b", "score": 4.2})", 4.2},
      {"stsb", R"({"sentence1": "a", "sentence2": "b", "similarity_score": 4})", 4},
      {"stsb", R"({"text1": "a", "text2": "b", "label": "3.8"})", 3.8},
      {"sickr", R"({"sentence1": "a", "sentence2": "b", "score": "2"})", 2},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(concat(c.task, " ", c.line));
    write("train.jsonl", concat("\n", c.line, "\n  \n", c.line, "\n\n"));
    const Dataset data = load(c.task);
    EXPECT_THAT(golds(data), ElementsAre(c.gold, c.gold));
    EXPECT_EQ(data.pairs.at(1).a, "a");
    EXPECT_EQ(data.pairs.at(1).line, 4u) << "blank lines count";
  }
}

TEST_F(DatasetRows, JsonThatIsNotUnderstoodIsRefused) {
  const auto refusal = [&](const char* task, const std::string& line) {
    write("train.jsonl", "\n" + line + "\n");
    const std::string message = error(task);
    EXPECT_THAT(message, HasSubstr("train.jsonl:2: "));
    return message;
  };
  const std::string pair = R"({"sentence1": "a", "sentence2": "b", "label": )";
  EXPECT_THAT(refusal("mrpc", pair + "1.5}"), HasSubstr("got '1.5'"));
  EXPECT_THAT(refusal("mrpc", pair + "null}"), HasSubstr("got 'null'"));
  EXPECT_THAT(refusal("mrpc", pair + "[1]}"), HasSubstr("got '[1]'"));
  EXPECT_THAT(refusal("mrpc", pair + "2.0}"), HasSubstr("got '2'"));
  EXPECT_THAT(refusal("mrpc", pair + "-1.0}"), HasSubstr("hidden"));
  // Hugging Face numbers these classes the other way round: true could be either.
  EXPECT_THAT(refusal("rte", pair + "true}"), HasSubstr("got 'true'"));
  EXPECT_THAT(refusal("stsb", pair + "true}"), HasSubstr("got 'true'"));
  EXPECT_THAT(refusal("stsb", pair + "\"high\"}"), HasSubstr("got 'high'"));
  EXPECT_THAT(refusal("stsb", pair + "null}"), HasSubstr("got 'null'"));
  EXPECT_THAT(refusal("stsb", pair + "5.5}"), HasSubstr("score from 0 to 5"));
  // SICK's label is the entailment, not the relatedness.
  EXPECT_THAT(refusal("sickr", pair + "1}"), HasSubstr("no field \"relatedness_score\""));
  EXPECT_THAT(refusal("mrpc", R"({"text1": "a", "label": 1})"),
              AllOf(HasSubstr("no field \"sentence2\""), HasSubstr("text2")));
  EXPECT_THAT(refusal("mrpc", "[" + pair + "1}]"), HasSubstr("lines=True"));
}

TEST_F(DatasetRows, ParquetIsAnsweredWithTheLineThatConvertsIt) {
  write("mrpc/validation-00000-of-00001.parquet", "PAR1");
  EXPECT_THAT(error("mrpc", Split::kValidation),
              AllOf(HasSubstr("python3 -c"),
                    HasSubstr("pandas.read_parquet('" +
                              path("mrpc/validation-00000-of-00001.parquet") + "')"),
                    HasSubstr(".to_json('" + path("mrpc/validation.jsonl") + "'"),
                    HasSubstr("orient='records', lines=True")));
  EXPECT_THAT(error("mrpc"), Not(HasSubstr("parquet"))) << "train is not there at all";
  write("stsb/data/train.parquet", "PAR1");
  EXPECT_THAT(error("stsb"), HasSubstr(path("stsb/train.jsonl")));
  EXPECT_THAT(error_of([&] { find_data_root(path("stsb/data/train.parquet")); }),
              HasSubstr("read_parquet"));
  EXPECT_THAT(error_of([&] { find_data_root(folder_.write("dev.tsv", "x")); }),
              HasSubstr("a file; expected the folder"));
}

// ---- STS sets without gold values

TEST_F(DatasetRows, AnStsSetWithoutAnyGoldValueIsSaid) {
  for (const char* set : {"FNWN", "headlines", "OnWN"}) {
    write(concat("STS13/STS.input.", set, ".txt"), "a\tb\nc\td\n");
    write(concat("STS13/STS.gs.", set, ".txt"), "1\n5\n");
  }
  EXPECT_THAT(notes_of(load("sts13", Split::kTest)), IsEmpty());
  write("STS13/STS.gs.headlines.txt", "\n  \n");
  const Dataset data = load("sts13", Split::kTest);
  EXPECT_EQ(data.pairs.size(), 4u);
  EXPECT_EQ(data.left_out.n_unscored, 2u);
  EXPECT_THAT(data.left_out.sets_without_gold, ElementsAre("headlines"));
  EXPECT_THAT(notes_of(data), ElementsAre(AllOf(HasSubstr("set headlines"), HasSubstr("sts13"),
                                                HasSubstr("mean of sets"))));
  write("STS13/STS.gs.headlines.txt", "\n4\n");  // usual: some pairs were not annotated
  EXPECT_THAT(notes_of(load("sts13", Split::kTest)), IsEmpty());
}

// ---- whose folder

class WhoseFolder : public DatasetRows {
 protected:
  // Names of the tasks that may be read from a folder, of all.
  std::vector<std::string> owners(const std::string& folder) const {
    std::vector<const Task*> all;
    for (const Task& task : tasks())
      if (!task.for_show) all.push_back(&task);
    std::vector<std::string> names;
    for (const Task* task : tasks_of_folder(all, folder_.file(folder))) {
      try {
        load_dataset(*task, task->report, folder_.file(folder));
        names.emplace_back(task->name);
      } catch (const MissingData&) {
      }
    }
    return names;
  }
};

const char* const kRteDev = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n";
const char* const kWnliDev = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n";

TEST_F(WhoseFolder, IsToldByWhoCanReadIt) {
  write("x/dev.tsv", kRteDev);
  EXPECT_THAT(owners("x"), ElementsAre("rte"));
  write("x/dev.tsv", kWnliDev);
  EXPECT_THAT(owners("x"), ElementsAre("wnli"));
  write("x/dev.tsv", "Quality\t#1 String\t#2 String\n1\ta\tb\n");
  EXPECT_THAT(owners("x"), ElementsAre("mrpc"));
  write("x/dev.tsv", "x\t1\t\tA sentence.\n");
  EXPECT_THAT(owners("x"), ElementsAre("cola"));
  write("x/dev.tsv", "sentence\tlabel\ngood\t1\n");
  EXPECT_THAT(owners("x"), ElementsAre("sst2"));
  write("x/dev.tsv", kQqpHeader + "9\t1\t2\ta\tb\t1\n");
  EXPECT_THAT(owners("x"), ElementsAre("qqp"));
  const std::string sick =
      "sentence_A\tsentence_B\trelatedness_score\tentailment_judgment\na\tb\t3\tNEUTRAL\n";
  write("s/SICK_trial.txt", sick);
  EXPECT_THAT(owners("s"), ElementsAre("sickr", "sicke")) << "one folder, two tasks";
}

TEST_F(WhoseFolder, IsToldByItsNameWhereColumnsDoNot) {
  const std::string line = "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 1}\n";
  for (const char* name : {"mrpc", "rte", "wnli", "stsb"}) {
    write(concat(name, "/validation.jsonl"), line);
    EXPECT_THAT(owners(name), ElementsAre(name));
  }
  EXPECT_THAT(owners(""), ElementsAre("mrpc", "stsb", "rte", "wnli")) << "the folder above them";
  write("x/validation.jsonl", line);
  EXPECT_THAT(error_of([&] { owners("x"); }),
              AllOf(HasSubstr("validation.jsonl"), HasSubstr("mrpc, stsb, qqp, rte")));
  std::filesystem::create_directory_symlink(folder_.file("rte"), folder_.file("link"));
  EXPECT_THAT(owners("link"), ElementsAre("rte"));
}

TEST_F(WhoseFolder, ADamagedFileIsStillItsOwners) {
  write("RTE/dev.tsv", std::string(kRteDev) + "1\ta\n");
  EXPECT_THAT(error_of([&] { owners("RTE"); }), HasSubstr("dev.tsv:3: expected 4 columns"));
  write("x/dev.tsv", "some\tother\ttable\n1\t2\t3\n");
  EXPECT_THAT(error_of([&] { owners("x"); }),
              AllOf(HasSubstr("dev.tsv"), HasSubstr("none of the tasks"), HasSubstr("rte")));
}

}  // namespace
}  // namespace fathom::test::dataset_rows_test
