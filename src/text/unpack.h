// SPDX-License-Identifier: Apache-2.0
// xz, gzip and zstd, told by their first bytes and decompressed as they come. A file may hold
// several streams, members or frames one after another, zstd's skippable ones among them. What is
// truncated, damaged or followed by something else is an Error that names the file.
//
// Memory: 1 MiB and what the decoder needs, at most 256 MiB (xz) or 128 MiB (zstd). Nothing unpacks
// to more than 64 MiB and 100 times its size: no text is packed better, and a file made to burst
// cannot take all memory.
// Sources: xz-file-format 1.1.0; RFC 1952 (gzip), 1951 (deflate), 8878 (zstd).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "text/byte_parts.h"

namespace fathom {

enum class Packing : uint8_t { kNone, kXz, kGzip, kZstd };

// By the first bytes.
Packing packing_of(std::string_view first);
// The command that writes the content to standard output: "xz -dc"; not for kNone.
std::string_view unpack_command(Packing packing);

// The content of `source`, which is decompressed if its first bytes say so, once. `source` must
// outlive it.
class Unpacked final : public ByteParts {
 public:
  Unpacked(ByteParts& source, std::string name);

  Packing packing() const { return packing_; }
  // The first part, which next() gives as well; valid until its second call.
  std::string_view first() const { return first_; }
  std::string_view next() override;

 private:
  Packing packing_ = Packing::kNone;
  ByteParts* source_;  // of parts after the first
  std::unique_ptr<ByteParts> ahead_, decoder_;
  std::string_view first_;
  bool gave_first_ = false;
};

// One entry of a ZIP archive, whose bytes in the archive are `source`: stored, or deflated
// (method 8). At the end its size and checksum are compared. `source` must outlive it.
std::unique_ptr<ByteParts> unpack_zip_entry(ByteParts& source, bool deflated, uint64_t n_byte,
                                            uint32_t checksum, std::string name);

}  // namespace fathom
