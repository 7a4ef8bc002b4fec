// SPDX-License-Identifier: Apache-2.0
#include "study/calibrate_on.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/invalid_option.h"

namespace fathom {
namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  for (char c : text) {
    const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!blank && !inside) words.emplace_back();
    if (!blank) words.back() += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    inside = !blank;
  }
  return words;
}

std::string joined(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += word + ' ';
  return text;
}

void add_runs(std::string_view text, std::unordered_set<std::string>& runs) {
  const std::vector<std::string> words = words_of(text);
  for (size_t begin = 0; begin < words.size(); ++begin) {
    std::string run;
    for (size_t end = begin; end < words.size(); ++end) {
      run += words[end] + ' ';
      runs.insert(run);
    }
  }
}

}  // namespace

CalibrateOn parse_calibrate_on(const std::string& text, const Task& task) {
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  CalibrateOn on{.task = &find_task(name)};
  if (colon != text.npos) {
    const char *begin = text.data() + colon + 1, *last = text.data() + text.size();
    const auto [end, error] = std::from_chars(begin, last, on.n);
    if (error != std::errc() || end != last || on.n < 4)
      throw InvalidOption("calibrate_on", "TASK or TASK:N, N of at least 4 rows",
                          concat("'", text, "'"));
  }
  if (on.task->n_class() != task.n_class() || on.task->is_pair() != task.is_pair())
    throw InvalidOption(
        "calibrate_on",
        concat("a task of ", task.n_class() > 1 ? "as many classes as " : "scores as ", task.name,
               " and ", task.is_pair() ? "pairs" : "single sentences"),
        name);
  return on;
}

Dataset draw_calibration(const CalibrateOn& on, const std::filesystem::path& root, uint64_t seed) {
  Dataset rows = load_dataset(*on.task, Split::kTrain, root);
  return rows.pairs.size() > on.n ? sample(rows, on.n, seed) : rows;
}

size_t leave_out_contained(Dataset& train, const Dataset& rows) {
  std::unordered_set<std::string> runs;
  const bool pair = train.task->is_pair();
  for (const Pair& row : rows.pairs) {
    add_runs(row.a, runs);
    if (pair) add_runs(row.b, runs);
  }
  const auto is_in = [&](const std::string& text) { return runs.contains(joined(words_of(text))); };
  return std::erase_if(train.pairs,
                       [&](const Pair& row) { return is_in(row.a) || (pair && is_in(row.b)); });
}

void append(Dataset& train, const Dataset& rows) {
  const auto n_file = static_cast<uint32_t>(train.files.size());
  for (Pair row : rows.pairs) {
    row.file += n_file;
    train.pairs.push_back(std::move(row));
  }
  train.files.insert(train.files.end(), rows.files.begin(), rows.files.end());
}

FitRows part_rows_with(std::span<const double> gold, size_t n_own, size_t n_class,
                       size_t n_calibration, uint64_t seed) {
  FATHOM_ASSERT(n_own <= gold.size());
  FitRows rows =
      part_rows(gold.first(n_own), n_class, n_own == gold.size() ? n_calibration : 1, seed);
  if (n_own == gold.size()) return rows;
  rows.heads.insert(rows.heads.end(), rows.calibration.begin(), rows.calibration.end());
  std::ranges::sort(rows.heads);
  rows.calibration.clear();
  for (size_t row = n_own; row < gold.size(); ++row) rows.calibration.push_back(row);
  return rows;
}

}  // namespace fathom
