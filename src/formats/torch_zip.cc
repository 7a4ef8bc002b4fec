// SPDX-License-Identifier: Apache-2.0
#include "formats/torch_zip.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "formats/checks.h"
#include "formats/pickle.h"
#include "formats/state_dict.h"
#include "formats/zip.h"

namespace fathom {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kZipMagic("PK\x03\x04", 4);
// 0x1950a86a20f9469cfc6c, as a pickle holds it.
constexpr std::string_view kLegacyMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);

bool starts_with(std::span<const std::byte> file, std::string_view magic) {
  return std::string_view(reinterpret_cast<const char*>(file.data()), file.size())
      .starts_with(magic);
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The entry "<top folder>/data.pkl".
const ZipEntry& find_pickle(const ZipDirectory& zip) {
  constexpr std::string_view kName = "data.pkl";
  const ZipEntry* found = nullptr;
  for (const ZipEntry& entry : zip.entries()) {
    if (!entry.name.ends_with(kName)) continue;
    const std::string_view folder = entry.name.substr(0, entry.name.size() - kName.size());
    if (!folder.empty() && folder.find('/') != folder.size() - 1) continue;
    FATHOM_REQUIRE(!found, "two entries are named data.pkl");
    found = &entry;
  }
  FATHOM_REQUIRE(found, "a ZIP archive without data.pkl: not written by torch.save");
  return *found;
}

FileContents parse_zip(std::span<const std::byte> file) {
  const ZipDirectory zip(file);
  const ZipEntry& entry = find_pickle(zip);
  const std::string folder(entry.name.substr(0, entry.name.rfind('/') + 1));
  if (const ZipEntry* order = zip.find(folder + "byteorder")) {
    const std::string_view text = text_of(zip.bytes(*order));
    FATHOM_REQUIRE(text == "little", "byteorder is '", excerpt(text),
                   "'; only little-endian files are read");
  }
  const auto pickle_bytes = zip.bytes(entry);
  // torch.serialization.set_crc32_options(False) leaves the checksum out.
  FATHOM_REQUIRE(entry.crc32 == 0 || crc32(pickle_bytes) == entry.crc32,
                 "data.pkl: its checksum differs; the file is damaged");
  Pickle pickle;
  ByteReader in(pickle_bytes);
  const PickleValue root = pickle.read(in);
  return read_state_dict(pickle, root, [&](std::string_view key) {
    FATHOM_REQUIRE(key.size() <= kMaxNameBytes, "a storage key of ", key.size(), " bytes");
    const ZipEntry* storage = zip.find(folder + "data/" + std::string(key));
    FATHOM_REQUIRE(storage, "storage '", excerpt(key), "' is missing from the archive");
    return zip.bytes(*storage);
  });
}

// Legacy: pickles of magic number, protocol, system, object, storage keys; then for every key its
// number of elements and its bytes.
void read_legacy_start(Pickle& pickle, ByteReader& in) {
  const PickleValue magic = pickle.read(in);
  FATHOM_REQUIRE(magic.is(Kind::kHugeInt) && magic.as_text() == kLegacyMagic,
                 "a pickle that torch.save did not write (its magic number is missing)");
  const PickleValue protocol = pickle.read(in);
  FATHOM_REQUIRE(protocol.is(Kind::kInt) && protocol.as_int() == 1001,
                 "legacy torch file: expected protocol 1001");
  const PickleValue system = pickle.read(in);
  FATHOM_REQUIRE(system.is(Kind::kDict), "legacy torch file: expected a dictionary of the system");
  const auto items = pickle.items(system);
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (!items[i].is(Kind::kString) || items[i].as_text() != "little_endian") continue;
    FATHOM_REQUIRE(items[i + 1].is(Kind::kBool) && items[i + 1].as_bool(),
                   "legacy torch file: only little-endian files are read");
  }
}

struct LegacyStorage {
  std::string_view key;
  size_t item_bytes;
  std::optional<std::span<const std::byte>> bytes;
};

// The storages that the pickle names, each once, sorted by key, still without their bytes.
std::vector<LegacyStorage> legacy_storages(const Pickle& pickle) {
  std::vector<LegacyStorage> storages;
  for (PickleValue value : pickle.storages()) {
    const auto fields = pickle.items(value);  // "storage", class, key, location, count, view
    FATHOM_REQUIRE(fields.size() < 6 || fields[5].is(Kind::kNone),
                   "legacy torch file: storages that are views of storages are not read");
    storages.push_back({fields[2].as_text(), fields[1].type().bytes, {}});
  }
  std::sort(storages.begin(), storages.end(),
            [](const LegacyStorage& a, const LegacyStorage& b) { return a.key < b.key; });
  for (size_t i = 1; i < storages.size(); ++i)
    FATHOM_REQUIRE(storages[i - 1].key != storages[i].key ||
                       storages[i - 1].item_bytes == storages[i].item_bytes,
                   "legacy torch file: storage '", excerpt(storages[i].key), "' has two types");
  const auto same_key = [](const LegacyStorage& a, const LegacyStorage& b) {
    return a.key == b.key;
  };
  storages.erase(std::unique(storages.begin(), storages.end(), same_key), storages.end());
  return storages;
}

LegacyStorage* find_storage(std::vector<LegacyStorage>& storages, std::string_view key) {
  const auto at = std::lower_bound(
      storages.begin(), storages.end(), key,
      [](const LegacyStorage& s, std::string_view wanted) { return s.key < wanted; });
  return at != storages.end() && at->key == key ? &*at : nullptr;
}

FileContents parse_legacy(std::span<const std::byte> file) {
  ByteReader in(file);
  Pickle pickle;
  read_legacy_start(pickle, in);
  const PickleValue root = pickle.read(in);
  const PickleValue keys = pickle.read(in);
  FATHOM_REQUIRE(keys.is(Kind::kList), "legacy torch file: expected a list of storage keys");

  std::vector<LegacyStorage> storages = legacy_storages(pickle);
  for (PickleValue key : pickle.items(keys)) {
    FATHOM_REQUIRE(key.is(Kind::kString), "legacy torch file: a storage key that is not a string");
    LegacyStorage* storage = find_storage(storages, key.as_text());
    FATHOM_REQUIRE(storage && !storage->bytes, "legacy torch file: storage '",
                   excerpt(key.as_text()), "' is listed twice, or no tensor uses it");
    const auto n_element = in.read<uint64_t>("number of elements of a storage");
    storage->bytes = in.take(checked_mul(n_element, storage->item_bytes, "storage"), "storage");
  }
  return read_state_dict(pickle, root, [&](std::string_view key) {
    const LegacyStorage* storage = find_storage(storages, key);
    FATHOM_REQUIRE(storage && storage->bytes, "storage '", excerpt(key), "' is missing");
    return *storage->bytes;
  });
}

}  // namespace

bool looks_like_torch(std::span<const std::byte> file) {
  return starts_with(file, kZipMagic) || (file.size() >= 2 && file[0] == std::byte{0x80} &&
                                          file[1] >= std::byte{2} && file[1] <= std::byte{5});
}

FileContents parse_torch(std::span<const std::byte> file) {
  if (starts_with(file, kZipMagic)) return parse_zip(file);
  FileContents contents = parse_legacy(file);
  contents.notes.push_back("legacy torch file (the form before PyTorch 1.6)");
  return contents;
}

}  // namespace fathom
