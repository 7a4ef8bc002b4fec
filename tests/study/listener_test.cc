// SPDX-License-Identifier: Apache-2.0
// Stages and notes: what a listener hears, and when.
#include "study/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace fathom::test::listener_test {
namespace {

using testing::ElementsAre;

struct Heard {
  std::vector<std::string> lines;
  Listener listener{.progress = [this](const StageState& s) {
    lines.push_back(std::string(s.name) + " " + std::to_string(s.done) + "/" +
                    std::to_string(s.total) + (s.over ? " over" : ""));
  }};
};

TEST(Listener, HearsAStageFromItsBeginningToItsEnd) {
  Heard heard;
  {
    Stage stage(heard.listener, "heads", 3);
    stage.at(2);
    stage.at(3);
  }
  EXPECT_THAT(heard.lines, ElementsAre("heads 0/3", "heads 2/3", "heads 3/3", "heads 3/3 over"));
}

TEST(Listener, AStageThatFailsIsOverToo) {
  Heard heard;
  EXPECT_THROW(
      {
        Stage stage(heard.listener, "heads", 3);
        throw std::runtime_error("no");
      },
      std::runtime_error);
  EXPECT_THAT(heard.lines, ElementsAre("heads 0/3", "heads 0/3 over"));
}

TEST(Listener, MayStopTheWorkByThrowing) {
  size_t n_call = 0;
  const Listener stopping{.progress = [&](const StageState& s) {
    ++n_call;
    if (s.done == 2 || s.over) throw std::runtime_error("stop");
  }};
  EXPECT_THROW(
      {
        Stage stage(stopping, "heads", 3);
        stage.at(1);
        stage.at(2);
        stage.at(3);
      },
      std::runtime_error);
  EXPECT_EQ(n_call, 4u) << "0, 1, 2 and over, whose own error is not heard";
}

TEST(Listener, MayBeEmpty) {
  const Listener nobody;
  nobody.tell(std::vector<std::string>{"a note"});
  Stage stage(nobody, "heads", 1);
  stage.at(1);
}

TEST(Listener, HearsEveryNote) {
  std::vector<std::string> notes;
  const Listener listener{.note = [&](const std::string& note) { notes.push_back(note); }};
  listener.tell(std::vector<std::string>{"one", "two"});
  listener.tell("three");
  EXPECT_THAT(notes, ElementsAre("one", "two", "three"));
}

}  // namespace
}  // namespace fathom::test::listener_test
