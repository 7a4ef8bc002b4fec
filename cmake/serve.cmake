# SPDX-License-Identifier: Apache-2.0
# The server's pages, which are part of the program, and what Boost's headers need.
function(fathom_uses_boost target)
  target_include_directories(${target} SYSTEM PRIVATE ${BOOST_INCLUDE_DIR})
  # Boost 1.74 does not know that clang has C++20's coroutines.
  target_compile_definitions(${target} PRIVATE BOOST_ASIO_HAS_CO_AWAIT=1
                                               BOOST_ASIO_HAS_STD_COROUTINE=1)
endfunction()
fathom_uses_boost(fathom_serve)
target_include_directories(fathom_serve SYSTEM PRIVATE ${TOMLPLUSPLUS_INCLUDE_DIR})
# Each takes as long as all the others together.
set_source_files_properties(src/serve/session.cc src/serve/http_server.cc src/serve/log.cc
                            src/serve/config_file.cc
                            PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
if(FATHOM_FUZZ)  # clang 14 cannot check the types of functions that are coroutines
  set_source_files_properties(src/serve/session.cc src/serve/http_server.cc
                              fuzz/fuzz_serve_http.cc
                              PROPERTIES COMPILE_OPTIONS -fno-sanitize=function)
endif()

set(pages src/serve/page/index.html src/serve/page/docs.html)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${pages})
file(READ src/serve/page/index.html index_page)
file(READ src/serve/page/docs.html docs_page)
# A compiler may take no longer literals than 64 KiB.
file(CONFIGURE OUTPUT serve_pages.cc @ONLY CONTENT [=[
#include "serve/pages.h"

namespace fathom::serve {

const std::string_view kIndexPage = R"page(@index_page@)page";
const std::string_view kDocsPage = R"page(@docs_page@)page";

}  // namespace fathom::serve
]=])
target_sources(fathom_serve PRIVATE ${PROJECT_BINARY_DIR}/serve_pages.cc)
