// SPDX-License-Identifier: Apache-2.0
// Pages that are part of the program: src/serve/page/*.html, put into a source when it is built.
#pragma once

#include <string_view>

namespace fathom::serve {

extern const std::string_view kIndexPage;  // GET /
extern const std::string_view kDocsPage;   // GET /docs

}  // namespace fathom::serve
