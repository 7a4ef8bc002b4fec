// SPDX-License-Identifier: Apache-2.0
// Does early exit save as much wall-clock time as FLOPs? Half of the sentences stop at half depth,
// the others run to the end, against all of them running to the end; packed, and one sentence a
// call. Calls of both kinds alternate, and of each call the best of the repeats counts: the rest is
// what a busy machine adds. With --threads 1 the processor time of the process is a second witness.
//
//   bench_depth MODEL [--dtype bf16] [--sentences 64] [--tokens 8-48] [--repeats 5] [--threads N]
//               [--batch-tokens 1024]
//
// Prints FLOPs saved, time saved and their ratio, which is 1 if nothing is lost. Token ids are
// random: what they are does not change the work.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "depth/mask.h"
#include "encode/encoder.h"
#include "eval/cost.h"

namespace fathom {
namespace {

struct Settings {
  std::string model, dtype = "f32";
  size_t n_sentence = 64, shortest = 8, longest = 48, n_repeat = 5, n_thread = available_threads(),
         batch_tokens = 1024;
};

Settings parse(int argc, char** argv) {
  Settings s;
  const std::map<std::string, size_t*> numbers = {{"--sentences", &s.n_sentence},
                                                  {"--repeats", &s.n_repeat},
                                                  {"--threads", &s.n_thread},
                                                  {"--batch-tokens", &s.batch_tokens}};
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (!flag.starts_with("--")) {
      s.model = flag;
      continue;
    }
    if (i + 1 == argc) throw UsageError(flag + ": expected a value");
    const std::string value = argv[++i];
    if (flag == "--dtype")
      s.dtype = value;
    else if (flag == "--tokens")
      s.shortest = std::stoul(value), s.longest = std::stoul(value.substr(value.find('-') + 1));
    else if (const auto at = numbers.find(flag); at != numbers.end())
      *at->second = std::stoul(value);
    else
      throw UsageError("unknown flag " + flag);
  }
  if (s.model.empty() || s.n_sentence < 2 || s.shortest < 1 || s.longest < s.shortest ||
      s.n_repeat < 1 || s.n_thread < 1)
    throw UsageError(
        "usage: bench_depth MODEL [--dtype bf16] [--sentences 64] [--tokens 8-48] ...");
  return s;
}

Compute compute_of(const std::string& name) {
  for (Compute c : {Compute::kF32, Compute::kBF16, Compute::kInt8})
    if (name == name_of(c)) return c;
  throw UsageError("--dtype: expected f32, bf16 or int8, got " + name);
}

// Sentences whose first pooled number at layer 0 lies below `median` stop at `half`, where they are
// pooled as an exit head would want it.
class HalfStops final : public DepthPolicy {
 public:
  HalfStops(float median, size_t half) : median_(median), half_(half) {}
  std::string name() const override { return "half of the sentences at half depth"; }
  bool reads_pooled(size_t layer) const override { return layer == 0 || layer == half_; }
  size_t scratch() const override { return 1; }
  void decide(const Boundary& at, std::span<Step> steps) const override {
    for (size_t s = 0; s < steps.size(); ++s) {
      if (at.layer == 0) at.scratch.row(s)[0] = at.pooled.row(s)[0] < median_;
      steps[s] = at.layer == half_ && at.scratch.row(s)[0] != 0 ? Step::kStop : Step::kBlock;
    }
  }

