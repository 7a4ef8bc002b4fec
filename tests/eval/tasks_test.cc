// SPDX-License-Identifier: Apache-2.0
// Tasks beyond MRPC and STS: their layouts, in files made here, and the published files counted.
// Counts of the latter were made by a separate program (Python).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "eval/dataset.h"
#include "formats/temp_folder.h"

namespace fathom::test::tasks_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;

std::vector<double> golds(const Dataset& data) {
  std::vector<double> out;
  for (const Pair& pair : data.pairs) out.push_back(pair.gold);
  return out;
}

class TaskFiles : public testing::Test {
 protected:
  void write(const std::string& file, std::string_view text) const {
    std::filesystem::create_directories(folder_.file(file).parent_path());
    folder_.write(file, text);
  }
  Dataset load(std::string_view task, Split split) const {
    return load_dataset(find_task(task), split, folder_.path());
  }
  std::string error(std::string_view task, Split split) const {
    try {
      load(task, split);
    } catch (const Error& e) {
      return e.what();
    }
    ADD_FAILURE() << "expected an Error";
    return "";
  }

  TempFolder folder_;
};

TEST_F(TaskFiles, AreConsistentRows) {
  for (const Task& task : tasks()) {
    EXPECT_EQ(task.labels.empty(), task.gold == Gold::kScore) << task.name;
    if (task.gold == Gold::kLabel) {
      EXPECT_EQ(task.labels.size(), 2u) << task.name;
    }
    if (task.gold == Gold::kClass) {
      EXPECT_GE(task.labels.size(), 3u) << task.name;
    }
    if (task.gold != Gold::kScore) {
      EXPECT_EQ(task.highest, static_cast<double>(task.labels.size() - 1)) << task.name;
    }
    EXPECT_FALSE(task.metrics.empty()) << task.name;
    for (const Source& source : task.sources) {
      if (source.layout != Layout::kTwoFiles && source.layout != Layout::kStsSets &&
          source.layout != Layout::kLabelFirst) {
        EXPECT_EQ(!source.b.empty(), task.is_pair()) << task.name << " " << source.file;
      }
    }
  }
  EXPECT_FALSE(find_task("cola").is_zero_shot()) << "a sentence alone has no cosine";
  EXPECT_FALSE(find_task("sicke").is_zero_shot()) << "three classes are no order";
  EXPECT_TRUE(find_task("rte").is_zero_shot());
  EXPECT_EQ(find_task("rte").features, FeatureKind::kOrderedPair);
  EXPECT_EQ(find_task("qqp").features, FeatureKind::kSymmetricPair);
}

TEST_F(TaskFiles, ColaHasNoHeaderAndSst2One) {
  write("glue/CoLA/train.tsv", "gj04\t1\t\tThe sailors rode.\nbc01\t0\t*\tSailors the rode.\n");
  const Dataset cola = load("cola", Split::kTrain);
  EXPECT_THAT(golds(cola), ElementsAre(1, 0));
  EXPECT_EQ(cola.pairs[1].a, "Sailors the rode.");
  EXPECT_EQ(cola.pairs[1].b, "");
  write("SST-2/dev.tsv", "sentence\tlabel\ncharming \t1\n");
  EXPECT_EQ(load("sst2", Split::kValidation).pairs.at(0).a, "charming ");
  write("cola/validation.jsonl", "{\"sentence\": \"x\", \"label\": 0, \"idx\": 0}\n");
  EXPECT_THAT(golds(load("cola", Split::kValidation)), ElementsAre(0));
  write("glue/CoLA/train.tsv", "gj04\t2\t\tThe sailors rode.\n");
  EXPECT_THAT(error("cola", Split::kTrain), HasSubstr("train.tsv:1: expected a label 0 or 1"));
}

