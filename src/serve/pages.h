// SPDX-License-Identifier: Apache-2.0
// Pages inside the program: src/serve/page/*.html, turned into a source file by the build.
#pragma once

#include <string_view>

namespace fathom::serve {

extern const std::string_view kIndexPage;  // GET /
extern const std::string_view kDocsPage;   // GET /docs

}  // namespace fathom::serve
