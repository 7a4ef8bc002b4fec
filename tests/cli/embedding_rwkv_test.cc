// SPDX-License-Identifier: Apache-2.0
// EmbeddingRWKV and state pooling on the command line: embed --head, trace, info, rerank, eval.
#include "encode/embedding_rwkv.h"

#include <algorithm>

#include "base/json.h"
#include "cli/models.h"
#include "formats/npy.h"

namespace fathom::test::embedding_rwkv_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Model, reranker and vocabulary files, made once.
class EmbeddingRwkv : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder;
    const SyntheticModel m = embedding_rwkv();
    write_arrays(folder_->file("model.st"), embedding_rwkv_arrays(m));
    write_arrays(folder_->file("plain.st"), m.arrays);
    folder_->write("reranker.pth", pth(reranker_arrays(reranker_blocks(m.shape, 2), true),
                                       {{"reranker_layer_idx", pickle_list({0, 2})}}));
    folder_->write("vocab.txt", world_vocabulary({"the", " cat", "Document"}));
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string file(const char* name) { return folder_->file(name); }
  // fathom COMMAND model.st --vocab vocab.txt ...
  static Outcome run(const char* command, std::vector<std::string> more,
                     const RunOptions& options = {}, const char* model = "model.st") {
    more.insert(more.begin(), {command, file(model), "--vocab", file("vocab.txt")});
    return run_fathom(more, options);
  }
  static StoredArrays trace(std::vector<std::string> more) {
    more.insert(more.end(), {"-o", file("t.safetensors")});
    const Outcome r = run("trace", more);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return read_arrays(file("t.safetensors"));
  }
  static std::vector<std::string> rerank_arguments(std::vector<std::string> more) {
    more.insert(more.begin(), file("reranker.pth"));
    return more;
  }

  static TempFolder* folder_;
};
TempFolder* EmbeddingRwkv::folder_ = nullptr;

// "the cat": the ids of " cat" and of the bytes, one more than the byte.
const char* kIds = "257,258,65535";

TEST_F(EmbeddingRwkv, TraceWritesTheHeadsWhereAnEosIs) {
  const StoredArrays t = trace({"--ids", kIds});
  for (const char* name : {"embed_cls", "embed_sts", "embed_retr"})
    EXPECT_EQ(t.at(name).shape, (std::vector<size_t>{16})) << name;
  EXPECT_NE(t.at("embed_cls").values, t.at("embed_sts").values);
  const Outcome without = run("trace", {"--text", "the cat", "-o", file("t.safetensors")});
  EXPECT_EQ(without.exit_code, 0);
  EXPECT_THAT(without.err, AllOf(HasSubstr("embed_*"), HasSubstr("65535")));
  EXPECT_FALSE(read_arrays(file("t.safetensors")).contains("embed_cls"));
  const Outcome plain = run("trace", {"--ids", kIds, "-o", file("p.safetensors")}, {}, "plain.st");
  EXPECT_THAT(plain.err, Not(HasSubstr("embed_")));
  EXPECT_FALSE(read_arrays(file("p.safetensors")).contains("embed_cls"));
}

TEST_F(EmbeddingRwkv, EmbedGivesTheHeadOfTheTextAndAnEos) {
  const StoredArrays t = trace({"--ids", kIds});
  const RunOptions input{.input = "the cat\nthe\n"};
  for (const char* head : {"cls", "sts", "retr"}) {
    const Outcome r = run("embed", {"--head", head, "-o", file("e.npy")}, input);
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const NpyArray e = read_npy(file("e.npy"));
    EXPECT_THAT(e.shape, ElementsAre(2, 16));
    EXPECT_EQ(std::vector<float>(e.values.begin(), e.values.begin() + 16),
              t.at(concat("embed_", head)).values);
    const Json how = Json::parse(read_whole(file("e.npy.json")))["embedding"];
    EXPECT_EQ(how["head"], head);
    EXPECT_EQ(how["pooling"], "eos");
    EXPECT_EQ(how["layers"], Json::array({"final"}));
    EXPECT_EQ(how["normalize"], false);
  }
}

