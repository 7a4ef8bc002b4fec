// SPDX-License-Identifier: Apache-2.0
#include "study/own_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/json_fields.h"
#include "depth/policy_file.h"
#include "encode/embed_texts.h"
#include "eval/cost.h"

extern char** environ;

namespace fathom {
namespace {

constexpr Compute kComputes[] = {Compute::kF32, Compute::kBF16, Compute::kInt8};

// What the child process needs to know of a model.
struct ModelJob {
  std::string system = "model", model, backend, vocab, cache, adapter, depth, pool, norm, scan,
              compute, head;
  size_t n_thread = 1, layer = 0, batch_tokens = 1024, together = 1;
  std::optional<double> ln_x_eps, ln_eps, adapter_alpha;
  std::optional<size_t> bos, eos;
  std::vector<std::string> ignore_tensors, texts;
  bool exceed_memory = false;
};

template <class Io>
void list_fields(Io& io, Of<Io, ModelJob>& x) {
  io("system", x.system);
  io("model", x.model);
  io("backend", x.backend);
  io("vocab", x.vocab);
  io("cache", x.cache);
  io("adapter", x.adapter);
  io.optional("adapter_alpha", x.adapter_alpha);
  io("depth", x.depth);
  io("pool", x.pool);
  io("norm", x.norm);
  io("scan", x.scan);
  io("head", x.head);
  io("compute", x.compute);
  io("threads", x.n_thread);
  io("layer", x.layer);
  io("batch_tokens", x.batch_tokens);
  io("together", x.together);
  io.optional("ln_x_eps", x.ln_x_eps);
  io.optional("ln_eps", x.ln_eps);
  io.optional("bos", x.bos);
  io.optional("eos", x.eos);
  io("ignore_tensors", x.ignore_tensors);
  io("exceed_memory", x.exceed_memory);
  io("texts", x.texts);
}

struct BaselineJob {
  std::string system = "baseline", place, name;
  bool tokens = false, lower_case = true, split_punctuation = false;
  std::vector<std::string> texts;
};

template <class Io>
void list_fields(Io& io, Of<Io, BaselineJob>& x) {
  io("system", x.system);
  io("place", x.place);
  io("name", x.name);
  io("tokens", x.tokens);
  io("lower_case", x.lower_case);
  io("split_punctuation", x.split_punctuation);
  io("texts", x.texts);
}

std::vector<std::string_view> views_of(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

OpenOptions options_of(const ModelJob& job) {
  OpenOptions open{.model = job.model, .backend = job.backend};
  if (!job.vocab.empty()) open.vocab = job.vocab;
  ModelOptions& o = open.options;
  for (Compute c : kComputes)
    if (job.compute == name_of(c)) o.compute = c;
  o.small_as_asked = true;  // what it is computed in was settled
  o.n_thread = job.n_thread;
  if (job.ln_x_eps) o.ln_x_eps = static_cast<float>(*job.ln_x_eps);
  if (job.ln_eps) o.ln_eps = static_cast<float>(*job.ln_eps);
  o.cache.folder = job.cache;
  o.adapter = job.adapter;
  o.adapter_alpha = job.adapter_alpha;
  o.ignore_tensors = job.ignore_tensors;
  o.exceed_memory = job.exceed_memory;
  o.n_block = [&job](const Config& c) {
    return job.depth.empty() ? std::min(job.layer, c.n_layer) : deepest_block(job.depth, c.n_layer);
  };
  return open;
}

void embed_with_model(const ModelJob& job) {
  OpenModel open(options_of(job));
  EncodeOptions how;
  how.layers = {job.layer};
  how.pooling = parse_pooling(job.pool);
  how.norm = parse_norm(job.norm);
  how.scan = parse_scan(job.scan);
  if (job.bos) how.bos = static_cast<uint32_t>(*job.bos);
  how.eos = job.eos ? std::optional(static_cast<uint32_t>(*job.eos)) : std::nullopt;
  how.batch_tokens = job.batch_tokens;
  if (!job.head.empty()) how.head = parse_head(job.head);
  DepthChoice choice;
  if (!job.depth.empty()) {
    choice = open_depth(job.depth, open.model);
    how.layers.clear();
  }
  const Encoder encoder(open.model, how, choice.policy.get());
  constexpr size_t kBlock = 256;
  embed_texts(encoder, open.tokenizer(), views_of(job.texts), open.work,
              [](const EmbeddedBlock&) {},
              {.no_tokens = NoTokens::kZero, .together = job.together, .max_texts = kBlock});
}

void embed_with_baseline(const BaselineJob& job) {
  using Kind = BaselineSpec::Kind;
  const std::vector<std::string_view> texts = views_of(job.texts);
  const auto baseline = Baseline::open(
      {.place = job.place,
       .kind = job.tokens ? Kind::kTokens : Kind::kWords,
       .words = {.lower_case = job.lower_case, .split_punctuation = job.split_punctuation},
       .name = job.name},
      {texts});
  std::vector<float> mean(baseline->dim());
  for (std::string_view text : texts) baseline->embed(text, mean);
}

// A file in memory, closed at the end.
class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : descriptor_(::memfd_create(name, MFD_CLOEXEC)) {
    FATHOM_REQUIRE(descriptor_ >= 0, "memfd_create: ", std::strerror(errno));
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }

  int descriptor() const { return descriptor_; }
  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::write(descriptor_, text.data(), text.size());
      FATHOM_REQUIRE(n > 0, "a job's file: ", std::strerror(errno));
      text.remove_prefix(static_cast<size_t>(n));
    }
    ::lseek(descriptor_, 0, SEEK_SET);
  }
  std::string read() {
    ::lseek(descriptor_, 0, SEEK_SET);
    std::string text;
    std::array<char, 4096> part;
    for (ssize_t n; (n = ::read(descriptor_, part.data(), part.size())) > 0;)
      text.append(part.data(), static_cast<size_t>(n));
    return text;
  }

