// SPDX-License-Identifier: Apache-2.0
// Reading from and writing to a descriptor: every call is checked, and a disk that is full is named
// with its figures. `path` is for messages only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace fathom {

// Throws Error "PATH: cannot write: REASON"; of a full disk or a limit also how large the file is
// to be (n_byte, 0 if not known) and how much there is, seen from the descriptor.
[[noreturn]] void throw_cannot_write(const std::filesystem::path& path, int error,
                                     uint64_t n_byte = 0, int descriptor = -1);

// Writes all bytes at this offset. Throws as above; n_byte is the size told.
void write_at(int descriptor, std::span<const std::byte> bytes, uint64_t offset,
              const std::filesystem::path& path, uint64_t n_byte);

// Reads at this offset until `out` is full or the file ends; how many bytes there were. Throws Error
// "PATH: cannot read: REASON".
size_t read_at(int descriptor, std::span<char> out, uint64_t offset,
               const std::filesystem::path& path);

// Makes sure that the disk has room for a file of n_byte bytes, which gets that size; a file system
// that cannot promise it is believed to have it. Throws as above.
void reserve(int descriptor, uint64_t n_byte, const std::filesystem::path& path);

// Throws Error "FOLDER: cannot make this folder: REASON".
[[noreturn]] void throw_cannot_make(const std::filesystem::path& folder, std::string_view reason);

// Waits until the disk has the names in this folder; a file system that cannot promise it is
// believed. Throws Error.
void sync_folder(const std::filesystem::path& folder);

}  // namespace fathom