 private:
  float median_;
  size_t half_;
};

using Texts = std::vector<std::vector<Token>>;

Texts random_texts(const Settings& s, size_t n_vocab) {
  Random random(1);
  Texts texts(s.n_sentence);
  for (auto& text : texts) {
    text.resize(s.shortest + random.below(s.longest - s.shortest + 1));
    for (Token& id : text) id = static_cast<Token>(random.below(n_vocab));
  }
  return texts;
}

// The median of the first number of the layer-0 vectors: half of the sentences lie below it.
float median_at_layer_0(const Model& model, const Texts& texts, Workspace& work) {
  EncodeOptions options;
  options.layers = {0};
  const Encoder encoder(model, options);
  std::vector<float> out(texts.size() * encoder.dim()), first;
  encoder.encode(texts, out, work);
  for (size_t i = 0; i < texts.size(); ++i) first.push_back(out[i * encoder.dim()]);
  std::ranges::sort(first);
  return first[first.size() / 2];
}

struct Seconds {
  double wall = 0, cpu = 0;  // cpu: of all threads of the process, waiting ones too
};

Seconds seconds(const Encoder& encoder, std::span<const std::vector<Token>> texts,
                Workspace& work) {
  std::vector<float> out(texts.size() * encoder.dim());
  const std::clock_t cpu = std::clock();
  const auto start = std::chrono::steady_clock::now();
  encoder.encode(texts, out, work);
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  return {wall.count(), static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC};
}

struct Measured {
  Seconds full, half;
};

// `group` texts a call: the best of the repeats of every call, added up.
Measured measure(const Encoder& full, const Encoder& half, const Texts& texts, size_t group,
                 size_t n_repeat, Workspace& work) {
  const auto keep_best = [](Seconds& best, const Seconds& s) {
    best = {std::min(best.wall, s.wall), std::min(best.cpu, s.cpu)};
  };
  Measured sum;
  for (size_t begin = 0; begin < texts.size(); begin += group) {
    const auto call = std::span(texts).subspan(begin, std::min(group, texts.size() - begin));
    Measured best{{1e9, 1e9}, {1e9, 1e9}};
    for (size_t i = 0; i <= n_repeat; ++i) {  // one to warm up
      const Seconds a = seconds(full, call, work), b = seconds(half, call, work);
      if (i == 0) continue;
      keep_best(best.full, a);
      keep_best(best.half, b);
    }
    sum.full = {sum.full.wall + best.full.wall, sum.full.cpu + best.full.cpu};
    sum.half = {sum.half.wall + best.half.wall, sum.half.cpu + best.half.cpu};
  }
  return sum;
}

void run(const Settings& s) {
  ModelOptions model_options;
  model_options.compute = compute_of(s.dtype);
  const Model model = Model::open(s.model, backend(), model_options);
  const size_t n_layer = model.config().n_layer;
  const Texts texts = random_texts(s, model.config().n_vocab);
  Workspace work(s.n_thread);

  EncodeOptions options;
  options.batch_tokens = s.batch_tokens;
  const HalfStops policy(median_at_layer_0(model, texts, work), n_layer / 2);
  const Encoder half(model, options, &policy);
  options.layers = {n_layer};
  const Encoder full(model, options);

  std::vector<DepthTrace> trace(texts.size());
  std::vector<float> out(texts.size() * full.dim());
  half.encode(texts, out, work, {}, trace);
  const CostModel cost = cost_model(model.config());
  const FixedDepth to_the_end(n_layer);
  const DepthTrace all{.exit_layer = static_cast<uint32_t>(n_layer),
                       .n_time_mix = static_cast<uint32_t>(n_layer),
                       .n_channel_mix = static_cast<uint32_t>(n_layer)};
  double half_flops = 0, full_flops = 0;
  size_t n_token = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    half_flops += depth_flops(cost, policy, trace[i], texts[i].size());
    full_flops += depth_flops(cost, to_the_end, all, texts[i].size());
    n_token += texts[i].size();
  }
  const double flops_saved = 1 - half_flops / full_flops;
  std::printf("%s, %s, %zu layers of %zu, %zu threads, %zu sentences, %zu tokens\n",
              s.model.c_str(), std::string(name_of(model.compute())).c_str(), n_layer,
              model.config().d_model, s.n_thread, texts.size(), n_token);
  std::printf("%-10s %10s %10s %12s %12s %14s %12s %14s\n", "", "full s", "half s", "FLOPs saved",
              "time saved", "time / FLOPs", "CPU saved", "CPU / FLOPs");
  for (const auto& [name, group] :
       {std::pair<const char*, size_t>{"packed", texts.size()}, {"batch 1", 1}}) {
    const Measured m = measure(full, half, texts, group, s.n_repeat, work);
    const double wall = 1 - m.half.wall / m.full.wall, cpu = 1 - m.half.cpu / m.full.cpu;
    std::printf("%-10s %10.3f %10.3f %11.1f%% %11.1f%% %14.3f %11.1f%% %14.3f\n", name, m.full.wall,
                m.half.wall, 100 * flops_saved, 100 * wall, wall / flops_saved, 100 * cpu,
                cpu / flops_saved);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace fathom

int main(int argc, char** argv) {
  try {
    fathom::run(fathom::parse(argc, argv));
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "bench_depth: " << e.what() << '\n';
    return 1;
  }
}
