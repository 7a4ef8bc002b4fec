// SPDX-License-Identifier: Apache-2.0
// Where the tests find the sources and the program. Defined in paths.cc alone, so that every other
// object of the tests is the same whatever folder the project is built in.
#pragma once

namespace fathom::testing {

extern const char* const kSourceDir;  // the root of the project
extern const char* const kBinary;     // the program `fathom` of this build

}  // namespace fathom::testing
