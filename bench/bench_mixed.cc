// SPDX-License-Identifier: Apache-2.0
// What it costs that texts of one batch are read in different ways: a mix, of as many texts of each
// way, beside the mean of what all the texts cost when they are read in one of the ways. Runs
// alternate, and medians of CPU time are compared, because machines are noisy.
//
//   bench_mixed MODEL [--dtype bf16] [--threads 1] [--batch-tokens 1024] [--texts 512] [--repeat 15]
//
//   poolings   mean, last, max and weighted, with and without ln_out, at the last layer
//   policies   fixed, mask and exit policies that run to the last layer
//   depths     a half, three quarters and all of the layers
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

struct Way {
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

using Texts = std::vector<std::vector<Token>>;

// CPU seconds of all texts, text i read in way i modulo their number.
double seconds(const Encoder& encoder, const Texts& texts, std::span<const Way> ways,
               Workspace& work) {
  std::vector<Request> requests;
  std::vector<std::vector<float>> out(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const Way& way = ways[i % ways.size()];
    out[i].resize(encoder.model().config().d_model);
    requests.push_back({texts[i], &way.reading, way.policy, out[i]});
  }
  const std::clock_t start = std::clock();
  encoder.encode(requests, work);
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void compare(const char* name, const Encoder& encoder, const Texts& texts,
             const std::vector<Way>& ways, size_t n_repeat, Workspace& work) {
  std::vector<double> mixed, uniform, ratio;
  for (size_t i = 0; i <= n_repeat; ++i) {  // one to warm up
    const double mix = seconds(encoder, texts, ways, work);
    double sum = 0;
    for (const Way& way : ways) sum += seconds(encoder, texts, {&way, 1}, work);
    if (i == 0) continue;
    mixed.push_back(mix);
    uniform.push_back(sum / static_cast<double>(ways.size()));
    ratio.push_back(mixed.back() / uniform.back());
  }
  std::printf("%-10s %10.4f %10.4f %12.2f%% %16.2f%%\n", name, median(uniform), median(mixed),
              100 * (median(mixed) / median(uniform) - 1), 100 * (median(ratio) - 1));
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

  std::vector<Way> poolings;
  for (Pooling pooling : {Pooling::kMean, Pooling::kLast, Pooling::kMax, Pooling::kWeighted})
    for (Norm norm : {Norm::kNone, Norm::kLnOut})
      poolings.push_back({{.layers = {n_layer}, .pooling = pooling, .norm = norm}});
  compare("poolings", encoder, texts, poolings, s.n_repeat, work);

  const FixedDepth fixed(n_layer);
  const MaskedDepth mask("mask", BlockMask::all(n_layer));
  const EarlyExit exit("exit", never(n_layer));
  compare("policies", encoder, texts, {{{}, &fixed}, {{}, &mask}, {{}, &exit}}, s.n_repeat, work);

  std::vector<Way> depths;
  for (size_t layer : {(n_layer + 1) / 2, (3 * n_layer + 3) / 4, n_layer})
    depths.push_back({{.layers = {layer}}});
  compare("depths", encoder, texts, depths, s.n_repeat, work);
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
