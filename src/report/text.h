// SPDX-License-Identifier: Apache-2.0
// UTF-8 for output: what every report writes is valid UTF-8 and cannot break the format it stands
// in, whatever bytes a sentence, a file name or a label holds. Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fathom {

// The code point at s[i]; i moves past it. Bytes that are not UTF-8 give U+FFFD (base/utf8.h).
// Needs i < s.size().
char32_t next_code_point(std::string_view s, size_t& i);

// For XML and HTML text and attribute values in either quote: & < > " ' are escaped; bytes that are
// not UTF-8 and code points that XML 1.0 forbids become U+FFFD.
std::string escape_xml(std::string_view s);

// JSON text that may stand inside <script>: every '<' becomes \u003c, so that no "</script" or
// "<!--" is left. The value is the same: outside of strings JSON has no '<'.
std::string escape_script_json(std::string_view json);

// For a terminal: control characters (a line end, an escape sequence) become spaces, bytes that are
// not UTF-8 become U+FFFD.
std::string printable(std::string_view s);

// Terminal columns: 0 for combining marks, 2 for East Asian wide characters and emoji, else 1.
size_t display_width(std::string_view s);

// s cut to at most `columns` terminal columns, with "..." at the end where something was cut.
std::string shorten(std::string_view s, size_t columns);

// Estimated width in pixels, set in DejaVu Sans: the widest of the usual sans-serif faces, so that
// what has room here has room in the others too.
double text_width(std::string_view s, double font_size, bool bold = false);

// s shortened until it is at most `width` pixels wide.
std::string fit_text(std::string_view s, double width, double font_size, bool bold = false);

}  // namespace fathom
