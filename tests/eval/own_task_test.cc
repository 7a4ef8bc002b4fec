// SPDX-License-Identifier: Apache-2.0
// A user's own table as a task: classes, scores, splits, its description in a file, what is refused.
#include "eval/own_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error_of.h"
#include "base/invalid_option.h"
#include "eval/task_list.h"
#include "formats/temp_folder.h"

namespace fathom::test::own_task_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Rows of three classes, n of each.
std::string classes(size_t n) {
  std::string csv = "id,text,kind\n";
  for (size_t i = 0; i < n; ++i)
    csv +=
        concat(i, ",\"sun, ", i, "\",warm\n", i, ",ice ", i, ",cold\n", i, ",bread ", i, ",food\n");
  return csv;
}

std::map<double, size_t> counts(const Dataset& data) {
  std::map<double, size_t> n;
  for (const Pair& pair : data.pairs) ++n[pair.gold];
  return n;
}

TEST(OwnTask, ClassesByNameAreSplitAlike) {
  const TempFolder folder;
  const std::string file = folder.write("my reviews.csv", classes(20));
  const OwnTaskSpec spec{.file = file, .text = "text", .label = "kind"};
  const Task& task = make_own_task(spec);
  EXPECT_EQ(&make_own_task(spec), &task);
  EXPECT_EQ(task.name, "my-reviews");
  EXPECT_EQ(task.title, "my reviews.csv");
  EXPECT_EQ(task.gold, Gold::kClass);
  EXPECT_EQ(task.features, FeatureKind::kPooled);
  EXPECT_THAT(task.labels, ElementsAre("cold", "food", "warm"));
  EXPECT_EQ(task.metrics[0], TaskMetric::kAccuracy);
  const Dataset train = load_dataset(task, Split::kTrain, ""),
                test = load_dataset(task, Split::kTest, "");
  EXPECT_THAT(counts(train),
              ElementsAre(std::pair(0.0, 16u), std::pair(1.0, 16u), std::pair(2.0, 16u)));
  EXPECT_THAT(counts(test),
              ElementsAre(std::pair(0.0, 4u), std::pair(1.0, 4u), std::pair(2.0, 4u)));
  EXPECT_EQ(test.pairs[0].gold, test.pairs[0].a.starts_with("sun")   ? 2
                                : test.pairs[0].a.starts_with("ice") ? 0
                                                                     : 1);
  EXPECT_THAT(notes_of(test),
              ElementsAre(HasSubstr(
                  "60 rows; 12 of them are the test split (stratified by class, seed 1)")));
  EXPECT_THAT(place_of(train, 0), HasSubstr("my reviews.csv:"));
  EXPECT_THROW(load_dataset(task, Split::kValidation, ""), MissingData);
  // Another seed is another task with another split.
  OwnTaskSpec other = spec;
  other.seed = 2;
  const Task& second = make_own_task(other);
  EXPECT_EQ(second.name, "my-reviews-2");
  EXPECT_NE(load_dataset(second, Split::kTest, "").pairs, test.pairs);
  EXPECT_EQ(&find_task("my-reviews-2"), &second);
  EXPECT_THAT(parse_tasks("--tasks", "my-reviews,mrpc"), ElementsAre(&task, &find_task("mrpc")));
  EXPECT_THAT(tasks_in({&task, &find_task("mrpc")}, folder.file("")),
              ElementsAre(&task, &find_task("mrpc")));
}

TEST(OwnTask, NumbersAreClassesBySizeAndTheFirstOfTwoMayBePositive) {
  const TempFolder folder;
  std::string csv = "t,stars\n", two = "t,c\n";
  for (size_t i = 0; i < 20; ++i) {
    csv += concat("a,", i % 2 ? 10 : 9, "\n");
    two += concat("a,", i % 2 ? "same" : "other", "\n");
  }
  const std::string stars = folder.write("stars.csv", csv), file = folder.write("two.csv", two);
  EXPECT_THAT(make_own_task({.file = stars, .text = "t", .label = "stars"}).labels,
              ElementsAre("9", "10"));
  EXPECT_THAT(make_own_task({.file = file, .text = "t", .label = "c"}).labels,
              ElementsAre("other", "same"));
  EXPECT_THAT(
      make_own_task({.file = file, .text = "t", .label = "c", .positive = "other", .metric = "f1"})
          .labels,
      ElementsAre("same", "other"));
}