// Hugging Face numbers the classes of RTE and QNLI the other way round.
TEST_F(TaskFiles, EntailmentIsClass1InEveryLayout) {
  write("glue/RTE/train.tsv",
        "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n1\tc\td\tnot_entailment\n");
  EXPECT_THAT(golds(load("rte", Split::kTrain)), ElementsAre(1, 0));
  write("rte/validation.jsonl",
        "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 0}\n"
        "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 1}\n"
        "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": \"entailment\"}\n");
  EXPECT_THAT(golds(load("rte", Split::kValidation)), ElementsAre(1, 0, 1));
  write("qnli/train.jsonl", "{\"question\": \"a\", \"sentence\": \"b\", \"label\": 0}\n");
  EXPECT_THAT(golds(load("qnli", Split::kTrain)), ElementsAre(1));
  write("rte/validation.jsonl", "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 2}\n");
  EXPECT_THAT(error("rte", Split::kValidation), HasSubstr("got '2'"));
  write("QNLI/dev.tsv", "index\tquestion\tsentence\tlabel\n0\tq\ts\tnot_entailment\n");
  EXPECT_THAT(golds(load("qnli", Split::kValidation)), ElementsAre(0));
  write("WNLI/dev.tsv", "index\tsentence1\tsentence2\tlabel\n0\tq\ts\t1\n");
  EXPECT_THAT(golds(load("wnli", Split::kValidation)), ElementsAre(1));
}

