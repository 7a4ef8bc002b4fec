// SPDX-License-Identifier: Apache-2.0
// What a version means to those who use a model: names, and answers to the questions of config.h.
#include "base/error.h"
#include "model/config.h"

namespace fathom {

std::string_view name_of(Version version) {
  switch (version) {
    case Version::kV4:
      return "4";
    case Version::kV5_0:
      return "5.0";
    case Version::kV5_1:
      return "5.1";
    case Version::kV5_2:
      return "5.2";
    case Version::kV6:
      return "6";
    case Version::kV7:
      return "7";
  }
  FATHOM_ASSERT(!"unknown Version");
}

std::string_view name_of(const Config& config) {
  return config.deep_embed ? "7a" : name_of(config.version);
}

StateLayout state_layout(Version version) {
  switch (version) {
    case Version::kV4:
      return StateLayout::kAverage;
    case Version::kV5_0:
    case Version::kV5_1:
    case Version::kV5_2:
    case Version::kV6:
      return StateLayout::kKeyValue;
    case Version::kV7:
      return StateLayout::kValueKey;
  }
  FATHOM_ASSERT(!"unknown Version");
}

bool hidden_states_begin_with_embedding(Version version) { return version == Version::kV7; }

std::vector<std::pair<std::string_view, size_t>> named_ranks(const Config& c) {
  switch (c.version) {
    case Version::kV4:
    case Version::kV5_0:
    case Version::kV5_1:
    case Version::kV5_2:
      return {};
    case Version::kV6:
      return {{"mix", c.rank.mix}, {"decay", c.rank.decay}};
    case Version::kV7:
      return {{"decay", c.rank.decay},
              {"iclr", c.rank.iclr},
              {"value", c.rank.value},
              {"gate", c.rank.gate}};
  }
  FATHOM_ASSERT(!"unknown Version");
}

}  // namespace fathom
