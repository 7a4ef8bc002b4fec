// SPDX-License-Identifier: Apache-2.0
// A byte model of 3 layers with texts and scored pairs, for `fathom prune` and `fathom route`.
#pragma once

#include "base/json.h"
#include "cli/models.h"
#include "formats/npy.h"

namespace fathom::test {

class MaskWorkbench {
 public:
  explicit MaskWorkbench(Version version = Version::kV6) : model(byte_model(folder, version)) {
    std::string lines, stsb = "index\tsentence1\tsentence2\tscore\n";
    for (size_t i = 0; i < 60; ++i) {
      lines += sentence(i) + "\n";
      const std::string other = i % 3 ? sentence(i + 7) + "?" : sentence(i) + " !";
      stsb += concat(i, "\t", sentence(i), "\t", other, "\t", i % 3 ? 1.5 : 4.5, "\n");
    }
    texts = folder.write("texts.txt", lines);
    std::filesystem::create_directories(folder.file("data/glue/STS-B"));
    folder.write("data/glue/STS-B/train.tsv", stsb);
  }

  static std::string sentence(size_t i) {
    const char* const words[] = {"red", "blue", "cat", "dog", "sun", "rain", "runs", "sleeps"};
    return concat(words[i % 8], " ", words[(i / 3) % 8], " ", words[(i * 5 + 1) % 8], " ", i);
  }

  // On 20 texts, judged on 15.
  Outcome run(std::string command, std::vector<std::string> flags) const {
    flags.insert(flags.begin(), {command, model, "--sample", "20", "--held-out", "15"});
    return run_fathom(flags);
  }
  Json policy(const std::string& path) const {
    return Json::parse(run_ok({"policy", "show", path, "--json"}).out);
  }
  // One vector a line of texts.txt.
  NpyArray embed(const std::string& depth) const {
    run_ok({"embed", model, "-i", texts, "-o", folder.file("e.npy"), "--depth", depth});
    return read_npy(folder.file("e.npy"));
  }
  std::string file(const char* name) const { return folder.file(name); }
  std::string data() const { return folder.file("data"); }

  TempFolder folder;
  std::string model, texts;
};

}  // namespace fathom::test
