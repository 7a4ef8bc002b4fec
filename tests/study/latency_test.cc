// SPDX-License-Identifier: Apache-2.0
// Latencies by batch, and energy counters that are files here.
#include "study/latency.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "formats/temp_folder.h"

namespace fathom::test::latency_test {
namespace {

TEST(TimeBatches, EveryCallHasItsExamplesAndTakesItsTime) {
  std::vector<std::pair<size_t, size_t>> calls;
  const BatchLatency l = time_batches(
      20, 8,
      [&](size_t begin, size_t end) {
        calls.emplace_back(begin, end);
        std::this_thread::sleep_for(std::chrono::milliseconds(begin == 16 ? 4 : 1));
      },
      [](size_t, size_t) {});
  EXPECT_EQ(l.batch, 8u);
  EXPECT_EQ(l.n_call, 36u) << "3 a round, 12 rounds at most";
  ASSERT_EQ(calls.size(), 39u) << "and one round to warm up";
  EXPECT_EQ(calls[0], std::make_pair(size_t{0}, size_t{8}));
  EXPECT_EQ(calls[2], std::make_pair(size_t{16}, size_t{20})) << "what is left";
  EXPECT_GE(l.policy.p50, 0.001);
  EXPECT_GE(l.policy.p99, 0.004) << "a third of the calls takes so long";
  EXPECT_LE(l.full.p50, l.full.p99);
}

class Powercap {
 public:
  void set(const std::string& name, const char* energy) {
    std::filesystem::create_directories(folder_.file(name));
    folder_.write(name + "/energy_uj", energy);
    folder_.write(name + "/max_energy_range_uj", "1000000\n");
  }
  std::string root() const { return folder_.file(""); }

 private:
  TempFolder folder_;
};

TEST(EnergyMeter, AddsUpPackagesAndKnowsACounterThatComesAround) {
  Powercap cap;
  cap.set("intel-rapl:0", "100\n");
  cap.set("intel-rapl:0:0", "5\n");  // a part of the first
  cap.set("intel-rapl:1", "999000\n");
  EnergyMeter meter(cap.root());
  cap.set("intel-rapl:0", "2100\n");
  cap.set("intel-rapl:0:0", "900\n");
  cap.set("intel-rapl:1", "500\n");
  EXPECT_NEAR(*meter.joules(), (2000 + 1500) * 1e-6, 1e-15);
  EXPECT_EQ(meter.joules(), 0) << "since it was read last";
}

TEST(EnergyMeter, SaysNothingWhereNothingCanBeRead) {
  TempFolder empty;
  EXPECT_FALSE(EnergyMeter(empty.file("")).joules());
  EXPECT_FALSE(EnergyMeter(empty.file("none")).joules());
  std::filesystem::create_directories(empty.file("intel-rapl:0"));
  EXPECT_FALSE(EnergyMeter(empty.file("")).joules()) << "no counter";
}

}  // namespace
}  // namespace fathom::test::latency_test
