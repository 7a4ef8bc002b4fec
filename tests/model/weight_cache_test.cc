// SPDX-License-Identifier: Apache-2.0
// Models from the cache of packed weights: the same bits as without it, never from a file that is
// stale or damaged, and never a failed run.
#include "model/weight_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <sstream>
#include <thread>

#include "base/hash.h"
#include "model/run_model.h"

namespace fathom::test::weight_cache_test {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

// Wide enough for every kind of product to be taken as asked.
SyntheticModel model_of(Version version, uint64_t seed = 1) {
  Shape s;
  s.version = version;
  s.n_layer = 2;
  s.d_model = 72;
  s.head_size = 36;
  s.seed = seed;
  return make_model(s);
}

class WeightCacheTest : public testing::Test {
 protected:
  WeightCacheTest() { write_model(model_of(Version::kV6)); }
  void write_model(const SyntheticModel& m) {
    write_arrays(model_path(), m.arrays, StoredType::kBF16);
  }
  fs::path model_path() const { return folder_.file("m.safetensors"); }
  fs::path cache() const { return folder_.file("cache"); }

  ModelOptions options(Compute compute, bool verify = false) const {
    ModelOptions o;
    o.compute = compute;
    o.small_as_asked = true;
    o.n_thread = 1;
    o.cache = {.folder = cache(), .verify = verify};
    return o;
  }
  Model open(Compute compute = Compute::kF32, bool verify = false) const {
    return Model::open(model_path(), cpu_backend(), options(compute, verify));
  }
  Model open_without(Compute compute = Compute::kF32) const {
    ModelOptions o = options(compute);
    o.cache = {};
    return Model::open(model_path(), cpu_backend(), o);
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(cache())) all.push_back(entry.path());
    return all;
  }
  // The only one.
  fs::path file() const {
    const auto all = files();
    FATHOM_REQUIRE(all.size() == 1, all.size(), " files in the cache");
    return all[0];
  }

  TempFolder folder_;
};

ModelRun run(const Model& model) {
  Workspace work(2);
  return run_model(model, random_ids(21, model.config().n_vocab, 5), 0, work);
}

void expect_same(const Model& a, const Model& b, const std::string& what) {
  ModelRun x = run(a), y = run(b);
  expect_same_run(x, y, what);
}

const auto kWritten = Contains(HasSubstr("packed weights written"));

TEST_F(WeightCacheTest, SameBitsForEveryVersionAndDtype) {
  for (Version version :
       {Version::kV4, Version::kV5_0, Version::kV5_2, Version::kV6, Version::kV7}) {
    write_model(model_of(version));
    for (Compute compute : {Compute::kF32, Compute::kBF16, Compute::kInt8}) {
      if (!cpu_backend().supports(compute)) continue;
      const std::string what = concat(name_of(version), " ", name_of(compute));
      const Model without = open_without(compute), writing = open(compute), mapped = open(compute);
      EXPECT_THAT(without.info().messages, IsEmpty()) << what;
      EXPECT_THAT(writing.info().messages, kWritten) << what;
      EXPECT_THAT(mapped.info().messages, IsEmpty()) << what;
      EXPECT_EQ(mapped.compute(), compute);
      EXPECT_EQ(mapped.weight_bytes(), without.weight_bytes()) << what;
      expect_same(without, writing, what);
      expect_same(without, mapped, what);
    }
  }
}

TEST_F(WeightCacheTest, AFileForEachDtype) {
  size_t n = 0;
  for (Compute compute : {Compute::kF32, Compute::kBF16, Compute::kInt8}) {
    if (!cpu_backend().supports(compute)) continue;
    open(compute);
    EXPECT_EQ(files().size(), ++n);
  }
}

TEST_F(WeightCacheTest, AnotherTimeOfChangeMisses) {
  open();
  fs::last_write_time(model_path(), fs::last_write_time(model_path()) + std::chrono::seconds(1));
  const Model model = open();
  EXPECT_THAT(model.info().messages, Contains(HasSubstr("it was made for 'modified ")));
  EXPECT_THAT(model.info().messages, kWritten);
  EXPECT_EQ(files().size(), 1u) << "the stale file was replaced";
  EXPECT_THAT(open().info().messages, IsEmpty());
}

TEST_F(WeightCacheTest, OtherContentsMissEvenWithTheSameTime) {
  const auto time = fs::last_write_time(model_path());
  open();
  SyntheticModel other = model_of(Version::kV6, 2);
  other.arrays.push_back({"optimizer.spare", {2}, {1, 2}});
  write_model(other);
  fs::last_write_time(model_path(), time);
  const Model model = open();
  EXPECT_THAT(model.info().messages, Contains(HasSubstr("not used: it was made for 'size ")));
  expect_same(model, open_without(), "other contents");
}

TEST_F(WeightCacheTest, TheHeaderOfTheModelIsPartOfTheKey) {
  const auto time = fs::last_write_time(model_path());
  open();
  SyntheticModel other = model_of(Version::kV6);  // as large, but two tensors change places
  std::swap(other.arrays[0], other.arrays[1]);
  write_model(other);
  fs::last_write_time(model_path(), time);
  EXPECT_THAT(open().info().messages, Contains(HasSubstr("it was made for 'tensors ")));
}

