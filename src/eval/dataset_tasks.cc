// SPDX-License-Identifier: Apache-2.0
// The table of tasks: nothing but data.
#include "eval/dataset.h"

namespace fathom {
namespace {

using enum Layout;
using enum Split;
using enum TaskMetric;
using Names = std::string_view;

// A folder is given as seen from the data root, as seen from its glue/, sts/ or senteval/, and as
// SentEval's own scripts lay it out (downstream/); "" is the task's own folder.

constexpr TaskMetric kByAccuracy[] = {kAccuracy}, kByMatthews[] = {kMatthews},
                     kByAccuracyAndF1[] = {kAccuracy, kF1}, kByPearson[] = {kPearson, kSpearman},
                     kBySpearman[] = {kSpearman, kPearson};

constexpr Names kZeroOne[] = {"0", "1"};
constexpr Names kEntailment2[] = {"not_entailment", "entailment"};
// The order of Hugging Face's numbers.
constexpr Names kHfEntailment2[] = {"entailment", "not_entailment"};
constexpr Names kEntailment3[] = {"entailment", "neutral", "contradiction"};

constexpr Names kColaFolders[] = {"glue/CoLA", "glue/cola", "CoLA", "cola", ""};
constexpr Source kColaSources[] = {
    {kTrain, kTsvNoHeader, "train.tsv", "4", "", "2"},
    {kTrain, kJsonl, "train.jsonl", "sentence", "", "label"},
    {kValidation, kTsvNoHeader, "dev.tsv", "4", "", "2"},
    {kValidation, kJsonl, "validation.jsonl", "sentence", "", "label"},
    {kTest, kUnlabelled, "test.tsv", "sentence", "", ""},
    {kTest, kUnlabelled, "test.jsonl", "sentence", "", ""}};

constexpr Names kSst2Folders[] = {"glue/SST-2", "glue/sst2", "SST-2", "sst2", ""};
constexpr Source kSst2Sources[] = {
    {kTrain, kTsv, "train.tsv", "sentence", "", "label"},
    {kTrain, kJsonl, "train.jsonl", "sentence", "", "label"},
    {kValidation, kTsv, "dev.tsv", "sentence", "", "label"},
    {kValidation, kJsonl, "validation.jsonl", "sentence", "", "label"},
    {kTest, kUnlabelled, "test.tsv", "sentence", "", ""},
    {kTest, kUnlabelled, "test.jsonl", "sentence", "", ""}};

constexpr Names kMrpcFolders[] = {"glue/MRPC", "glue/mrpc", "MRPC", "mrpc", ""};
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
    {kTest, kUnlabelled, "test.tsv", "#1 String", "#2 String", ""}};

constexpr Names kStsbFolders[] = {
    "glue/STS-B", "glue/stsb", "STS-B", "stsb", "downstream/STS/STSBenchmark", ""};
constexpr Source kStsbSources[] = {
    {kTrain, kTsv, "train.tsv", "sentence1", "sentence2", "score"},
    {kTrain, kTsvNoHeader, "original/sts-train.tsv", "6", "7", "5"},
    {kTrain, kTsvNoHeader, "sts-train.tsv", "6", "7", "5"},
    {kTrain, kTsvNoHeader, "sts-train.csv", "6", "7", "5"},
    {kTrain, kJsonl, "train.jsonl", "sentence1", "sentence2", "label"},
    {kValidation, kTsv, "dev.tsv", "sentence1", "sentence2", "score"},
    {kValidation, kTsvNoHeader, "original/sts-dev.tsv", "6", "7", "5"},
    {kValidation, kTsvNoHeader, "sts-dev.tsv", "6", "7", "5"},
    {kValidation, kTsvNoHeader, "sts-dev.csv", "6", "7", "5"},
    {kValidation, kJsonl, "validation.jsonl", "sentence1", "sentence2", "label"},
    {kTest, kTsvNoHeader, "original/sts-test.tsv", "6", "7", "5"},
    {kTest, kTsvNoHeader, "sts-test.tsv", "6", "7", "5"},
    {kTest, kTsvNoHeader, "sts-test.csv", "6", "7", "5"},
    {kTest, kJsonl, "test.jsonl", "sentence1", "sentence2", "label"},
    {kTest, kUnlabelled, "test.tsv", "sentence1", "sentence2", ""}};

// A few rows of GLUE's files are damaged: Quora's own, which they were made of, quotes fields that
// hold line ends, and GLUE's readers take each line for a row.
constexpr Names kQqpFolders[] = {"glue/QQP", "glue/qqp", "QQP", "qqp", ""};
constexpr Source kQqpSources[] = {
    {kTrain,
     kTsv,
     "train.tsv",
     "question1",
     "question2",
     "is_duplicate",
     {},
     {},
     {},
     true,
     Quoting::kByContent},
    {kTrain, kTsvNoHeader, "train_sample.tsv", "4", "5", "6", {}, {}, {}, true},
    {kTrain,
     kTsv,
     "quora_duplicate_questions.tsv",
     "question1",
     "question2",
     "is_duplicate",
     {},
     {},
     {},
     true,
     Quoting::kQuoted},
    {kTrain, kJsonl, "train.jsonl", "question1", "question2", "label"},
    {kValidation,
     kTsv,
     "dev.tsv",
     "question1",
     "question2",
     "is_duplicate",
     {},
     {},
     {},
     true,
     Quoting::kByContent},
    {kValidation, kJsonl, "validation.jsonl", "question1", "question2", "label"},
    {kTest, kUnlabelled, "test.tsv", "question1", "question2", ""},
    {kTest, kUnlabelled, "test.jsonl", "question1", "question2", ""}};

constexpr Names kMnliFolders[] = {"glue/MNLI", "glue/mnli", "MNLI", "mnli", ""};
constexpr Source kMnliSources[] = {
    {kTrain, kTsv, "train.tsv", "sentence1", "sentence2", "gold_label"},
    {kTrain, kJsonl, "train.jsonl", "premise", "hypothesis", "label", {}, {}, kEntailment3},
    {kValidation, kTsv, "dev_matched.tsv", "sentence1", "sentence2", "gold_label"},
    {kValidation,
     kJsonl,
     "validation_matched.jsonl",
     "premise",
     "hypothesis",
     "label",
     {},
     {},
     kEntailment3},
    {kTest, kUnlabelled, "test_matched.tsv", "sentence1", "sentence2", ""},
    {kTest, kUnlabelled, "test_matched.jsonl", "premise", "hypothesis", ""}};

constexpr Source kMnliMmSources[] = {
    {kTrain, kTsv, "train.tsv", "sentence1", "sentence2", "gold_label"},
    {kTrain, kJsonl, "train.jsonl", "premise", "hypothesis", "label", {}, {}, kEntailment3},
    {kValidation, kTsv, "dev_mismatched.tsv", "sentence1", "sentence2", "gold_label"},
    {kValidation,
     kJsonl,
     "validation_mismatched.jsonl",
     "premise",
     "hypothesis",
     "label",
     {},
     {},
     kEntailment3},
    {kTest, kUnlabelled, "test_mismatched.tsv", "sentence1", "sentence2", ""},
    {kTest, kUnlabelled, "test_mismatched.jsonl", "premise", "hypothesis", ""}};

constexpr Names kQnliFolders[] = {"glue/QNLI", "glue/qnli", "QNLI", "qnli", ""};
constexpr Source kQnliSources[] = {
    {kTrain, kTsv, "train.tsv", "question", "sentence", "label"},
    {kTrain, kJsonl, "train.jsonl", "question", "sentence", "label", {}, {}, kHfEntailment2},
    {kValidation, kTsv, "dev.tsv", "question", "sentence", "label"},
    {kValidation,
     kJsonl,
     "validation.jsonl",
     "question",
     "sentence",
     "label",
     {},
     {},
     kHfEntailment2},
    {kTest, kUnlabelled, "test.tsv", "question", "sentence", ""},
    {kTest, kUnlabelled, "test.jsonl", "question", "sentence", ""}};

constexpr Names kRteFolders[] = {"glue/RTE", "glue/rte", "RTE", "rte", ""};
constexpr Source kRteSources[] = {
    {kTrain, kTsv, "train.tsv", "sentence1", "sentence2", "label"},
    {kTrain, kJsonl, "train.jsonl", "sentence1", "sentence2", "label", {}, {}, kHfEntailment2},
    {kValidation, kTsv, "dev.tsv", "sentence1", "sentence2", "label"},
    {kValidation,
     kJsonl,
     "validation.jsonl",
     "sentence1",
     "sentence2",
     "label",
     {},
     {},
     kHfEntailment2},
    {kTest, kUnlabelled, "test.tsv", "sentence1", "sentence2", ""},
    {kTest, kUnlabelled, "test.jsonl", "sentence1", "sentence2", ""}};

constexpr Names kWnliFolders[] = {"glue/WNLI", "glue/wnli", "WNLI", "wnli", ""};
constexpr Source kWnliSources[] = {
    {kTrain, kTsv, "train.tsv", "sentence1", "sentence2", "label"},
    {kTrain, kJsonl, "train.jsonl", "sentence1", "sentence2", "label"},
    {kValidation, kTsv, "dev.tsv", "sentence1", "sentence2", "label"},
    {kValidation, kJsonl, "validation.jsonl", "sentence1", "sentence2", "label"},
    {kTest, kUnlabelled, "test.tsv", "sentence1", "sentence2", ""},
    {kTest, kUnlabelled, "test.jsonl", "sentence1", "sentence2", ""}};

// Without labels: answered by the heads of mnli, for GLUE's server.
constexpr Names kAxFolders[] = {
    "glue/diagnostic", "glue/AX", "glue/ax", "diagnostic", "AX", "ax", ""};
constexpr Source kAxSources[] = {
    {kTest, kUnlabelled, "diagnostic.tsv", "sentence1", "sentence2", ""},
    {kTest, kUnlabelled, "AX.tsv", "sentence1", "sentence2", ""},
    {kTest, kUnlabelled, "test.jsonl", "premise", "hypothesis", ""}};

constexpr Names kSickFolders[] = {"sick", "SICK", "downstream/SICK", ""};
constexpr Source kSickrSources[] = {
    {kTrain, kTsv, "SICK_train.txt", "sentence_A", "sentence_B", "relatedness_score"},
    {kTrain, kJsonl, "train.jsonl", "sentence_A", "sentence_B", "relatedness_score"},
    {kValidation, kTsv, "SICK_trial.txt", "sentence_A", "sentence_B", "relatedness_score"},
    {kValidation, kJsonl, "validation.jsonl", "sentence_A", "sentence_B", "relatedness_score"},
    {kTest, kTsv, "SICK_test_annotated.txt", "sentence_A", "sentence_B", "relatedness_score"},
    {kTest, kJsonl, "test.jsonl", "sentence_A", "sentence_B", "relatedness_score"}};
constexpr Names kSickLabels[] = {"ENTAILMENT", "NEUTRAL", "CONTRADICTION"};
constexpr Source kSickeSources[] = {
    {kTrain, kTsv, "SICK_train.txt", "sentence_A", "sentence_B", "entailment_judgment"},
    {kTrain, kJsonl, "train.jsonl", "sentence_A", "sentence_B", "label", {}, {}, kSickLabels},
    {kValidation, kTsv, "SICK_trial.txt", "sentence_A", "sentence_B", "entailment_judgment"},
    {kValidation,
     kJsonl,
     "validation.jsonl",
     "sentence_A",
     "sentence_B",
     "label",
     {},
     {},
     kSickLabels},
    {kTest, kTsv, "SICK_test_annotated.txt", "sentence_A", "sentence_B", "entailment_judgment"},
    {kTest, kJsonl, "test.jsonl", "sentence_A", "sentence_B", "label", {}, {}, kSickLabels}};

constexpr Names kSts12Folders[] = {
    "sts/STS12", "STS12", "STS/STS12-en-test", "downstream/STS/STS12-en-test", "STS12-en-test", ""};
constexpr Names kSts12Sets[] = {"MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN",
                                "surprise.SMTnews"};
constexpr Source kSts12Sources[] = {
    {kTest, kStsSets, "STS.input.MSRpar.txt", {}, {}, {}},
    {kTest, kJsonl, "test.jsonl", "sentence1", "sentence2", "score"}};

// Without SMT, whose sentences need a licence, as everywhere.
constexpr Names kSts13Folders[] = {
    "sts/STS13", "STS13", "STS/STS13-en-test", "downstream/STS/STS13-en-test", "STS13-en-test", ""};
constexpr Names kSts13Sets[] = {"FNWN", "headlines", "OnWN"};
constexpr Source kSts13Sources[] = {
    {kTest, kStsSets, "STS.input.FNWN.txt", {}, {}, {}},
    {kTest, kJsonl, "test.jsonl", "sentence1", "sentence2", "score"}};

constexpr Names kSts14Folders[] = {
    "sts/STS14", "STS14", "STS/STS14-en-test", "downstream/STS/STS14-en-test", "STS14-en-test", ""};
constexpr Names kSts14Sets[] = {"deft-forum", "deft-news", "headlines",
                                "images",     "OnWN",      "tweet-news"};
constexpr Source kSts14Sources[] = {
    {kTest, kStsSets, "STS.input.deft-forum.txt", {}, {}, {}},
    {kTest, kJsonl, "test.jsonl", "sentence1", "sentence2", "score"}};

constexpr Names kSts15Folders[] = {
    "sts/STS15", "STS15", "STS/STS15-en-test", "downstream/STS/STS15-en-test", "STS15-en-test", ""};
constexpr Names kSts15Sets[] = {"answers-forums", "answers-students", "belief", "headlines",
                                "images"};
constexpr Source kSts15Sources[] = {
    {kTest, kStsSets, "STS.input.answers-forums.txt", {}, {}, {}},
    {kTest, kJsonl, "test.jsonl", "sentence1", "sentence2", "score"}};

constexpr Names kSts16Folders[] = {
    "sts/STS16", "STS16", "STS/STS16-en-test", "downstream/STS/STS16-en-test", "STS16-en-test", ""};
constexpr Names kSts16Sets[] = {"answer-answer", "headlines", "plagiarism", "postediting",
                                "question-question"};
constexpr Source kSts16Sources[] = {
    {kTest, kStsSets, "STS.input.answer-answer.txt", {}, {}, {}},
    {kTest, kJsonl, "test.jsonl", "sentence1", "sentence2", "score"}};

// Whole sets without splits: see Task::has_folds().
constexpr Names kMrFolders[] = {"senteval/MR", "MR", "downstream/MR", ""};
constexpr Source kMrSources[] = {
    {kTrain, kTwoFiles, "rt-polarity.pos", "rt-polarity.neg", "", ""},
    {kValidation, kTwoFiles, "rt-polarity.pos", "rt-polarity.neg", "", ""}};

constexpr Names kCrFolders[] = {"senteval/CR", "CR", "downstream/CR", ""};
constexpr Source kCrSources[] = {{kTrain, kTwoFiles, "custrev.pos", "custrev.neg", "", ""},
                                 {kValidation, kTwoFiles, "custrev.pos", "custrev.neg", "", ""}};

constexpr Names kSubjFolders[] = {"senteval/SUBJ", "SUBJ", "downstream/SUBJ", ""};
constexpr Source kSubjSources[] = {
    {kTrain, kTwoFiles, "subj.subjective", "subj.objective", "", ""},
    {kValidation, kTwoFiles, "subj.subjective", "subj.objective", "", ""}};

constexpr Names kMpqaFolders[] = {"senteval/MPQA", "MPQA", "downstream/MPQA", ""};
constexpr Source kMpqaSources[] = {{kTrain, kTwoFiles, "mpqa.pos", "mpqa.neg", "", ""},
                                   {kValidation, kTwoFiles, "mpqa.pos", "mpqa.neg", "", ""}};

constexpr Names kTrecLabels[] = {"ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"};
constexpr Names kHfTrec[] = {"ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM"};
constexpr Names kTrecFolders[] = {"senteval/TREC", "TREC", "downstream/TREC", ""};
constexpr Source kTrecSources[] = {
    {kTrain, kLabelFirst, "train_5500.label", "", "", ""},
    {kTrain, kJsonl, "train.jsonl", "text", "", "coarse_label", {}, {}, kHfTrec},
    {kTest, kLabelFirst, "TREC_10.label", "", "", ""},
    {kTest, kJsonl, "test.jsonl", "text", "", "coarse_label", {}, {}, kHfTrec}};

// Trains on the sentences of the fine-grained set that are not neutral where only those are there.
constexpr Names kHalves[] = {"0", "0", "", "1", "1"};
constexpr Names kSstBinaryFolders[] = {"senteval/SST", "SST", "downstream/SST", ""};
constexpr Source kSstBinarySources[] = {
    {kTrain, kTsvNoHeader, "binary/sentiment-train", "1", "", "2"},
    {kTrain, kLabelFirst, "fine/sentiment-train", "", "", "", {}, {}, kHalves},
    {kValidation, kTsvNoHeader, "binary/sentiment-dev", "1", "", "2"},
    {kTest, kTsvNoHeader, "binary/sentiment-test", "1", "", "2"}};

constexpr Names kSstLabels[] = {"0", "1", "2", "3", "4"};
constexpr Names kSstFineFolders[] = {"senteval/SST/fine", "SST/fine", "fine", "downstream/SST/fine",
                                     ""};
constexpr Source kSstFineSources[] = {
    {kTrain, kLabelFirst, "sentiment-train", "", "", ""},
    {kTrain, kJsonl, "train.jsonl", "text", "", "label"},
    {kValidation, kLabelFirst, "sentiment-dev", "", "", ""},
    {kValidation, kJsonl, "validation.jsonl", "text", "", "label"},
    {kTest, kLabelFirst, "sentiment-test", "", "", ""},
    {kTest, kJsonl, "test.jsonl", "text", "", "label"}};

// Rows on which the annotators did not agree have the label - or -1.
constexpr Names kSnliFolders[] = {"senteval/SNLI",   "SNLI", "snli", "snli_1.0",
                                  "downstream/SNLI", ""};
constexpr Source kSnliSources[] = {
    {kTrain, kLines, "labels.train", "s1.train", "s2.train", ""},
    {kTrain,
     kJsonl,
     "snli_1.0_train.jsonl",
     "sentence1",
     "sentence2",
     "gold_label",
     {},
     {},
     {},
     true},
    {kTrain, kJsonl, "train.jsonl", "premise", "hypothesis", "label", {}, {}, kEntailment3, true},
    {kValidation, kLines, "labels.dev", "s1.dev", "s2.dev", ""},
    {kValidation,
     kJsonl,
     "snli_1.0_dev.jsonl",
     "sentence1",
     "sentence2",
     "gold_label",
     {},
     {},
     {},
     true},
    {kValidation,
     kJsonl,
     "validation.jsonl",
     "premise",
     "hypothesis",
     "label",
     {},
     {},
     kEntailment3,
     true},
    {kTest, kLines, "labels.test", "s1.test", "s2.test", ""},
    {kTest,
     kJsonl,
     "snli_1.0_test.jsonl",
     "sentence1",
     "sentence2",
     "gold_label",
     {},
     {},
     {},
     true},
    {kTest, kJsonl, "test.jsonl", "premise", "hypothesis", "label", {}, {}, kEntailment3, true}};

constexpr Names kSampleFolders[] = {"samples", ""};
constexpr Source kSampleSources[] = {{kTest, kTsv, "pairs.tsv", "sentence1", "sentence2", "score"}};

constexpr Task kTasks[] = {
    {"mrpc",
     "Microsoft Research Paraphrase Corpus",
     Gold::kLabel,
     FeatureKind::kSymmetricPair,
     kZeroOne,
     0,
     1,
     kByAccuracyAndF1,
     kMrpcFolders,
     kMrpcSources,
     {},
     kValidation,
     "MRPC.tsv"},
    {"stsb",
     "STS Benchmark",
     Gold::kScore,
     FeatureKind::kSymmetricPair,
     {},
     0,
     5,
     kByPearson,
     kStsbFolders,
     kStsbSources,
     {},
     kValidation,
     "STS-B.tsv"},
    {"sickr",
     "SICK Relatedness",
     Gold::kScore,
     FeatureKind::kSymmetricPair,
     {},
     1,
     5,
     kBySpearman,
     kSickFolders,
     kSickrSources},
    {"sts12",
     "SemEval STS 2012",
     Gold::kScore,
     FeatureKind::kSymmetricPair,
     {},
     0,
     5,
     kBySpearman,
     kSts12Folders,
     kSts12Sources,
     kSts12Sets,
     kTest},
    {"sts13",
     "SemEval STS 2013 (without SMT)",
     Gold::kScore,
     FeatureKind::kSymmetricPair,
     {},
     0,
     5,
     kBySpearman,
     kSts13Folders,
     kSts13Sources,
     kSts13Sets,
     kTest},
    {"sts14",
     "SemEval STS 2014",
     Gold::kScore,
     FeatureKind::kSymmetricPair,
     {},
     0,
     5,
     kBySpearman,
     kSts14Folders,
     kSts14Sources,
     kSts14Sets,
     kTest},
    {"sts15",
     "SemEval STS 2015",
     Gold::kScore,
     FeatureKind::kSymmetricPair,
     {},
     0,
     5,
     kBySpearman,
     kSts15Folders,
     kSts15Sources,
     kSts15Sets,
     kTest},
    {"sts16",
     "SemEval STS 2016",
     Gold::kScore,
     FeatureKind::kSymmetricPair,
     {},
     0,
     5,
     kBySpearman,
     kSts16Folders,
     kSts16Sources,
     kSts16Sets,
     kTest},
    {"qqp",
     "Quora Question Pairs",
     Gold::kLabel,
     FeatureKind::kSymmetricPair,
     kZeroOne,
     0,
     1,
     kByAccuracyAndF1,
     kQqpFolders,
     kQqpSources,
     {},
     kValidation,
     "QQP.tsv"},
    {"rte",
     "Recognizing Textual Entailment",
     Gold::kLabel,
     FeatureKind::kOrderedPair,
     kEntailment2,
     0,
     1,
     kByAccuracy,
     kRteFolders,
     kRteSources,
     {},
     kValidation,
     "RTE.tsv"},
    {"qnli",
     "Question NLI",
     Gold::kLabel,
     FeatureKind::kOrderedPair,
     kEntailment2,
     0,
     1,
     kByAccuracy,
     kQnliFolders,
     kQnliSources,
     {},
     kValidation,
     "QNLI.tsv"},
    {"wnli",
     "Winograd NLI",
     Gold::kLabel,
     FeatureKind::kOrderedPair,
     kZeroOne,
     0,
     1,
     kByAccuracy,
     kWnliFolders,
     kWnliSources,
     {},
     kValidation,
     "WNLI.tsv"},
    {"cola",
     "Corpus of Linguistic Acceptability",
     Gold::kLabel,
     FeatureKind::kPooled,
     kZeroOne,
     0,
     1,
     kByMatthews,
     kColaFolders,
     kColaSources,
     {},
     kValidation,
     "CoLA.tsv"},
    {"sst2",
     "Stanford Sentiment Treebank (GLUE)",
     Gold::kLabel,
     FeatureKind::kPooled,
     kZeroOne,
     0,
     1,
     kByAccuracy,
     kSst2Folders,
     kSst2Sources,
     {},
     kValidation,
     "SST-2.tsv"},
    {"mnli",
     "MultiNLI, matched",
     Gold::kClass,
     FeatureKind::kOrderedPair,
     kEntailment3,
     0,
     2,
     kByAccuracy,
     kMnliFolders,
     kMnliSources,
     {},
     kValidation,
     "MNLI-m.tsv"},
    {"mnli-mm",
     "MultiNLI, mismatched",
     Gold::kClass,
     FeatureKind::kOrderedPair,
     kEntailment3,
     0,
     2,
     kByAccuracy,
     kMnliFolders,
     kMnliMmSources,
     {},
     kValidation,
     "MNLI-mm.tsv"},
    {"ax",
     "GLUE diagnostic set",
     Gold::kClass,
     FeatureKind::kOrderedPair,
     kEntailment3,
     0,
     2,
     kByMatthews,
     kAxFolders,
     kAxSources,
     {},
     kTest,
     "AX.tsv"},
    {"snli", "Stanford NLI", Gold::kClass, FeatureKind::kOrderedPair, kEntailment3, 0, 2,
     kByAccuracy, kSnliFolders, kSnliSources},
    {"sicke", "SICK Entailment", Gold::kClass, FeatureKind::kOrderedPair, kSickLabels, 0, 2,
     kByAccuracy, kSickFolders, kSickeSources},
    {"mr", "Movie reviews", Gold::kLabel, FeatureKind::kPooled, kZeroOne, 0, 1, kByAccuracy,
     kMrFolders, kMrSources},
    {"cr", "Customer reviews", Gold::kLabel, FeatureKind::kPooled, kZeroOne, 0, 1, kByAccuracy,
     kCrFolders, kCrSources},
    {"subj", "Subjective or objective", Gold::kLabel, FeatureKind::kPooled, kZeroOne, 0, 1,
     kByAccuracy, kSubjFolders, kSubjSources},
    {"mpqa", "MPQA opinion polarity", Gold::kLabel, FeatureKind::kPooled, kZeroOne, 0, 1,
     kByAccuracy, kMpqaFolders, kMpqaSources},
    {"trec",
     "TREC question types",
     Gold::kClass,
     FeatureKind::kPooled,
     kTrecLabels,
     0,
     5,
     kByAccuracy,
     kTrecFolders,
     kTrecSources,
     {},
     kTest},
    {"sst-binary", "Stanford Sentiment Treebank, binary", Gold::kLabel, FeatureKind::kPooled,
     kZeroOne, 0, 1, kByAccuracy, kSstBinaryFolders, kSstBinarySources},
    {"sst-fine", "Stanford Sentiment Treebank, five classes", Gold::kClass, FeatureKind::kPooled,
     kSstLabels, 0, 4, kByAccuracy, kSstFineFolders, kSstFineSources},
    {"sample",
     "sample pairs (for show, no measure of quality)",
     Gold::kScore,
     FeatureKind::kSymmetricPair,
     {},
     0,
     5,
     kBySpearman,
     kSampleFolders,
     kSampleSources,
     {},
     kTest,
     {},
     /*for_show=*/true},
};

}  // namespace

std::span<const Task> tasks() { return kTasks; }

}  // namespace fathom
