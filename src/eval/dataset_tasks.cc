// SPDX-License-Identifier: Apache-2.0
// The table of tasks: nothing but data.
#include "eval/dataset.h"

namespace fathom {
namespace {

using enum Layout;
using enum Split;

// A folder is given as seen from the data root and as seen from its glue/, sts/ or senteval/; ""
// is the task's own folder.
constexpr std::string_view kMrpcFolders[] = {"glue/MRPC", "glue/mrpc", "MRPC", "mrpc", ""};
constexpr Source kMrpcSources[] = {
    {kTrain, kTsv, "train.tsv", "#1 String", "#2 String", "Quality"},
    {kTrain, kTsvWithoutIds, "msr_paraphrase_train.txt", "#1 String", "#2 String", "Quality",
     "#1 ID", "#2 ID"},
    {kTrain, kJsonl, "train.jsonl", "sentence1", "sentence2", "label"},
    {kValidation, kTsv, "dev.tsv", "#1 String", "#2 String", "Quality"},
    {kValidation, kTsvOnlyIds, "msr_paraphrase_train.txt", "#1 String", "#2 String", "Quality",
     "#1 ID", "#2 ID"},
    {kValidation, kJsonl, "validation.jsonl", "sentence1", "sentence2", "label"},
    {kTest, kTsv, "msr_paraphrase_test.txt", "#1 String", "#2 String", "Quality"},
    {kTest, kJsonl, "test.jsonl", "sentence1", "sentence2", "label"},
    {kTest, kUnlabelled, "test.tsv", {}, {}, {}},
};

constexpr std::string_view kStsbFolders[] = {"glue/STS-B", "glue/stsb", "STS-B", "stsb", ""};
constexpr Source kStsbSources[] = {
    {kTrain, kTsv, "train.tsv", "sentence1", "sentence2", "score"},
    {kTrain, kTsvNoHeader, "original/sts-train.tsv", "6", "7", "5"},
    {kTrain, kTsvNoHeader, "sts-train.tsv", "6", "7", "5"},
    {kTrain, kJsonl, "train.jsonl", "sentence1", "sentence2", "label"},
    {kValidation, kTsv, "dev.tsv", "sentence1", "sentence2", "score"},
    {kValidation, kTsvNoHeader, "original/sts-dev.tsv", "6", "7", "5"},
    {kValidation, kTsvNoHeader, "sts-dev.tsv", "6", "7", "5"},
    {kValidation, kJsonl, "validation.jsonl", "sentence1", "sentence2", "label"},
    {kTest, kTsvNoHeader, "original/sts-test.tsv", "6", "7", "5"},
    {kTest, kTsvNoHeader, "sts-test.tsv", "6", "7", "5"},
    {kTest, kJsonl, "test.jsonl", "sentence1", "sentence2", "label"},
    {kTest, kUnlabelled, "test.tsv", {}, {}, {}},
};

constexpr std::string_view kSickFolders[] = {"sick", "SICK", ""};
constexpr Source kSickSources[] = {
    {kTrain, kTsv, "SICK_train.txt", "sentence_A", "sentence_B", "relatedness_score"},
    {kValidation, kTsv, "SICK_trial.txt", "sentence_A", "sentence_B", "relatedness_score"},
    {kTest, kTsv, "SICK_test_annotated.txt", "sentence_A", "sentence_B", "relatedness_score"},
};

constexpr std::string_view kSts12Folders[] = {"sts/STS12", "STS12", "STS/STS12-en-test",
                                              "STS12-en-test", ""};
constexpr std::string_view kSts12Sets[] = {"MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN",
                                           "surprise.SMTnews"};
constexpr Source kSts12Sources[] = {{kTest, kStsSets, "STS.input.MSRpar.txt", {}, {}, {}}};

// Without SMT, whose sentences need a licence, as everywhere.
constexpr std::string_view kSts13Folders[] = {"sts/STS13", "STS13", "STS/STS13-en-test",
                                              "STS13-en-test", ""};
constexpr std::string_view kSts13Sets[] = {"FNWN", "headlines", "OnWN"};
constexpr Source kSts13Sources[] = {{kTest, kStsSets, "STS.input.FNWN.txt", {}, {}, {}}};

constexpr std::string_view kSts14Folders[] = {"sts/STS14", "STS14", "STS/STS14-en-test",
                                              "STS14-en-test", ""};
constexpr std::string_view kSts14Sets[] = {"deft-forum", "deft-news", "headlines",
                                           "images",     "OnWN",      "tweet-news"};
constexpr Source kSts14Sources[] = {{kTest, kStsSets, "STS.input.deft-forum.txt", {}, {}, {}}};

constexpr std::string_view kSts15Folders[] = {"sts/STS15", "STS15", "STS/STS15-en-test",
                                              "STS15-en-test", ""};
constexpr std::string_view kSts15Sets[] = {"answers-forums", "answers-students", "belief",
                                           "headlines", "images"};
constexpr Source kSts15Sources[] = {{kTest, kStsSets, "STS.input.answers-forums.txt", {}, {}, {}}};

constexpr std::string_view kSts16Folders[] = {"sts/STS16", "STS16", "STS/STS16-en-test",
                                              "STS16-en-test", ""};
constexpr std::string_view kSts16Sets[] = {"answer-answer", "headlines", "plagiarism",
                                           "postediting", "question-question"};
constexpr Source kSts16Sources[] = {{kTest, kStsSets, "STS.input.answer-answer.txt", {}, {}, {}}};

constexpr Task kTasks[] = {
    {"mrpc", "Microsoft Research Paraphrase Corpus", Gold::kLabel, 0, 1, kMrpcFolders,
     kMrpcSources},
    {"stsb", "STS Benchmark", Gold::kScore, 0, 5, kStsbFolders, kStsbSources},
    {"sickr", "SICK Relatedness", Gold::kScore, 1, 5, kSickFolders, kSickSources},
    {"sts12", "SemEval STS 2012", Gold::kScore, 0, 5, kSts12Folders, kSts12Sources, kSts12Sets},
    {"sts13", "SemEval STS 2013 (without SMT)", Gold::kScore, 0, 5, kSts13Folders, kSts13Sources,
     kSts13Sets},
    {"sts14", "SemEval STS 2014", Gold::kScore, 0, 5, kSts14Folders, kSts14Sources, kSts14Sets},
    {"sts15", "SemEval STS 2015", Gold::kScore, 0, 5, kSts15Folders, kSts15Sources, kSts15Sets},
    {"sts16", "SemEval STS 2016", Gold::kScore, 0, 5, kSts16Folders, kSts16Sources, kSts16Sets},
};

}  // namespace

std::span<const Task> tasks() { return kTasks; }

}  // namespace fathom
