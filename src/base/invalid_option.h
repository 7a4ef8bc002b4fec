// SPDX-License-Identifier: Apache-2.0
// InvalidOption: what a caller asked for cannot be, by the name of the option.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"

namespace fathom {

// An option that cannot be used, called by its name as a field of the library: "batch_tokens". In
// texts of the library another option stands between backticks, as in "with `pooling` eos": what is
// a field to one caller is --pool to another, and each puts its own words there (report/option_names.h).
//
//   what(): "field: expected E, got G", or "field: why; expected E, got G".
class InvalidOption : public UsageError {
 public:
  // got, as it is to be shown; "": nothing was given, or it goes without saying.
  InvalidOption(std::string field, std::string expected, std::string got = {},
                const std::string& why = {})
      : UsageError(concat(field, ": ", why, why.empty() ? "" : "; ", "expected ", expected,
                          got.empty() ? "" : ", got ", got)),
        field_(std::move(field)),
        expected_(std::move(expected)),
        got_(std::move(got)) {}

  const std::string& field() const { return field_; }
  const std::string& expected() const { return expected_; }
  const std::string& got() const { return got_; }

 private:
  std::string field_, expected_, got_;
};

}  // namespace fathom