TEST_F(EmbeddingRwkv, AnotherEndOfTextIsPooledAndRecorded) {
  const RunOptions input{.input = "the cat\n"};
  const auto vector = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"-o", file("e.npy")});
    const Outcome r = run("embed", more, input);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return read_npy(file("e.npy")).values;
  };
  const auto recorded = [&] { return Json::parse(read_whole(file("e.npy.json")))["embedding"]; };
  const auto last_of = [&](const char* ids) { return trace({"--ids", ids}).at("last_lnout"); };
  const std::vector<std::string> pool = {"--pool", "eos", "--layers", "final"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), pool.begin(), pool.end());
    return more;
  };
  // Row 3 of last_lnout is ln_out of the last block, at the last token.
  EXPECT_EQ(vector(with({"--eos", "0"})), row_of(last_of("257,258,0"), 3));
  EXPECT_EQ(recorded()["eos"], 0);
  EXPECT_EQ(vector(with({"--eos", "none"})), row_of(last_of("257,258"), 3));
  EXPECT_EQ(recorded()["eos"], "none");
  EXPECT_EQ(vector(with({"--eos", "0", "--bos", "0"})), row_of(last_of("0,257,258,0"), 3));
  EXPECT_EQ(vector(pool), row_of(last_of(kIds), 3));
  EXPECT_EQ(recorded()["eos"], 65535);
  EXPECT_EQ(vector({"--head", "sts", "--eos", "0"}),
            trace({"--ids", "257,258,0", "--eos", "0"}).at("embed_sts").values);
  EXPECT_EQ(recorded()["eos"], 0);
  EXPECT_EQ(vector({"--head", "sts", "--eos", "none"}),
            trace({"--ids", "257,258", "--eos", "none"}).at("embed_sts").values);
}

TEST_F(EmbeddingRwkv, EmbedRefusesWhatDoesNotGoTogether) {
  const RunOptions input{.input = "the cat\n"};
  const auto refused = [&](std::vector<std::string> more, int code, std::vector<std::string> names,
                           const char* model = "model.st") {
    more.insert(more.end(), {"-o", file("refused.npy")});
    expect_refused(run("embed", more, input, model), code, names);
  };
  refused({"--head", "clss"}, kUsageError, {"--head", "'clss'"});
  refused({"--head", "cls", "--layers", "1"}, kUsageError, {"--head", "--layers"});
  refused({"--head", "cls", "--pool", "mean"}, kUsageError, {"--head", "--pool"});
  refused({"--head", "cls", "--norm", "none"}, kUsageError, {"--head", "--norm"});
  refused({"--head", "sts"}, kDataError, {"plain.st", "head.sts_head.fc1.weight"}, "plain.st");
  refused({"--eos", "0"}, kUsageError, {"--eos 0", "--pool eos", "got --pool mean"});
  refused({"--pool", "last", "--eos", "none"}, kUsageError, {"--eos none", "got --pool last"});
  for (const char* bad : {"", "x", "-1", "1.5", "4294967296", "None"})
    refused({"--pool", "eos", "--eos", bad}, kUsageError, {"--eos", concat("'", bad, "'")});
  refused({"--pool", "eos", "--eos", "65536"}, kUsageError, {"--eos", "below 65536", "got 65536"});
  EXPECT_FALSE(std::filesystem::exists(file("refused.npy")));
}

TEST_F(EmbeddingRwkv, InfoListsTheHeads) {
  const Json j = Json::parse(run_ok({"info", "--json", file("model.st")}).out);
  EXPECT_EQ(j["task_heads"], Json::array({"cls", "sts", "retr"}));
  EXPECT_EQ(j["ignored_tensors"], Json::array());
  EXPECT_THAT(run_ok({"info", file("model.st")}).out, HasSubstr("cls, sts, retr"));
  EXPECT_EQ(Json::parse(run_ok({"info", "--json", file("plain.st")}).out)["task_heads"],
            Json::array());
}

TEST_F(EmbeddingRwkv, InfoKnowsAReranker) {
  const Json j = Json::parse(run_ok({"info", "--json", file("reranker.pth")}).out);
  EXPECT_EQ(j["n_layer"], 2);
  EXPECT_EQ(j["n_vocab"], 1);
  EXPECT_EQ(j["ignored_tensors"], Json::array());
  EXPECT_THAT(j["notes"].dump(), AllOf(HasSubstr("reranker"), HasSubstr("0, 2")));
  EXPECT_THAT(run_ok({"info", file("reranker.pth")}).out, Not(HasSubstr("--vocab")));
}

