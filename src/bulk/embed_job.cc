// SPDX-License-Identifier: Apache-2.0
#include "bulk/embed_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "bulk/embed_run.h"

namespace fathom {

double EmbedProgress::texts_per_second() const {
  return seconds > 0 ? static_cast<double>(n_done - n_before) / seconds : 0;
}

double EmbedProgress::tokens_per_second() const {
  return seconds > 0 ? static_cast<double>(n_token) / seconds : 0;
}

double EmbedProgress::seconds_left() const {
  const double rate = texts_per_second();
  return rate > 0 ? static_cast<double>(n_text - n_done) / rate : 0;
}

std::string to_json_line(const EmbedProgress& p) {
  return dump_json(OrderedJson{{"done", p.n_done},
                               {"total", p.n_text},
                               {"resumed", p.n_before},
                               {"tokens", p.n_token},
                               {"seconds", p.seconds},
                               {"texts_per_second", p.texts_per_second()},
                               {"tokens_per_second", p.tokens_per_second()},
                               {"seconds_left", p.seconds_left()}});
}

std::string rate_text(const EmbedProgress& p) {
  return fmt::format("{:.0f} texts/s, {:.0f} tokens/s, {:.0f} s left", p.texts_per_second(),
                     p.tokens_per_second(), p.seconds_left());
}

EmbedJob::EmbedJob(EmbedJobOptions options, Note note)
    : options_(std::move(options)), note_(std::move(note)) {
  const bool has_columns = options_.output.ends_with(".jsonl") || options_.output.ends_with(".csv");
  expect_embedding_file(outputs_, options_.output);
  if (!options_.depth_log.empty()) outputs_.expect(options_.depth_log);
  std::vector<std::filesystem::path> kept = {EmbedRun::journal_of(options_.output),
                                             kept_name_of(options_.output)};
  if (!options_.depth_log.empty()) kept.push_back(kept_name_of(options_.depth_log));
  if (options_.resume)
    for (const auto& path : kept) outputs_.expect(path);
  const SentenceFields& fields = options_.fields;
  if (!has_columns && (options_.with_text || !fields.id.empty() || !fields.label.empty()))
    throw UsageError(concat(
        "`id_field`, `label_field`, `with_text`: expected a .jsonl or .csv to write them to, "
        "got ",
        options_.output));
  if (options_.allow_nonfinite && !OutputNumbers{.dtype = options_.dtype}.holds_nonfinite())
    throw InvalidOption("allow_nonfinite", "`output_dtype` f32, f16 or bf16",
                        std::string(name_of(options_.dtype)));
  if (!options_.calibration.empty() && options_.dtype != OutputDtype::kInt8)
    throw InvalidOption("calibration", "`output_dtype` int8 beside it",
                        std::string(name_of(options_.dtype)));
  const std::filesystem::path folder = std::filesystem::path(options_.output).parent_path();
  std::vector<std::filesystem::path> own = std::move(kept);
  own.insert(own.end(), {options_.output, beside_embedding_file(options_.output)});
  if (!options_.depth_log.empty()) own.emplace_back(options_.depth_log);
  for (const std::string& file : expand_inputs(options_.inputs, own))
    inputs_.emplace_back(file, folder);
  rows_ = {.fields = fields, .empty = options_.empty, .shard = options_.shard};
  summaries_ = scan_inputs(inputs_, rows_, note_);
}

EmbedJob::~EmbedJob() = default;

EmbedJobResult EmbedJob::run(OpenModel& open, const EncodeOptions& reading,
                             const DepthChoice& depth,
                             const std::function<void(const EmbedProgress&)>& progress) {
  if (depth.policy && depth.policy->by_pair()) {
    rows_.together = 2;
    if (rows_.shard.count > 1) summaries_ = scan_inputs(inputs_, rows_, {});
    const bool has_gaps = std::ranges::any_of(
        summaries_, [](const InputSummary& s) { return s.n_skipped + s.n_empty > 0; });
    FATHOM_REQUIRE(
        !has_gaps && n_text() % 2 == 0, "`depth` ", depth.policy->name(),
        ": decides about pairs of lines; expected an even number of them and none empty");
  }
  EmbedRun run({.options = options_,
                .inputs = inputs_,
                .rows = rows_,
                .summaries = summaries_,
                .outputs = outputs_,
                .note = note_,
                .progress = progress},
               open, reading, depth);
  return run.run();
}

}  // namespace fathom
