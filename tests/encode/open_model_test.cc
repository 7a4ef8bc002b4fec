// SPDX-License-Identifier: Apache-2.0
// OpenModel: a model with its tokenizer and a workspace, and what is told of its opening.
#include "encode/open_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "encode/describe.h"
#include "model/byte_model.h"

namespace fathom::test::open_model_test {
namespace {

using testing::Contains;
using testing::HasSubstr;

TEST(OpenModel, HasEverythingThatTextsNeed) {
  const TempFolder folder;
  OpenModel open({.model = byte_model(folder), .options = {.n_thread = 2}});
  EXPECT_EQ(open.model.config().n_layer, 3u);
  EXPECT_EQ(open.work.pool().size(), 2u);
  EXPECT_EQ(open.tokenizer().encode("ab").size(), 2u);
  EXPECT_GT(open.seconds, 0);
  const Encoder encoder(open.model, {Reading{.layers = {1}}});
  std::vector<float> vector(encoder.dim());
  const std::vector<std::vector<Token>> ids = {open.tokenizer().encode("ab")};
  encoder.encode(ids, vector, open.work);
  EXPECT_NE(vector, std::vector<float>(encoder.dim()));
}

TEST(OpenModel, TellsWhatBecameOfTheDtype) {
  const TempFolder folder;
  std::vector<std::string> notes;
  const OpenModel open({.model = byte_model(folder), .options = {.compute = Compute::kInt8}},
                       [&](const std::string& note) { notes.push_back(note); });
  EXPECT_EQ(notes, open.model.info().messages);
  EXPECT_THAT(notes, Contains(HasSubstr("f32"))) << "a small model is computed in f32";
}

TEST(OpenModel, RefusesWhatIsNoModel) {
  const TempFolder folder;
  const std::string missing = folder.file("no.safetensors");
  EXPECT_THAT(error_of([&] { OpenModel({.model = missing}); }), HasSubstr(missing));
  EXPECT_THROW(OpenModel({.model = byte_model(folder), .backend = "gpu"}), UsageError);
}

TEST(Describe, SaysWhichModelAndHowTextsAreRead) {
  const TempFolder folder;
  const OpenModel open({.model = byte_model(folder)});
  const OrderedJson model = describe(open.model);
  EXPECT_EQ(model["n_layer"], 3);
  EXPECT_EQ(model["dtype"], "f32");
  const OrderedJson how =
      describe(EncodeOptions{Reading{.layers = {0, 4}, .bos = 0}}, open.model.config());
  EXPECT_EQ(how["layers"], (OrderedJson{0, "final"}));
  EXPECT_EQ(how["bos"], 0);
  EXPECT_FALSE(how.contains("eos")) << "of --pool eos alone";
}

TEST(Describe, SumsUpWhatAPolicyDid) {
  std::vector<DepthTrace> trace(2);
  trace[0].exit_layer = 1;
  trace[0].n_time_mix = trace[0].n_channel_mix = 1;
  trace[1].exit_layer = 3;
  trace[1].n_time_mix = trace[1].n_channel_mix = 3;
  const OrderedJson j = summarise(trace, 4);
  EXPECT_EQ(j["n_text"], 2);
  EXPECT_EQ(j["mean_exit_layer"], 2);
  EXPECT_EQ(j["texts_by_exit_layer"], (OrderedJson{{"1", 1}, {"3", 1}}));
  EXPECT_EQ(j["share_of_halves"], 0.5);
}

}  // namespace
}  // namespace fathom::test::open_model_test
