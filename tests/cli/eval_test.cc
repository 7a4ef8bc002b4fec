// SPDX-License-Identifier: Apache-2.0
// fathom eval on a small task made here: the files that it writes and what is in them.
#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "cli/models.h"
#include "formats/npy.h"

namespace fathom::test::eval_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Pair {
  std::string a, b;
  int label;
};

const std::vector<Pair> kPairs = {
    {"the cat sat", "a cat was sitting", 1},  {"dogs bark", "the sun is hot", 0},
    {"the sun is hot", "the Sun is warm", 1}, {"a red car", "two green birds sing", 0},
    {"birds sing", "birds are singing", 1},   {"he runs home", "prices fell again", 0},
    {"prices fell", "prices fell again", 1},  {"\"quoted\" text", "text", 1}};

std::string mrpc_tsv(const std::vector<Pair>& pairs) {
  std::string text = "\xEF\xBB\xBFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n";
  for (size_t i = 0; i < pairs.size(); ++i)
    text += concat(pairs[i].label, "\t", i, "\t", i + 100, "\t", pairs[i].a, "\t", pairs[i].b,
                   i + 1 < pairs.size() ? "\r\n" : "");
  return text;
}

// A data folder with glue/MRPC, a model and word vectors.
class Workbench {
 public:
  Workbench() : model(byte_model(folder)), out(folder.file("out")) {
    std::filesystem::create_directories(folder.file("data/glue/MRPC"));
    folder.write("data/glue/MRPC/dev.tsv", mrpc_tsv(kPairs));
    std::vector<Pair> train = kPairs;
    std::reverse(train.begin(), train.end());
    train.pop_back();
    folder.write("data/glue/MRPC/train.tsv", mrpc_tsv(train));
    glove = folder.write("glove.txt",
                         "the 1 0.5 0\ncat 0 1 1\nsun 1 1 0\nis 0.1 0 0.2\nhot 0.5 -1 0\n"
                         "birds 0 -1 1\nsing 1 0 1\nprices -1 0 0\nfell -1 1 0\ntext 0 0 1\n");
  }

  Outcome run(std::vector<std::string> flags, RunOptions options = {}) const {
    flags.insert(flags.begin(), {"eval", model, "--out", out});
    return run_fathom(flags, options);
  }
  // Runs with the data folder, without the clock; results.json.
  Json results(std::vector<std::string> flags) const {
    flags.insert(flags.end(), {"--data", folder.file("data"), "--no-timing"});
    const Outcome r = run(flags);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return Json::parse(read_whole(out + "/results.json"));
  }

  TempFolder folder;
  std::string model, out, glove;
};

std::vector<std::string> keys_of(const OrderedJson& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

// The one row of this metric and layer.
Json row_of(const Json& results, const std::string& metric, const Json& layer) {
  std::vector<Json> found;
  for (const Json& row : results["rows"])
    if (row["metric"] == metric && row["layer"] == layer) found.push_back(row);
  EXPECT_EQ(found.size(), 1u) << metric << " " << layer;
  return found.empty() ? Json() : found[0];
}

TEST(Eval, WritesThreeFilesAndATable) {
  const Workbench bench;
  const Outcome run = bench.run({"--data", bench.folder.file("data"), "--glove", bench.glove});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, HasSubstr("validation: 8 pairs, 5 positive"));
  EXPECT_THAT(run.out, HasSubstr("glove coverage 0."));
  EXPECT_TRUE(run.out.ends_with(bench.out + "/report.html\n"));
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(bench.out))
    files.push_back(entry.path().filename());
  EXPECT_THAT(files, testing::UnorderedElementsAre("results.json", "results.csv", "report.html"));
}

