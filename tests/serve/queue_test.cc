// SPDX-License-Identifier: Apache-2.0
// What waits: batches within their budget, nobody starved, nothing lost.
#include "serve/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace fathom::test::queue_test {
namespace {

using serve::Job;
using serve::JobQueue;
using serve::Piece;
using testing::ElementsAre;

// Texts of these lengths, read in one way.
std::shared_ptr<Job> job_of(std::vector<size_t> lengths, size_t model = 0) {
  auto job = std::make_shared<Job>();
  job->model = model;
  job->ways = {{Reading{.layers = {1}}, nullptr, {1, 4}}};
  for (size_t n : lengths) {
    job->items.push_back({0, job->texts.size(), 0});
    job->texts.emplace_back(n, Token{1});
  }
  return job;
}

size_t tokens_of(const std::vector<Piece>& batch) {
  size_t n = 0;
  for (const Piece& p : batch) n += p.unit.n_token;
  return n;
}

JobQueue::Limits limits() { return {.batch_tokens = 100, .max_queued_tokens = 10000}; }

TEST(Queue, ShortJobsDoNotWaitForALargeOneInFrontOfThem) {
  JobQueue queue(limits());
  const auto large = job_of(std::vector<size_t>(50, 10)), small = job_of({7});
  EXPECT_EQ(queue.push(large), JobQueue::Push::kTaken);
  EXPECT_EQ(queue.push(small), JobQueue::Push::kTaken);
  const auto turn = queue.next();
  EXPECT_LE(tokens_of(turn.batch), 100u);
  EXPECT_GE(tokens_of(turn.batch), 90u);
  EXPECT_EQ(std::ranges::count(turn.batch, small, &Piece::job), 1);
  EXPECT_EQ(std::ranges::count(turn.batch, large, &Piece::job), 9);
}

TEST(Queue, TheOldestMovesOnHoweverManyShortOnesCome) {
  JobQueue queue(limits());
  const auto large = job_of(std::vector<size_t>(20, 10));
  queue.push(large);
  size_t n_turn = 0;
  for (bool done = false; !done; ++n_turn) {
    ASSERT_LT(n_turn, 10u);
    for (int i = 0; i < 50; ++i) queue.push(job_of({5}));
    const auto turn = queue.next();
    for (const auto& job : queue.finish(turn.batch)) done |= job == large;
  }
  EXPECT_EQ(n_turn, 4u);  // 50 of its 200 tokens a batch
}

TEST(Queue, ATextBeyondTheBudgetTakesTurnsWithBatches) {
  JobQueue queue(limits());
  queue.push(job_of({500}));
  queue.push(job_of(std::vector<size_t>(30, 10)));
  std::vector<bool> is_long;
  for (int i = 0; i < 3; ++i) {
    const auto turn = queue.next();
    is_long.push_back(turn.one.has_value());
    queue.finish(turn.one ? std::vector<Piece>{*turn.one} : turn.batch);
  }
  EXPECT_THAT(is_long, ElementsAre(false, true, false));
}

TEST(Queue, BatchesAreOfOneModelTheOldestFirst) {
  JobQueue queue(limits());
  const auto first = job_of({10}, 1), second = job_of({10}, 0), third = job_of({10}, 1);
  for (const auto& job : {first, second, third}) queue.push(job);
  EXPECT_EQ(queue.next().batch.size(), 2u);
  EXPECT_EQ(queue.next().batch[0].job, second);
}

TEST(Queue, RefusesWhatIsTooMuchAndCountsTokensUntilTheyHaveRun) {
  JobQueue queue({.batch_tokens = 100, .max_queued_tokens = 50});
  EXPECT_EQ(queue.push(job_of({51})), JobQueue::Push::kTooLong);
  EXPECT_EQ(queue.push(job_of({30})), JobQueue::Push::kTaken);
  EXPECT_EQ(queue.push(job_of({30})), JobQueue::Push::kFull);
  const auto turn = queue.next();
  EXPECT_EQ(queue.n_token(), 30u);
  EXPECT_EQ(queue.n_waiting(), 0u);
  EXPECT_EQ(queue.finish(turn.batch).size(), 1u);
  EXPECT_EQ(queue.n_token(), 0u);
}

TEST(Queue, CancelTakesOutWhatWaitsAndKeepsWhatRuns) {
  JobQueue queue(limits());
  const auto waits = job_of({10, 200}), runs = job_of({90, 90});
  queue.push(runs);
  const auto turn = queue.next();
  queue.push(waits);
  queue.cancel(waits);
  queue.cancel(runs);
  EXPECT_EQ(queue.n_token(), 90u);
  EXPECT_EQ(queue.finish(turn.batch), std::vector{runs});
  EXPECT_EQ(queue.n_token(), 0u);
  queue.cancel(runs);  // known no more: nothing happens
}

TEST(Queue, ClosedRunsWhatIsLeftAndThenSaysSo) {
  JobQueue queue({.batch_tokens = 100, .max_wait = std::chrono::milliseconds(60000)});
  queue.push(job_of({10}));
  std::jthread closer([&] { queue.close(); });
  const auto turn = queue.next();  // does not wait for a minute
  EXPECT_EQ(turn.batch.size(), 1u);
  queue.finish(turn.batch);
  EXPECT_TRUE(queue.next().empty());
  EXPECT_EQ(queue.push(job_of({1})), JobQueue::Push::kClosed);
}

TEST(Queue, TextsOfAPairStayTogether) {
  class Pairs final : public DepthPolicy {
    std::string name() const override { return "pairs"; }
    bool by_pair() const override { return true; }
    void decide(const Boundary&, std::span<Step>) const override {}
  };
  const Pairs pairs;
  const auto job = job_of({10, 20, 30, 60});
  job->ways[0].policy = &pairs;
  const auto units = units_of(*job, 100);
  ASSERT_EQ(units.size(), 2u);
  EXPECT_EQ(units[0].n_token, 30u);
  EXPECT_EQ(units[1].n_token, 90u);
}

}  // namespace
}  // namespace fathom::test::queue_test
