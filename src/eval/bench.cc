// SPDX-License-Identifier: Apache-2.0
#include "eval/bench.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>

#include "base/buffer.h"
#include "base/error.h"
#include "base/random.h"

namespace fathom {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

size_t index_of(Compute compute) {
  const auto i = static_cast<size_t>(compute);
  FATHOM_ASSERT(i < kComputeCount);
  return i;
}

// Runs product calls again, and nothing else.
class Ceiling {
 public:
  Ceiling(const Backend& backend, std::span<const ProductCall> calls, ThreadPool& pool)
      : backend_(backend), calls_(calls), pool_(pool) {
    size_t n_result = 0;
    for (const ProductCall& call : calls) {
      const PackedWeight& w = *call.weight;
      const size_t i = find(w);
      if (i == sides_.size()) sides_.push_back({backend.operand_type(w.compute), w.n_in});
      sides_[i].rows = std::max(sides_[i].rows, call.rows);
      n_result = std::max(n_result, padded_rows(call.rows) * w.n_out);
    }
    result_.reserve_discard(n_result);
    for (size_t i = 0; i < sides_.size(); ++i) prepare(i);
  }

  ByCompute run() const {
    ByCompute seconds{};
    for (const ProductCall& call : calls_) {
      const PackedWeight& w = *call.weight;
      Operand x = sides_[find(w)].x;
      x.rows = call.rows;
      const Clock::time_point begin = Clock::now();
      backend_.matmul(pool_, x, w, {.y = {result_.data(), call.rows, w.n_out}});
      seconds[index_of(w.compute)] += seconds_since(begin);
    }
    return seconds;
  }

 private:
  // Random numbers as the left-hand operand of all products of this kind and width.
  struct LeftSide {
    Compute type = Compute::kF32;
    size_t n_in = 0, rows = 0;
    Operand x = {};
  };

  // Its place in sides_, or their number if it has none yet.
  size_t find(const PackedWeight& w) const {
    const auto same = [&](const LeftSide& side) {
      return side.type == backend_.operand_type(w.compute) && side.n_in == w.n_in;
    };
    return static_cast<size_t>(std::ranges::find_if(sides_, same) - sides_.begin());
  }
  void prepare(size_t i) {
    // A workspace knows what an operand of any kind consists of; which of its names is taken for
    // which width is of no importance here.
    FATHOM_ASSERT(i < Workspace::kSlotCount);
    LeftSide& side = sides_[i];
    side.x = operands_.operand(static_cast<Workspace::Slot>(i), side.rows, side.n_in, side.type);
    Buffer<float> numbers(padded_rows(side.rows) * side.n_in);
    Random random(1);
    for (float& v : numbers.span()) v = static_cast<float>(random.next() >> 40) * 0x1p-23f - 1;
    backend_.convert(pool_, {numbers.data(), side.rows, side.n_in}, Activation::kNone, side.x);
  }

  const Backend& backend_;
  std::span<const ProductCall> calls_;
  ThreadPool& pool_;
  Workspace operands_{1};
  std::vector<LeftSide> sides_;
  Buffer<float> result_;  // the largest (rows, n_out)
};

EncodeOptions with_budget(EncodeOptions options, const Workload& workload) {
  options.batch_tokens = workload.batch_tokens;
  return options;
}

EncodeOptions with_all_layers(EncodeOptions options, const Config& config) {
  options.layers = parse_layers("all", config.n_layer);
  if (pools_state(options.pooling)) {  // layer 0 and final have no state
    options.layers.resize(config.n_layer);
    std::iota(options.layers.begin(), options.layers.end(), size_t{1});
  }
  return options;
}

}  // namespace

std::vector<std::vector<Token>> random_sequences(size_t n_token, size_t length, size_t n_vocab) {
  FATHOM_ASSERT(n_token >= 1 && length >= 1 && n_vocab >= 1);
  Random random(1);
  std::vector<std::vector<Token>> sequences;
  for (size_t begin = 0; begin < n_token; begin += length) {
    std::vector<Token>& ids = sequences.emplace_back(std::min(length, n_token - begin));
    for (Token& id : ids) id = static_cast<Token>(random.below(n_vocab));
  }
  return sequences;
}

double BenchSample::part_seconds(Part part) const {
  double sum = 0;
  for (size_t i = 0; i < kOperatorCount; ++i)
    if (part_of(static_cast<Operator>(i)) == part) sum += operators[i].seconds;
  return sum;
}

double BenchSample::rest_seconds() const {
  double rest = seconds - tokenizer_seconds;
  for (const TimedBackend::Tally& tally : operators) rest -= tally.seconds;
  return rest;
}

double BenchSample::ceiling_seconds() const {
  return ceiling ? std::accumulate(ceiling->begin(), ceiling->end(), 0.0) : 0;
}

const BenchSample& BenchResult::pick(
    TimeStatistic statistic, const std::function<double(const BenchSample&)>& seconds) const {
  FATHOM_ASSERT(!samples.empty());
  std::vector<const BenchSample*> sorted;
  for (const BenchSample& s : samples) sorted.push_back(&s);
  std::ranges::sort(sorted, {}, [&](const BenchSample* s) { return seconds(*s); });
  return *sorted[statistic == TimeStatistic::kBest ? 0 : (sorted.size() - 1) / 2];
}