TEST(Eval, ResultsHaveTheKeysThatWerePromised) {
  const Workbench bench;
  bench.results({"--glove", bench.glove});
  const auto j = OrderedJson::parse(read_whole(bench.out + "/results.json"));
  for (const char* key : {"command", "fathom", "model", "rows", "cost"})
    EXPECT_TRUE(j.contains(key)) << key;
  for (const OrderedJson& row : j["rows"]) {
    std::vector<std::string> keys = keys_of(row);
    std::erase(keys, "p");  // of differences
    ASSERT_THAT(keys, ElementsAre("task", "split", "system", "layer", "hf_index", "pooling", "norm",
                                  "scan", "metric", "value", "low", "high", "n"));
    EXPECT_EQ(row.contains("p"), row["metric"].get<std::string>().ends_with("_minus_glove"));
  }
  for (const OrderedJson& row : j["cost"])
    ASSERT_THAT(
        keys_of(row),
        ElementsAre("system", "layer", "flops_per_pair", "weight_bytes", "seconds_per_pair_batch1",
                    "seconds_per_pair_packed", "peak_rss_bytes", "peak_gpu_bytes",
                    "seconds_per_pair_batch1_q1", "seconds_per_pair_batch1_q3",
                    "seconds_per_pair_packed_q1", "seconds_per_pair_packed_q3"));
  EXPECT_THAT(j["command"].get<std::string>(), HasSubstr("eval"));
  EXPECT_EQ(j["model"]["version"], "6");
}

// The embedding table of the model itself as a bag: beside the layers and GloVe, with the difference
// from GloVe, a cost without blocks and a threshold from train.
TEST(Eval, ABagStandsBesideTheLayers) {
  const Workbench bench;
  const Json j = bench.results({"--glove", bench.glove, "--bag", bench.model});
  std::vector<std::string> metrics;
  for (const Json& row : j["rows"])
    if (row["system"] == "bag") {
      EXPECT_TRUE(row["layer"].is_null());
      metrics.push_back(row["metric"]);
    }
  EXPECT_THAT(metrics, testing::IsSupersetOf({"spearman", "spearman_minus_glove", "accuracy"}));
  EXPECT_EQ(j["bag"]["file"], bench.model);
  size_t n_cost = 0;
  for (const Json& row : j["cost"])
    if (row["system"] == "bag") {
      ++n_cost;
      EXPECT_GT(row["flops_per_pair"], 0);
    }
  EXPECT_EQ(n_cost, 1u);
  EXPECT_THAT(read_whole(bench.out + "/report.html"), HasSubstr("Token bag"));
  expect_refused(bench.run({"--data", bench.folder.file("data"), "--bag", bench.glove}), kDataError,
                 {"glove.txt"});
}

// One option for every baseline; --glove and --bag name the same systems. A second file of a kind
// has a number behind its name and figures of its own.
TEST(Eval, CompareToTakesWordVectorsAndBags) {
  const Workbench bench;
  const std::string bag = bench.folder.file("bag");
  std::filesystem::create_directory(bag);
  std::filesystem::copy_file(bench.model, bag + "/model.safetensors");
  const Json one = bench.results({"--layers", "1", "--glove", bench.glove, "--bag", bag});
  const Json same =
      bench.results({"--layers", "1", "--compare-to", bench.glove, "--compare-to", bag});
  EXPECT_EQ(same["rows"], one["rows"]);
  EXPECT_EQ(same["glove"], one["glove"]);
  EXPECT_EQ(same["bag"], one["bag"]);
  EXPECT_EQ(same["settings"]["glove"], one["settings"]["glove"]);
  const std::string few = bench.folder.write("few.txt", "the 1 0.5\ncat 0 1\nsun 1 1\n");
  const Json two = bench.results({"--layers", "1", "--compare-to", few, "--glove", bench.glove});
  EXPECT_EQ(two["glove"]["file"], bench.glove);
  EXPECT_EQ(two["settings"]["glove-2"]["file"], few);
  EXPECT_EQ(two["settings"]["glove-2"]["dim"], 2);
  size_t n = 0;
  for (const Json& row : two["rows"])
    n += row["system"] == "glove-2" && row["metric"] == "spearman_minus_glove";
  EXPECT_EQ(n, 1u);
  EXPECT_THAT(read_whole(bench.out + "/report.html"), HasSubstr(">few</dt>"));
  expect_refused(bench.run({"--data", bench.folder.file("data"), "--compare-to", "nowhere"}),
                 kDataError, {"nowhere"});
}

