// SPDX-License-Identifier: Apache-2.0
// The version. Until 1.0, a new minor version may change the interface; a new patch version does
// not.
#pragma once

#define FATHOM_VERSION_MAJOR 0
#define FATHOM_VERSION_MINOR 2
#define FATHOM_VERSION_PATCH 0
#define FATHOM_VERSION_STRING "0.2.0"

// Marks what the shared library exports.
#define FATHOM_API __attribute__((visibility("default")))

namespace fathom {

// Version of the linked library, "0.2.0". FATHOM_VERSION_STRING is the version of the headers.
FATHOM_API const char* version() noexcept;

}  // namespace fathom
