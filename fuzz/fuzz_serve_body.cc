// SPDX-License-Identifier: Apache-2.0
// A request's body from any bytes, for every route that takes one: refused with RequestError, or read.
// The first byte chooses the route. No model: what needs one is not reached.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "serve/body.h"
#include "serve/routes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto routes = fathom::serve::route_table();
  const fathom::serve::Route& route = routes[data[0] % routes.size()];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  // A target is found or not, whatever it is.
  fathom::serve::find_route("GET", text);
  fathom::serve::family_of(text);
  if (!route.shape) return 0;
  try {
    const fathom::serve::Body body(text, *route.shape);
    for (const auto& part : route.shape->parts)
      for (const fathom::serve::Field& field : part) {
        const auto tried = [&](auto&& read) {
          try {
            read();
          } catch (const fathom::serve::RequestError& e) {
            const auto reply = fathom::serve::error_reply(route.family, e);
            FATHOM_ASSERT(reply.status >= 400 && !reply.body.empty());
          }
        };
        tried([&] { body.inputs(field.name, 100); });
        tried([&] { body.texts(field.name); });
        tried([&] { body.whole(field.name); });
        tried([&] { body.flag(field.name); });
        tried([&] { body.required_text(field.name); });
      }
  } catch (const fathom::serve::RequestError& e) {
    FATHOM_ASSERT(!fathom::serve::error_reply(route.family, e).body.empty());
  }
  return 0;
}
