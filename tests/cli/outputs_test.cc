// SPDX-License-Identifier: Apache-2.0
// Where outputs go, for every command that writes files: never over an input, never half, and told
// before the work if it cannot be.
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <map>

#include "base/tiny_disk.h"
#include "cli/models.h"
#include "cli/shell.h"
#include "eval/small_glue.h"
#include "formats/npy.h"

namespace fathom::test::outputs_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

// A model folder, texts, tasks and a policy; and what every file of them holds.
class Outputs : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(at("mm"));
    fs::create_directory(at("out"));
    write_arrays(at("mm/model.safetensors"), make_model(byte_shape()).arrays);
    folder_.write("mm/config.json", "{}");
    folder_.write("mm/tokenizer_config.json", "{}");
    write_glue(folder_, 40, [](size_t i) { return i % 2; });
    folder_.write("data/glue/CoLA/test.tsv", "index\tsentence\n0\tred cat\n1\tblue dog aa\n");
    folder_.write("io.csv", "One.\nTwo.\n");
    folder_.write("io.npy.json", "One.\nTwo.\n");
    folder_.write("ids.st", "1 2 3");
    folder_.write("cases.json", "[]");
    folder_.write("glove.txt", "red 1 2\ncat 2 1\nblue 1 1\ndog 2 2\n");
    std::string texts;
    for (size_t i = 0; i < 60; ++i) texts += sentence(i) + "\n";
    folder_.write("texts.txt", texts);
    run_ok({"prune", at("mm"), "--texts", at("texts.txt"), "--sample", "20", "--held-out", "15",
            "--remove", "1", "--method", "random", "-o", at("mask.policy")});
  }

  std::string at(const std::string& name) const { return folder_.file(name); }

  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
      all[entry.path()] = entry.is_regular_file() ? read_whole(entry.path()) : "";
    return all;
  }

  // Refused as wrong usage with these words, and not a byte of any file is another.
  void expect_untouched(const Arguments& arguments, const std::vector<std::string>& names,
                        const RunOptions& options = {}) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    const auto before = contents();
    expect_refused(run_fathom(arguments, options), kUsageError, names);
    EXPECT_TRUE(contents() == before);
  }

  TempFolder folder_;
};

TEST_F(Outputs, NoFileOfTheModelIsReplaced) {
  const std::string mm = at("mm"), weights = at("mm/model.safetensors");
  fs::create_hard_link(weights, at("hard.safetensors"));
  fs::create_symlink(weights, at("soft.safetensors"));
  fs::create_symlink("config.json", at("mm/soft.json"));
  folder_.write("mm/adapter_config.json", "{}");
  for (const std::string& out :
       {weights, at("hard.safetensors"), at("soft.safetensors"), at("mm/../mm/model.safetensors"),
        at("mm/config.json"), at("mm/soft.json"), at("mm/tokenizer_config.json"),
        at("mm/adapter_config.json")}) {
    for (const std::string& model : {mm, weights}) {
      const bool is_weights = out.ends_with(".safetensors");
      expect_untouched(
          {"trace", model, "--ids", "1", "-o", out},
          {out, is_weights ? "is an input" : "expected a file ending in .safetensors"});
      if (is_weights)
        expect_untouched({"embed", model, "-i", at("io.csv"), "--field", "One.", "-o", out},
                         {out, "is an input"});
    }
  }
  expect_untouched({"convert", mm, weights}, {weights, "is an input"});
  expect_untouched({"convert", weights, at("hard.safetensors")}, {"hard.safetensors"});
  expect_untouched({"prune", mm, "--texts", at("texts.txt"), "--remove", "1", "-o", weights},
                   {weights, "is an input"});
  // A file that was written beside the model may be written again.
  for (int i = 0; i < 2; ++i)
    run_ok({"embed", mm, "-i", at("io.csv"), "--field", "One.", "-o", at("mm/e.safetensors")});
}

