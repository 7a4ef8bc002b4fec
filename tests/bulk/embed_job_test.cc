// SPDX-License-Identifier: Apache-2.0
// EmbedJob: the same vectors whatever the files, shards and parts that texts come in; and a job that
// goes on behind what is done.
#include "bulk/embed_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>

#include "base/error_of.h"
#include "base/file_roles.h"
#include "bulk/journal.h"
#include "encode/embed_texts.h"
#include "formats/checkpoint.h"
#include "formats/npy.h"
#include "model/byte_model.h"
#include "text/packed.h"
#include "text/text_buffer.h"

namespace fathom::test::embed_job_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// What ends a run in the middle.
struct Interrupted : Error {
  Interrupted() : Error("interrupted") {}
};

std::string text_of(size_t i) {
  return concat("text ", i, std::string(1 + i * 7 % 23, static_cast<char>('a' + i % 26)));
}

std::string lines(size_t begin, size_t end) {
  std::string all;
  for (size_t i = begin; i < end; ++i) all += text_of(i) + "\n";
  return all;
}

class EmbedJobs : public testing::Test {
 protected:
  EmbedJobs() : open_({.model = byte_model(folder_), .options = {.n_thread = 1}}) {
    reading_.layers = {1, 3};
    reading_.batch_tokens = 16;  // a block is 16 of them
    fs::create_directory(at("in"));
    fs::create_directory(at("out"));
  }
  std::string at(const std::string& name) const { return folder_.file(name); }

  // stop_at: ends it when so many texts are done; calls: at which report of that. The first of the last
  // text comes before its block is written, the second behind it.
  EmbedJobResult run(const EmbedJobOptions& options, size_t stop_at = SIZE_MAX,
                     const std::string& depth = "full", size_t calls = 1) {
    calls_left_ = calls;
    forget_inputs();  // results that this process has read
    EmbedJob job(options, [this](const std::string& note) { notes_.push_back(note); });
    const DepthChoice choice = open_depth(depth, open_.model);
    EncodeOptions reading = reading_;
    if (choice.policy) reading.layers.clear();
    return job.run(open_, reading, choice, [&](const EmbedProgress& p) {
      if (p.n_done >= stop_at && --calls_left_ == 0) throw Interrupted();
    });
  }
  EmbedJobOptions options(const std::string& input, const std::string& output) const {
    EmbedJobOptions o;
    o.inputs = {input};
    o.output = at(output);
    o.save_seconds = 0;
    o.command = "a test";
    return o;
  }
  std::vector<float> vectors(const std::string& input) {
    run(options(input, "out/v.npy"));
    return read_npy(at("out/v.npy")).values;
  }
  size_t n_out() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(at("out")), {}));
  }

  TempFolder folder_;
  OpenModel open_;
  EncodeOptions reading_;
  std::vector<std::string> notes_;
  size_t calls_left_ = 1;
};

TEST_F(EmbedJobs, OfManyFilesAreThoseOfOne) {
  const std::string whole = folder_.write("whole.txt", lines(0, 30));
  folder_.write("in/a.csv", "text\n" + lines(0, 7));
  folder_.write("in/b.csv.gz", gzip("text\n" + lines(7, 19)));
  fs::create_directory(at("in/c"));
  folder_.write("in/c/c.csv", "text\n" + lines(19, 25));
  folder_.write("in/d.csv", "text\n");
  folder_.write("in/_SUCCESS", "");
  folder_.write("in/.hidden", std::string("\0", 1));
  folder_.write("in/z.csv", "text\n" + lines(25, 30));
  EmbedJobOptions o = options(at("in"), "out/e.jsonl");
  o.fields.text = "text";
  const std::vector<float> want = vectors(whole);
  for (const std::vector<std::string>& inputs :
       {std::vector<std::string>{at("in")},
        {at("in/[ab].csv*"), at("in/c"), at("in/z.*")},
        {at("in/a.csv"), at("in/b.csv"), at("in/c/c.csv"), at("in/z.csv")}}) {
    o.inputs = inputs;
    o.output = at("out/m.npy");
    run(o);
    EXPECT_EQ(read_npy(at("out/m.npy")).values, want);
  }
  o.output = at("out/m.jsonl");
  run(o);
  const std::string rows = read_whole(o.output);
  EXPECT_THAT(rows,
              HasSubstr(concat("{\"file\":\"", at("in/z.csv"), "\",\"line\":6,\"embedding\"")));
  const Json made = Json::parse(read_whole(o.output + ".json"));
  EXPECT_EQ(made["input"]["n_text"], 30);
  EXPECT_EQ(made["input"]["files"][1]["n_text"], 12);
  EXPECT_THAT(error_of([&] { run(options(at("in/*.none"), "out/x.npy")); }),
              HasSubstr("no file matches"));
  fs::create_directory(at("empty"));
  EXPECT_THAT(error_of([&] { run(options(at("empty"), "out/x.npy")); }),
              HasSubstr("a folder without a file"));
}

