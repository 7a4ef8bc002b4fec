// SPDX-License-Identifier: Apache-2.0
// What a model, its traces and its vectors become: facts, arrays, files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error_of.h"
#include "base/thread_pool.h"
#include "encode/open_model.h"
#include "formats/checkpoint.h"
#include "formats/npy.h"
#include "model/byte_model.h"
#include "results/depth_log.h"
#include "results/embedding_file.h"
#include "results/info_report.h"
#include "results/trace_file.h"

namespace fathom::test::model_files_test {
namespace {

using testing::HasSubstr;

TEST(InfoReport, SaysWhatTheTensorsSay) {
  const TempFolder folder;
  const OpenModel open({.model = byte_model(folder), .options = {.n_thread = 1}});
  OrderedJson j = info_json(open.model.checkpoint(), open.model.config(), open.model.info(),
                            open.vocabulary, open.model.backend(), {});
  EXPECT_EQ(j["n_layer"], 3);
  EXPECT_EQ(j["d_model"], 24);
  EXPECT_EQ(j["tokenizer"]["kind"], "byte");
  EXPECT_EQ(j["products"]["asked"], "f32");
  ThreadPool pool(1);
  j["nonfinite"] = nonfinite_json(open.model.checkpoint(), pool);
  EXPECT_EQ(j["nonfinite"]["tensors"], 0);
  const std::string text = info_text(j);
  EXPECT_THAT(text, HasSubstr("n_layer        3\n"));
  EXPECT_THAT(text, HasSubstr("values         all finite\n"));
  j["nonfinite"] = nullptr;
  EXPECT_THAT(info_text(j), HasSubstr("values         not looked at (`no_values`)\n"));
}

TEST(TraceFile, HoldsEveryArrayAndSaysWhereNumbersAreNotFinite) {
  const TempFolder folder;
  OpenModel open({.model = byte_model(folder), .options = {.n_thread = 1}});
  const std::vector<Token> ids = {114, 101, 100};
  Trace t = trace(open.model, ids, {}, open.work);
  EXPECT_FALSE(nonfinite_note(t).has_value());
  const auto heads = run_heads(open.model, t, ids, {}, open.work);
  ASSERT_TRUE(heads.has_value()) << "a model without heads misses nothing";
  EXPECT_TRUE(heads->empty());
  const std::filesystem::path path = folder.file("t.safetensors");
  AtomicFile out(path);
  write_trace(out, t, *heads, ids, open.model.config(), {{"command", "a test"}});
  out.commit();
  const Checkpoint file = Checkpoint::open(path);
  ASSERT_NE(file.find("hidden"), nullptr);
  EXPECT_THAT(file.find("hidden")->shape, testing::ElementsAre(4, 3, 24));
  EXPECT_NE(file.find("state_wkv"), nullptr);
  t.hidden[(2 * 3 + 1) * 24] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(nonfinite_note(t).value_or(""), HasSubstr("not finite from token 2 of layer 2 on"));
}

TEST(EmbeddingFile, EveryFormatHoldsTheSameNumbers) {
  const TempFolder folder;
  // Two layers, two texts that come one by one, dim 2.
  const std::vector<float> first = {1, 2, 5, 6}, second = {3, 4, 7, 8};
  const auto write = [&](const char* name) {
    const std::filesystem::path path = folder.file(name);
    OutputSet outputs;
    expect_embedding_file(outputs, path);
    const auto file = open_embedding_file(path, {.layers = {"1", "final"}, .n_text = 2, .dim = 2},
                                          {{"by", "a test"}}, outputs);
    const std::vector<EmbeddedRow> rows = {{.line = 1}, {.line = 4}};
    file->add(first, std::span(rows).first(1));
    file->add(second, std::span(rows).last(1));
    file->finish();
    outputs.commit();
    return path;
  };
  EXPECT_EQ(read_whole(write("e.csv")),
            "line,layer,e0,e1\n1,1,1,2\n1,final,5,6\n4,1,3,4\n4,final,7,8\n");
  // Many layers have the key of one; the old key stays for this version.
  const std::string one = R"({"1":[1,2],"final":[5,6]})", other = R"({"1":[3,4],"final":[7,8]})";
  EXPECT_EQ(read_whole(write("e.jsonl")), R"({"line":1,"embedding":)" + one + R"(,"embeddings":)" +
                                              one + "}\n" + R"({"line":4,"embedding":)" + other +
                                              R"(,"embeddings":)" + other + "}\n");
  const NpyArray npy = read_npy(write("e.npy"));
  EXPECT_THAT(npy.shape, testing::ElementsAre(2, 2, 2));
  EXPECT_THAT(npy.values, testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(read_whole(folder.file("e.npy.json")), HasSubstr("a test"));
  const Checkpoint file = Checkpoint::open(write("e.safetensors"));
  std::vector<float> values(4);
  read_f32(*file.find("layer.final"), 0, 4, values);
  EXPECT_THAT(values, testing::ElementsAre(5, 6, 7, 8));
  OutputSet outputs;
  EXPECT_THAT(error_of([&] { expect_embedding_file(outputs, folder.file("e.txt")); }),
              HasSubstr("expected a file ending in .npy"));
}

TEST(DepthLog, HasARowATextAndGapsWhereNothingWasDecided) {
  DepthTrace stopped;
  stopped.exit_layer = 2;
  stopped.n_time_mix = 2;
  stopped.n_channel_mix = 1;
  stopped.predicted_class = 1;
  stopped.confidence = 0.5F;
  const std::vector<DepthTrace> trace = {stopped};
  const std::vector<size_t> line = {7};
  EXPECT_EQ(trace_csv(line, trace),
            "line,exit_layer,time_mix,channel_mix,route,class,value,confidence\n"
            "7,2,2,1,,1,,0.5\n");
}

}  // namespace
}  // namespace fathom::test::model_files_test