TEST_F(WeightCacheTest, AModelElsewhereHasItsOwnFile) {
  open();
  fs::create_directory(folder_.file("copy"));
  const fs::path copy = folder_.file("copy") / "m.safetensors";
  fs::copy_file(model_path(), copy);
  fs::last_write_time(copy, fs::last_write_time(model_path()));
  const Model model = Model::open(copy, cpu_backend(), options(Compute::kF32));
  EXPECT_THAT(model.info().messages, kWritten);
  EXPECT_EQ(files().size(), 2u);
  EXPECT_THAT(open().info().messages, IsEmpty());
}

TEST_F(WeightCacheTest, TruncatedAnywhereIsRefusedAndMadeAgain) {
  open();
  const fs::path path = file();
  const std::string whole = read_whole(path);
  const auto header = parse_weight_cache(std::as_bytes(std::span(whole)));
  ASSERT_GT(header.weights.size(), 10u);
  const Model without = open_without();
  for (size_t size : {size_t{0}, size_t{7}, size_t{23}, size_t{100}, whole.size() / 2,
                      whole.size() - 64, whole.size() - 1, whole.size() + 1}) {
    std::string cut = whole;
    cut.resize(size);
    folder_.write("cache/" + path.filename().string(), cut);
    const Model model = open();
    EXPECT_THAT(model.info().messages, Contains(HasSubstr("not used: "))) << size;
    EXPECT_THAT(model.info().messages, kWritten) << size;
    expect_same(without, model, concat("cut to ", size));
  }
  EXPECT_THAT(open().info().messages, IsEmpty());
}

TEST_F(WeightCacheTest, AnyFlippedBitOfTheHeaderIsRefused) {
  open();
  std::string bytes = read_whole(file());
  const auto view = [&] { return std::as_bytes(std::span(bytes)); };
  const auto first = parse_weight_cache(view()).weights[0].blob;
  const size_t n_header = static_cast<size_t>(first.data() - view().data());
  ASSERT_GT(n_header, 1000u);
  for (size_t i = 0; i < n_header; ++i) {
    bytes[i] = static_cast<char>(bytes[i] ^ (1 << i % 8));
    EXPECT_THROW(parse_weight_cache(view()), Error) << "byte " << i;
    bytes[i] = static_cast<char>(bytes[i] ^ (1 << i % 8));
  }
  EXPECT_NO_THROW(parse_weight_cache(view()));
}

// Without being asked: every weight that is taken.
TEST_F(WeightCacheTest, AFlippedBitIsFoundWhenTheWeightIsTaken) {
  open();
  const Model without = open_without();
  const std::string whole = read_whole(file());
  const WeightCacheFile parsed = parse_weight_cache(std::as_bytes(std::span(whole)));
  for (const CachedWeight& w : parsed.weights) {
    std::string bytes = whole;
    const size_t at =
        static_cast<size_t>(reinterpret_cast<const char*>(w.blob.data()) - whole.data()) +
        w.blob.size() / 2;
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    folder_.write("cache/" + file().filename().string(), bytes);
    const Model model = open();
    EXPECT_THAT(model.info().messages,
                Contains(HasSubstr(concat(w.name, " does not match its checksum: packed again"))));
    EXPECT_THAT(model.info().messages, kWritten);
    expect_same(model, without, std::string(w.name));
    EXPECT_EQ(read_whole(file()), whole);
  }
}

// A run that needs some blocks takes them from a file of all, and leaves it as it is.
TEST_F(WeightCacheTest, SomeBlocksOfAFileOfAll) {
  const auto open_blocks = [this](size_t n) {
    ModelOptions o = options(Compute::kF32);
    o.n_block = [n](const Config&) { return n; };
    return Model::open(model_path(), cpu_backend(), o);
  };
  EXPECT_THAT(open_blocks(1).info().messages, kWritten);
  EXPECT_THAT(open().info().messages, Contains(HasSubstr("some weights were missing")));
  const std::string whole = read_whole(file());
  EXPECT_THAT(open_blocks(1).info().messages, IsEmpty());
  EXPECT_EQ(read_whole(file()), whole);
  expect_same(open(), open_without(), "after both");
}

TEST_F(WeightCacheTest, VerifyFindsAFlippedBitOfAWeight) {
  for (Compute compute : {Compute::kF32, Compute::kInt8}) {
    if (!cpu_backend().supports(compute)) continue;
    fs::remove_all(cache());
    open(compute);
    EXPECT_THAT(open(compute, true).info().messages, Contains(HasSubstr("checksums are right")));
    std::string bytes = read_whole(file());
    for (size_t at : {bytes.size() - 1, bytes.size() / 2}) {
      bytes[at] = static_cast<char>(bytes[at] ^ 4);
      folder_.write("cache/" + file().filename().string(), bytes);
      const Model model = open(compute, true);
      EXPECT_THAT(model.info().messages, Contains(HasSubstr("does not match its checksum")));
      EXPECT_THAT(model.info().messages, kWritten);
      expect_same(model, open_without(compute), "after a flipped bit");
      bytes = read_whole(file());
    }
  }
}

