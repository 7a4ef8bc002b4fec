// SPDX-License-Identifier: Apache-2.0
#include "formats/wrapper_names.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "formats/build_files.h"
#include "formats/temp_folder.h"

namespace fathom::wrapper_names_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Names = std::vector<std::string>;

Names strip(const Names& names, std::vector<std::string>* notes = nullptr) {
  std::vector<Tensor> tensors(names.size());
  for (size_t i = 0; i < names.size(); ++i) tensors[i].name = names[i];
  std::vector<std::string> said;
  strip_wrapper_names(tensors, notes ? *notes : said);
  Names out;
  for (const Tensor& t : tensors) out.push_back(t.name);
  return out;
}

Names with_prefix(const std::string& prefix, Names names) {
  for (std::string& name : names) name.insert(0, prefix);
  return names;
}

const Names kBlinkDl = {"emb.weight", "blocks.0.ln0.weight", "blocks.1.att.r_k", "head.weight"};
const Names kHuggingFace = {"rwkv.embeddings.weight", "rwkv.blocks.0.ln1.weight",
                            "rwkv.ln_out.weight", "head.weight"};
const Names kFla = {"model.embeddings.weight", "model.layers.0.attn.r_k", "lm_head.weight"};
const Names kNative = {"rwkv7.emb.weight", "rwkv7.blocks.0.att.r_k", "head.weight"};
const Names kReranker = {"reranker.token.weight", "reranker.blocks.0.att.r_k",
                         "reranker.head.0.weight"};
const Names kEmbedding = {"rwkv.emb.weight", "rwkv.blocks.0.att.r_k", "head.cls_head.fc1.weight"};

TEST(WrapperNames, LeavesEveryLayoutAsItIs) {
  for (const Names& layout : {kBlinkDl, kHuggingFace, kFla, kNative, kReranker, kEmbedding}) {
    std::vector<std::string> notes;
    EXPECT_EQ(strip(layout, &notes), layout);
    EXPECT_THAT(notes, IsEmpty());
  }
}

TEST(WrapperNames, TakesOffPrefixesOfEveryLayout) {
  for (const Names& layout : {kBlinkDl, kHuggingFace, kFla, kNative, kReranker, kEmbedding})
    for (const char* prefix :
         {"module.", "_orig_mod.", "_forward_module.", "_fsdp_wrapped_module.", "student.",
          "module.module.", "module._orig_mod.", "_forward_module._orig_mod.module.",
          "_fsdp_wrapped_module._fpw_module.", "net.backbone.", "_orig_mod.student.", "model.x."}) {
      std::vector<std::string> notes;
      EXPECT_EQ(strip(with_prefix(prefix, layout), &notes), layout) << prefix;
      EXPECT_THAT(notes, testing::Not(IsEmpty()));
    }
}

TEST(WrapperNames, TakesOffALayoutsPrefixWhereItIsAWrapper) {
  std::vector<std::string> notes;
  EXPECT_EQ(strip(with_prefix("model.", kBlinkDl), &notes), kBlinkDl);
  EXPECT_THAT(notes, ElementsAre("stripped prefix 'model.' from all names"));
  EXPECT_EQ(strip(with_prefix("rwkv.", kBlinkDl)), kBlinkDl);
  EXPECT_EQ(strip(with_prefix("model.model.", kBlinkDl)), kBlinkDl);
  EXPECT_EQ(strip(with_prefix("model.", kHuggingFace)), kHuggingFace);
  EXPECT_EQ(strip(with_prefix("model.", kFla)), kFla);
  EXPECT_EQ(strip(with_prefix("_forward_module.model.", kFla)), kFla);
  // An embedding model of fla has no head: the prefix is its own.
  const Names headless = {"model.embeddings.weight", "model.layers.0.attn.r_k"};
  EXPECT_EQ(strip(headless), headless);
}

TEST(WrapperNames, TakesOffWrappersInTheMiddle) {
  std::vector<std::string> notes;
  EXPECT_EQ(strip({"_fsdp_wrapped_module.emb.weight",
                   "_fsdp_wrapped_module.blocks.0._fsdp_wrapped_module.att.r_k",
                   "_fsdp_wrapped_module.blocks.1._checkpoint_wrapped_module.ffn._orig_mod.x_k",
                   "head.weight"},
                  &notes),
            (Names{"emb.weight", "blocks.0.att.r_k", "blocks.1.ffn.x_k", "head.weight"}));
  EXPECT_THAT(notes, ElementsAre(AllOf(HasSubstr("_fsdp_wrapped_module."), HasSubstr("_orig_mod."),
                                       HasSubstr("from 3 names"))));
}

TEST(WrapperNames, OthersBesideTheModelKeepTheirs) {
  EXPECT_EQ(strip({"student.emb.weight", "student.blocks.0.att.r_k", "loss.weight"}),
            (Names{"emb.weight", "blocks.0.att.r_k", "loss.weight"}));
}

TEST(WrapperNames, NeverMakesTwoNamesOne) {
  for (const Names& names : {Names{"emb.weight", "module.emb.weight", "blocks.0.att.r_k"},
                             Names{"student.emb.weight", "student.blocks.0.att.r_k", "emb.weight"},
                             Names{"student.emb.weight", "student.blocks.0.x", "teacher.emb.weight",
                                   "teacher.blocks.0.x"}}) {
    std::vector<std::string> notes;
    EXPECT_EQ(strip(names, &notes), names);
    EXPECT_EQ(notes.size(), 1u);
  }
  // Adapters are not taken for a model of another name.
  const Names peft = {"base_model.model.emb.weight", "base_model.model.blocks.0.att.r_k"};
  EXPECT_EQ(strip(peft), peft);
}

TEST(WrapperNames, HoldForSafetensorsTorchFilesAndShards) {
  const test::TempFolder folder;
  const auto one = [](std::string_view name, float value) {
    return test::safetensors(
        concat("{\"", name, R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
        test::data_of<float>({value}));
  };
  folder.write("a.safetensors", one("module.emb.weight", 1));
  folder.write("b.safetensors", one("module.blocks.0.att.r_k", 2));
  folder.write("model.safetensors.index.json",
               R"({"weight_map": {"module.emb.weight": "a.safetensors",
                                  "module.blocks.0.att.r_k": "b.safetensors"}})");
  const Checkpoint shards = Checkpoint::open(folder.path());
  ASSERT_NE(shards.find("blocks.0.att.r_k"), nullptr);
  EXPECT_THAT(test::values_of(*shards.find("blocks.0.att.r_k")), ElementsAre(2));
  EXPECT_EQ(shards.find("module.emb.weight"), nullptr);

  namespace p = test::pickle;
  const std::string row = p::tensor(p::storage("FloatStorage", "0", 1), 0, {1}, {1});
  folder.write("m.pth", test::torch_zip(p::dict({{"_orig_mod.x.emb.weight", row},
                                                 {"_orig_mod.x.blocks.0.att.r_k", row}}),
                                        {{"0", test::data_of<float>({3})}}));
  const Checkpoint torch = Checkpoint::open(folder.file("m.pth"));
  ASSERT_NE(torch.find("emb.weight"), nullptr);
  EXPECT_THAT(test::values_of(*torch.find("emb.weight")), ElementsAre(3));
  EXPECT_THAT(torch.notes(),
              ElementsAre(HasSubstr("'_orig_mod.'"), "stripped prefix 'x.' from all names"));
}

}  // namespace
}  // namespace fathom::wrapper_names_test
