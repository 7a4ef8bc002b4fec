// SPDX-License-Identifier: Apache-2.0
#include "bulk/embed_run.h"

#include <cstdint>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/temporaries.h"
#include "results/depth_log.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

// Beside the vectors, for whoever sees a job end.
std::string stop_note(const EmbedJobOptions& options, const fs::path& journal) {
  if (options.resume)
    return concat("fathom: stopped; what is done is kept (", journal.string(),
                  "): the same command goes on from there");
  return "fathom: stopped; nothing is kept. With --resume the same command can be stopped, and "
         "goes on "
         "where it was";
}

// While one exists, a signal that ends the process says this.
class StopNote {
 public:
  explicit StopNote(const std::string& note) { say_on_signal(note); }
  StopNote(const StopNote&) = delete;
  StopNote& operator=(const StopNote&) = delete;
  ~StopNote() { say_on_signal(""); }
};

std::string numbers_text(OutputDtype dtype) {
  if (dtype == OutputDtype::kInt8)
    return "truncated (x - low) / ((high - low) / 255) - 128, low and high of `ranges`";
  if (dtype == OutputDtype::kUbinary) return "bits of x > 0, the first in the highest of a byte";
  return "rounded to the nearest";
}

}  // namespace

EmbedRun::EmbedRun(const Job& job, OpenModel& open, const EncodeOptions& reading,
                   const DepthChoice& depth)
    : job_(job),
      open_(open),
      depth_(depth),
      encoder_(open.model, reading, depth.policy.get()),
      numbers_{.dtype = job.options.dtype, .ranges = {}},
      rows_(job.inputs, job.rows, job.summaries),
      texts_(rows_, job.inputs, job.options.with_text),
      nonfinite_(encoder_, job.options.allow_nonfinite,
                 [this](size_t i) { return texts_.place(i); }) {
  result_.n_text = n_text_of(job.summaries);
  if (depth.policy) result_.exits.emplace();
}

EmbedRun::~EmbedRun() {
  // A journal without a block goes, and what it was about with it.
  if (!journal_ || !journal_->blocks().empty()) return;
  std::error_code ignored;
  for (const fs::path& path : grown_files()) fs::remove(kept_name_of(path), ignored);
}

fs::path EmbedRun::journal_of(const fs::path& output) {
  fs::path path = follow_links(output);
  path += ".journal";
  return path;
}

std::vector<fs::path> EmbedRun::grown_files() const {
  std::vector<fs::path> files = {job_.options.output};
  if (!job_.options.depth_log.empty()) files.emplace_back(job_.options.depth_log);
  return files;
}

OrderedJson EmbedRun::input_json() const {
  OrderedJson j;
  const auto add_skipped = [](OrderedJson& to, const InputSummary& input) {
    to["skipped_lines"] = input.skipped;
    if (input.n_skipped > input.skipped.size()) to["n_skipped"] = input.n_skipped;
  };
  if (job_.inputs.size() == 1) {
    j["file"] = job_.inputs[0].asked();
    j["n_text"] = result_.n_text;
    j["empty"] = job_.options.empty == Empty::kError  ? "error"
                 : job_.options.empty == Empty::kZero ? "zero"
                                                      : "skip";
    add_skipped(j, job_.summaries[0]);
  } else {
    j["files"] = OrderedJson::array();
    for (const InputSummary& input : job_.summaries) {
      OrderedJson one{{"file", input.name}, {"n_text", input.n_text}};
      if (input.n_skipped > 0) add_skipped(one, input);
      j["files"].push_back(std::move(one));
    }
    j["n_text"] = result_.n_text;
  }
  const Shard& shard = job_.options.shard;
  if (shard.count > 1) j["shard"] = concat(shard.index, "/", shard.count);
  return j;
}

// What the vectors were made of and how: the file beside them.
OrderedJson EmbedRun::made_by() const {
  OrderedJson j;
  j["fathom"] = FATHOM_VERSION;
  j["command"] = job_.options.command;
  j["model"] = describe(open_.model);
  j["tokenizer"] = open_.vocabulary.source;
  j["embedding"] = describe(encoder_.options(), open_.model.config());
  if (depth_.policy) {
    j["embedding"]["layers"] = OrderedJson::array({"policy"});
    j["depth"] = describe(depth_);
  }
  if (job_.options.allow_nonfinite) j["allow_nonfinite"] = true;
  if (numbers_.dtype != OutputDtype::kF32) {
    OrderedJson& to = j["output"] = {{"dtype", std::string(name_of(numbers_.dtype))},
                                     {"numbers", numbers_text(numbers_.dtype)}};
    if (numbers_.dtype == OutputDtype::kInt8) {
      to["ranges_of"] = job_.options.calibration.empty()
                            ? concat("the first ", EmbedJobOptions::kCalibrationTexts, " texts")
                            : job_.options.calibration;
      to["ranges"] = {{"low", numbers_.ranges.low}, {"high", numbers_.ranges.high}};
    }
  }
  j["input"] = input_json();
  return j;
}