TEST_F(TaskFiles, QqpCountsAndSkipsDamagedRows) {
  std::string rows;
  for (int i = 0; i < 100; ++i) rows += concat("4\t5\t6\tq\tr\t", i % 2, "\n");
  write("glue/QQP/train_sample.tsv", "1\t2\t3\tq one\tq two 0\n" + rows);
  const Dataset sample = load("qqp", Split::kTrain);
  EXPECT_EQ(sample.pairs.size(), 100u);
  EXPECT_EQ(sample.left_out.total(), 1u);
  EXPECT_EQ(sample.pairs[0].b, "r");
  write("glue/QQP/train.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta\n" +
                                  rows + "1\t1\t2\ta\tb\t1\n");
  const Dataset train = load("qqp", Split::kTrain);
  EXPECT_EQ(train.pairs.size(), 101u) << "the whole file is preferred";
  EXPECT_EQ(train.left_out.total(), 1u);
  EXPECT_THAT(error("qqp", Split::kValidation), HasSubstr("qqp: no validation data"));
  write("glue/QQP/train.tsv",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t1\t2\ta\tb\t3\n");
  EXPECT_THAT(error("qqp", Split::kTrain), HasSubstr("train.tsv:2: expected a label 0 or 1"))
      << "a whole row with a wrong label is an error";
}

// MNLI is not part of the shared data: small files in the official layout.
TEST_F(TaskFiles, MnliMatchedAndMismatched) {
  const std::string head =
      "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
      "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\t";
  const std::string row = "0\t31193\t31193n\tgovernment\t( x )\t( y )\t(ROOT x)\t(ROOT y)\tx\ty\t";
  write("glue/MNLI/train.tsv", head + "label1\tgold_label\n" + row + "neutral\tneutral\n");
  const std::string five = "label1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n";
  const std::string votes = "neutral\tneutral\tneutral\tneutral\tneutral\t";
  write("glue/MNLI/dev_matched.tsv", head + five + row + votes + "entailment\n");
  write("glue/MNLI/dev_mismatched.tsv", head + five + row + votes + "contradiction\n");
  write("glue/MNLI/test_matched.tsv",
        head.substr(0, head.size() - 1) + "\n" + row.substr(0, row.size() - 1) + "\n");
  for (const char* task : {"mnli", "mnli-mm"}) {
    const Dataset train = load(task, Split::kTrain);
    EXPECT_THAT(golds(train), ElementsAre(1));
    EXPECT_EQ(train.pairs[0].a, "x");
    EXPECT_EQ(train.pairs[0].b, "y");
  }
  EXPECT_THAT(golds(load("mnli", Split::kValidation)), ElementsAre(0));
  EXPECT_THAT(golds(load("mnli-mm", Split::kValidation)), ElementsAre(2));
  EXPECT_EQ(load_unlabelled(find_task("mnli"), folder_.path()).pairs.size(), 1u);
  EXPECT_THAT(error("mnli", Split::kTest), HasSubstr("mnli has no test split"));
  write("mnli/validation_matched.jsonl",
        "{\"premise\": \"x\", \"hypothesis\": \"y\", \"label\": 2, \"idx\": 0}\n");
  std::filesystem::remove(folder_.file("glue/MNLI/dev_matched.tsv"));
  EXPECT_THAT(golds(load("mnli", Split::kValidation)), ElementsAre(2));
}

TEST_F(TaskFiles, AxHasNoLabels) {
  write("glue/diagnostic/diagnostic.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n1\tc\td\n");
  const Task& ax = find_task("ax");
  const Dataset rows = load_unlabelled(ax, folder_.path());
  ASSERT_EQ(rows.pairs.size(), 2u);
  EXPECT_EQ(rows.pairs[1].b, "d");
  EXPECT_TRUE(std::isnan(rows.pairs[0].gold));
  EXPECT_THROW(load("ax", Split::kTest), MissingData);
  EXPECT_THROW(load("ax", Split::kTrain), MissingData);
  EXPECT_EQ(ax.submission, "AX.tsv");
  EXPECT_THROW(load_unlabelled(find_task("sicke"), folder_.path()), MissingData);
  EXPECT_THROW(load_unlabelled(find_task("rte"), folder_.path()), MissingData);
}

TEST_F(TaskFiles, SnliReadsThreeFilesTogether) {
  write("senteval/SNLI/s1.dev", "a \nc\ne\n");
  write("senteval/SNLI/s2.dev", "b\nd\nf\n");
  write("senteval/SNLI/labels.dev", "neutral\nentailment\ncontradiction\n");
  const Dataset data = load("snli", Split::kValidation);
  EXPECT_THAT(golds(data), ElementsAre(1, 0, 2));
  EXPECT_EQ(data.pairs[0].a, "a ");
  EXPECT_EQ(data.pairs[2].b, "f");
  EXPECT_EQ(data.files.size(), 3u);
  write("senteval/SNLI/s2.dev", "b\nd\n");
  EXPECT_THAT(error("snli", Split::kValidation), HasSubstr("s2.dev: expected 3 lines"));
  write("snli/snli_1.0_test.jsonl",
        "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"gold_label\": \"neutral\"}\n"
        "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"gold_label\": \"-\"}\n");
  EXPECT_EQ(load("snli", Split::kTest).left_out.total(), 1u);
  write("snli/train.jsonl",
        "{\"premise\": \"a\", \"hypothesis\": \"b\", \"label\": -1}\n"
        "{\"premise\": \"a\", \"hypothesis\": \"b\", \"label\": 2}\n");
  EXPECT_THAT(golds(load("snli", Split::kTrain)), ElementsAre(2));
}

TEST_F(TaskFiles, TrecHasCoarseClasses) {
  write("TREC/train_5500.label", "NUM:dist How far is it ?\nABBR:exp What is \xE9 ?\n");
  const Dataset data = load("trec", Split::kTrain);
  EXPECT_THAT(golds(data), ElementsAre(5, 0));
  EXPECT_EQ(data.pairs[0].a, "How far is it ?");
  EXPECT_EQ(data.pairs[1].a, "What is \xE9 ?") << "Latin-1, as published";
  EXPECT_EQ(find_task("trec").report, Split::kTest);
  write("TREC/train_5500.label", "NUM:dist How far\nNUMBER:dist x\n");
  EXPECT_THAT(error("trec", Split::kTrain), AllOf(HasSubstr(":2:"), HasSubstr("NUMBER")));
  write("TREC/train_5500.label", "NUM\n");
  EXPECT_THAT(error("trec", Split::kTrain), HasSubstr("expected a label, a space, a sentence"));
  write("TREC/test.jsonl", "{\"text\": \"q\", \"coarse_label\": 1}\n");
  EXPECT_THAT(golds(load("trec", Split::kTest)), ElementsAre(2)) << "ENTY comes second there";
}

TEST_F(TaskFiles, SstBinaryTrainsOnTheFineSetWithoutItsMiddle) {
  write("senteval/SST/fine/sentiment-train", "4 a\n2 b\n0 c\n1 d\n3 e\n");
  write("senteval/SST/binary/sentiment-dev", "good\t1\nbad\t0\n");
  const Dataset train = load("sst-binary", Split::kTrain);
  EXPECT_THAT(golds(train), ElementsAre(1, 0, 0, 1));
  EXPECT_EQ(train.pairs[1].a, "c");
  EXPECT_EQ(train.left_out.total(), 0u);
  EXPECT_THAT(golds(load("sst-binary", Split::kValidation)), ElementsAre(1, 0));
  EXPECT_THAT(golds(load("sst-fine", Split::kTrain)), ElementsAre(4, 2, 0, 1, 3));
}

TEST_F(TaskFiles, WholeSetsAreCutIntoTenFolds) {
  std::string positive, negative;
  for (int i = 0; i < 60; ++i) positive += concat("good ", i, "\n");
  for (int i = 0; i < 39; ++i) negative += concat("bad ", i, "\n");
  write("senteval/CR/custrev.pos", positive);
  write("senteval/CR/custrev.neg", negative + " \n");  // as published: the last line is blank
  const Dataset train = load("cr", Split::kTrain), held_out = load("cr", Split::kValidation);
  EXPECT_EQ(train.pairs.size(), 90u);
  EXPECT_EQ(held_out.pairs.size(), 10u);
  double n_positive = 0;
  std::vector<bool> seen(100);
  for (const Dataset* data : {&train, &held_out})
    for (const Pair& pair : data->pairs) {
      EXPECT_EQ(pair.a, pair.row == 99  ? "."
                        : pair.row < 60 ? concat("good ", pair.row)
                                        : concat("bad ", pair.row - 60));
      EXPECT_FALSE(seen[pair.row]);
      seen[pair.row] = true;
      if (data == &held_out) n_positive += pair.gold;
    }
  EXPECT_EQ(n_positive, 6) << "stratified";
  EXPECT_EQ(load("cr", Split::kValidation).pairs, held_out.pairs) << "the same folds each time";
  EXPECT_THROW(load("cr", Split::kTest), MissingData);
}

TEST_F(TaskFiles, SickEntailment) {
  write("sick/SICK_train.txt",
        "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
        "4\ta\tb\t3.6\tNEUTRAL\n5\ta\tb\t4.6\tENTAILMENT\n6\ta\tb\t2\tCONTRADICTION\n");
  EXPECT_THAT(golds(load("sicke", Split::kTrain)), ElementsAre(1, 0, 2));
}

// The data as published.
class PublishedTasks : public testing::Test {
 protected:
  void SetUp() override {
    data_ = shared_folder() / "data";
    if (!std::filesystem::exists(data_ / "senteval/SST")) GTEST_SKIP() << data_ << " is not there";
  }
  // Rows of each class.
  std::vector<size_t> counts(std::string_view task, Split split) const {
    const Dataset data = load_dataset(find_task(task), split, data_);
    std::vector<size_t> count(find_task(task).labels.size());
    for (const Pair& pair : data.pairs) ++count[static_cast<size_t>(pair.gold)];
    return count;
  }
  size_t unlabelled(std::string_view task) const {
    return load_unlabelled(find_task(task), data_).pairs.size();
  }
  void expect_missing(std::string_view task, Split split) const {
    EXPECT_THROW(load_dataset(find_task(task), split, data_), MissingData) << task;
  }
  std::filesystem::path data_;
};

TEST_F(PublishedTasks, Glue) {
  EXPECT_THAT(counts("cola", Split::kTrain), ElementsAre(2528, 6023));
  EXPECT_THAT(counts("cola", Split::kValidation), ElementsAre(322, 721));
  EXPECT_THAT(counts("sst2", Split::kTrain), ElementsAre(29780, 37569));
  EXPECT_THAT(counts("sst2", Split::kValidation), ElementsAre(428, 444));
  EXPECT_THAT(counts("rte", Split::kTrain), ElementsAre(1241, 1249));
  EXPECT_THAT(counts("rte", Split::kValidation), ElementsAre(131, 146));
  EXPECT_THAT(counts("wnli", Split::kTrain), ElementsAre(323, 312));
  EXPECT_THAT(counts("wnli", Split::kValidation), ElementsAre(40, 31));
  EXPECT_THAT(counts("qnli", Split::kValidation), ElementsAre(2761, 2702));
  EXPECT_THAT(counts("qqp", Split::kTrain), ElementsAre(14749, 8747));
  EXPECT_EQ(load_dataset(find_task("qqp"), Split::kTrain, data_).left_out.total(), 1u);
  EXPECT_EQ(unlabelled("cola"), 1063u);
  EXPECT_EQ(unlabelled("sst2"), 1821u);
  EXPECT_EQ(unlabelled("rte"), 3000u);
  EXPECT_EQ(unlabelled("wnli"), 146u);
  EXPECT_EQ(unlabelled("qnli"), 5463u);
  EXPECT_EQ(unlabelled("mrpc"), 1725u);
  EXPECT_EQ(unlabelled("stsb"), 1379u);
  EXPECT_EQ(unlabelled("ax"), 1104u);
  expect_missing("qnli", Split::kTrain);
  expect_missing("qqp", Split::kValidation);
  expect_missing("mnli", Split::kTrain);
  expect_missing("sts16", Split::kTest);
}

TEST_F(PublishedTasks, SentEvalAndSick) {
  for (const auto& [task, negative, positive] :
       {std::tuple("mr", 5331, 5331), std::tuple("cr", 1368, 2407), std::tuple("subj", 5000, 5000),
        std::tuple("mpqa", 7294, 3312)}) {
    const auto train = counts(task, Split::kTrain), held_out = counts(task, Split::kValidation);
    EXPECT_EQ(train[0] + held_out[0], static_cast<size_t>(negative)) << task;
    EXPECT_EQ(train[1] + held_out[1], static_cast<size_t>(positive)) << task;
  }
  EXPECT_THAT(counts("trec", Split::kTrain), ElementsAre(86, 1162, 1250, 1223, 835, 896));
  EXPECT_THAT(counts("trec", Split::kTest), ElementsAre(9, 138, 94, 65, 81, 113));
  EXPECT_THAT(counts("sst-fine", Split::kTrain), ElementsAre(1092, 2218, 1624, 2322, 1288));
  EXPECT_THAT(counts("sst-fine", Split::kValidation), ElementsAre(139, 289, 229, 279, 165));
  EXPECT_THAT(counts("sst-fine", Split::kTest), ElementsAre(279, 633, 389, 510, 399));
  EXPECT_THAT(counts("sst-binary", Split::kTrain), ElementsAre(3310, 3610));
  EXPECT_THAT(counts("sst-binary", Split::kValidation), ElementsAre(428, 444));
  EXPECT_THAT(counts("sst-binary", Split::kTest), ElementsAre(912, 909));
  EXPECT_THAT(counts("snli", Split::kValidation), ElementsAre(3329, 3235, 3278));
  EXPECT_THAT(counts("snli", Split::kTest), ElementsAre(3368, 3219, 3237));
  expect_missing("snli", Split::kTrain);
  EXPECT_THAT(counts("sicke", Split::kTrain), ElementsAre(1299, 2536, 665));
  EXPECT_THAT(counts("sicke", Split::kValidation), ElementsAre(144, 282, 74));
  EXPECT_THAT(counts("sicke", Split::kTest), ElementsAre(1414, 2793, 720));
}

}  // namespace
}  // namespace fathom::test::tasks_test