TEST(Eval, RowsCoverEveryLayerMetricAndSystem) {
  const Workbench bench;
  const Json j = bench.results({"--glove", bench.glove});
  const std::vector<const char*> metrics = {"spearman", "pearson", "auc",           "ap",
                                            "accuracy", "f1",      "accuracy_best", "f1_best"};
  const std::vector<Json> layers = {0, 1, 2, 3, "final"};
  const std::vector<Json> hf = {nullptr, 0, 1, 2, 3};
  for (size_t i = 0; i < layers.size(); ++i) {
    for (const char* metric : metrics) {
      const Json row = row_of(j, metric, layers[i]);
      EXPECT_EQ(row["system"], "rwkv");
      EXPECT_EQ(row["hf_index"], hf[i]);
      EXPECT_EQ(row["task"], "mrpc");
      EXPECT_EQ(row["split"], "validation");
      EXPECT_EQ(row["pooling"], "mean");
      EXPECT_EQ(row["norm"], "none");
      EXPECT_EQ(row["scan"], "forward");
      EXPECT_EQ(row["n"], 8);
      EXPECT_LE(row["low"], row["high"]);
      row_of(j, std::string(metric) + "_minus_glove", layers[i]);
    }
  }
  for (const char* metric : metrics) {
    const Json row = row_of(j, metric, nullptr);
    EXPECT_EQ(row["system"], "glove");
    EXPECT_TRUE(row["hf_index"].is_null());
  }
  EXPECT_EQ(j["rows"].size(), 5 * 16 + 8u);
  EXPECT_EQ(lines_of(read_whole(bench.out + "/results.csv")).size(), 1 + j["rows"].size());
}

// Spearman of cosines computed here from the vectors of `fathom embed`.
TEST(Eval, SpearmanIsThatOfTheEmbeddings) {
  const Workbench bench;
  std::string sentences;
  for (const Pair& p : kPairs) sentences += p.a + "\n" + p.b + "\n";
  const std::string file = bench.folder.file("e.npy");
  run_ok({"embed", bench.model, "-o", file, "--layers", "2"}, {.input = sentences});
  const NpyArray e = read_npy(file);
  const size_t n = kPairs.size(), d = e.shape.back();
  std::vector<double> cosine(n), rank(n), label_rank(n);
  for (size_t i = 0; i < n; ++i) {
    double uv = 0, uu = 0, vv = 0;
    for (size_t c = 0; c < d; ++c) {
      const double u = e.values[2 * i * d + c], v = e.values[(2 * i + 1) * d + c];
      uv += u * v, uu += u * u, vv += v * v;
    }
    cosine[i] = uv / std::sqrt(uu * vv);
  }
  // Average ranks: how many are below, and half of the equals.
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j) {
      rank[i] += (cosine[j] < cosine[i]) + 0.5 * (cosine[j] == cosine[i]);
      label_rank[i] +=
          (kPairs[j].label < kPairs[i].label) + 0.5 * (kPairs[j].label == kPairs[i].label);
    }
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < n; ++i) {
    const double x = rank[i] - static_cast<double>(n) / 2,
                 y = label_rank[i] - static_cast<double>(n) / 2;
    xy += x * y, xx += x * x, yy += y * y;
  }
  const Json row = row_of(bench.results({"--layers", "2"}), "spearman", 2);
  EXPECT_NEAR(row["value"].get<double>(), xy / std::sqrt(xx * yy), 1e-12);
}

