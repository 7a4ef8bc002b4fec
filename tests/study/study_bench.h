// SPDX-License-Identifier: Apache-2.0
// A byte model of 3 layers, small tasks in GLUE's layout, and a listener that remembers.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "encode/open_model.h"
#include "eval/small_glue.h"
#include "model/byte_model.h"
#include "study/feature_source.h"
#include "study/mask_corpus.h"

namespace fathom::test {

struct StudyBench {
  // n: rows of each split of MRPC, CoLA and STS-B.
  explicit StudyBench(size_t n = 120)
      : model_file(byte_model(folder)),
        open({.model = model_file, .options = {.n_thread = 1}}),
        listener{.progress =
                     [this](const StageState& s) {
                       if (s.done == 0 && !s.over && (stages.empty() || stages.back() != s.name))
                         stages.emplace_back(s.name);
                       if (!s.over && s.done > 0) ++n_step;
                     },
                 .note = [this](const std::string& note) { notes.push_back(note); }} {
    write_glue(folder, n, [](size_t i) { return i % 2; });
    std::string lines;
    for (size_t i = 0; i < 60; ++i) lines += concat(sentence(i), " ", i, "\n");
    texts = folder.write("texts.txt", lines);
  }

  std::string data() const { return folder.file("data"); }
  FeatureSource source() {
    FeatureOptions options;
    options.folder = folder.file("features");
    return {open, options, listener};
  }
  // On 20 texts, judged on 15.
  MaskCorpus corpus() {
    return {open, {}, {.texts = texts, .sample = 20, .held_out = 15}, listener};
  }

  TempFolder folder;
  std::string model_file, texts;
  OpenModel open;
  std::vector<std::string> stages, notes;  // in the order in which they were told
  size_t n_step = 0;                       // calls that told of something done
  Listener listener;
};

}  // namespace fathom::test