TEST_F(Outputs, NoInputIsReplaced) {
  const std::string mm = at("mm"), io = at("io.csv"), policy = at("mask.policy");
  fs::create_hard_link(io, at("hard.csv"));
  fs::create_symlink(io, at("soft.csv"));
  fs::create_symlink(policy, at("policy.csv"));
  fs::create_symlink(at("data/glue/MRPC/train.tsv"), at("train.csv"));
  const std::string train = at("data/glue/MRPC/train.tsv"), dev = at("data/glue/MRPC/dev.tsv");
  for (const char* out : {"io.csv", "hard.csv", "soft.csv", "mm/../io.csv"})
    expect_untouched({"embed", mm, "-i", io, "--field", "One.", "-o", at(out)},
                     {at(out), "is an input"});
  const std::string deep = "mask:" + policy;
  expect_untouched({"embed", mm, "-i", at("io.npy.json"), "-o", at("io.npy")}, {"io.npy.json"});
  expect_untouched(
      {"embed", mm, "-i", io, "--field", "One.", "-o", at("policy.csv"), "--depth", deep},
      {"policy"});
  expect_untouched({"embed", mm, "-i", io, "--field", "One.", "-o", at("e.npy"), "--depth", deep,
                    "--depth-log", io},
                   {io});
  expect_untouched({"embed", mm, "-i", io, "--field", "One.", "-o", at("e.npy"), "--depth", deep,
                    "--depth-log", policy},
                   {policy});
  expect_untouched({"trace", mm, "--ids-file", at("ids.st"), "-o", at("ids.st")}, {"ids.st"});
  expect_untouched({"metrics", at("cases.json"), "-o", at("cases.json")}, {"cases.json"});
  expect_untouched(
      {"prune", mm, "--texts", at("texts.txt"), "--remove", "1", "-o", at("texts.txt")},
      {"texts.txt"});
  expect_untouched({"route", mm, "--texts", at("texts.txt"), "--keep", "0.7", "-o", at("r.policy"),
                    "--global", at("texts.txt")},
                   {"texts.txt"});
  const Arguments task = {"--task", "mrpc", "--data", at("data")};
  const auto with_task = [&](Arguments arguments) {
    arguments.insert(arguments.end(), task.begin(), task.end());
    return arguments;
  };
  for (const std::string& out : {train, dev, at("train.csv")}) {
    expect_untouched(with_task({"fit", mm, "-o", out}), {out, "is an input"});
    expect_untouched(with_task({"fit", mm, "--heads", out}), {out, "is an input"});
    expect_untouched(with_task({"advise", mm, "-o", out}), {out, "is an input"});
  }
  expect_untouched(with_task({"fit", mm, "--glove", at("glove.txt"), "-o", at("glove.txt")}),
                   {"glove.txt"});
  expect_untouched({"fit", mm, "--task", "cola", "--data", at("data"), "-o", at("p.policy"),
                    "--submit", at("out"), "--heads", at("data/glue/CoLA/test.tsv")},
                   {"test.tsv"});
  for (const char* name : {"results.json", "results.csv", "report.html"}) {
    for (const std::string& input : {train, dev}) {
      fs::create_symlink(input, at("out") + "/" + name);
      expect_untouched(with_task({"eval", mm, "--no-timing", "--out", at("out")}), {name});
      fs::remove(at("out") + "/" + name);
    }
  }
  fs::create_hard_link(policy, at("out/exits.csv"));
  expect_untouched(
      {"sweep", mm, "--tasks", "mrpc", "--data", at("data"), "--policies", deep, "-o", at("out")},
      {"exits.csv"});
}

TEST_F(Outputs, NoStandardStreamIsReplaced) {
  const std::string embed = concat("\"$FATHOM\" embed ", at("mm"), " -o ", at("io.csv"));
  const auto before = contents();
  const std::string err = " 2>" + at("err");
  EXPECT_EQ(run_shell(concat(embed, " <", at("io.csv"), err)), kUsageError);
  EXPECT_THAT(read_whole(at("err")), AllOf(HasSubstr("io.csv"), HasSubstr("standard input")));
  EXPECT_EQ(run_shell(concat(embed, " -i ", at("texts.txt"), " >>", at("io.csv"), err)),
            kUsageError);
  EXPECT_THAT(read_whole(at("err")), HasSubstr("standard output goes there"));
  EXPECT_EQ(run_shell(concat(embed, " -i ", at("texts.txt"), " >/dev/null 2>>", at("io.csv"))),
            kUsageError);
  EXPECT_THAT(read_whole(at("io.csv")), HasSubstr("standard error goes there"));
  EXPECT_TRUE(read_whole(at("io.csv")).starts_with("One.\nTwo.\n"));
}

TEST_F(Outputs, TwoOutputsAreTwoFiles) {
  const std::string mm = at("mm"), policy = "mask:" + at("mask.policy");
  fs::create_symlink("e.csv", at("link.csv"));
  for (const char* log : {"e.csv", "./e.csv", "link.csv", "e.csv.json"})
    expect_untouched({"embed", mm, "-i", at("io.csv"), "--field", "One.", "-o", at("e.csv"),
                      "--depth", policy, "--depth-log", at(log)},
                     {"two outputs", log});
  expect_untouched(
      {"fit", mm, "--task", "mrpc", "--data", at("data"), "-o", at("h"), "--heads", at("h")},
      {"two outputs"});
  expect_untouched({"route", mm, "--texts", at("texts.txt"), "--keep", "0.7", "-o", at("r"),
                    "--global", at("mm/../r")},
                   {"two outputs"});
}

