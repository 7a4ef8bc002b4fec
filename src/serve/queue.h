// SPDX-License-Identifier: Apache-2.0
// JobQueue: waiting jobs, cut into packed batches of at most a budget of tokens.
//
// Short units (at most one budget, of kind kVectors) go into batches, together with those of other
// jobs for the same model, whatever their readings. A batch is filled in three steps: the oldest
// job gets up to half of the budget; then jobs with the fewest tokens left take what they need;
// then the oldest get the rest. So the oldest job advances by at least half a budget in every batch
// (no job starves), and a small job does not wait behind a long one. All other units are long. They
// run one at a time, in pieces between batches, the oldest job and the shortest job in turns.
//
// Any thread may call any function.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "serve/job.h"

namespace fathom::serve {

// A unit on its way to the engine.
struct Piece {
  std::shared_ptr<Job> job;
  Unit unit;
};

class JobQueue {
 public:
  struct Limits {
    size_t batch_tokens = 1024;
    size_t max_queued_tokens = 1 << 20;  // that wait or run
    std::chrono::milliseconds max_wait{0};
  };
  explicit JobQueue(Limits limits) : limits_(limits) {}

  enum class Push : uint8_t { kTaken, kFull, kTooLong, kClosed };
  // kFull: not now; kTooLong: never, it has more tokens than may wait. Fills in job->n_token.
  Push push(const std::shared_ptr<Job>& job);
  // Removes the job's waiting units. Running ones end, and their result is dropped.
  void cancel(const std::shared_ptr<Job>& job);

  // Waits for work. An empty answer of both: closed, and nothing is left.
  struct Turn {
    std::vector<Piece> batch;
    std::optional<Piece> one;  // long
    bool empty() const { return batch.empty() && !one; }
  };
  // Batches and long pieces take turns where there are both.
  Turn next();
  // A batch, if one waits.
  std::vector<Piece> try_batch();

  // The engine has run them: true for jobs (in order) whose last piece that was. Others still wait.
  std::vector<std::shared_ptr<Job>> finish(const std::vector<Piece>& pieces);

  void close();              // nothing more is taken
  bool has_room() const;     // for a token more
  size_t n_token() const;    // that wait or run
  size_t n_waiting() const;  // jobs with something that waits

 private:
  struct Waiting {
    std::shared_ptr<Job> job;
    std::vector<Unit> shorts, longs;
    size_t next_short = 0, next_long = 0;
    size_t short_tokens = 0;  // left
    size_t n_open = 0;        // units that have not been finished
    bool has_short() const { return next_short < shorts.size(); }
    bool has_long() const { return next_long < longs.size(); }
  };
  using ByNumber = std::map<uint64_t, Waiting>;
  struct OfModel {
    std::set<uint64_t> by_age;                      // with short units
    std::set<std::pair<size_t, uint64_t>> by_size;  // the same
  };

  std::vector<Piece> take_batch();
  std::optional<Piece> take_long();
  size_t take_from(uint64_t number, size_t room, bool at_least_one, std::vector<Piece>& batch);
  void drop_waiting(ByNumber::iterator at);
  bool is_ripe() const;
  std::optional<Clock::time_point> oldest() const;

  const Limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  // All guarded by mutex_.
  ByNumber jobs_;
  std::map<const Job*, uint64_t> number_of_;
  std::map<size_t, OfModel> models_;
  std::set<uint64_t> long_by_age_;
  uint64_t next_number_ = 0;
  size_t n_token_ = 0, short_tokens_ = 0;
  bool closed_ = false, long_is_next_ = false, shortest_is_next_ = false;
};

}  // namespace fathom::serve
