// SPDX-License-Identifier: Apache-2.0
// Any bytes as the files of a data set: refused with Error, or rows with a gold value in the task's
// range. Build: see FATHOM_FUZZ in CMakeLists.txt.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "eval/dataset_reader.h"

namespace {

void check(const fathom::Task& task, const fathom::ParsedRows& rows) {
  for (const fathom::Pair& pair : rows.pairs)
    FATHOM_ASSERT(pair.gold >= task.lowest && pair.gold <= task.highest);
}

template <class F>
void attempt(F&& f) {
  try {
    f();
  } catch (const fathom::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fathom;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // The second half doubles as the list of ids and as the gold file.
  const std::string_view second = text.substr(size / 2);
  for (const Task& task : tasks()) {
    for (const Source& source : task.sources) {
      attempt([&] {
        switch (source.layout) {
          case Layout::kTsv:
          case Layout::kTsvNoHeader:
            check(task, parse_tsv(text, "fuzz", task, source));
            break;
          case Layout::kTsvWithoutIds:
          case Layout::kTsvOnlyIds: {
            const IdPairs ids = parse_id_pairs(second, "fuzz");
            check(task, parse_tsv(text, "fuzz", task, source, &ids));
            break;
          }
          case Layout::kJsonl:
            check(task, parse_jsonl(text, "fuzz", task, source));
            break;
          case Layout::kStsSets:
            check(task, parse_sts_set(text, "fuzz", second, "gold", task));
            break;
          case Layout::kLines:
            check(task, parse_lines({second, "labels"}, {text, "a"}, {text, "b"}, task, source));
            break;
          case Layout::kTwoFiles:
            check(task, parse_sentences(text, 1));
            break;
          case Layout::kLabelFirst:
            check(task, parse_label_first(text, "fuzz", task, source));
            break;
          case Layout::kUnlabelled:
            parse_tsv(text, "fuzz", task, source);
            break;
        }
      });
    }
  }
  return 0;
}