// ---- rerank

const char* kDocuments = "the cat sat\na dog\nthe sun\nbirds sing\n";

std::vector<Json> json_lines(const std::string& text) {
  std::vector<Json> lines;
  for (const std::string& line : lines_of(text)) lines.push_back(Json::parse(line));
  return lines;
}

TEST_F(EmbeddingRwkv, RerankSortsByScore) {
  const Outcome r = run("rerank", rerank_arguments({"-q", "where is the cat?", "-o", "-"}),
                        {.input = kDocuments});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const auto lines = json_lines(r.out);
  ASSERT_EQ(lines.size(), 4u);
  std::vector<size_t> seen;
  const auto documents = lines_of(kDocuments);
  for (size_t i = 0; i < 4; ++i) {
    const double score = lines[i]["score"];
    EXPECT_GT(score, 0);
    EXPECT_LT(score, 1);
    if (i > 0) {
      EXPECT_LE(score, lines[i - 1]["score"].get<double>());
    }
    seen.push_back(lines[i]["index"]);
    EXPECT_EQ(lines[i]["text"], documents[seen.back()]);
    EXPECT_EQ(lines[i]["query"], "where is the cat?");
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_THAT(seen, ElementsAre(0, 1, 2, 3));
}

TEST_F(EmbeddingRwkv, RerankTakesSeveralQueriesAndKeepsTheTop) {
  const std::string queries = folder_->write("queries.txt", "second\nthird\n");
  const std::string documents = folder_->write("d.jsonl",
                                               "{\"text\": \"the cat sat\"}\n"
                                               "{\"text\": \"a dog\"}\n"
                                               "{\"text\": \"the sun\"}\n");
  const std::string out = file("out.jsonl");
  const Outcome r = run("rerank", rerank_arguments({"-q", "first", "--queries", queries, "-i",
                                                    documents, "-o", out, "--top", "2"}));
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.out, "");
  const auto lines = json_lines(read_whole(out));
  ASSERT_EQ(lines.size(), 6u);
  const char* of[] = {"first", "second", "third"};
  for (size_t q = 0; q < 3; ++q) {
    // As each query alone, of which the best two are kept.
    const Outcome single =
        run("rerank", rerank_arguments({"-q", of[q], "-i", documents, "-o", "-"}));
    const auto all = json_lines(single.out);
    EXPECT_EQ(lines[2 * q], all[0]);
    EXPECT_EQ(lines[2 * q + 1], all[1]);
  }
  const Json made = Json::parse(read_whole(out + ".json"));
  EXPECT_EQ(made["reranker"]["backbone_blocks"], Json::array({0, 2}));
  EXPECT_EQ(made["n_query"], 3);
  EXPECT_EQ(made["n_document"], 3);
  EXPECT_THAT(made["prompt"].get<std::string>(),
              HasSubstr("\nDocument: {document}\nQuery: {query}"));
}

TEST_F(EmbeddingRwkv, RerankPrintsATable) {
  const Outcome r = run("rerank", rerank_arguments({"-q", "cat", "--top", "1", "--skip-empty"}),
                        {.input = "\nthe cat\n"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, AllOf(HasSubstr("cat\n"), HasSubstr("Score"), HasSubstr("the cat")));
  EXPECT_THAT(r.err, HasSubstr("1 documents, 1 query"));
}

TEST_F(EmbeddingRwkv, RerankInstructChangesTheScore) {
  const auto score = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"-q", "cat", "-o", "-"});
    return json_lines(run("rerank", rerank_arguments(more), {.input = "the cat\n"}).out)
        .at(0)["score"]
        .get<double>();
  };
  EXPECT_EQ(score({}),
            score({"--instruct", "Given a query, retrieve documents that answer the query"}));
  EXPECT_NE(score({}), score({"--instruct", "Find nothing"}));
}