// A header that is whole but lies: what it names is checked against the model.
TEST_F(WeightCacheTest, WeightsOfOtherSizesAreMadeAgain) {
  open();
  const fs::path path = file();
  const std::string whole = read_whole(path);
  const Model without = open_without();
  const auto with = [&](auto&& change) {
    WeightCacheFile contents = parse_weight_cache(std::as_bytes(std::span(whole)));
    change(contents.weights);
    std::ostringstream out;
    write_weight_cache(out, contents);
    folder_.write("cache/" + path.filename().string(), out.str());
    const Model model = open();
    EXPECT_THAT(model.info().messages, Contains(HasSubstr("some weights were missing")));
    EXPECT_THAT(model.info().messages, kWritten);
    expect_same(without, model, "changed");
    EXPECT_EQ(read_whole(path), whole) << "what is made again is what was there before";
  };
  with([](auto& weights) { weights.pop_back(); });
  with([](auto& weights) { weights[3].n_out += 1; });
  with([](auto& weights) { weights[0].name = "blocks.0.other"; });
  with([](auto& weights) { weights[0].compute = Compute::kBF16; });
  with([](auto& weights) { weights[0].blob = weights[0].blob.first(64); });
}

TEST_F(WeightCacheTest, WhatCannotBeWrittenIsSaidAndGoesOn) {
  folder_.write("cache", "a file where a folder should be");
  const Model model = open();
  EXPECT_THAT(model.info().messages, Contains(HasSubstr("no cache: ")));
  expect_same(model, open_without(), "no folder");
}

TEST_F(WeightCacheTest, AFolderWithoutPermissionIsSaid) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  fs::create_directory(cache());
  fs::permissions(cache(), fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_THAT(open().info().messages, Contains(HasSubstr("Permission denied")));
}

TEST_F(WeightCacheTest, AFolderInItsPlaceIsSaid) {
  open();
  const fs::path path = file();
  fs::remove(path);
  fs::create_directory(path);
  const Model model = open();
  EXPECT_THAT(model.info().messages, Contains(HasSubstr("expected a regular file")));
  EXPECT_THAT(model.info().messages, Contains(HasSubstr("no cache: ")));
}

TEST_F(WeightCacheTest, TheReferenceKeepsNothing) {
  const Model model = Model::open(model_path(), reference_backend(), options(Compute::kF32));
  EXPECT_THAT(model.info().messages, Contains(HasSubstr("backend reference has no packed form")));
  EXPECT_FALSE(fs::exists(cache()));
}

TEST_F(WeightCacheTest, WritersAtOnce) {
  const Model without = open_without();
  open();
  const fs::path path = file();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 3; ++k) {
        expect_same(without, open(), "while others write");
        std::error_code ignored;
        fs::remove(path, ignored);
      }
    });
  for (std::thread& t : threads) t.join();
  open();
  EXPECT_EQ(files().size(), 1u) << "no temporary file is left";
  EXPECT_THAT(open(Compute::kF32, true).info().messages,
              Contains(HasSubstr("checksums are right")));
}

// A mapped file that is replaced stays as it was for those who mapped it.
TEST_F(WeightCacheTest, ReplacingTheFileLeavesOpenModelsAlone) {
  open();
  const Model mapped = open(), without = open_without();
  fs::last_write_time(model_path(), fs::last_write_time(model_path()) + std::chrono::seconds(1));
  EXPECT_THAT(open().info().messages, kWritten);
  expect_same(mapped, without, "after the file was replaced");
}

TEST(WeightCacheFile, WhatIsWrittenIsRead) {
  const std::vector<std::byte> a(100, std::byte{1}), b(64, std::byte{2});
  WeightCacheFile contents{"key\n", {}};
  contents.weights.push_back({"a", 3, 4, Compute::kInt8, a, hash_of(a)});
  contents.weights.push_back({"b", 5, 6, Compute::kF32, {}, hash_of({})});
  contents.weights.push_back({"", 0, 0, Compute::kBF16, b, hash_of(b)});
  std::ostringstream out;
  write_weight_cache(out, contents);
  const std::string bytes = out.str();
  const WeightCacheFile read = parse_weight_cache(std::as_bytes(std::span(bytes)));
  EXPECT_EQ(read.key, contents.key);
  ASSERT_EQ(read.weights.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const CachedWeight &x = read.weights[i], &y = contents.weights[i];
    EXPECT_EQ(x.name, y.name);
    EXPECT_EQ(x.n_out, y.n_out);
    EXPECT_EQ(x.n_in, y.n_in);
    EXPECT_EQ(x.compute, y.compute);
    EXPECT_TRUE(std::ranges::equal(x.blob, y.blob));
    EXPECT_EQ(x.hash, y.hash);
    EXPECT_EQ((reinterpret_cast<const char*>(x.blob.data()) - bytes.data()) % 64, 0);
  }
}

}  // namespace
}  // namespace fathom::test::weight_cache_test