// The model is not even there: nothing was opened before the places were tried.
TEST_F(Outputs, PlacesAreTriedBeforeTheWork) {
  const std::string no = at("no-model"), bad = at("none/e"), in = at("io.csv");
  const auto tried = [&](const Arguments& arguments, const std::string& place) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    const Outcome run = run_fathom(arguments);
    expect_refused(run, kDataError, {place});
    EXPECT_THAT(run.err, testing::Not(HasSubstr("no-model")));
  };
  const auto before = contents();
  for (const char* ending : {".npy", ".safetensors", ".jsonl", ".csv"})
    tried({"embed", no, "-i", in, "-o", bad + ending}, "none/e");
  tried({"embed", no, "-i", in, "-o", at("e.npy"), "--depth", "fixed:1", "--depth-log", bad},
        "none/e");
  fs::create_directory(at("taken.npy.json"));
  tried({"embed", no, "-i", in, "-o", at("taken.npy")}, "taken.npy.json");
  fs::remove(at("taken.npy.json"));
  tried({"trace", no, "--ids", "1", "-o", bad}, "none/e");
  tried({"rerank", no, no, "-q", "a", "-i", in, "-o", bad}, "none/e");
  tried({"metrics", no, "-o", bad}, "none/e");
  for (const char* flag : {"-o", "--heads"})
    tried({"fit", no, "--task", "mrpc", "--data", at("data"), flag, bad}, "none/e");
  tried({"advise", no, "--task", "mrpc", "--data", at("data"), "-o", bad}, "none/e");
  tried({"prune", no, "--texts", in, "--remove", "1", "-o", bad}, "none/e");
  tried({"route", no, "--texts", in, "--keep", "0.7", "-o", bad}, "none/e");
  tried({"route", no, "--texts", in, "--keep", "0.7", "-o", at("r"), "--global", bad}, "none/e");
  // Folders: a file in the place, and a folder in the place of a file.
  for (const std::string& place : {in, in + "/deeper"}) {
    tried({"eval", no, "--task", "mrpc", "--data", at("data"), "--out", place}, "io.csv");
    tried({"sweep", no, "--tasks", "mrpc", "--data", at("data"), "-o", place}, "io.csv");
  }
  fs::create_directory(at("out/report.html"));
  tried({"eval", no, "--task", "mrpc", "--data", at("data"), "--out", at("out")}, "report.html");
  tried({"eval", no, "--task", "mrpc,stsb", "--data", at("data"), "--out", in}, "io.csv");
  tried({"sweep", no, "--tasks", "mrpc", "--data", at("data"), "-o", at("out")}, "report.html");
  fs::remove(at("out/report.html"));
  EXPECT_TRUE(contents() == before);
}

