// SPDX-License-Identifier: Apache-2.0
// The end of a text: which token is put there, and where the vectors are pooled.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "depth/policy_file.h"
#include "encode/depth_encode.h"
#include "encode/task_heads.h"

namespace fathom::test::eos_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr Token kEnd = 36;

// Texts without kEnd.
Texts open_texts() {
  Texts texts = some_texts();
  for (auto& t : texts)
    for (Token& id : t) id %= kEnd;
  return texts;
}

Texts with_end(Texts texts, std::optional<Token> front = std::nullopt) {
  for (auto& t : texts) {
    if (front) t.insert(t.begin(), *front);
    t.push_back(kEnd);
  }
  return texts;
}

EncodeOptions options_for(Pooling pooling, std::optional<Token> eos = kEnd) {
  EncodeOptions options = all_layers(3);
  options.pooling = pooling;
  options.eos = eos;
  return options;
}

TEST(Eos, AnyTokenMayEndATextAndIsPooledThere) {
  for (const Backend* backend : {&cpu_backend(), &reference_backend()}) {
    const Model model = open_blinkdl(small(Version::kV7), *backend);
    const Encoded got = encode(model, options_for(Pooling::kEos), open_texts());
    const Encoded want = encode(model, options_for(Pooling::kLast), with_end(open_texts()));
    EXPECT_TRUE(same_bits(got.values, want.values)) << backend->name();
    EXPECT_EQ(got.stats.n_token, want.stats.n_token);
    // One that is there already is not put there again.
    const Encoded ended = encode(model, options_for(Pooling::kEos), with_end(open_texts()));
    EXPECT_TRUE(same_bits(ended.values, want.values));
  }
  EXPECT_EQ(scanned_tokens(7, options_for(Pooling::kEos)), 8u);
}

TEST(Eos, EveryTokenThatIsTheEndCounts) {
  const SyntheticModel m = small(Version::kV7);
  const Model model = open_blinkdl(m, reference_backend());
  std::vector<Token> text = {3, kEnd, 5, 7, kEnd, 2};
  LiteralRwkv rwkv(m);
  std::vector<Token> fed = text;
  fed.push_back(kEnd);
  rwkv.feed(fed);
  EncodeOptions options = options_for(Pooling::kEos);
  options.layers = {2};
  const Encoded got = encode(model, options, {text});
  std::vector<double> want(40);
  for (size_t i = 0; i < 40; ++i)
    for (size_t t : {1, 4, 6}) want[i] += rwkv.hidden[2][t * 40 + i] / 3;
  EXPECT_LE(relative_error(got.values, want), 2e-5);
}

TEST(Eos, NoneAppendsNothingAndPoolsTheLastToken) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  const Texts texts = some_texts();
  for (Scan scan : {Scan::kForward, Scan::kReverse, Scan::kBoth, Scan::kEcho}) {
    EncodeOptions none = options_for(Pooling::kEos, std::nullopt),
                  last = options_for(Pooling::kLast);
    none.scan = last.scan = scan;
    none.batch_tokens = last.batch_tokens = 13;
    const Encoded got = encode(model, none, texts), want = encode(model, last, texts);
    EXPECT_TRUE(same_bits(got.values, want.values)) << name_of(scan);
    EXPECT_EQ(got.stats.n_token, want.stats.n_token);
    EXPECT_EQ(scanned_tokens(7, none), scanned_tokens(7, last));
  }
}

// rwkv-metal's models end a text with the id that also stands in front of it.
TEST(Eos, ABosOfTheSameIdIsNoEnd) {
  const Model model = open_blinkdl(small(Version::kV7), cpu_backend());
  for (Scan scan : {Scan::kForward, Scan::kReverse, Scan::kEcho})
    for (size_t budget : {1024, 7}) {
      EncodeOptions eos = options_for(Pooling::kEos), last = options_for(Pooling::kLast);
      eos.bos = kEnd;
      eos.scan = last.scan = scan;
      eos.batch_tokens = last.batch_tokens = budget;
      Texts texts = open_texts(), read = texts;
      if (scan == Scan::kReverse) {  // the same, put down in the order in which it is read
        read = reversed_tokens(texts);
        last.scan = Scan::kForward;
      }
      const Encoded got = encode(model, eos, texts);
      const Encoded want = encode(model, last, with_end(read, kEnd));
      EXPECT_TRUE(same_bits(got.values, want.values)) << name_of(scan) << " " << budget;
    }
}

