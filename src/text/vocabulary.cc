// SPDX-License-Identifier: Apache-2.0
#include "text/vocabulary.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "base/error.h"
#include "base/utf8.h"
#include "text/text_file.h"

namespace fathom {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A whole decimal number; false if there is anything else.
bool parse_number(std::string_view text, size_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

enum class Kind { kText, kBytes };

// Reads the escape that follows a backslash at the front of `rest`, and takes it off.
void append_escape(std::string_view& rest, Kind kind, std::string& out) {
  FATHOM_REQUIRE(!rest.empty(), "ends in a backslash");
  const char type = rest.front();
  rest.remove_prefix(1);
  size_t n_digit = 0;
  switch (type) {
    case 'n':
      out += '\n';
      return;
    case 't':
      out += '\t';
      return;
    case 'r':
      out += '\r';
      return;
    case '\\':
    case '\'':
    case '"':
      out += type;
      return;
    case 'x':
      n_digit = 2;
      break;
    case 'u':
      n_digit = kind == Kind::kText ? 4 : 0;
      break;
    case 'U':
      n_digit = kind == Kind::kText ? 8 : 0;
      break;
    default:
      break;
  }
  FATHOM_REQUIRE(n_digit != 0, "unknown escape \\", type);
  uint32_t value = 0;
  const std::string_view digits = rest.substr(0, n_digit);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  FATHOM_REQUIRE(
      digits.size() == n_digit && error == std::errc() && end == digits.data() + digits.size(),
      "\\", type, " needs ", n_digit, " hexadecimal digits");
  rest.remove_prefix(n_digit);
  if (kind == Kind::kBytes) {
    out += static_cast<char>(value);
    return;
  }
  FATHOM_REQUIRE(value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF), "\\", type, digits,
                 " is not a character");
  append_utf8(value, out);
}

// The text of a literal without its quotes; `quote` may not occur in it unescaped (0: any may).
std::string unescape(std::string_view body, Kind kind, char quote) {
  std::string out;
  out.reserve(body.size());
  while (!body.empty()) {
    const char c = body.front();
    body.remove_prefix(1);
    if (c == '\\') {
      append_escape(body, kind, out);
    } else {
      FATHOM_REQUIRE(c != quote || quote == 0, "quote inside the literal");
      out += c;
    }
  }
  return out;
}

std::string python_literal(std::string_view literal) {
  const Kind kind = literal.starts_with('b') ? Kind::kBytes : Kind::kText;
  std::string_view body = literal;
  if (kind == Kind::kBytes) body.remove_prefix(1);
  const char quote = body.empty() ? '\0' : body.front();
  FATHOM_REQUIRE(body.size() >= 2 && (quote == '\'' || quote == '"') && body.back() == quote,
                 "expected '…', \"…\", b'…' or b\"…\"");
  body = body.substr(1, body.size() - 2);
  if (kind == Kind::kBytes) {
    FATHOM_REQUIRE(std::all_of(body.begin(), body.end(), [](char c) { return (c & 0x80) == 0; }),
                   "b'…' may hold ASCII only");
  } else {
    FATHOM_REQUIRE(is_utf8(body), "not valid UTF-8");
  }
  return unescape(body, kind, quote);
}

// Runs f; its Error comes back as one that also says where.
template <class F, class... Where>
auto with_place(F&& f, const Where&... where) {
  try {
    return f();
  } catch (const Error& e) {
    throw Error(concat(where..., ": ", e.what()));
  }
}

// "ID LITERAL LEN": the literal may hold spaces, so it lies between the first and the last.
std::string parse_numbered(std::string_view line, size_t& id) {
  const size_t first = line.find(' '), last = line.rfind(' ');
  FATHOM_REQUIRE(first != std::string_view::npos && first < last, "expected ID LITERAL LENGTH");
  const std::string_view id_text = line.substr(0, first), length_text = line.substr(last + 1);
  FATHOM_REQUIRE(parse_number(id_text, id), "expected an id, got ", id_text);
  size_t length = 0;
  FATHOM_REQUIRE(parse_number(length_text, length), "expected a length, got ", length_text);
  std::string token = parse_python_literal(line.substr(first + 1, last - first - 1));
  FATHOM_REQUIRE(token.size() == length, "the length is given as ", length, ", but the token has ",
                 token.size(), " bytes");
  return token;
}

}  // namespace

std::string parse_python_literal(std::string_view literal) {
  return with_place([&] { return python_literal(literal); }, "bad literal ", literal);
}

std::string unescape_bytes(std::string_view body) {
  return with_place([&] { return unescape(body, Kind::kBytes, '\0'); }, "bad token ", body);
}

std::vector<std::string> parse_world_vocabulary(std::string_view content, const std::string& name) {
  std::vector<std::string_view> lines = split_lines(content);
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  FATHOM_REQUIRE(!lines.empty(), name, ": the vocabulary is empty");
  const bool numbered = !lines[0].empty() && is_digit(lines[0][0]);

  std::vector<std::string> tokens;
  tokens.reserve(lines.size() + 1);
  for (size_t i = 0; i < lines.size(); ++i) {
    with_place(
        [&] {
          size_t id = i;
          std::string token =
              numbered ? parse_numbered(lines[i], id) : parse_python_literal(lines[i]);
          FATHOM_REQUIRE(id >= tokens.size(), "expected an id above ", tokens.size() - 1, ", got ",
                         id);
          FATHOM_REQUIRE(id < kMaxWorldVocabulary, "expected an id below ", kMaxWorldVocabulary,
                         ", got ", id);
          FATHOM_REQUIRE(!token.empty(), "the token is empty");
          tokens.resize(id);  // ids that are left out have no text
          tokens.push_back(std::move(token));
        },
        name, ":", i + 1);
  }
  if (!numbered) tokens[0].clear();
  clear_reserved(tokens);
  return tokens;
}

void clear_reserved(std::vector<std::string>& tokens) {
  constexpr size_t kFirst = 65530, kEnd = 65536;
  if (tokens.size() > kEnd) return;
  for (size_t id = kFirst; id < tokens.size(); ++id) tokens[id].clear();
}

}  // namespace fathom
