// SPDX-License-Identifier: Apache-2.0
// Bad input of every kind: one line that names the thing, the right exit code, nothing left behind.
#include <sys/stat.h>

#include "cli/models.h"
#include "formats/build_files.h"
#include "paths.h"

namespace fathom::test::bad_input_test {
namespace {

using Names = std::vector<std::string>;

constexpr const char* kLfsPointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 3200000000\n";

// `fathom info` and `fathom embed` of a model file: both refuse it, and leave nothing.
void expect_bad_model(const TempFolder& folder, const std::string& model, const Names& names) {
  SCOPED_TRACE(model);
  const std::string out = folder.file("out");
  std::filesystem::create_directory(out);
  expect_refused(run_fathom({"info", model}), kDataError, names);
  expect_refused(run_fathom({"embed", model, "-o", out + "/e.npy"}, {.input = "A.\n"}), kDataError,
                 names);
  EXPECT_TRUE(std::filesystem::is_empty(out));
}

TEST(BadModel, WhatIsNoModel) {
  const TempFolder folder;
  expect_bad_model(folder, folder.file("missing.pth"), {"missing.pth", "no such file"});
  expect_bad_model(folder, folder.write("empty.pth", ""), {"empty.pth", "empty"});
  expect_bad_model(folder, folder.write("text.pth", "Hello, World!\n"),
                   {"text.pth", "not a known format", "Hello"});
  expect_bad_model(folder, folder.write("lfs.safetensors", kLfsPointer),
                   {"lfs.safetensors", "git-lfs pointer"});
  std::filesystem::create_directory(folder.file("nothing"));
  expect_bad_model(folder, folder.file("nothing"), {"nothing", "no weights"});
}

TEST(BadModel, APickleThatWouldRunCode) {
  const TempFolder folder;
  const std::string body =
      pickle::global("os", "system") + "(" + pickle::text("touch pwned") + "tR";
  for (const std::filesystem::path& file : {folder.write("zip.pth", torch_zip(body, {})),
                                            folder.write("legacy.pth", torch_legacy(body, {}, 4))})
    expect_bad_model(folder, file, {"os", "system"});
  EXPECT_FALSE(std::filesystem::exists("pwned"));
}

TEST(BadModel, TensorsOfSomethingElse) {
  const TempFolder folder;
  write_arrays(folder.file("bert.safetensors"), {{"encoder.layer.0.weight", {2, 2}, {1, 2, 3, 4}}});
  expect_bad_model(folder, folder.file("bert.safetensors"),
                   {"bert.safetensors", "no RWKV", "encoder.layer.0.weight"});
}

TEST(BadModel, AMissingOrMisshapenTensor) {
  const TempFolder folder;
  SyntheticModel m = make_model(byte_shape());
  m.remove("blocks.1.att.key.weight");
  write_arrays(folder.file("a.st"), m.arrays);
  expect_bad_model(folder, folder.file("a.st"), {"a.st", "blocks.1.att.key.weight"});

  m = make_model(byte_shape());
  for (Array& a : m.arrays)
    if (a.name == "blocks.2.ffn.key.weight") std::swap(a.shape[0], a.shape[1]);
  write_arrays(folder.file("b.st"), m.arrays);
  expect_bad_model(folder, folder.file("b.st"), {"b.st", "blocks.2.ffn.key.weight", "61", "24"});
}

// Cut anywhere, a file of every format is refused by name.
TEST(BadModel, TruncatedFiles) {
  const TempFolder folder;
  const SyntheticModel v6 = make_model(byte_shape());
  write_arrays(folder.file("m.safetensors"), v6.arrays);
  write_rwkv_cpp(folder.file("m.bin"), v6);
  write_gguf_model(folder.file("m.gguf"), v6, gguf(v6));
  std::vector<std::string> files = {"m.safetensors", "m.bin", "m.gguf"};
  const std::string torch = torch_zip(
      pickle::dict({{"w", pickle::tensor(pickle::storage("FloatStorage", "0", 4), 0, {4}, {1})}}),
      {{"0", std::string(16, 'x')}});
  folder.write("m.pth", torch);
  files.push_back("m.pth");
  for (const std::string& name : files) {
    const std::string whole = read_whole(folder.file(name));
    for (size_t keep : {size_t{3}, size_t{11}, size_t{40}, whole.size() / 2, whole.size() - 1}) {
      SCOPED_TRACE(concat(name, " cut to ", keep, " of ", whole.size()));
      const std::string cut = folder.write("cut-" + name, std::string_view(whole).substr(0, keep));
      expect_refused(run_fathom({"info", cut}), kDataError, {"cut-" + name});
    }
  }
}

// Bits flipped in a header: whatever it then says, the program ends in order.
TEST(BadModel, FlippedBitsNeverCrash) {
  const TempFolder folder;
  const SyntheticModel m = make_model(byte_shape());
  write_arrays(folder.file("m.safetensors"), m.arrays);
  write_rwkv_cpp(folder.file("m.bin"), m);
  Random random(7);
  for (const char* name : {"m.safetensors", "m.bin"}) {
    const std::string whole = read_whole(folder.file(name));
    for (int i = 0; i < 15; ++i) {
      std::string flipped = whole;
      flipped[random.below(400)] ^= static_cast<char>(1 << random.below(8));
      const Outcome run = run_fathom({"info", folder.write("flipped", flipped)});
      EXPECT_TRUE(run.exit_code == 0 || run.exit_code == kDataError) << run.exit_code << run.err;
    }
  }
}

// Every evaluation that goes wrong leaves no output folder with anything in it.
void expect_bad_eval(const TempFolder& folder, const std::vector<std::string>& flags,
                     const Names& names) {
  const std::string out = folder.file("out");
  std::vector<std::string> all = {"eval", byte_model(folder), "--out", out, "--no-timing"};
  all.insert(all.end(), flags.begin(), flags.end());
  expect_refused(run_fathom(all), kDataError, names);
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(BadData, TablesThatDoNotFit) {
  struct Case {
    const char* text;
    Names names;
  };
  const Case cases[] = {
      {"", {"dev.tsv", "empty"}},
      {"Quality\t#1 ID\t#2 ID\t#1 String\n", {"dev.tsv:1", "#2 String"}},
      {"#1 String\t#2 String\na\tb\n", {"dev.tsv:1", "Quality"}},
      {"Quality\t#1 String\t#2 String\n1\ta\n", {"dev.tsv:2", "3 columns", "2"}},
      {"Quality\t#1 String\t#2 String\n1\ta\tb\tc\n", {"dev.tsv:2", "3 columns", "4"}},
      {"Quality\t#1 String\t#2 String\nyes\ta\tb\n", {"dev.tsv:2", "'yes'"}},
      {"Quality\t#1 String\t#2 String\n", {"dev.tsv", "no rows"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const TempFolder folder;
    folder.write("dev.tsv", c.text);
    expect_bad_eval(folder, {"--data", folder.path()}, c.names);
  }
}

TEST(BadData, MissingAndUnlabelledSplits) {
  const TempFolder folder;
  expect_bad_eval(folder, {"--data", folder.file("nowhere")}, {"nowhere"});
  expect_bad_eval(folder, {"--data", folder.path()}, {"mrpc", "dev.tsv"});
  folder.write("test.tsv", "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\ta\tb\n");
  expect_bad_eval(folder, {"--data", folder.path(), "--split", "test"},
                  {"test.tsv", "no labels", "msr_paraphrase_test.txt"});
}

TEST(BadData, WordVectorsThatAreNone) {
  const TempFolder folder;
  folder.write("dev.tsv", "Quality\t#1 String\t#2 String\n1\ta\tb\n0\tc\td\n1\te\tf\n");
  const std::string data = folder.path();
  expect_bad_eval(folder, {"--data", data, "--glove", folder.file("no.txt")}, {"no.txt"});
  expect_bad_eval(folder, {"--data", data, "--glove", folder.write("short.txt", "a 1 2\nb 1\n")},
                  {"short.txt:2"});
  expect_bad_eval(folder, {"--data", data, "--glove", folder.write("nan.txt", "a 1 2\nb 1 x\n")},
                  {"nan.txt:2", "x"});
}

TEST(BadOutput, PlacesThatCannotBeWritten) {
  const TempFolder folder;
  const std::string model = byte_model(folder), nowhere = folder.file("no/such/folder");
  const std::string cases = folder.write("c.json", "[]");
  expect_refused(run_fathom({"trace", model, "--ids", "1", "-o", nowhere + "/t.safetensors"}),
                 kDataError, {"t.safetensors", "cannot write"});
  expect_refused(run_fathom({"metrics", cases, "-o", nowhere + "/m.json"}), kDataError,
                 {"m.json", "cannot write"});
  for (const char* ending : {".npy", ".jsonl", ".csv", ".safetensors"})
    expect_refused(run_fathom({"embed", model, "-o", nowhere + "/e" + ending}, {.input = "A.\n"}),
                   kDataError, {std::string("e") + ending, "cannot write"});
  // A folder in the place of the file, a file in the place of the folder.
  std::filesystem::create_directory(folder.file("e.npy"));
  expect_refused(run_fathom({"embed", model, "-o", folder.file("e.npy")}, {.input = "A.\n"}),
                 kDataError, {"e.npy", "directory"});
  folder.write("dev.tsv", "Quality\t#1 String\t#2 String\n1\ta\tb\n0\tc\td\n1\te\tf\n");
  expect_refused(run_fathom({"eval", model, "--data", folder.path(), "--no-timing", "--out",
                             folder.file("c.json")}),
                 kDataError, {"c.json"});
  EXPECT_EQ(read_whole(cases), "[]");
}

// A disk that is full: /dev/full takes nothing.
TEST(BadOutput, AFullDiskIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const std::string command = concat(test::kBinary, " info '", model, "' > /dev/full 2> '",
                                     folder.file("err").string(), "'");
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), kDataError);
  EXPECT_THAT(read_whole(folder.file("err")), testing::HasSubstr("standard output"));
}

}  // namespace
}  // namespace fathom::test::bad_input_test
