// SPDX-License-Identifier: Apache-2.0
// Engine: one thread that runs the queue, batch after batch. A long text runs in pieces. Batches of
// short texts run between them and wait for one budget at most.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "serve/metrics.h"
#include "serve/queue.h"
#include "serve/served_model.h"

namespace fathom::serve {

class Engine {
 public:
  // The arguments must outlive it. Starts the thread.
  Engine(std::span<const std::unique_ptr<ServedModel>> models, JobQueue& queue, Metrics& metrics,
         size_t batch_tokens, size_t n_thread);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  // Closes the queue and runs the rest of it.
  ~Engine();

 private:
  void loop();
  void run_batch(const std::vector<Piece>& batch);
  void run_long(const Piece& piece);
  void run_between();
  void run_rows(Job& job, const Unit& unit);
  void run_rerank(Job& job, const Unit& unit);
  void encode(std::span<const Piece> pieces, Workspace& work);
  void check(Job& job, const Unit& unit) const;
  void count(const Job& job, const Unit& unit);
  void finish(const std::vector<Piece>& pieces);

  std::span<const std::unique_ptr<ServedModel>> models_;
  JobQueue& queue_;
  Metrics& metrics_;
  size_t batch_tokens_;
  Workspace long_work_;  // of long texts; short ones have their model's
  const Job* long_job_ = nullptr;
  Clock::time_point resumed_;  // the long text, after the last batch
  Clock::duration last_batch_{0};
  std::jthread thread_;
};

}  // namespace fathom::serve