// What lies in a folder and is no text of it: its own output, a way back, a pipe.
TEST_F(EmbedJobs, AFolderIsReadOnce) {
  folder_.write("in/a.txt", lines(0, 5));
  fs::create_directory(at("in/b"));
  folder_.write("in/b/b.txt", lines(5, 9));
  fs::create_directory_symlink(at("in"), at("in/b/back"));
  ASSERT_EQ(::mkfifo(at("in/pipe").c_str(), 0600), 0);
  const std::vector<float> all = vectors(folder_.write("whole.txt", lines(0, 9)));
  const std::vector<float> some = vectors(folder_.write("some.txt", lines(5, 9)));
  for (const auto& [input, want] : {std::pair("in", all), std::pair("in/b/[be].*", some)})
    for (const bool resume : {false, true})
      for (int i = 0; i < 2; ++i) {  // the second time its output is there
        EmbedJobOptions o = options(at(input), "in/b/e.npy");
        o.resume = resume;
        run(o);
        EXPECT_EQ(read_npy(o.output).values, want) << input << i;
      }
  EXPECT_THAT(error_of([&] { run(options(at("in/b/*.npy*"), "in/b/e.npy")); }),
              HasSubstr("nothing but this job's own output"));
  fs::create_symlink(at("nothing"), at("in/c.txt"));
  EXPECT_THAT(error_of([&] { run(options(at("in"), "out/e.npy")); }), HasSubstr("in/c.txt"));
}

// A log that somebody writes to: what was there when the job began.
TEST_F(EmbedJobs, AFileThatGrowsIsReadAsFarAsItWas) {
  const std::string file = folder_.write("log.txt", lines(0, 30));
  const std::vector<float> want = vectors(file);
  for (const bool resume : {false, true}) {
    EmbedJobOptions o = options(file, "out/g.npy");
    o.resume = resume;
    forget_inputs();
    {
      EmbedJob job(o, {});
      std::ofstream(file, std::ios::app) << lines(30, 40);
      job.run(open_, reading_, open_depth("full", open_.model));
    }
    EXPECT_EQ(read_npy(o.output).values, want);
    fs::remove(o.output);
    folder_.write("log.txt", lines(0, 30));
  }
  // What was there has changed: more texts, fewer, others.
  for (const std::string& now : {std::string(lines(0, 30).size(), '\n'), lines(0, 7), [] {
                                   std::string other = lines(0, 30);
                                   other[2] = '!';
                                   return other;
                                 }()}) {
    EmbedJobOptions o = options(file, "out/g.npy");
    o.empty = Empty::kZero;
    forget_inputs();
    EmbedJob job(o, {});
    folder_.write("log.txt", now);
    EXPECT_THAT(error_of([&] { job.run(open_, reading_, open_depth("full", open_.model)); }),
                HasSubstr("log.txt: was written to while it was in use"));
    EXPECT_FALSE(fs::exists(o.output));
    folder_.write("log.txt", lines(0, 30));
  }
}

