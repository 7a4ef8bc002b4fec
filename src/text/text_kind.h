// SPDX-License-Identifier: Apache-2.0
// What is not text, though it was given as one: told by the first bytes, so that nothing else is
// ever read as text. Any bytes that none of this applies to are text, valid UTF-8 or not.
#pragma once

#include <string>
#include <string_view>

#include "text/unpack.h"

namespace fathom {

// first: the first bytes of the content, all of it or some KiB; name: of the file, as messages say
// it; packing: how it was compressed. Throws Error naming the file, what it is and what turns it
// into text: UTF-16 and UTF-32 by their byte-order marks, archives and compressed data (also what
// was compressed twice), tables, models, images, pointers of git-lfs, any other data with a zero
// byte in front.
void require_text(std::string_view first, const std::string& name, Packing packing);

}  // namespace fathom
