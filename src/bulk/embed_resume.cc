// SPDX-License-Identifier: Apache-2.0
// The part of a run that keeps a journal, and goes on with one that is there.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/disk.h"
#include "base/error.h"
#include "base/hash.h"
#include "bulk/embed_run.h"
#include "bulk/job_identity.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Of a safetensors file. It is an output, which nothing that reads inputs would open.
std::string made_by_inside(const fs::path& path) {
  constexpr uint64_t kMost = uint64_t{100} << 20;
  std::ifstream in(path, std::ios::binary);
  uint64_t n = 0;
  in.read(reinterpret_cast<char*>(&n), sizeof(n));
  std::string header(in ? std::min(n, kMost) : 0, '\0');
  in.read(header.data(), static_cast<std::streamsize>(header.size()));
  return parse_ordered_json(header).at("__metadata__").at("fathom").get<std::string>();
}

// "job" of what is written beside vectors, or in them; "" where there is none.
std::string job_beside(const fs::path& output) {
  try {
    const fs::path beside = beside_embedding_file(output);
    const std::string text = beside.empty() ? made_by_inside(output) : text_of(beside);
    return parse_ordered_json(text).value("job", "");
  } catch (const std::exception&) {
    return "";  // no file of ours
  }
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

bool EmbedRun::is_finished(const std::string& job) const {
  for (const fs::path& path : grown_files())
    if (!is_there(path) || is_there(kept_name_of(path))) return false;
  return job_beside(job_.options.output) == job;
}

// A job that was stopped between the first name and the last: what has its name already, and is what
// the journal says, goes on from the beginning of that.
void EmbedRun::take_back_names() {
  const std::vector<JournalBlock>& blocks = journal_->blocks();
  if (blocks.empty() || blocks.back().n_text != result_.n_text) return;
  const std::vector<fs::path> files = grown_files();
  for (size_t f = 0; f < files.size(); ++f) {
    const fs::path part = kept_name_of(files[f]), whole = follow_links(files[f]);
    if (is_there(part) || !is_there(whole)) continue;
    const FileReader reader(whole);
    const bool is_ours = std::ranges::all_of(blocks, [&](const JournalBlock& block) {
      return f < block.sums.size() && reader.sum_of(block.ranges[f]) == block.sums[f];
    });
    if (is_ours && ::rename(whole.c_str(), part.c_str()) != 0) throw_cannot_write(files[f], errno);
  }
}

// Blocks whose bytes are what they were.
size_t EmbedRun::n_good_block() const {
  const std::vector<JournalBlock>& blocks = journal_->blocks();
  const std::vector<fs::path> files = grown_files();
  size_t n = blocks.size();
  for (size_t f = 0; f < files.size() && n > 0; ++f) {
    const fs::path part = kept_name_of(files[f]);
    if (!is_there(part)) return 0;
    const FileReader reader(part);
    for (size_t b = 0; b < n; ++b)
      if (f >= blocks[b].sums.size() || reader.sum_of(blocks[b].ranges[f]) != blocks[b].sums[f])
        n = b;
  }
  return n;
}

void EmbedRun::go_on() {
  const EmbedJobOptions& options = job_.options;
  const fs::path path = journal_of(options.output);
  const OrderedJson identity = job_identity(options, job_.summaries, open_, encoder_, depth_);
  const std::string id = hash_text(dump_json(identity));
  if (!is_there(path) && is_finished(id)) {
    result_.was_finished = true;
    result_.n_before = result_.n_text;
    return;
  }
  journal_.emplace(path);
  OrderedJson made = made_by();
  made["job"] = id;
  const bool is_new = !journal_->job() || journal_->blocks().empty();
  if (!is_new) {
    require_same_job(journal_->job()->at("identity"), identity, path, kept_name_of(options.output));
    take_back_names();
  }
  const size_t n = is_new ? 0 : n_good_block();
  if (n == 0) {
    if (!is_new && job_.note)
      job_.note(concat(path.string(),
                       ": none of its blocks is on the disk any more; this run "
                       "begins anew"));
    journal_->begin({{"identity", identity}, {"made_by", made}});
    open_files(made, {}, 0);
    return;
  }
  journal_->keep(n);
  const JournalBlock& last = journal_->blocks().back();
  // The command is the first run's: what is written has the bytes of one that nothing stopped.
  const auto end_of = [&](size_t f) {
    return last.ranges[f].back().begin + last.ranges[f].back().size;
  };
  open_files(journal_->job()->at("made_by"), {.n_text = last.n_text, .end = end_of(0)},
             options.depth_log.empty() ? 0 : end_of(1));
  restore(last.state);
  n_done_ = n_saved_ = result_.n_before = last.n_text;
  rows_.skip(last.n_text);
}

OrderedJson EmbedRun::state() const {
  OrderedJson j{{"nonfinite", {nonfinite_.n(), nonfinite_.first()}}};
  if (result_.exits)
    j["exits"] = {{"by_layer", result_.exits->by_layer},
                  {"n_text", result_.exits->n_text},
                  {"n_half", result_.exits->n_sublayer},
                  {"flops", {result_.flops.policy, result_.flops.full}}};
  return j;
}

void EmbedRun::restore(const OrderedJson& state) {
  nonfinite_.restore(state.at("nonfinite").at(0).get<size_t>(),
                     state.at("nonfinite").at(1).get<std::string>());
  if (!result_.exits) return;
  const OrderedJson& exits = state.at("exits");
  result_.exits = {.by_layer = exits.at("by_layer").get<std::vector<size_t>>(),
                   .n_text = exits.at("n_text").get<size_t>(),
                   .n_sublayer = exits.at("n_half").get<size_t>()};
  result_.flops.policy = exits.at("flops").at(0).get<double>();
  result_.flops.full = exits.at("flops").at(1).get<double>();
}

// First the rows, then the line that says so.
void EmbedRun::save() {
  if (n_done_ == n_saved_) return;
  JournalBlock block{.n_text = n_done_, .state = state()};
  block.ranges.push_back(file_->take_ranges());
  file_->file().sync();
  if (log_) {
    const auto end = static_cast<uint64_t>(log_->stream().tellp());
    block.ranges.push_back({{log_saved_, end - log_saved_}});
    log_saved_ = end;
    log_->sync();
  }
  const std::vector<fs::path> files = grown_files();
  for (size_t f = 0; f < files.size(); ++f) {
    const auto sum = FileReader(kept_name_of(files[f])).sum_of(block.ranges[f]);
    FATHOM_REQUIRE(sum.has_value(), kept_name_of(files[f]).string(),
                   ": is shorter than what was written to it; expected nobody else to change it");
    block.sums.push_back(*sum);
  }
  journal_->add(std::move(block));
  n_saved_ = n_done_;
  saved_ = Clock::now();
}

}  // namespace fathom
