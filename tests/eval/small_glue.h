// SPDX-License-Identifier: Apache-2.0
// Small tasks in GLUE's layout, for what fits heads.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "formats/temp_folder.h"

namespace fathom::test {

inline std::string sentence(size_t i) {
  static const char* const kWords[] = {"red", "blue", "cat",  "dog",
                                       "sun", "rain", "runs", "sleeps"};
  return concat(kWords[i % 8], " ", kWords[(i / 3) % 8], " ", kWords[(i * 5 + 1) % 8], " ", i % 13);
}

// MRPC, CoLA and STS-B of `n` rows in data/glue of the folder, dev the same as train.
// cola_label: of row i, which has another ending where i is even.
inline void write_glue(const TempFolder& folder, size_t n,
                       const std::function<size_t(size_t i)>& cola_label) {
  std::string mrpc = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n", cola,
              stsb = "index\tsentence1\tsentence2\tscore\n";
  for (size_t i = 0; i < n; ++i) {
    const std::string a = sentence(i), b = i % 3 ? sentence(i + 7) : a + " !";
    mrpc += concat(i % 3 == 0, "\t", i, "\t", i, "\t", a, "\t", b, "\n");
    cola += concat("x\t", cola_label(i), "\t\t", i % 2 ? a : b + " aa", "\n");
    stsb += concat(i, "\t", a, "\t", b, "\t", i % 3 ? 1.5 : 4.5, "\n");
  }
  for (const char* task : {"MRPC", "CoLA", "STS-B"})
    std::filesystem::create_directories(folder.file(concat("data/glue/", task)));
  for (const char* split : {"train", "dev"}) {
    folder.write(concat("data/glue/MRPC/", split, ".tsv"), mrpc);
    folder.write(concat("data/glue/CoLA/", split, ".tsv"), cola);
    folder.write(concat("data/glue/STS-B/", split, ".tsv"), stsb);
  }
}

}  // namespace fathom::test
