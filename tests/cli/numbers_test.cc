// SPDX-License-Identifier: Apache-2.0
// Every option that holds a number: the whole text has to be one, or it is a usage error that names
// the option, what it takes and what came.
#include "cli/program.h"

namespace fathom::test::numbers_test {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Option {
  const char *command, *name;
};

// All whole numbers of all commands.
const Option kWhole[] = {
    {"info", "--threads"},     {"embed", "--threads"},     {"embed", "--batch-tokens"},
    {"trace", "--chunk"},      {"rerank", "--top"},        {"rerank", "--batch-tokens"},
    {"eval", "--seed"},        {"eval", "--sample"},       {"eval", "--train-sample"},
    {"eval", "--bootstrap"},   {"eval", "--batch-tokens"}, {"fit", "--seed"},
    {"fit", "--streak"},       {"fit", "--calibration"},   {"fit", "--bootstrap"},
    {"fit", "--batch-tokens"}, {"bench", "--length"},      {"bench", "--repeats"},
    {"bench", "--threads"},    {"bench", "--tokens"},      {"bench", "--batch-tokens"},
    {"sweep", "--seed"},       {"sweep", "--seeds"},       {"sweep", "--points"},
    {"sweep", "--streak"},     {"sweep", "--bootstrap"},   {"sweep", "--time-points"},
    {"sweep", "--max-train"},  {"sweep", "--calibration"}, {"advise", "--seed"},
    {"advise", "--bootstrap"}, {"advise", "--max-train"},  {"prune", "--seed"},
    {"prune", "--sample"},     {"prune", "--held-out"},    {"prune", "--remove"},
    {"prune", "--protect"},    {"route", "--seed"},        {"route", "--clusters"},
    {"route", "--layer"},      {"route", "--bootstrap"},   {"route", "--protect"},
};
const Option kReal[] = {
    {"info", "--ln-x-eps"},    {"convert", "--ln-x-eps"},  {"fit", "--alpha"},
    {"fit", "--target-speed"}, {"fit", "--max-loss"},      {"fit", "--risk-control"},
    {"fit", "--tolerance"},    {"bench", "--min-seconds"}, {"sweep", "--pass-seconds"},
    {"advise", "--guarantee"}, {"prune", "--keep"},        {"route", "--keep"},
};

// What a command needs beside the option: nothing of it is read.
std::vector<std::string> arguments_of(const Option& option, const std::string& value) {
  const std::string command = option.command;
  std::vector<std::string> all = {command, "nosuch-model"};
  if (command == "rerank") all.push_back("nosuch-reranker");
  if (command == "convert") all.push_back("nosuch.gguf");
  if (command == "sweep" || command == "advise" || command == "embed" || command == "trace" ||
      command == "prune" || command == "route")
    all.insert(all.end(), {"-o", "nosuch.npy"});
  if (command == "advise") all.insert(all.end(), {"--task", "mrpc"});
  all.insert(all.end(), {option.name, value});
  return all;
}

void expect_all_refused(const Option& option, const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    SCOPED_TRACE(concat(option.command, " ", option.name, " '", value, "'"));
    const Outcome run = run_fathom(arguments_of(option, value));
    expect_refused(run, kUsageError, {option.name, "expected"});
    if (!value.empty()) {
      EXPECT_THAT(run.err, HasSubstr(value));
    }
    EXPECT_LT(run.err.size(), 200u) << "bounds of 309 digits help nobody";
  }
}

TEST(Numbers, WholeOnesAreRefusedWhereTheyAreNone) {
  for (const Option& option : kWhole)
    expect_all_refused(option, {"-1", "18446744073709551616", "1.5", "1x", "0x10", "many"});
}

TEST(Numbers, AnEmptyTextIsNone) {
  for (const Option& option : kWhole)
    if (std::string(option.command) != "bench" || std::string(option.name) == "--length")
      expect_all_refused(option, {"", " "});
}

TEST(Numbers, ZeroIsRefusedByItsBounds) {
  for (const Option& option : {Option{"eval", "--sample"}, Option{"search", "--top"},
                               Option{"rerank", "--top"}, Option{"fit", "--bootstrap"}})
    expect_all_refused(option, {"0"});
}

TEST(Numbers, RealOnesAreRefusedWhereTheyAreNone) {
  for (const Option& option : kReal)
    expect_all_refused(option, {"", "-1", "nan", "inf", "1x", "1e999", "much"});
}

// Digits are decimal, whatever stands in front; the largest seed is one.
TEST(Numbers, GoodOnesAreTaken) {
  for (const char* value : {"0", "007", "18446744073709551615"}) {
    const Outcome run =
        run_fathom({"eval", "nosuch-model", "--data", "nosuch-data", "--seed", value});
    EXPECT_EQ(run.exit_code, kDataError) << run.err;
    EXPECT_THAT(run.err, AllOf(HasSubstr("nosuch-data"), Not(HasSubstr("--seed"))));
  }
  const Outcome nine =
      run_fathom({"fit", "m", "--task", "mrpc", "--heads", "h", "--calibration", "09"});
  EXPECT_THAT(nine.err, HasSubstr("from 0 to 8, got '09'"));
  const Outcome eight =
      run_fathom({"fit", "m", "--task", "mrpc", "--heads", "h", "--calibration", "010"});
  EXPECT_THAT(eight.err, HasSubstr("got '010'")) << "10, and not 8 in octal digits";
}

}  // namespace
}  // namespace fathom::test::numbers_test
