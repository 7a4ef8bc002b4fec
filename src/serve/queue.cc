// SPDX-License-Identifier: Apache-2.0
#include "serve/queue.h"

#include <algorithm>
#include <utility>

namespace fathom::serve {

std::vector<Unit> units_of(const Job& job, size_t batch_tokens) {
  std::vector<Unit> units;
  if (job.kind == Job::Kind::kRerank) {
    // Documents up to a budget together; the query is read behind each.
    const size_t query = job.texts[0].size() + 1;
    for (size_t i = 1; i < job.texts.size(); ++i) {
      const size_t n = job.texts[i].size() + query;
      if (units.empty() || units.back().n_token + n > batch_tokens) units.push_back({i, 0, 0});
      ++units.back().n;
      units.back().n_token += n;
    }
    return units;
  }
  for (size_t i = 0; i < job.items.size();) {
    const Way& way = job.ways[job.items[i].way];
    Unit unit{.first = i, .n = way.policy && way.policy->by_pair() ? size_t{2} : size_t{1}};
    for (; i < unit.first + unit.n; ++i)
      unit.n_token += scanned_tokens(job.texts[job.items[i].text].size(), way.reading);
    units.push_back(unit);
  }
  return units;
}

JobQueue::Push JobQueue::push(const std::shared_ptr<Job>& job) {
  Waiting w;
  w.job = job;
  size_t n_token = 0;
  for (const Unit& unit : units_of(*job, limits_.batch_tokens)) {
    n_token += unit.n_token;
    const bool is_short = job->kind == Job::Kind::kVectors && unit.n_token <= limits_.batch_tokens;
    if (is_short) w.short_tokens += unit.n_token;
    (is_short ? w.shorts : w.longs).push_back(unit);
  }
  w.n_open = w.shorts.size() + w.longs.size();
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return Push::kClosed;
    if (n_token > limits_.max_queued_tokens) return Push::kTooLong;
    if (n_token_ + n_token > limits_.max_queued_tokens) return Push::kFull;
    job->n_token = n_token;
    job->submitted = Clock::now();
    const uint64_t number = next_number_++;
    n_token_ += n_token;
    short_tokens_ += w.short_tokens;
    if (w.has_short()) {
      OfModel& m = models_[job->model];
      m.by_age.insert(number);
      m.by_size.insert({w.short_tokens, number});
    }
    if (w.has_long()) long_by_age_.insert(number);
    number_of_[job.get()] = number;
    jobs_.emplace(number, std::move(w));
  }
  ready_.notify_one();
  return Push::kTaken;
}

// What waits of the job; what runs is counted until finish().
void JobQueue::drop_waiting(ByNumber::iterator at) {
  auto& [number, w] = *at;
  if (w.has_short()) {
    OfModel& m = models_[w.job->model];
    m.by_age.erase(number);
    m.by_size.erase({w.short_tokens, number});
  }
  long_by_age_.erase(number);
  size_t n_token = w.short_tokens;
  for (size_t i = w.next_long; i < w.longs.size(); ++i) n_token += w.longs[i].n_token;
  n_token_ -= n_token;
  short_tokens_ -= w.short_tokens;
  w.n_open -= w.shorts.size() - w.next_short + w.longs.size() - w.next_long;
  w.next_short = w.shorts.size();
  w.next_long = w.longs.size();
  w.short_tokens = 0;
}

void JobQueue::cancel(const std::shared_ptr<Job>& job) {
  job->gone = true;
  const std::lock_guard lock(mutex_);
  const auto known = number_of_.find(job.get());
  if (known == number_of_.end()) return;
  const auto at = jobs_.find(known->second);
  drop_waiting(at);
  if (at->second.n_open > 0) return;
  jobs_.erase(at);
  number_of_.erase(known);
  // A closed queue may be empty now.
  ready_.notify_all();
}

// Units of one job while they fit; the tokens taken.
size_t JobQueue::take_from(uint64_t number, size_t room, bool at_least_one,
                           std::vector<Piece>& batch) {
  Waiting& w = jobs_.at(number);
  OfModel& m = models_[w.job->model];
  m.by_size.erase({w.short_tokens, number});
  size_t taken = 0;
  while (w.has_short()) {
    const Unit& unit = w.shorts[w.next_short];
    if (taken + unit.n_token > room && !(at_least_one && taken == 0)) break;
    taken += unit.n_token;
    batch.push_back({w.job, unit});
    ++w.next_short;
  }
  w.short_tokens -= taken;
  short_tokens_ -= taken;
  if (w.has_short())
    m.by_size.insert({w.short_tokens, number});
  else
    m.by_age.erase(number);
  return taken;
}

