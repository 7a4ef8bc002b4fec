// SPDX-License-Identifier: Apache-2.0
// Job: the work of one HTTP request for the engine, and its result.
//
// The maker of a job fills in the request. From submit() until `done` is called only the engine
// writes to it, with the exception of `gone`. After that the callee owns it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "depth/policy.h"
#include "depth/reading.h"
#include "encode/encoder.h"

namespace fathom::serve {

using Clock = std::chrono::steady_clock;

// One way to read texts. Those of all jobs run in one batch.
struct Way {
  Reading reading;
  const DepthPolicy* policy = nullptr;
  VectorShape shape;  // of a text
  size_t size() const { return shape.n_vector * shape.dim; }
};

// A text read in a way. Where the policy decides by pair, the two of a pair are neighbours.
struct Item {
  size_t way = 0, text = 0;
  size_t out = 0;  // where its numbers begin in Job::out
};

// Why a job has no result.
struct JobFault {
  std::optional<size_t> text;  // whose
  std::string message;
};

struct Job {
  enum class Kind : uint8_t {
    kVectors,    // each item by the encoder
    kTokenRows,  // each item's rows at the one layer of its way, (n_token, d_model)
    kRerank,  // texts[0] is the query, the others documents, as RerankPrompt makes them; no items
  };
  Kind kind = Kind::kVectors;
  size_t model = 0;
  std::vector<Way> ways;
  std::vector<std::vector<Token>> texts;
  std::vector<Item> items;
  size_t n_value = 0;  // numbers of the result

  std::atomic<bool> gone = false;  // the client has disconnected
  std::function<void(std::shared_ptr<Job>)> done;

  // The result.
  std::vector<float> out;         // (n_value)
  std::vector<DepthTrace> trace;  // (items.size()) of those with a policy
  std::optional<JobFault> fault;
  size_t n_token = 0;  // that it was counted with, second scans included
  Clock::time_point submitted, started, finished;
};

// What runs together: items [first, first + n) of a job; of kRerank, texts.
struct Unit {
  size_t first = 0, n = 1;
  size_t n_token = 0;
};

// Those of a job, in order.
std::vector<Unit> units_of(const Job& job, size_t batch_tokens);

}  // namespace fathom::serve