TEST_F(Outputs, LinksAreFollowedAndPermissionsStay) {
  fs::create_symlink("out/real.csv", at("link.csv"));
  const Arguments embed = {"embed",   at("mm"), "-i", at("io.csv"),
                           "--field", "One.",   "-o", at("link.csv")};
  run_ok(embed);
  ASSERT_EQ(::chmod(at("out/real.csv").c_str(), 0640), 0);
  const std::string first = read_whole(at("out/real.csv"));
  folder_.write("out/real.csv", "old");
  ASSERT_EQ(::chmod(at("link.csv.json").c_str(), 0600), 0);
  run_ok(embed);
  EXPECT_TRUE(fs::is_symlink(at("link.csv")));
  EXPECT_EQ(read_whole(at("out/real.csv")), first);
  struct ::stat info {};
  ASSERT_EQ(::stat(at("out/real.csv").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
  ASSERT_EQ(::stat(at("link.csv.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

// Three files and their folder, all or none: the page is larger than the limit, results.json is
// not.
TEST_F(Outputs, AReportIsWholeOrNotThere) {
  const std::string eval = concat("\"$FATHOM\" eval ", at("mm"), " --no-timing --bootstrap 20 ",
                                  "--task mrpc --data ", at("data"), " --out ");
  ASSERT_EQ(run_shell(eval + at("whole") + " >/dev/null"), 0);
  ASSERT_LT(fs::file_size(at("whole/results.json")), 20u << 10);
  ASSERT_GT(fs::file_size(at("whole/report.html")), 20u << 10);
  const auto before = contents();
  const std::string limited = "trap '' XFSZ; ulimit -f 20; " + eval;
  const std::string said = " 2>" + at("err") + " >/dev/null";
  EXPECT_EQ(run_shell(limited + at("new/folder") + said), kDataError);
  EXPECT_THAT(read_whole(at("err")),
              HasSubstr("new/folder/report.html: cannot write: File too large; the file needs "));
  fs::remove(at("err"));
  const auto of_reports = [&] {
    std::map<std::string, std::string> all = contents();
    std::erase_if(all,
                  [](const auto& file) { return file.first.find("/parts") != std::string::npos; });
    return all;
  };
  EXPECT_TRUE(fs::exists(at("new/folder/parts"))) << "what a second run goes on from";
  std::map<std::string, std::string> after = of_reports();
  EXPECT_EQ(after.erase(at("new")) + after.erase(at("new/folder")), 2u);
  EXPECT_TRUE(after == before);
  EXPECT_EQ(run_shell(limited + at("whole") + said), kDataError);
  fs::remove_all(at("new"));
  fs::remove(at("err"));
  EXPECT_TRUE(of_reports() == before) << "the old report stays, all of it";
  ASSERT_EQ(run_shell(eval + at("whole") + " >/dev/null"), 0);
  EXPECT_FALSE(fs::exists(at("whole/parts"))) << "the report is there: the work is done";
}

TEST_F(Outputs, ADiskThatIsTooSmall) {
  const TinyDisk disk("64k");
  if (!disk.is_mounted()) GTEST_SKIP() << "may not mount a file system";
  std::string texts;
  for (size_t i = 0; i < 400; ++i) texts += sentence(i) + "\n";
  folder_.write("many.txt", texts);
  // 400 texts of 5 layers of 24 numbers: 192,000 bytes, more as text.
  for (const char* name : {"e.npy", "e.safetensors", "e.jsonl", "e.csv"}) {
    const Outcome run = run_fathom(
        {"embed", at("mm"), "-i", at("many.txt"), "-o", disk.path() / name, "--layers", "all"});
    expect_refused(run, kDataError,
                   {name, "No space left on device; the file needs ", "are free there"});
    EXPECT_TRUE(disk.is_empty()) << name;
  }
  expect_refused(run_fathom({"convert", at("mm"), disk.path() / "m.gguf"}), kDataError,
                 {"m.gguf: cannot write: No space left on device; the file needs "});
  expect_refused(run_fathom({"convert", at("mm"), disk.path() / "m/"}), kDataError,
                 {"m/model.safetensors: cannot write: No space left on device"});
  expect_refused(run_fathom({"trace", at("mm"), "--text", texts, "-o", disk.path() / "t.st"}),
                 kDataError, {"t.st: cannot write: No space left on device"});
  const Outcome eval = run_fathom({"eval", at("mm"), "--no-timing", "--bootstrap", "20", "--task",
                                   "mrpc", "--data", at("data"), "--out", disk.path() / "r"});
  EXPECT_EQ(eval.exit_code, kDataError);
  EXPECT_THAT(eval.err, HasSubstr("No space left on device"));
  std::ofstream(disk.path() / "filler") << std::string(60'000, 'x');
  const Outcome fit = run_fathom({"fit", at("mm"), "--task", "mrpc", "--data", at("data"), "-o",
                                  disk.path() / "p.policy", "--max-loss", "0.5"});
  EXPECT_EQ(fit.exit_code, kDataError);
  EXPECT_THAT(fit.err, HasSubstr("No space left on device"));
  EXPECT_FALSE(fs::exists(disk.path() / "p.policy"));
}

// Vectors of a process that runs for a while.
class Stopped : public Outputs {
 protected:
  void SetUp() override {
    Outputs::SetUp();
    std::string texts;
    for (size_t i = 0; i < 60'000; ++i) texts += sentence(i) + ", and again: " + sentence(i) + "\n";
    folder_.write("many.txt", texts);
    folder_.write("out/e.npy", "old");
    folder_.write("out/e.npy.json", "{}");
  }
  std::string embed() const {
    return concat("\"$FATHOM\" embed ", at("mm"), " -i ", at("many.txt"), " --layers all -o ",
                  at("out/e.npy"));
  }
  size_t n_out() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(at("out")), {}));
  }
  void expect_old() const {
    EXPECT_EQ(n_out(), 2u);
    EXPECT_EQ(read_whole(at("out/e.npy")), "old");
    EXPECT_EQ(read_whole(at("out/e.npy.json")), "{}");
  }
};

TEST_F(Stopped, ByASignalItLeavesNothing) {
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const std::string out = at("out/e.npy"), in = at("many.txt"), mm = at("mm");
      const struct rlimit none {};
      ::setrlimit(RLIMIT_CORE, &none);
      ::execl(test::kBinary, test::kBinary, "embed", mm.c_str(), "-i", in.c_str(), "-o",
              out.c_str(), "--layers", "all", "--threads", "3", nullptr);
      ::_exit(127);
    }
    // Until vectors are being written; it then runs for seconds.
    int status = 0;
    const auto is_writing = [&] {
      std::error_code gone;  // the trial of the place has come and gone in between
      for (const auto& entry : fs::directory_iterator(at("out")))
        if (entry.path().string().find("e.npy.tmp.") != std::string::npos &&
            fs::file_size(entry.path(), gone) > 1 << 20 && !gone)
          return true;
      return false;
    };
    bool writing = false;
    while (!(writing = is_writing()) && ::waitpid(child, &status, WNOHANG) == 0)
      ::poll(nullptr, 0, 1);
    ASSERT_TRUE(writing) << status;
    ::kill(child, signal);
    EXPECT_EQ(detail::exit_code_of(child), 128 + signal);
    expect_old();
  }
}

TEST_F(Stopped, ByALimitOnFileSizesItLeavesNothing) {
  EXPECT_EQ(run_shell("ulimit -c 0; ulimit -f 64; " + embed() + " 2>/dev/null"), 128 + SIGXFSZ);
  expect_old();
  // Where the signal is ignored, as by the children of Python, it is an error that names the file.
  EXPECT_EQ(run_shell("trap '' XFSZ; ulimit -f 64; " + embed() + " 2>" + at("err")), kDataError);
  EXPECT_THAT(read_whole(at("err")),
              HasSubstr("out/e.npy: cannot write: File too large; the file needs "));
  expect_old();
}

// Latin-1 in every name: read, written, and replaced in JSON alone.
TEST_F(Outputs, NamesThatAreNoUtf8) {
  const std::string odd = at("na\xefve");
  fs::create_directory(odd);
  fs::copy(at("mm/model.safetensors"), odd + "/model.safetensors");
  fs::copy(at("io.csv"), odd + "/in.txt");
  fs::copy(at("data"), odd + "/data", fs::copy_options::recursive);
  const auto valid_json = [&](const std::string& path) {
    const Json j = Json::parse(read_whole(path));
    EXPECT_THAT(j.dump(), HasSubstr("na\xEF\xBF\xBDve")) << path;
  };
  run_ok({"embed", odd, "-i", odd + "/in.txt", "-o", odd + "/e.npy"});
  EXPECT_TRUE(fs::exists(odd + "/e.npy"));
  valid_json(odd + "/e.npy.json");
  run_ok({"embed", odd, "-i", odd + "/in.txt", "-o", odd + "/e.safetensors"});
  EXPECT_THAT(Checkpoint::open(odd + "/e.safetensors").attributes()["fathom"].get<std::string>(),
              HasSubstr("na\xEF\xBF\xBDve"));
  run_ok({"trace", odd, "--text", "a", "-o", odd + "/t.st"});
  EXPECT_TRUE(Json::accept(run_ok({"info", odd, "--json"}).out));
  run_ok({"eval", odd, "--no-timing", "--bootstrap", "20", "--task", "mrpc,stsb", "--data",
          odd + "/data", "--out", odd + "/r"});
  for (const char* name : {"results.json", "mrpc/results.json", "stsb/results.json"})
    valid_json(concat(odd, "/r/", name));
  run_ok({"fit", odd, "--task", "cola", "--data", odd + "/data", "-o", odd + "/p", "--heads",
          odd + "/h", "--submit", odd + "/s", "--max-loss", "0.9"});
  EXPECT_TRUE(fs::exists(odd + "/s/CoLA.tsv"));
  EXPECT_TRUE(Json::accept(run_ok({"policy", "show", odd + "/p", "--json"}).out));
  run_ok({"prune", odd, "--texts", at("texts.txt"), "--sample", "20", "--held-out", "15",
          "--remove", "1", "--method", "random", "-o", odd + "/m"});
  run_ok({"convert", odd, odd + "/hf/"});
  expect_refused(
      run_fathom({"embed", odd, "-i", odd + "/in.txt", "-o", odd + "/model.safetensors"}),
      kUsageError, {"na\xefve/model.safetensors", "is an input"});
}

}  // namespace
}  // namespace fathom::test::outputs_test
