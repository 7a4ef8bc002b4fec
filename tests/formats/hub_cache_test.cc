// SPDX-License-Identifier: Apache-2.0
#include "formats/hub_cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "formats/build_files.h"
#include "formats/temp_folder.h"

namespace fathom::hub_cache_test {
namespace {

namespace fs = std::filesystem;

using test::refusal;
using test::TempFolder;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kVariables[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
                                      "XDG_CACHE_HOME", "HOME"};

// A cache with one model, org/tiny, of one tensor w; what the environment said comes back.
class HubCache : public testing::Test {
 protected:
  HubCache() {
    for (size_t i = 0; i < std::size(kVariables); ++i) {
      if (const char* value = std::getenv(kVariables[i])) before_[i] = value;
      ::unsetenv(kVariables[i]);
    }
  }
  ~HubCache() override {
    for (size_t i = 0; i < std::size(kVariables); ++i) {
      if (before_[i])
        ::setenv(kVariables[i], before_[i]->c_str(), 1);
      else
        ::unsetenv(kVariables[i]);
    }
  }
  // As the hub's client leaves it: blobs, and links to them in the snapshot.
  fs::path make(const fs::path& cache, const std::string& hash, float value) const {
    const fs::path model = cache / "models--org--tiny";
    fs::create_directories(model / "blobs");
    fs::create_directories(model / "refs");
    fs::create_directories(model / "snapshots" / hash);
    write(model / "blobs" / hash,
          test::safetensors(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                            test::data_of<float>({value})));
    fs::create_symlink("../../blobs/" + hash, model / "snapshots" / hash / "model.safetensors");
    return model;
  }
  static void write(const fs::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static float opened(const fs::path& path) {
    return test::values_of(*Checkpoint::open(path).find("w")).at(0);
  }
  TempFolder folder_;

 private:
  std::optional<std::string> before_[std::size(kVariables)];
};

TEST_F(HubCache, LiesWhereTheHubsClientPutsIt) {
  ::setenv("HOME", "/home/me", 1);
  EXPECT_EQ(hub_cache(), "/home/me/.cache/huggingface/hub");
  ::setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(hub_cache(), "/cache/huggingface/hub");
  ::setenv("HF_HOME", "/hf", 1);
  EXPECT_EQ(hub_cache(), "/hf/hub");
  ::setenv("HF_HUB_CACHE", "/hub", 1);
  EXPECT_EQ(hub_cache(), "/hub");
  ::setenv("HF_HUB_CACHE", "", 1);  // as if it were not set
  EXPECT_EQ(hub_cache(), "/hf/hub");
}

TEST_F(HubCache, AModelsFolderIsOpenedByItsRef) {
  const fs::path model = make(folder_.path(), "aaaa", 1);
  make(folder_.path(), "bbbb", 2);
  write(model / "refs/main", "bbbb");
  EXPECT_EQ(opened(model), 2);
  EXPECT_EQ(opened(model / ""), 2);  // with a slash at its end
  EXPECT_EQ(Checkpoint::open(model).files().at(0), model / "snapshots/bbbb/model.safetensors");
  EXPECT_EQ(Checkpoint::open(model).directory(), model / "snapshots/bbbb");
  write(model / "refs/main", "aaaa\n");
  EXPECT_EQ(opened(model), 1);
}

TEST_F(HubCache, WithoutARefTheOnlySnapshot) {
  const fs::path model = make(folder_.path(), "aaaa", 1);
  EXPECT_EQ(opened(model), 1);
  make(folder_.path(), "bbbb", 2);
  EXPECT_THAT(refusal([&] { Checkpoint::open(model); }),
              AllOf(HasSubstr("2 snapshots"), HasSubstr("refs/main")));
  write(model / "refs/main", "cccc");
  EXPECT_THAT(refusal([&] { Checkpoint::open(model); }),
              AllOf(HasSubstr("snapshots/cccc"), HasSubstr("refs/main")));
  for (const char* bad : {"../../..", "", ".."}) {
    write(model / "refs/main", bad);
    EXPECT_THAT(refusal([&] { Checkpoint::open(model); }), HasSubstr("name of a snapshot"));
  }
}

TEST_F(HubCache, ANameThatIsNoPathIsLookedUp) {
  ::setenv("HF_HOME", folder_.path().c_str(), 1);
  make(folder_.file("hub"), "aaaa", 1);
  EXPECT_EQ(opened("org/tiny"), 1);
  EXPECT_EQ(resolve_model_path("org/tiny"), folder_.file("hub/models--org--tiny/snapshots/aaaa"));
}

TEST_F(HubCache, ANameThatIsNowhereSaysHowToGetIt) {
  ::setenv("HF_HOME", folder_.path().c_str(), 1);
  EXPECT_THAT(refusal([&] { Checkpoint::open("RWKV/RWKV7-1.5B"); }),
              AllOf(HasSubstr("RWKV/RWKV7-1.5B: no such file or folder"),
                    HasSubstr("hf download RWKV/RWKV7-1.5B"), HasSubstr("huggingface-cli"),
                    HasSubstr(folder_.file("hub").string())));
  // What is meant as a path is answered as one.
  for (const char* path : {"models/x.pth", "a/b/c", "./a/b", "../a/b", "/a/b", "a b/c", "a/", "/b"})
    EXPECT_THAT(refusal([&] { Checkpoint::open(path); }), testing::Not(HasSubstr("download")));
}

TEST_F(HubCache, APathComesFirst) {
  ::setenv("HF_HOME", folder_.path().c_str(), 1);
  make(folder_.file("hub"), "aaaa", 1);
  const fs::path before = fs::current_path();
  fs::create_directories(folder_.file("org/tiny"));
  write(folder_.file("org/tiny/model.safetensors"),
        test::safetensors(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                          test::data_of<float>({7})));
  fs::current_path(folder_.path());
  EXPECT_EQ(opened("org/tiny"), 7);
  fs::current_path(before);
}

}  // namespace
}  // namespace fathom::hub_cache_test