std::vector<Piece> JobQueue::take_batch() {
  std::vector<Piece> batch;
  OfModel* model = nullptr;
  for (auto& [_, m] : models_)
    if (!m.by_age.empty() && (!model || *m.by_age.begin() < *model->by_age.begin())) model = &m;
  if (!model) return batch;
  const uint64_t first = *model->by_age.begin();
  const size_t budget = limits_.batch_tokens;
  size_t used = take_from(first, budget / 2, true, batch);
  // Those that find no room are passed over, so that one large text does not end the batch.
  constexpr size_t kMaxPassed = 16;
  size_t n_passed = 0;
  for (auto at = model->by_size.begin(); at != model->by_size.end() && n_passed < kMaxPassed;) {
    const uint64_t number = at->second;
    ++at;
    if (number == first || used >= budget) continue;
    const size_t taken = take_from(number, budget - used, false, batch);
    used += taken;
    n_passed += taken == 0;
  }
  if (model->by_age.contains(first))
    take_from(first, budget - std::min(used, budget), false, batch);
  return batch;
}

std::optional<Piece> JobQueue::take_long() {
  if (long_by_age_.empty()) return std::nullopt;
  uint64_t number = *long_by_age_.begin();
  if (std::exchange(shortest_is_next_, !shortest_is_next_)) {
    const auto next_size = [&](uint64_t n) {
      const Waiting& w = jobs_.at(n);
      return w.longs[w.next_long].n_token;
    };
    for (const uint64_t other : long_by_age_)
      if (next_size(other) < next_size(number)) number = other;
  }
  Waiting& w = jobs_.at(number);
  Piece piece{w.job, w.longs[w.next_long++]};
  if (!w.has_long()) long_by_age_.erase(number);
  return piece;
}

std::optional<Clock::time_point> JobQueue::oldest() const {
  std::optional<uint64_t> number;
  for (const auto& [_, m] : models_)
    if (!m.by_age.empty() && (!number || *m.by_age.begin() < *number)) number = *m.by_age.begin();
  if (!number) return std::nullopt;
  return jobs_.at(*number).job->submitted;
}

// Whether a batch starts now: it is full, has waited long enough, or nothing else will come.
bool JobQueue::is_ripe() const {
  const auto since = oldest();
  if (!since) return false;
  return closed_ || short_tokens_ >= limits_.batch_tokens ||
         Clock::now() - *since >= limits_.max_wait;
}

JobQueue::Turn JobQueue::next() {
  std::unique_lock lock(mutex_);
  for (;;) {
    Turn turn;
    const bool batch = is_ripe(), one = !long_by_age_.empty();
    if (one && (!batch || long_is_next_)) {
      turn.one = take_long();
      long_is_next_ = false;
      return turn;
    }
    if (batch) {
      turn.batch = take_batch();
      long_is_next_ = true;
      return turn;
    }
    if (closed_ && jobs_.empty()) return turn;
    if (const auto since = oldest())
      ready_.wait_until(lock, *since + limits_.max_wait);
    else
      ready_.wait(lock);
  }
}

std::vector<Piece> JobQueue::try_batch() {
  const std::lock_guard lock(mutex_);
  return take_batch();
}

std::vector<std::shared_ptr<Job>> JobQueue::finish(const std::vector<Piece>& pieces) {
  std::vector<std::shared_ptr<Job>> done;
  const std::lock_guard lock(mutex_);
  for (const Piece& piece : pieces) {
    n_token_ -= piece.unit.n_token;
    const auto known = number_of_.find(piece.job.get());
    const auto at = jobs_.find(known->second);
    // A job that has failed, or that nobody waits for, ends with what runs of it.
    if (piece.job->fault || piece.job->gone) drop_waiting(at);
    if (--at->second.n_open > 0) continue;
    done.push_back(piece.job);
    jobs_.erase(at);
    number_of_.erase(known);
  }
  if (closed_) ready_.notify_all();
  return done;
}

void JobQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  ready_.notify_all();
}

bool JobQueue::has_room() const {
  const std::lock_guard lock(mutex_);
  return !closed_ && n_token_ < limits_.max_queued_tokens;
}
size_t JobQueue::n_token() const {
  const std::lock_guard lock(mutex_);
  return n_token_;
}
size_t JobQueue::n_waiting() const {
  const std::lock_guard lock(mutex_);
  size_t n = 0;
  for (const auto& [_, w] : jobs_) n += w.has_short() || w.has_long();
  return n;
}

}  // namespace fathom::serve