TEST(Eval, CostGrowsWithDepthAndIsMeasuredUnlessTold) {
  const Workbench bench;
  const Json unmeasured = bench.results({"--glove", bench.glove})["cost"];
  ASSERT_EQ(unmeasured.size(), 6u);
  EXPECT_EQ(unmeasured[0]["flops_per_pair"], 0);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_GT(unmeasured[i]["flops_per_pair"], unmeasured[i - 1]["flops_per_pair"]);
    EXPECT_GT(unmeasured[i]["weight_bytes"], unmeasured[i - 1]["weight_bytes"]);
  }
  EXPECT_EQ(unmeasured[4]["flops_per_pair"], unmeasured[3]["flops_per_pair"]);
  EXPECT_EQ(unmeasured[5]["system"], "glove");
  for (const Json& row : unmeasured) {
    EXPECT_TRUE(row["seconds_per_pair_batch1"].is_null());
    EXPECT_TRUE(row["peak_gpu_bytes"].is_null());
    EXPECT_TRUE(row["peak_rss_bytes"].is_null());
  }
  const Outcome run = bench.run({"--data", bench.folder.file("data"), "--layers", "1", "--glove",
                                 bench.glove, "--repeats", "3"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json measured = Json::parse(read_whole(bench.out + "/results.json"))["cost"];
  EXPECT_GT(measured[0]["seconds_per_pair_batch1"], 0);
  EXPECT_GT(measured[0]["seconds_per_pair_packed"], 0);
  EXPECT_LE(measured[0]["seconds_per_pair_packed_q1"], measured[0]["seconds_per_pair_packed"]);
  EXPECT_GE(measured[0]["seconds_per_pair_packed_q3"], measured[0]["seconds_per_pair_packed"]);
  EXPECT_THAT(run.out, HasSubstr("Peak MB"));
}

// Word vectors by the thousand are in their process alone.
TEST(Eval, MemoryIsThatOfEachSystemAlone) {
  const Workbench bench;
  std::string words;
  const std::string numbers = [] {
    std::string text;
    for (size_t i = 0; i < 4000; ++i) text += " 0.5";
    return text;
  }();
  for (const char* word : {"the", "cat", "sun", "is", "hot", "birds", "sing", "prices", "fell", "a",
                           "dogs", "bark", "red", "car", "two", "green", "he", "runs", "home"})
    words += word + numbers + "\n";
  const std::string large = bench.folder.write("large.txt", words);
  const Outcome run =
      bench.run({"--data", bench.folder.file("data"), "--layers", "1,3", "--repeats", "1",
                 "--bootstrap", "20", "--compare-to", bench.glove, "--compare-to", large});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  std::map<std::string, size_t> peak;
  const Json results = Json::parse(read_whole(bench.out + "/results.json"));
  for (const Json& row : results["cost"]) {
    ASSERT_TRUE(row["peak_rss_bytes"].is_number()) << row;
    peak[row["system"].get<std::string>() + row["layer"].dump()] = row["peak_rss_bytes"];
  }
  ASSERT_EQ(peak.size(), 4u);
  EXPECT_GT(peak["glove-2null"], peak["glovenull"] + 200'000) << "19 vectors of 4,000";
  EXPECT_GT(peak["rwkv3"], size_t{1} << 20);
}

// What it goes on from after a stop (tests/study/eval_parts_test.cc) goes when it is done.
TEST(Eval, LeavesNoPartsWhenItIsDone) {
  const Workbench bench;
  std::filesystem::create_directories(bench.folder.file("data/glue/STS-B"));
  const auto write_stsb = [&](const char* text) {
    for (const char* split : {"train", "dev"})
      bench.folder.write(concat("data/glue/STS-B/", split, ".tsv"),
                         concat("index\tsentence1\tsentence2\tscore\n0\ta cat\tthe cat\t5\n1\t",
                                text, "\ta dog\t1\n2\tthe sun\ta sun\t4\n"));
  };
  write_stsb("birds");
  const std::vector<std::string> flags = {
      "--data",     bench.folder.file("data"), "--bootstrap", "20", "--task", "mrpc,stsb",
      "--no-timing"};
  ASSERT_EQ(bench.run(flags).exit_code, 0);
  const std::string whole = read_whole(bench.out + "/results.csv");
  EXPECT_FALSE(std::filesystem::exists(bench.out + "/parts")) << "done: nothing is left of them";

  std::filesystem::remove_all(bench.out);
  std::filesystem::create_directories(bench.out + "/parts");
  const auto n_part = [&] {
    const std::filesystem::directory_iterator files(bench.out + "/parts");
    return std::distance(begin(files), end(files));
  };
  bench.folder.write("out/parts/mine.txt", "a user's");
  EXPECT_EQ(bench.run(flags).exit_code, 0);
  EXPECT_EQ(n_part(), 1) << "what is not its own stays";
  EXPECT_EQ(read_whole(bench.out + "/results.csv"), whole);
}

TEST(Eval, APapersExperimentInOneCommand) {
  const Workbench bench;
  const std::vector<std::string> flags = {"--data",      bench.folder.file("data"),
                                          "--preset",    "arxiv-2502.14620",
                                          "--glove",     bench.glove,
                                          "--repeats",   "1",
                                          "--bootstrap", "20"};
  const Outcome run = bench.run(flags);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  for (const char* part : {"arXiv 2502.14620", "0.4326", "0.3498", "0.4141", "RWKV layer 11",
                           "layer 5, 7, 9, 11 of arXiv 2502.14620 is left out", "Best layer"})
    EXPECT_THAT(run.out, HasSubstr(part));
  const Json j = Json::parse(read_whole(bench.out + "/results.json"));
  EXPECT_EQ(j["preset"]["table"].size(), 8u);
  Json validation = j;
  std::erase_if(validation["rows"].get_ref<Json::array_t&>(),
                [](const Json& row) { return row["split"] != "validation"; });
  EXPECT_EQ(j["preset"]["table"][1]["validation"], row_of(validation, "spearman", 1)["value"]);
  EXPECT_THAT(read_whole(bench.out + "/results.csv"), HasSubstr("mrpc,train,rwkv,1,"));
  EXPECT_TRUE(std::filesystem::exists(bench.out + "/report.html"));
  std::vector<std::string> wrong = flags;
  wrong.insert(wrong.end(), {"--layers", "1"});
  expect_refused(bench.run(wrong), kUsageError, {"--layers", "--preset"});
  expect_refused(bench.run({"--preset", "arxiv-2502.14620"}), kUsageError, {"--preset", "--glove"});
  expect_refused(bench.run({"--preset", "other", "--glove", bench.glove}), kUsageError,
                 {"--preset", "arxiv-2502.14620"});
}

TEST(Eval, TheReportStandsAlone) {
  const Workbench bench;
  bench.results({"--glove", bench.glove});
  const std::string page = read_whole(bench.out + "/report.html");
  EXPECT_THAT(page, HasSubstr("<svg"));
  EXPECT_THAT(page, HasSubstr("Spearman"));
  EXPECT_THAT(page, HasSubstr("--no-timing"));  // the exact command
  for (const char* outside : {"src=\"", "src='", "href=\"http", "@import", "url(http"})
    EXPECT_THAT(page, Not(HasSubstr(outside)));
}

TEST(Eval, SamplesAreDrawnBySeed) {
  const Workbench bench;
  const Json first = bench.results({"--layers", "1", "--sample", "6", "--seed", "3"});
  const Json again = bench.results({"--layers", "1", "--sample", "6", "--seed", "3"});
  EXPECT_EQ(row_of(first, "pearson", 1)["n"], 6);
  EXPECT_EQ(first["rows"], again["rows"]);
  expect_refused(bench.run({"--data", bench.folder.file("data"), "--sample", "9"}), kDataError,
                 {"9", "8"});
}

TEST(Eval, ThreadsAndBatchesChangeNoFigure) {
  const Workbench bench;
  const Json rows = bench.results({"--glove", bench.glove})["rows"];
  EXPECT_EQ(bench.results({"--glove", bench.glove, "--threads", "3"})["rows"], rows);
  EXPECT_EQ(bench.results({"--glove", bench.glove, "--batch-tokens", "5"})["rows"], rows);
}

TEST(Eval, SettingsAreInTheRows) {
  const Workbench bench;
  const Json row = row_of(bench.results({"--layers", "final", "--pool", "last", "--norm", "ln_out",
                                         "--scan", "echo", "--split", "train"}),
                          "spearman", "final");
  EXPECT_EQ(row["pooling"], "last");
  EXPECT_EQ(row["norm"], "ln_out");
  EXPECT_EQ(row["scan"], "echo");
  EXPECT_EQ(row["split"], "train");
  EXPECT_EQ(row["n"], 7);
}

TEST(Eval, FindsItsData) {
  const Workbench bench;
  const std::vector<std::string> flags = {"--no-timing", "--layers", "0"};
  const auto with = [&](std::string data) {
    std::vector<std::string> all = flags;
    all.insert(all.end(), {"--data", std::move(data)});
    return bench.run(all).exit_code;
  };
  EXPECT_EQ(with(bench.folder.file("data/glue")), 0);
  EXPECT_EQ(with(bench.folder.file("data/glue/MRPC")), 0);
  EXPECT_EQ(bench.run(flags, {.environment = {"FATHOM_SHARED=" + bench.folder.path().string()}})
                .exit_code,
            0);
  // ../shared/data from the current folder.
  std::filesystem::create_directories(bench.folder.file("repository"));
  std::filesystem::create_directory(bench.folder.file("shared"));
  std::filesystem::rename(bench.folder.file("data"), bench.folder.file("shared/data"));
  EXPECT_EQ(bench.run(flags, {.folder = bench.folder.file("repository")}).exit_code, 0);
}

TEST(Eval, WithoutATrainSplitThereIsNoThreshold) {
  const Workbench bench;
  std::filesystem::remove(bench.folder.file("data/glue/MRPC/train.tsv"));
  const Json j = bench.results({"--layers", "1"});
  for (const Json& row : j["rows"]) {
    EXPECT_NE(row["metric"], "accuracy");
    EXPECT_NE(row["metric"], "f1");
  }
  ASSERT_EQ(j["notes"].size(), 1u);
  EXPECT_THAT(j["notes"][0].get<std::string>(), HasSubstr("train"));
}

TEST(Eval, WrongFlagsAreToldBeforeAnythingIsRead) {
  const Workbench bench;
  const std::string data = bench.folder.file("data");
  const auto refused = [&](std::vector<std::string> flags, std::vector<std::string> names) {
    flags.insert(flags.end(), {"--data", data});
    expect_refused(bench.run(flags), kUsageError, names);
  };
  refused({"--task", "nli"}, {"nli", "mrpc"});
  refused({"--split", "middle"}, {"middle"});
  refused({"--pool", "median"}, {"median"});
  refused({"--layers", "9"}, {"'9'"});
  EXPECT_FALSE(std::filesystem::exists(bench.out));
}

// A folder for each task, one file for all; what is not there is said to be missing.
TEST(Eval, SeveralTasks) {
  const Workbench bench;
  std::filesystem::create_directories(bench.folder.file("data/sts/STS13"));
  for (const char* set : {"FNWN", "headlines", "OnWN"}) {
    bench.folder.write(concat("data/sts/STS13/STS.input.", set, ".txt"),
                       "a cat\tthe cat\nbirds sing\tprices fell\nthe sun\tthe moon\nx\ty\n");
    bench.folder.write(concat("data/sts/STS13/STS.gs.", set, ".txt"),
                       std::string(set) == "OnWN" ? "1\n4\n2\n3\n" : "5\n1\n3\n2\n");
  }
  const Outcome run = bench.run({"--data", bench.folder.file("data"), "--no-timing", "--bootstrap",
                                 "50", "--task", "mrpc,sts13,stsb,cola"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("stsb: missing: validation"));
  EXPECT_THAT(run.err, HasSubstr("cola: missing: validation"));
  EXPECT_THAT(run.out, HasSubstr("Mean of sets"));
  EXPECT_THAT(run.out, HasSubstr("Mean of 2"));
  EXPECT_THAT(read_whole(bench.out + "/report.html"), HasSubstr("Tasks by layers"));
  const Json all = Json::parse(read_whole(bench.out + "/results.json"));
  ASSERT_EQ(all["tasks"].size(), 4u);
  EXPECT_EQ(all["tasks"][1]["status"], "ok");
  EXPECT_EQ(all["tasks"][1]["split"], "test");
  EXPECT_EQ(all["tasks"][2]["status"], "missing: validation");
  std::map<std::string, size_t> rows;
  for (const Json& row : all["rows"]) ++rows[row["task"]];
  EXPECT_EQ(rows.size(), 2u) << "a missing task has no figure";
  EXPECT_EQ(rows["sts13"], 5 * 3u) << "spearman, its mean over sets, pearson";
  EXPECT_EQ(lines_of(read_whole(bench.out + "/results.csv")).size(), 1 + all["rows"].size());

  const Json one = Json::parse(read_whole(bench.out + "/sts13/results.json"));
  EXPECT_EQ(one["rows"].size(), rows["sts13"]);
  EXPECT_TRUE(std::filesystem::exists(bench.out + "/mrpc/report.html"));
  // The sets have the same texts, so their own correlations are r, r and that of other scores.
  const double mean = row_of(one, "spearman_mean", 2)["value"],
               whole = row_of(one, "spearman", 2)["value"];
  EXPECT_LE(std::abs(mean), 1);
  EXPECT_NE(mean, whole);
}

}  // namespace
}  // namespace fathom::test::eval_test