// The ranges of all numbers over the texts of a file, or over the first ones.
NumberRanges EmbedRun::calibrate() {
  class First final : public TextSource {
   public:
    First(TextSource& texts, size_t n) : texts_(texts), n_(n) {}
    bool next(std::string_view& text, bool& in_part) override {
      if (n_ == 0 || !texts_.next(text, in_part)) return false;
      --n_;
      return true;
    }
    bool more(std::string_view& part) override { return texts_.more(part); }

   private:
    TextSource& texts_;
    size_t n_;
  };
  const EmbedJobOptions& options = job_.options;
  std::vector<BulkInput> file;
  if (!options.calibration.empty()) file.emplace_back(options.calibration, fs::path());
  RowOptions rows = job_.rows;
  if (!file.empty()) rows.shard = {};
  RowStream stream(file.empty() ? job_.inputs : file, rows);
  RowTexts all(stream, file.empty() ? job_.inputs : file, false);
  First texts(all, file.empty() ? EmbedJobOptions::kCalibrationTexts : SIZE_MAX);
  NumberRanges ranges;
  const auto add = [&](const EmbeddedBlock& block) {
    ranges.add(block.vectors, block.n_vector, block.size());
    all.take(block.size());
  };
  const auto place = [&](size_t i) { return all.place(i); };
  embed_stream(encoder_, open_.tokenizer(), texts, open_.work, add,
               {.no_tokens = options.empty == Empty::kZero ? NoTokens::kZero : NoTokens::kRefuse,
                .place = place});
  FATHOM_REQUIRE(!ranges.empty(), options.calibration, ": no sentence in it");
  return ranges;
}

void EmbedRun::open_files(const OrderedJson& made_by, WrittenSoFar vectors, uint64_t log_end) {
  const EmbedJobOptions& options = job_.options;
  const size_t n_layer = open_.model.config().n_layer;
  EmbeddedTexts shape{.layers = {},
                      .n_text = result_.n_text,
                      .dim = encoder_.dim(),
                      .numbers = numbers_,
                      .has_file = job_.inputs.size() > 1,
                      .has_id = !options.fields.id.empty(),
                      .has_text = options.with_text,
                      .has_label = !options.fields.label.empty()};
  for (size_t layer : encoder_.options().layers) shape.layers.push_back(layer_name(layer, n_layer));
  if (depth_.policy) {
    shape.layers = {layer_name(policy_layer(n_layer), n_layer)};
    shape.traced = true;
    shape.classes = class_names(depth_);
  }
  const auto unfinished =
      options.resume ? AtomicFile::Unfinished::kKept : AtomicFile::Unfinished::kRemoved;
  file_ = open_embedding_file(options.output, std::move(shape), made_by, job_.outputs, unfinished,
                              vectors);
  if (options.depth_log.empty()) return;
  log_ = &job_.outputs.open(options.depth_log, unfinished);
  if (options.resume) log_->go_on_at(log_end);
  log_saved_ = log_end;
}

void EmbedRun::take(const EmbeddedBlock& block) {
  nonfinite_.look(block, open_.work);
  const std::vector<EmbeddedRow> rows = texts_.take(block.size());
  if (depth_.policy) {
    result_.flops.add(encoder_, block);
    result_.exits->add(block.trace);
  }
  file_->add(block.vectors, rows, block.trace);
  if (log_) {
    std::vector<size_t> lines;
    std::vector<std::string> files;
    lines.reserve(rows.size());
    for (const EmbeddedRow& row : rows) lines.push_back(row.line);
    if (job_.inputs.size() > 1) {
      files.reserve(rows.size());
      for (const EmbeddedRow& row : rows) files.push_back(row.file);
    }
    const std::string table = trace_csv(lines, block.trace, files);
    // The header is the first block's.
    log_->stream() << std::string_view(table).substr(n_done_ == 0 ? 0 : table.find('\n') + 1);
  }
  n_done_ += block.size();
  result_.n_token += block.n_token;
  const double since = std::chrono::duration<double>(Clock::now() - saved_).count();
  if (journal_ && (since >= job_.options.save_seconds || n_done_ == result_.n_text)) save();
}

void EmbedRun::tell(size_t n_done_now) {
  if (!job_.progress) return;
  job_.progress({.n_done = result_.n_before + n_done_now,
                 .n_text = result_.n_text,
                 .n_before = result_.n_before,
                 .n_token = result_.n_token,
                 .seconds = std::chrono::duration<double>(Clock::now() - start_).count()});
}

void EmbedRun::embed() {
  const auto sink = [this](const EmbeddedBlock& block) { take(block); };
  const auto at = [this](size_t n) { tell(n); };
  embed_stream(
      encoder_, open_.tokenizer(), texts_, open_.work, sink,
      {.no_tokens = job_.options.empty == Empty::kZero ? NoTokens::kZero : NoTokens::kRefuse,
       .place = [this](size_t i) { return texts_.place(i); },
       .progress = at,
       .batch = at});
}

EmbedJobResult EmbedRun::run() {
  const EmbedJobOptions& options = job_.options;
  const fs::path journal = journal_of(options.output);
  const StopNote note(stop_note(options, journal));
  if (numbers_.dtype == OutputDtype::kInt8) numbers_.ranges = calibrate();
  numbers_.check(encoder_.dim());
  if (options.resume) {
    go_on();
    if (result_.was_finished) return std::move(result_);
  } else {
    std::error_code ignored;
    if (job_.note && fs::exists(journal, ignored))
      job_.note(concat(journal.string(),
                       ": of a job that is not finished, which `resume` goes on "
                       "with; this run is another one"));
    open_files(made_by(), {}, 0);
  }
  start_ = saved_ = Clock::now();
  embed();
  FATHOM_ASSERT(n_done_ == result_.n_text);
  result_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  result_.nonfinite = nonfinite_.count(result_.n_text);
  file_->finish();
  job_.outputs.commit();
  if (journal_) journal_->remove();
  return std::move(result_);
}

}  // namespace fathom