TEST(OwnTask, PairsWithScores) {
  const TempFolder folder;
  std::string csv = "one\ttwo\thow\n";
  for (size_t i = 0; i < 25; ++i)
    csv += concat("a ", i, "\tb ", i, "\t", static_cast<double>(i) / 5, "\n");
  const std::string file = folder.write("pairs.tsv", csv);
  const Task& task = make_own_task({.file = file, .text1 = "one", .text2 = "two", .score = "how"});
  EXPECT_TRUE(task.is_zero_shot());
  EXPECT_EQ(task.lowest, 0);
  EXPECT_EQ(task.highest, 4.8);
  EXPECT_EQ(task.metrics[0], TaskMetric::kSpearman);
  const Dataset test = load_dataset(task, Split::kTest, "");
  ASSERT_EQ(test.pairs.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {  // one of every fifth of the scores
    EXPECT_EQ(static_cast<size_t>(test.pairs[i].gold), i);
    EXPECT_EQ(test.pairs[i].a.substr(1), test.pairs[i].b.substr(1));
  }
}

TEST(OwnTask, ATestFileAndFolds) {
  const TempFolder folder;
  const std::string file = folder.write("train.csv", classes(10)),
                    test = folder.write("test.csv", classes(3));
  const Task& task =
      make_own_task({.file = file, .test_file = test, .text = "text", .label = "kind"});
  EXPECT_EQ(load_dataset(task, Split::kTrain, "").pairs.size(), 30u);
  EXPECT_EQ(load_dataset(task, Split::kTest, "").pairs.size(), 9u);
  EXPECT_EQ(task.n_fold(), 0u);
  const Task& folds = make_own_task({.file = file, .text = "text", .label = "kind", .folds = 3});
  EXPECT_EQ(folds.n_fold(), 3u);
  EXPECT_EQ(load_dataset(folds, Split::kTest, "").pairs.size(), 10u);
  std::vector<uint32_t> fold;
  EXPECT_EQ(load_own_whole(folds, 5, fold).pairs.size(), 30u);
  EXPECT_EQ(std::ranges::count(fold, 2u), 10);
}

TEST(OwnTask, IsKeptInAFile) {
  const TempFolder folder;
  folder.write("my.csv", classes(10));
  const std::string kept = folder.write(
      "my.task.json",
      R"({"title": "My own", "file": "my.csv", "text": "text", "label": "kind", "folds": 5})");
  const Task& task = find_task(kept);
  EXPECT_EQ(task.title, "My own");
  EXPECT_EQ(task.n_fold(), 5u);
  EXPECT_EQ(to_json(task.own->spec)["file"], folder.file("my.csv").string());
  const auto wrong = [&](const char* json) {
    const std::string path = folder.write("wrong.task.json", json);
    return error_of([&] { read_own_task(path); });
  };
  EXPECT_THAT(wrong(R"({"file": 3})"), HasSubstr("wrong.task.json: file: expected a text, got 3"));
  EXPECT_THAT(wrong(R"({"fil": "my.csv"})"), HasSubstr("unknown field 'fil'"));
  EXPECT_THAT(wrong("{}"), HasSubstr("no field 'file'"));
}

TEST(OwnTask, LeavesOutWhatHasNoTextOrNoLabel) {
  const TempFolder folder;
  const std::string file = folder.write("gaps.csv", classes(10) + "7,,warm\n8,text,\n");
  const Task& task = make_own_task({.file = file, .text = "text", .label = "kind"});
  const Dataset train = load_dataset(task, Split::kTrain, "");
  EXPECT_EQ(train.left_out.n_empty, 1u);
  EXPECT_EQ(train.left_out.n_unlabelled, 1u);
  EXPECT_THAT(train.left_out.first_empty, HasSubstr("line 32"));
}

TEST(OwnTask, WhatDoesNotGoTogetherIsRefused) {
  const TempFolder folder;
  const std::string file = folder.write("x.csv", classes(10));
  const auto refused = [](const OwnTaskSpec& spec) {
    return error_of([&] { make_own_task(spec); });
  };
  EXPECT_THAT(refused({.file = file, .label = "kind"}),
              HasSubstr("has the columns id, text, kind"));
  EXPECT_THAT(refused({.file = file, .text = "text"}), HasSubstr("label: "));
  EXPECT_THAT(refused({.file = file, .text = "text", .score = "id"}),
              HasSubstr("scores are of pairs"));
  EXPECT_THAT(refused({.file = file, .text = "words", .label = "kind"}),
              HasSubstr("no column 'words'; expected one of its columns: id, text, kind"));
  EXPECT_THAT(refused({.file = file, .text = "text", .label = "kind", .metric = "pearson"}),
              HasSubstr("metric: expected one of accuracy, matthews, got pearson"));
  EXPECT_THAT(refused({.file = file, .text = "id", .label = "text"}),
              HasSubstr("expected classes"));
  EXPECT_THAT(refused({.file = file, .text1 = "id", .text2 = "text", .score = "kind"}),
              HasSubstr("x.csv, line 2: expected a number in 'kind', got 'warm'"));
  EXPECT_THAT(
      refused({.file = folder.write("few.csv", classes(2)), .text = "text", .label = "kind"}),
      HasSubstr("6 rows; expected 10 at least"));
}

}  // namespace
}  // namespace fathom::test::own_task_test
