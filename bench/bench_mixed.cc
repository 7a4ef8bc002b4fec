// SPDX-License-Identifier: Apache-2.0
// What it costs that texts of one batch are read in different ways: each mix beside the same tokens
// run uniformly. Runs alternate, and medians of CPU time are compared, because machines are noisy.
//
//   bench_mixed MODEL [--dtype bf16] [--threads 1] [--batch-tokens 1024] [--texts 512] [--repeat 15]
//
//   poolings   texts read at the last layer by mean, last, max, weighted and eos of both norms,
//              beside all of them by mean
//   policies   fixed, mask and exit policies that run to the last layer, beside all of them fixed
//   depths     a half, three quarters and all of the layers, text by text, beside three calls, one a
//              depth
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "depth/exit.h"
#include "depth/mask.h"
#include "encode/encoder.h"

namespace fathom {
namespace {

struct Settings {
  std::string model, dtype = "f32";
  size_t n_thread = 1, batch_tokens = 1024, n_text = 512, n_repeat = 15;
};

Compute compute_of(const std::string& name) {
  for (Compute c : {Compute::kF32, Compute::kBF16, Compute::kInt8})
    if (name == name_of(c)) return c;
  throw UsageError("--dtype: expected f32, bf16 or int8, got '" + name + "'");
}

Settings parse(int argc, char** argv) {
  if (argc < 2) throw UsageError("expected a model: bench_mixed MODEL [--dtype bf16] ...");
  Settings s{.model = argv[1]};
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--dtype") {
      s.dtype = argv[i + 1];
      continue;
    }
    size_t* const number = flag == "--threads"        ? &s.n_thread
                           : flag == "--batch-tokens" ? &s.batch_tokens
                           : flag == "--texts"        ? &s.n_text
                           : flag == "--repeat"       ? &s.n_repeat
                                                      : nullptr;
    if (!number) throw UsageError("unknown flag " + flag);
    *number = std::max<size_t>(std::strtoul(argv[i + 1], nullptr, 10), 1);
  }
  return s;
}

// A text and how it is read.
struct Item {
  std::vector<Token> ids;
  Reading reading;
  const DepthPolicy* policy = nullptr;
};

std::vector<std::vector<Token>> random_texts(size_t n, size_t n_vocab) {
  Random random(1);
  std::vector<std::vector<Token>> texts(n);
  for (auto& text : texts) {
    text.resize(8 + random.below(33));
    for (Token& id : text) id = static_cast<Token>(random.below(n_vocab));
  }
  return texts;
}

class Run {
 public:
  Run(const Encoder& encoder, const std::vector<Item>& items) : encoder_(encoder), items_(items) {
    for (const Item& item : items) {
      const VectorShape shape = encoder.shape(item.reading, item.policy);
      out_.emplace_back(shape.n_vector * shape.dim);
    }
  }
  double seconds(Workspace& work) {
    std::vector<Request> requests;
    for (size_t i = 0; i < items_.size(); ++i)
      requests.push_back({.tokens = items_[i].ids,
                          .reading = &items_[i].reading,
                          .policy = items_[i].policy,
                          .out = out_[i]});
    const std::clock_t start = std::clock();
    encoder_.encode(requests, work);
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  }

 private:
  const Encoder& encoder_;
  const std::vector<Item>& items_;
  std::vector<std::vector<float>> out_;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Alternates the mix with the uniform calls, whose times add up.
void compare(const char* name, const Encoder& encoder, const std::vector<Item>& mix,
             const std::vector<std::vector<Item>>& uniform, const Settings& s, Workspace& work) {
  Run mixed(encoder, mix);
  std::vector<Run> apart;
  for (const auto& items : uniform) apart.emplace_back(encoder, items);
  std::vector<double> of_mix, of_uniform, ratio;
  for (size_t i = 0; i <= s.n_repeat; ++i) {  // one to warm up
    const double a = mixed.seconds(work);
    double b = 0;
    for (Run& run : apart) b += run.seconds(work);
    if (i == 0) continue;
    of_mix.push_back(a);
    of_uniform.push_back(b);
    ratio.push_back(a / b);
  }
  std::printf("%-10s %10.4f %10.4f %12.2f%% %16.2f%%\n", name, median(of_uniform), median(of_mix),
              100 * (median(of_mix) / median(of_uniform) - 1), 100 * (median(ratio) - 1));
  std::fflush(stdout);
}

// An exit that nothing passes: pooled and asked at every layer.
ExitRule never(size_t n_layer) {
  ExitRule rule;
  rule.measure = Measure::kSaturation;
  rule.post.resize(n_layer + 1);
  rule.maps.resize(n_layer + 1);
  for (size_t l = 1; l <= n_layer; ++l) rule.exits.push_back({.layer = l, .threshold = 2});
  return rule;
}

void run(const Settings& s) {
  ModelOptions model_options;
  model_options.compute = compute_of(s.dtype);
  const Model model = Model::open(s.model, backend(), model_options);
  const size_t n_layer = model.config().n_layer;
  const auto texts = random_texts(s.n_text, model.config().n_vocab);
  Workspace work(s.n_thread);
  EncodeOptions options;
  options.layers = {n_layer};
  options.batch_tokens = s.batch_tokens;
  const Encoder encoder(model, options);
  std::printf("%s, %s, %zu layers of %zu, %zu threads, %zu texts\n", s.model.c_str(),
              std::string(name_of(model.compute())).c_str(), n_layer, model.config().d_model,
              s.n_thread, texts.size());
  std::printf("%-10s %10s %10s %13s %17s\n", "mix", "uniform s", "mixed s", "of medians",
              "median of ratios");

  std::vector<Item> mix, uniform;
  constexpr Pooling kPoolings[] = {Pooling::kMean, Pooling::kLast, Pooling::kMax,
                                   Pooling::kWeighted};
  for (size_t i = 0; i < texts.size(); ++i) {
    Item item{texts[i], {.layers = {n_layer}}};
    uniform.push_back(item);
    item.reading.pooling = kPoolings[i % 4];
    item.reading.norm = i / 4 % 2 ? Norm::kLnOut : Norm::kNone;
    mix.push_back(item);
  }
  compare("poolings", encoder, mix, {uniform}, s, work);

  const FixedDepth fixed(n_layer);
  BlockMask no_half = BlockMask::all(n_layer);
  const MaskedDepth mask("mask", no_half);
  const EarlyExit exit("exit", never(n_layer));
  const DepthPolicy* const policies[] = {&fixed, &mask, &exit};
  mix.clear();
  std::vector<std::vector<Item>> by_policy(3);
  for (size_t i = 0; i < texts.size(); ++i) {
    mix.push_back({texts[i], {}, policies[i % 3]});
    by_policy[i % 3].push_back(mix.back());
  }
  compare("policies", encoder, mix, by_policy, s, work);

  mix.clear();
  std::vector<std::vector<Item>> by_depth(3);
  const size_t depths[] = {(n_layer + 1) / 2, (3 * n_layer + 3) / 4, n_layer};
  for (size_t i = 0; i < texts.size(); ++i) {
    mix.push_back({texts[i], {.layers = {depths[i % 3]}}, nullptr});
    by_depth[i % 3].push_back(mix.back());
  }
  compare("depths", encoder, mix, by_depth, s, work);
}

}  // namespace
}  // namespace fathom

int main(int argc, char** argv) {
  try {
    fathom::run(fathom::parse(argc, argv));
  } catch (const fathom::Error& e) {
    std::fprintf(stderr, "bench_mixed: %s\n", e.what());
    return 1;
  }
  return 0;
}