 private:
  int descriptor_;
};

// Runs `program COMMAND`; its exit status as waitpid() has it, or -1 if it could not be started.
int run_program(const std::string& program, const MemoryFile& in, const MemoryFile& out,
                const MemoryFile& err) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in.descriptor(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out.descriptor(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.descriptor(), STDERR_FILENO);
  std::string name = "fathom", command = kMemoryCommand;
  char* const arguments[] = {name.data(), command.data(), nullptr};
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed) return -1;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return status;
}

PeakMemory peak_in_own_process(const std::string& program, const OrderedJson& job) {
  MemoryFile in("fathom-job"), out("fathom-peak"), err("fathom-error");
  in.write(dump_json(job));
  if (run_program(program, in, out, err) == 0) {
    const OrderedJson answer = parse_ordered_json(out.read(), program);
    if (answer.is_object() && answer.contains("peak_rss_bytes") &&
        answer["peak_rss_bytes"].is_number_unsigned())
      return {answer["peak_rss_bytes"].get<uint64_t>(), ""};
  }
  std::string why = err.read();
  why.resize(std::min(why.find('\n'), why.size()));
  return {std::nullopt, why.empty() ? concat(program, " gave no answer") : why};
}

}  // namespace

OrderedJson model_job(const OpenOptions& open, const Encoder& encoder, size_t layer,
                      std::span<const std::string_view> texts, size_t together) {
  const EncodeOptions& how = encoder.options();
  const ModelOptions& o = open.options;
  ModelJob job;
  job.model = open.model.string();
  job.backend = open.backend;
  if (open.vocab) job.vocab = open.vocab->string();
  job.cache = o.cache.folder.string();
  job.adapter = o.adapter.string();
  job.adapter_alpha = o.adapter_alpha;
  if (encoder.policy()) job.depth = encoder.policy()->name();
  job.pool = name_of(how.pooling);
  job.norm = name_of(how.norm);
  job.scan = name_of(how.scan);
  if (how.head) job.head = name_of(*how.head);
  job.compute = name_of(encoder.model().compute());
  job.n_thread = o.n_thread;
  job.layer = layer;
  job.batch_tokens = how.batch_tokens;
  job.together = together;
  if (o.ln_x_eps) job.ln_x_eps = *o.ln_x_eps;
  if (o.ln_eps) job.ln_eps = *o.ln_eps;
  if (how.bos) job.bos = *how.bos;
  if (how.eos) job.eos = *how.eos;
  job.ignore_tensors = o.ignore_tensors;
  job.exceed_memory = o.exceed_memory;
  job.texts.assign(texts.begin(), texts.end());
  return json_of(job);
}

OrderedJson baseline_job(const BaselineSpec& spec, std::span<const std::string_view> texts) {
  BaselineJob job;
  job.place = spec.place;
  job.name = spec.name;
  job.tokens = spec.kind == BaselineSpec::Kind::kTokens;
  job.lower_case = spec.words.lower_case;
  job.split_punctuation = spec.words.split_punctuation;
  job.texts.assign(texts.begin(), texts.end());
  return json_of(job);
}

OrderedJson run_memory_job(const OrderedJson& job) {
  constexpr std::string_view kWhere = "standard input";
  FATHOM_REQUIRE(job.is_object() && job.contains("system"), kWhere, ": expected a job");
  if (job["system"] == "model")
    embed_with_model(value_of_json<ModelJob>(job, kWhere));
  else
    embed_with_baseline(value_of_json<BaselineJob>(job, kWhere));
  const std::optional<uint64_t> peak = peak_rss_bytes();
  FATHOM_REQUIRE(peak, "/proc/self/status says nothing of the peak memory");
  return {{"peak_rss_bytes", *peak}};
}

PeakMemory MemoryMeter::model(const Encoder& encoder, size_t layer,
                              std::span<const std::string_view> texts, size_t together) {
  constexpr size_t kTexts = 64;  // fill a packed batch, and more would only take time
  const auto found = layers_.find(layer);
  if (found != layers_.end()) return found->second;
  return layers_[layer] = peak_in_own_process(
             program_, model_job(open_, encoder, layer, texts.first(std::min(kTexts, texts.size())),
                                 together));
}

PeakMemory MemoryMeter::baseline(const BaselineSpec& spec,
                                 std::span<const std::string_view> texts) {
  constexpr size_t kTexts = 4000;
  return peak_in_own_process(program_,
                             baseline_job(spec, texts.first(std::min(kTexts, texts.size()))));
}

}  // namespace fathom
