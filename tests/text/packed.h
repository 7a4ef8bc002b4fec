// SPDX-License-Identifier: Apache-2.0
// Compressed data for tests: what the command-line tools would write.
#pragma once

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace fathom {

inline std::string xz(std::string_view text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  size_t size = 0;
  const lzma_ret code = lzma_easy_buffer_encode(
      0, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const uint8_t*>(text.data()), text.size(),
      reinterpret_cast<uint8_t*>(out.data()), &size, out.size());
  if (code != LZMA_OK) throw Error("lzma_easy_buffer_encode failed");
  out.resize(size);
  return out;
}

// window: 16 + 15 for gzip, -15 for raw deflate.
inline std::string zlib_pack(std::string_view text, int window) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw Error("deflateInit2 failed");
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END) throw Error("deflate failed");
  return out;
}
inline std::string gzip(std::string_view text) { return zlib_pack(text, 16 + MAX_WBITS); }
inline std::string deflate_raw(std::string_view text) { return zlib_pack(text, -MAX_WBITS); }

inline std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3);
  if (ZSTD_isError(size)) throw Error("ZSTD_compress failed");
  out.resize(size);
  return out;
}
// A frame that holds no text; pzstd and others write some.
inline std::string zstd_skippable(std::string_view data, char kind = 0) {
  std::string out = {static_cast<char>(0x50 + kind), '\x2A', '\x4D', '\x18'};
  for (size_t shift = 0; shift < 32; shift += 8) out += static_cast<char>(data.size() >> shift);
  return out + std::string(data);
}

}  // namespace fathom