TEST(Eos, UnderADepthPolicy) {
  const Model model = open_blinkdl(small(Version::kV7), cpu_backend());
  if (!model.backend().rows_are_exact(Compute::kF32)) GTEST_SKIP() << "products are not exact";
  for (std::optional<Token> bos : {std::optional<Token>(), std::optional<Token>(kEnd)}) {
    EncodeOptions eos, last;
    eos.pooling = Pooling::kEos;
    eos.eos = kEnd;
    eos.bos = bos;
    last.pooling = Pooling::kLast;
    const ErraticPolicy policy;
    const DepthEncoded got = encode_depth(model, policy, eos, open_texts());
    const DepthEncoded want = encode_depth(model, policy, last, with_end(open_texts(), bos));
    EXPECT_TRUE(same_bits(got.values, want.values));
  }
}

TEST(Eos, HasToBeInTheVocabulary) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());  // 37 ids
  EXPECT_NO_THROW(Encoder(model, options_for(Pooling::kEos, 36)));
  EXPECT_NO_THROW(Encoder(model, options_for(Pooling::kEos, std::nullopt)));
  EXPECT_THAT([&] { Encoder(model, options_for(Pooling::kEos, 37)); },
              ThrowsMessage<UsageError>(
                  AllOf(HasSubstr("n_vocab is 37"), HasSubstr("eos: "), HasSubstr("got 37"))));
  // The default is EmbeddingRWKV's, and other poolings do not look at it.
  EncodeOptions usual = all_layers(3);
  EXPECT_NO_THROW(Encoder(model, usual));
  usual.pooling = Pooling::kEos;
  EXPECT_THAT([&] { Encoder(model, usual); },
              ThrowsMessage<UsageError>(AllOf(HasSubstr("got 65535"), HasSubstr("EmbeddingRWKV"))));
}

TEST(Eos, TraceReadsTheSameRows) {
  const Token ids[] = {9, 4, 9, 5};
  const float rows[] = {1, 2, 3, 4};
  const Matrix<const float> x(rows, 4, 1);
  EXPECT_EQ(mean_at_eos(ids, x, {.id = 9}), std::vector<float>{2});
  EXPECT_EQ(mean_at_eos(ids, x, {.id = 9, .has_bos = true}), std::vector<float>{3});
  EXPECT_EQ(mean_at_eos(ids, x, {.id = std::nullopt}), std::vector<float>{4});
  EXPECT_EQ(mean_at_eos(ids, x, {.id = 7}), std::nullopt);
  EXPECT_EQ(mean_at_eos(ids, x), std::nullopt);
}

TEST(Eos, PolicyFilesKeepIt) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  const TempFolder folder;
  const std::string path = folder.file("p.json");
  PolicyFile file;
  file.model = fingerprint_of(model);
  file.rule = BlockMask::all(3);
  const auto read_back = [&] {
    write_policy_file(path, file);
    return read_policy_file(path).reading.eos;
  };
  EXPECT_EQ(read_back(), kEosToken);
  EXPECT_FALSE(to_json(file)["embedding"].contains("eos")) << "of no use to other poolings";
  file.reading.pooling = Pooling::kEos;
  EXPECT_EQ(read_back(), kEosToken);
  EXPECT_EQ(to_json(file)["embedding"]["eos"], 65535);
  file.reading.eos = 0;
  EXPECT_EQ(read_back(), Token{0});
  file.reading.eos = std::nullopt;
  EXPECT_EQ(read_back(), std::nullopt);
  EXPECT_EQ(to_json(file)["embedding"]["eos"], "none");
  // Files from before there was a choice.
  OrderedJson old = to_json(file);
  old["embedding"].erase("eos");
  const std::string without = dump_json(old);
  EXPECT_EQ(parse_policy_file(std::as_bytes(std::span(without))).reading.eos, kEosToken);
  old["embedding"]["eos"] = "0";
  const std::string text = old.dump();
  EXPECT_THAT([&] { parse_policy_file(std::as_bytes(std::span(text))); },
              ThrowsMessage<Error>(HasSubstr("embedding.eos")));
}

}  // namespace
}  // namespace fathom::test::eos_test