TEST_F(EmbedJobs, ShardsAreAllRowsOnce) {
  const std::string file = folder_.write("s.csv", "text\n\"a\nb\"\n\nc\nd\ne\nf\ng\n");
  std::map<size_t, std::string> rows;
  for (size_t shard = 0; shard < 3; ++shard) {
    EmbedJobOptions o = options(file, "out/s.jsonl");
    o.fields.text = "text";
    o.with_text = true;
    o.empty = Empty::kSkip;
    o.shard = parse_shard(concat(shard, "/3"));
    run(o);
    std::string all = read_whole(o.output);
    for (size_t end; (end = all.find('\n')) != all.npos; all.erase(0, end + 1)) {
      const Json row = Json::parse(all.substr(0, end));
      EXPECT_TRUE(rows.emplace(row["line"], row["text"]).second);
    }
  }
  EXPECT_THAT(rows, ElementsAre(std::pair(2, "a\nb"), std::pair(5, "c"), std::pair(6, "d"),
                                std::pair(7, "e"), std::pair(8, "f"), std::pair(9, "g")));
  for (const char* wrong : {"3", "4/3", "-1/3", "1/0", "1/", "/2", "a/b", "1/2/3"})
    EXPECT_THAT(error_of([&] { parse_shard(wrong); }), HasSubstr("shard: expected I/N"));
}

// A line of several parts, in front of, between and behind others.
TEST_F(EmbedJobs, LongLinesHaveTheVectorsOfTheWholeText) {
  reading_.batch_tokens = 1024;
  reading_.layers = {1};
  std::string longest;
  for (size_t i = 0; longest.size() < LineReader::kLongest + 5000; ++i) longest += text_of(i);
  const std::string file = folder_.write("l.txt", "a\n" + longest + "\r\nb\n");
  run(options(file, "out/l.npy"));
  const std::vector<float> got = read_npy(at("out/l.npy")).values;
  const std::vector<std::string_view> texts = {"a", longest, "b"};
  const Encoder encoder(open_.model, reading_);
  const size_t n = texts.size(), dim = encoder.dim();
  std::vector<float> want(n * dim);
  embed_texts(encoder, open_.tokenizer(), texts, open_.work, [&](const EmbeddedBlock& b) {
    for (size_t i = 0; i < b.size(); ++i)
      std::ranges::copy(b.row(0, i), &want[(b.begin + i) * dim]);
  });
  EXPECT_EQ(got, want);
  EmbedJobOptions o = options(file, "out/l.jsonl");
  o.with_text = true;
  run(o);
  EXPECT_THAT(read_whole(o.output), HasSubstr(longest));
}

// Every format, stopped again and again, has the bytes of one run; nothing is computed twice.
TEST_F(EmbedJobs, GoOnBehindWhatIsDone) {
  const std::string file = folder_.write("s.txt", lines(0, 400));
  for (const char* name : {"e.npy", "e.safetensors", "e.jsonl", "e.csv", "depth.jsonl"}) {
    SCOPED_TRACE(name);
    const std::string depth = std::string_view(name) == "depth.jsonl" ? "fixed:2" : "full";
    EmbedJobOptions o = options(file, concat("out/", name));
    o.with_text = o.output.ends_with("l") || o.output.ends_with("v");
    if (depth != "full") o.depth_log = at("out/log.csv");
    o.resume = true;
    const EmbedJobResult once = run(o, SIZE_MAX, depth);
    const auto contents = [&] {
      std::map<std::string, std::string> all;
      for (const auto& entry : fs::directory_iterator(at("out")))
        all[entry.path().filename()] = read_whole(entry.path());
      return all;
    };
    const auto want = contents();
    EXPECT_EQ(want.size(), depth != "full" ? 3u : o.output.ends_with("s") ? 1u : 2u);
    for (const auto& entry : fs::directory_iterator(at("out"))) fs::remove(entry);
    size_t n_token = 0, before = 0, n_run = 0;
    for (bool done = false; !done && n_run < 100; ++n_run) {
      o.command = concat("run ", n_run);  // the first one's is written down
      if (n_run == 0) o.command = "a test";
      try {
        const EmbedJobResult r = run(o, before + 60, depth);
        EXPECT_EQ(r.n_before, before);
        n_token += r.n_token;
        if (depth != "full") {
          EXPECT_EQ(r.exits->by_layer, once.exits->by_layer);
          EXPECT_EQ(r.flops.policy, once.flops.policy);
        }
        done = true;
      } catch (const Interrupted&) {
        EXPECT_FALSE(fs::exists(o.output));
        EXPECT_TRUE(fs::exists(o.output + ".part"));
        const size_t n = Journal(o.output + ".journal").blocks().back().n_text;
        EXPECT_GT(n, before);
        before = n;
      }
    }
    EXPECT_GT(n_run, 3u);
    EXPECT_GT(n_token, 0u);
    EXPECT_TRUE(contents() == want);
    EXPECT_TRUE(run(o, SIZE_MAX, depth).was_finished);
    for (const auto& entry : fs::directory_iterator(at("out"))) fs::remove(entry);
  }
}

