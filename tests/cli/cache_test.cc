// SPDX-License-Identifier: Apache-2.0
// --cache, --cache-verify and --dtype auto, from outside; and what happens on a CPU that is made to
// look older than it is.
#include <algorithm>
#include <thread>

#include "base/json.h"
#include "cli/models.h"
#include "kernels/backend.h"

namespace fathom::test::cache_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

const RunOptions kAvx2{.environment = {"FATHOM_MAX_ISA=avx2"}};
const RunOptions kSse4{.environment = {"FATHOM_MAX_ISA=sse4"}};

class CacheCommand : public testing::Test {
 protected:
  // The vectors of two sentences, as the file's bytes.
  std::string embed(std::vector<std::string> flags, std::string* err = nullptr,
                    RunOptions options = {}, const std::string& name = "e.npy") {
    flags.insert(flags.begin(), {"embed", model_, "-o", folder_.file(name)});
    options.input = "The cat sat.\nA dog ran off.\n";
    const Outcome run = run_ok(flags, options);
    if (err) *err = run.err;
    return read_whole(folder_.file(name));
  }
  size_t n_cached() const {
    return fs::exists(cache_) ? static_cast<size_t>(std::distance(fs::directory_iterator(cache_),
                                                                  fs::directory_iterator()))
                              : 0;
  }

  TempFolder folder_;
  std::string model_ = byte_model(folder_);
  std::string cache_ = folder_.file("cache");
};

TEST_F(CacheCommand, TheSecondRunMapsWhatTheFirstWrote) {
  const std::string without = embed({});
  EXPECT_EQ(n_cached(), 0u);
  std::string err;
  EXPECT_EQ(embed({"--cache", cache_}, &err), without);
  EXPECT_THAT(err, HasSubstr("packed weights written"));
  EXPECT_EQ(n_cached(), 1u);
  EXPECT_EQ(embed({"--cache", cache_}, &err), without);
  EXPECT_THAT(err, Not(HasSubstr("cache")));
  EXPECT_EQ(embed({"--cache", cache_, "--cache-verify"}, &err), without);
  EXPECT_THAT(err, HasSubstr("checksums are right"));
}

TEST_F(CacheCommand, ProcessesAtOnce) {
  const std::string without = embed({});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      EXPECT_EQ(embed({"--cache", cache_}, nullptr, {}, concat(i, ".npy")), without);
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(n_cached(), 1u) << "and no temporary file";
}

TEST_F(CacheCommand, AFolderThatCannotBeMadeIsNoFailure) {
  std::string err;
  EXPECT_EQ(embed({"--cache", "/proc/none"}, &err), embed({}));
  EXPECT_THAT(err, HasSubstr("fathom: no cache: /proc/none"));
}

TEST_F(CacheCommand, VerifyWantsACache) {
  expect_refused(run_fathom({"embed", model_, "-o", folder_.file("e.npy"), "--cache-verify"}),
                 kUsageError, {"--cache"});
}

TEST_F(CacheCommand, AnotherInstructionSetHasItsOwnFile) {
  if (!cpu_backend().supports(Compute::kBF16)) GTEST_SKIP() << "this CPU is older than AVX2";
  embed({"--cache", cache_});
  embed({"--cache", cache_}, nullptr, kAvx2);
  EXPECT_EQ(n_cached(), 2u);
}

TEST_F(CacheCommand, OlderCpusComputeInF32AndSayIt) {
  const std::string want = embed({"--dtype", "f32"}, nullptr, kSse4);
  std::string err;
  for (const char* dtype : {"bf16", "int8"}) {
    EXPECT_EQ(embed({"--dtype", dtype}, &err, kSse4), want);
    EXPECT_THAT(err, HasSubstr(concat("this CPU has no ", dtype, " products: computing in f32")));
  }
  // What is chosen without being asked for is no fallback: the summary line says it.
  EXPECT_EQ(embed({"--dtype", "auto"}, &err, kSse4), want);
  EXPECT_THAT(err, HasSubstr("to open the model, in f32 -> "));
}

TEST_F(CacheCommand, SmallModelsAreComputedInF32UnlessForced) {
  if (!cpu_backend().supports(Compute::kInt8)) GTEST_SKIP() << "this CPU has no int8 products";
  std::string err;
  const std::string f32 = embed({});
  EXPECT_EQ(embed({"--dtype", "int8"}, &err), f32);
  EXPECT_THAT(err, HasSubstr("d_model below 256"));
  EXPECT_NE(embed({"--dtype", "int8", "--small-as-asked"}, &err), f32);
  EXPECT_THAT(err, Not(HasSubstr("d_model below 256")));
}

TEST_F(CacheCommand, InfoSaysWhatIsPickedAndWhy) {
  // Large enough that its size is no reason for f32.
  const TempFolder folder;
  const std::string path = folder.file("model.safetensors");
  write_arrays(path,
               make_model({.n_layer = 1, .d_model = 256, .d_ffn = 64, .head_size = 64}).arrays);
  const auto products = [&](const std::string& dtype, const RunOptions& options) {
    const Outcome run = run_ok({"info", path, "--json", "--dtype", dtype}, options);
    return Json::parse(run.out)["products"];
  };
  const bool bf16 = cpu_backend().supports(Compute::kBF16);
  EXPECT_EQ(products("auto", {})["dtype"], bf16 ? "bf16" : "f32");
  EXPECT_EQ(products("auto", kAvx2)["dtype"], bf16 ? "bf16" : "f32");
  EXPECT_EQ(products("auto", kSse4)["dtype"], "f32");
  EXPECT_EQ(products("auto", kSse4)["reason"], "this CPU has no bf16 products");
  EXPECT_EQ(products("auto", kSse4)["asked"], "auto");
  EXPECT_EQ(products("bf16", kSse4)["reason"], "this CPU has no bf16 products: computing in f32");
  EXPECT_EQ(products("f32", {})["reason"], "as asked");
  EXPECT_THAT(run_ok({"info", path, "--dtype", "auto"}).out, HasSubstr("\nproducts "));
}

TEST(MaxIsa, InfoAndBenchSayWhatIsInForce) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const std::string limited = run_ok({"info", model}, kAvx2).out;
  EXPECT_THAT(limited,
              HasSubstr("f32 own kernel, bf16 own widening kernel, int8 own widening kernel; "
                        "the rest: Highway "));
  EXPECT_THAT(run_ok({"info", model}, kSse4).out,
              HasSubstr("f32 own kernel, bf16 none, int8 none; the rest: Highway "));
  EXPECT_THAT(limited, HasSubstr("; FATHOM_MAX_ISA=avx2\n"));
  EXPECT_THAT(run_ok({"info", model}).out, Not(HasSubstr("FATHOM_MAX_ISA")));
  EXPECT_THAT(run_ok({"bench", model, "--tokens", "8", "--min-seconds", "0"}, kAvx2).out,
              HasSubstr("FATHOM_MAX_ISA=avx2"));
}

TEST(MaxIsa, AnUnknownOneIsRefusedWithEveryBackend) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  for (const char* value : {"AVX2", "avx2 ", "avx1024", "0"}) {
    for (const char* backend : {"cpu", "reference"}) {
      expect_refused(run_fathom({"info", model, "--backend", backend},
                                {.environment = {concat("FATHOM_MAX_ISA=", value)}}),
                     kUsageError,
                     {"FATHOM_MAX_ISA", concat("'", value, "'"),
                      "sse4, avx2, avx_vnni, avx512, avx512_vnni or avx512_bf16"});
    }
  }
}

}  // namespace
}  // namespace fathom::test::cache_test
