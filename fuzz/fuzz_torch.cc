// SPDX-License-Identifier: Apache-2.0
// A whole .pth if the input begins like one; else the input is the pickle of one, and every storage
// is its bytes: checksums and offsets of the archive would keep the fuzzer from getting that far.
#include "formats/state_dict.h"
#include "formats/torch_zip.h"
#include "formats/wrapper_names.h"
#include "fuzz_weights.h"

namespace {

fathom::FileContents parse_any(std::span<const std::byte> bytes) {
  constexpr auto kZip = std::byte{'P'};
  constexpr auto kPickle = std::byte{0x80};
  if (!bytes.empty() && (bytes[0] == kZip || bytes[0] == kPickle))
    return fathom::parse_torch(bytes);
  fathom::Pickle pickle;
  fathom::ByteReader in(bytes);
  const fathom::PickleValue root = pickle.read(in);
  return fathom::read_state_dict(pickle, root, [&](std::string_view) { return bytes; });
}

// As Checkpoint::open goes on: what wrappers put into the names is taken off.
fathom::FileContents parse(std::span<const std::byte> bytes) {
  fathom::FileContents contents = parse_any(bytes);
  fathom::strip_wrapper_names(contents.tensors, contents.notes);
  return contents;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fathom::fuzz::parse_and_read(parse, data, size);
  return 0;
}