// What an interrupted job left, and what it is to become.
class Left : public EmbedJobs {
 protected:
  Left() : o_(options(folder_.write("s.txt", lines(0, 200)), "out/e.jsonl")) {
    run(o_);
    want_ = read_whole(o_.output);
    fs::remove(o_.output);
    o_.resume = true;
    EXPECT_THROW(run(o_, 120), Interrupted);
    n_block_ = Journal(journal()).blocks().size();
    EXPECT_GT(n_block_, 4u);
  }
  std::string journal() const { return o_.output + ".journal"; }
  std::string part() const { return o_.output + ".part"; }
  void finishes_behind(size_t n_text) {
    EXPECT_EQ(run(o_).n_before, n_text);
    EXPECT_TRUE(read_whole(o_.output) == want_);
    EXPECT_EQ(n_out(), 2u);
  }

  EmbedJobOptions o_;
  std::string want_;
  size_t n_block_ = 0;
};

TEST_F(Left, WithBytesThatTheDiskLost) {
  const auto blocks = Journal(journal()).blocks();
  std::fstream file(part(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(blocks[2].ranges[0][0].begin + 5));
  file.put('#');
  file.close();
  finishes_behind(blocks[1].n_text);
}

TEST_F(Left, CutInTheMiddleOfABlock) {
  const auto blocks = Journal(journal()).blocks();
  fs::resize_file(part(), blocks[3].ranges[0][0].begin + 5);
  finishes_behind(blocks[2].n_text);
}

TEST_F(Left, WithMoreThanTheJournalSays) {
  const size_t n = Journal(journal()).blocks().back().n_text;
  std::ofstream(part(), std::ios::app) << "half a line of the next bl";
  std::ofstream(journal(), std::ios::app) << "{\"n_text\":";
  finishes_behind(n);
}

TEST_F(Left, WithAJournalThatWasNotWrittenWhole) {
  const auto blocks = Journal(journal()).blocks();
  fs::resize_file(journal(), fs::file_size(journal()) - 3);
  finishes_behind(blocks[n_block_ - 2].n_text);
}

TEST_F(Left, WithoutItsFile) {
  fs::remove(part());
  finishes_behind(0);
  EXPECT_THAT(notes_.back(), HasSubstr("begins anew"));
}

TEST_F(Left, BetweenTheNames) {
  EXPECT_THROW(run(o_, 200, "full", 2), Interrupted);  // all is done, but for the names
  fs::rename(part(), o_.output);
  finishes_behind(200);
}

// Another file in the place of the output is not taken for it.
TEST_F(Left, BetweenTheNamesBesideAnOldFile) {
  EXPECT_THROW(run(o_, 200, "full", 2), Interrupted);
  fs::remove(part());
  std::ofstream(o_.output) << "old";
  finishes_behind(0);
}

TEST_F(Left, IsRefusedByAnotherJob) {
  const auto refused = [&](const EmbedJobOptions& o, const std::string& what) {
    EXPECT_THAT(error_of([&] { run(o); }), AllOf(HasSubstr(journal()), HasSubstr(what)));
  };
  EmbedJobOptions other = o_;
  other.with_text = true;
  refused(other, "with_text false, this one has true");
  other = o_;
  other.shard = parse_shard("1/2");
  refused(other, "\"0/1\"");
  reading_.normalize = true;
  refused(o_, "embedding/normalize");
  reading_.normalize = false;
  std::string changed = lines(0, 200);
  changed[3] = '!';
  folder_.write("s.txt", changed);
  refused(o_, "inputs/0/content");
  folder_.write("s.txt", lines(0, 200));
  {
    const Journal at_work(journal());
    refused(o_, "another process is at work");
  }
  EXPECT_EQ(Journal(journal()).blocks().size(), n_block_) << "nothing is lost by all this";
  EmbedJobOptions fresh = o_;  // and one without a journal leaves it alone
  fresh.resume = false;
  run(fresh);
  EXPECT_THAT(notes_.back(), HasSubstr("of a job that is not finished"));
  EXPECT_EQ(Journal(journal()).blocks().size(), n_block_);
}

TEST_F(EmbedJobs, WithoutResumeLeaveNothing) {
  const std::string file = folder_.write("s.txt", lines(0, 100));
  EXPECT_THROW(run(options(file, "out/e.npy"), 50), Interrupted);
  EXPECT_EQ(n_out(), 0u);
  EmbedJobOptions o = options(file, "out/e.npy");
  o.resume = true;
  EXPECT_THROW(run(o, 1), Interrupted) << "before the first block";
  EXPECT_EQ(n_out(), 0u);
}

TEST_F(EmbedJobs, StoreNumbersAsTheyAreAskedTo) {
  const std::string file = folder_.write("s.txt", lines(0, 40));
  const std::vector<float> f32 = vectors(file);
  const size_t n = 40, dim = 24;
  const auto bytes = [&](OutputDtype dtype, const std::string& calibration = "") {
    EmbedJobOptions o = options(file, "out/q.npy");
    o.dtype = dtype;
    o.calibration = calibration;
    run(o);
    const std::string all = read_whole(o.output);
    return all.substr(10 + static_cast<unsigned char>(all[8]) +
                      256 * static_cast<unsigned char>(all[9]));
  };
  const std::string f16 = bytes(OutputDtype::kF16);
  ASSERT_EQ(f16.size(), 2 * f32.size());
  for (size_t i = 0; i < f32.size(); ++i) {
    F16 value{};
    std::memcpy(&value.bits, f16.data() + 2 * i, 2);
    EXPECT_EQ(value.bits, to_f16(f32[i]).bits);
  }
  const std::string bits = bytes(OutputDtype::kUbinary);
  ASSERT_EQ(bits.size(), f32.size() / 8);
  for (size_t i = 0; i < f32.size(); ++i)
    EXPECT_EQ((static_cast<unsigned char>(bits[i / 8]) >> (7 - i % 8) & 1) != 0, f32[i] > 0);
  // The formula of sentence_transformers.util.quantize_embeddings, in f32.
  const std::string some = folder_.write("some.txt", lines(0, 20));
  for (size_t n_calibration : {n, n / 2}) {
    const std::string int8 = bytes(OutputDtype::kInt8, n_calibration == n ? "" : some);
    ASSERT_EQ(int8.size(), f32.size());
    size_t n_outside = 0;
    for (size_t layer = 0; layer < 2; ++layer)
      for (size_t k = 0; k < dim; ++k) {
        const auto value = [&](size_t i) { return f32[(layer * n + i) * dim + k]; };
        float low = value(0), high = value(0);
        for (size_t i = 0; i < n_calibration; ++i) {
          low = std::min(low, value(i));
          high = std::max(high, value(i));
        }
        for (size_t i = 0; i < n; ++i) {
          const float step = (high - low) / 255, x = (value(i) - low) / step - 128;
          n_outside += x < -129 || x > 128;
          EXPECT_EQ(static_cast<int8_t>(int8[(layer * n + i) * dim + k]),
                    static_cast<int8_t>(std::clamp(x, -128.0F, 127.0F)));
        }
      }
    EXPECT_EQ(n_outside > 0, n_calibration < n);
  }
  const Json made = Json::parse(read_whole(at("out/q.npy.json")));
  EXPECT_EQ(made["output"]["dtype"], "int8");
  EXPECT_EQ(made["output"]["ranges"]["low"].size(), 2 * dim);
  EXPECT_THAT(error_of([&] { bytes(OutputDtype::kBF16); }), HasSubstr("NumPy has no bf16"));
  EmbedJobOptions o = options(file, "out/q.safetensors");
  o.dtype = OutputDtype::kBF16;
  run(o);
  const Checkpoint stored = Checkpoint::open(o.output);
  EXPECT_EQ(stored.find("layer.1")->dtype, StoredType::kBF16);
}

}  // namespace
}  // namespace fathom::test::embed_job_test