uint64_t BenchResult::total_flop() const {
  return std::accumulate(flop.begin(), flop.end(), uint64_t{0});
}

WorkloadBench::WorkloadBench(const Workload& workload, const Model& model, EncodeOptions options,
                             const Tokenizer* tokenizer, TimedBackend& timed, Workspace& work)
    : workload_(workload),
      model_(model),
      options_(with_budget(std::move(options), workload)),
      encoder_(model, options_),
      tokenizer_(tokenizer),
      timed_(timed),
      work_(work) {
  FATHOM_ASSERT(&model.backend() == &timed && workload.size() > 0);
  FATHOM_ASSERT(workload.texts.empty() || tokenizer != nullptr);
  BenchSample warm_up;
  const EncodeStats stats = encode(encoder_, warm_up);
  calls_ = timed.products();
  result_.n_sequence = workload.size();
  result_.n_token = stats.n_token;
  result_.n_batch = stats.n_batch;
  for (const ProductCall& call : calls_) {
    result_.flop[index_of(call.weight->compute)] += call.flop();
    result_.weight_bytes += call.weight->bytes;
  }
}

EncodeStats WorkloadBench::encode(const Encoder& encoder, BenchSample& sample) {
  // Vectors of a long file at many layers would not fit in memory; nor does `fathom embed` hold
  // more texts at a time.
  constexpr size_t kMaxTexts = 1024;
  const size_t vector_size = encoder.n_vector() * encoder.dim();
  timed_.reset();
  EncodeStats total;
  std::vector<std::vector<Token>> tokenized;
  const Clock::time_point begin = Clock::now();
  for (size_t first = 0; first < workload_.size(); first += kMaxTexts) {
    const size_t n = std::min(kMaxTexts, workload_.size() - first);
    std::span<const std::vector<Token>> ids;
    if (workload_.texts.empty()) {
      ids = std::span(workload_.ids).subspan(first, n);
    } else {
      const Clock::time_point begin_tokenizer = Clock::now();
      tokenized.clear();
      for (size_t i = first; i < first + n; ++i)
        tokenized.push_back(tokenizer_->encode(workload_.texts[i]));
      ids = tokenized;
      sample.tokenizer_seconds += seconds_since(begin_tokenizer);
    }
    if (out_.size() < n * vector_size) out_.resize(n * vector_size);
    total += encoder.encode(ids, std::span(out_).first(n * vector_size), work_);
  }
  sample.seconds = seconds_since(begin);
  return total;
}

const BenchResult& WorkloadBench::run(const BenchOptions& options,
                                      const std::function<void(double)>& progress) {
  FATHOM_ASSERT(options.n_repeat >= 1);
  std::optional<Ceiling> ceiling;
  if (options.ceiling) {
    ceiling.emplace(timed_.inner(), calls_, work_.pool());
    ceiling->run();  // to warm up
  }
  std::optional<Encoder> all_layers;
  BenchSample other;
  if (options.all_layers) {
    all_layers.emplace(model_, with_all_layers(options_, model_.config()));
    encode(*all_layers, other);
  }

  result_.samples.clear();
  for (double seconds = 0;
       result_.samples.size() < options.n_repeat || seconds < options.min_seconds;) {
    BenchSample sample;
    encode(encoder_, sample);
    sample.operators = timed_.tallies();
    for (const ProductCall& call : timed_.products())
      sample.product_seconds[index_of(call.weight->compute)] += call.seconds;
    if (ceiling) sample.ceiling = ceiling->run();
    if (all_layers) {
      encode(*all_layers, other);
      sample.all_layers_seconds = other.seconds;
    }
    seconds += sample.seconds;
    result_.samples.push_back(sample);
    if (progress)
      progress(std::min(
          {1.0, static_cast<double>(result_.samples.size()) / static_cast<double>(options.n_repeat),
           options.min_seconds > 0 ? seconds / options.min_seconds : 1.0}));
  }
  return result_;
}

double memory_read_rate(ThreadPool& pool) {
  constexpr size_t kBytes = size_t{256} << 20, kTask = size_t{1} << 20;
  constexpr size_t kPerTask = kTask / sizeof(uint64_t);
  const Buffer<uint64_t> memory(kBytes / sizeof(uint64_t));
  std::atomic<uint64_t> sum{0};  // somebody has to want the numbers
  double best = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const Clock::time_point begin = Clock::now();
    pool.run(kBytes / kTask, [&](size_t task) {
      const auto part = memory.span().subspan(task * kPerTask, kPerTask);
      sum.fetch_add(std::accumulate(part.begin(), part.end(), uint64_t{0}),
                    std::memory_order_relaxed);
    });
    best = std::max(best, static_cast<double>(kBytes) / seconds_since(begin));
  }
  FATHOM_ASSERT(sum.load() == 0);
  return best;
}

}  // namespace fathom