TEST_F(EmbeddingRwkv, RerankRefusals) {
  const RunOptions input{.input = kDocuments};
  const auto refused = [&](std::vector<std::string> more, int code, std::vector<std::string> names,
                           RunOptions options) {
    expect_refused(run("rerank", std::move(more), options), code, names);
  };
  refused(rerank_arguments({}), kUsageError, {"-q"}, input);
  refused(rerank_arguments({"-q", ""}), kUsageError, {"-q", "empty"}, input);
  refused(rerank_arguments({"-q", "a", "--top", "0"}), kUsageError, {"--top"}, input);
  refused({"-q", "a"}, kUsageError, {"reranker"}, input);
  refused({file("plain.st"), "-q", "a"}, kDataError, {"plain.st", "reranker.head.0.weight"}, input);
  refused(rerank_arguments({"-q", "a"}), kDataError, {"line 2", "empty"}, {.input = "x\n\n"});
  refused(rerank_arguments({"-q", "a"}), kDataError, {"no sentence"}, {.input = ""});
  refused(rerank_arguments({"-q", "a", "-o", file("no/such/folder.jsonl")}), kDataError,
          {"folder.jsonl"}, input);
}

// ---- state pooling

TEST_F(EmbeddingRwkv, EmbedPoolsStates) {
  const StoredArrays t = trace({"--text", "the cat"});
  const std::vector<float>& wkv = t.at("state_wkv").values;  // (3, 2, 8, 8)
  const RunOptions input{.input = "the cat\n"};
  const auto embed = [&](const char* pool) {
    const Outcome r = run("embed", {"--pool", pool, "--layers", "1-3", "-o", file("s.npy")}, input);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return read_npy(file("s.npy"));
  };
  const NpyArray whole = embed("state");
  EXPECT_THAT(whole.shape, ElementsAre(3, 1, 128));
  EXPECT_EQ(whole.values, wkv);
  const NpyArray rows = embed("state-rows");
  EXPECT_THAT(rows.shape, ElementsAre(3, 1, 16));
  for (size_t i = 0; i < rows.values.size(); ++i) {
    double sum = 0;
    for (size_t j = 0; j < 8; ++j) sum += wkv[i * 8 + j];
    EXPECT_FLOAT_EQ(rows.values[i], static_cast<float>(sum / 8));
  }
  const Json how = Json::parse(read_whole(file("s.npy.json")))["embedding"];
  EXPECT_EQ(how["pooling"], "state-rows");
  EXPECT_THAT(how["state"].get<std::string>(), HasSubstr("value channel"));
  expect_refused(run("embed", {"--pool", "state", "-o", file("x.npy")}, input), kUsageError,
                 {"--pool state", "layer final", "1-3"});
}

TEST_F(EmbeddingRwkv, EvalMeasuresStatesAndHeads) {
  std::filesystem::create_directories(folder_->file("data/glue/MRPC"));
  const std::string tsv =
      "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
      "1\t1\t2\tthe cat sat\ta cat sat\n0\t3\t4\ta dog\tthe sun is hot\n"
      "1\t5\t6\tbirds sing\tthe birds sing\n0\t7\t8\tone\tsomething else\n";
  folder_->write("data/glue/MRPC/dev.tsv", tsv);
  folder_->write("data/glue/MRPC/train.tsv", tsv);
  const auto rows = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--data", file("data"), "--no-timing", "--out", file("results"),
                             "--bootstrap", "20"});
    const Outcome r = run("eval", more);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    std::vector<Json> found;
    const Json results = Json::parse(read_whole(file("results/results.json")));
    for (const Json& row : results["rows"])
      if (row["metric"] == "spearman") found.push_back(row);
    return found;
  };
  const auto states = rows({"--pool", "state-rows", "--layers", "1-3"});
  ASSERT_EQ(states.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(states[i]["layer"], i + 1);
    EXPECT_EQ(states[i]["pooling"], "state-rows");
    EXPECT_TRUE(states[i]["hf_index"].is_null());
  }
  const auto head = rows({"--head", "sts"});
  ASSERT_EQ(head.size(), 1u);
  EXPECT_EQ(head[0]["layer"], "final");
  EXPECT_EQ(head[0]["pooling"], "eos, head sts");
  EXPECT_TRUE(head[0]["hf_index"].is_null());
  EXPECT_EQ(rows({"--layers", "2"}).at(0)["hf_index"], 2);
}

}  // namespace
}  // namespace fathom::test::embedding_rwkv_test
