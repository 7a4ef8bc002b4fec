// SPDX-License-Identifier: Apache-2.0
// Any bytes as the files of a pair data set: refused with Error, or pairs with a gold value in the
// task's range. Build: see FATHOM_FUZZ in CMakeLists.txt.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "eval/dataset_reader.h"

namespace {

void check(const fathom::Task& task, const std::vector<fathom::Pair>& pairs) {
  for (const fathom::Pair& pair : pairs)
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
          case Layout::kUnlabelled:
            break;
        }
      });
    }
  }
  return 0;
}
