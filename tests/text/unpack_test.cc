// SPDX-License-Identifier: Apache-2.0
#include "text/unpack.h"

#include <utility>
#include <vector>

#include "text/fixtures.h"

namespace fathom::unpack_test {
namespace {

using ::testing::HasSubstr;

// n_byte: how much comes at a time. What shows the kind comes at once.
std::string unpacked(std::string_view packed, size_t n_byte = size_t{1} << 20) {
  MemoryParts parts(packed, false, n_byte);
  Unpacked content(parts, "f");
  std::string text;
  for (std::string_view part = content.next(); !part.empty(); part = content.next()) text += part;
  EXPECT_TRUE(content.next().empty()) << "the end stays the end";
  return text;
}

std::string error_of_unpacking(std::string_view packed) {
  return error_of([&] { unpacked(packed); });
}

std::string numbers(size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += concat(i, " ", i * i, "\n");
  return text;
}

using Packer = std::string (*)(std::string_view);
constexpr Packer kPackers[] = {xz, gzip, zstd};

// printf 'one\ntwo\n' | gzip -n9
TEST(Unpack, WhatGzipWrites) {
  const unsigned char gz[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03,
                              0xcb, 0xcf, 0x4b, 0xe5, 0x2a, 0x29, 0xcf, 0xe7, 0x02, 0x00,
                              0xe6, 0x0b, 0xba, 0x12, 0x08, 0x00, 0x00, 0x00};
  const std::string_view packed(reinterpret_cast<const char*>(gz), sizeof gz);
  EXPECT_EQ(packing_of(packed), Packing::kGzip);
  EXPECT_EQ(unpacked(packed), "one\ntwo\n");
}

TEST(Unpack, AnySizeInAnyParts) {
  for (const Packer pack : kPackers)
    for (size_t n : {size_t{0}, size_t{1}, size_t{300}, size_t{200'000}}) {
      const std::string text = numbers(n), packed = pack(text);
      for (size_t n_byte : {size_t{7}, size_t{1000}, packed.size(), size_t{1} << 20})
        ASSERT_TRUE(unpacked(packed, n_byte) == text) << n << " " << n_byte;
    }
}

TEST(Unpack, PlainBytesAreLeftAsTheyAre) {
  for (const std::string text : {"", "a", "\x1F\x8Bx",
                                 "\xFD"
                                 "7zXY",
                                 "(\xB5/"}) {
    EXPECT_EQ(packing_of(text), Packing::kNone);
    EXPECT_EQ(unpacked(text), text);
  }
}

TEST(Unpack, SeveralStreamsMembersAndFrames) {
  const std::string a = numbers(1000), b = numbers(20);
  for (const Packer pack : kPackers)
    for (size_t n_byte : {size_t{6}, size_t{1} << 20})
      EXPECT_EQ(unpacked(pack(a) + pack("") + pack(b), n_byte), a + b);
  EXPECT_EQ(unpacked(xz(a) + std::string(8, '\0') + xz(b)), a + b) << "xz's padding";
  EXPECT_EQ(unpacked(gzip(a) + std::string(1000, '\0')), a) << "padding as of a tape";
  const std::string pzstd = zstd_skippable("\x01\x02\x03\x04") + zstd(a) + zstd_skippable("", 15) +
                            zstd(b) + zstd_skippable("end", 3);
  for (size_t n_byte : {size_t{6}, size_t{1} << 20}) EXPECT_EQ(unpacked(pzstd, n_byte), a + b);
  EXPECT_EQ(unpacked(zstd_skippable("nothing else")), "");
}

TEST(Unpack, EveryTruncationIsAnError) {
  for (const Packer pack : kPackers) {
    const std::string packed = pack("The cat sat.\n") + pack(numbers(30));
    const size_t first = pack("The cat sat.\n").size();
    for (size_t size = 6; size < packed.size(); ++size) {
      if (size == first) continue;
      EXPECT_THAT(error_of_unpacking(packed.substr(0, size)),
                  ::testing::AllOf(HasSubstr("f: "), HasSubstr("truncated")))
          << size << " of " << packed.size();
    }
  }
}

TEST(Unpack, WhatFollowsIsAnErrorToo) {
  for (const Packer pack : kPackers)
    for (const char* more : {"x", "text that follows", "\x1F\x8B\x08 no member"})
      EXPECT_THAT(error_of_unpacking(pack("a") + more), HasSubstr("f: ")) << more;
  EXPECT_THAT(error_of_unpacking(gzip("a") + "text"), HasSubstr("something else follows"));
}

// xz and gzip hold checksums; zstd's tool writes one, too.
TEST(Unpack, EveryFlippedBitOfAChecksummedTextIsSeenOrHarmless) {
  const std::string text = numbers(40);
  for (const Packer pack : {xz, gzip}) {
    const std::string packed = pack(text);
    for (size_t at = 6; at < packed.size(); ++at) {
      std::string flipped = packed;
      flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
      try {
        EXPECT_EQ(unpacked(flipped), text) << at;  // a time stamp, say
      } catch (const Error& e) {
        EXPECT_THAT(e.what(), HasSubstr("f: ")) << at;
      }
    }
  }
}

TEST(Unpack, WindowsThatTakeTooMuchMemoryAreRefused) {
  const std::string text = numbers(10'000);
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 28);
  ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer out{packed.data(), packed.size(), 0};
  // Not told its size, the frame keeps the window that was asked for.
  ASSERT_FALSE(ZSTD_isError(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush)));
  ASSERT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0u);
  ZSTD_freeCCtx(context);
  packed.resize(out.pos);
  EXPECT_THAT(error_of_unpacking(packed), HasSubstr("needs more than 128 MiB"));
}

TEST(UnpackZipEntry, StoredAndDeflatedWithSizeAndChecksum) {
  const std::string text = numbers(100'000), deflated = deflate_raw(text);
  const auto checksum = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())));
  const auto content = [&](std::string_view bytes, bool is_deflated, size_t n_byte, uint32_t crc) {
    MemoryParts source(bytes, false, 1000);
    const auto parts = unpack_zip_entry(source, is_deflated, n_byte, crc, "a.zip/b");
    std::string all;
    for (std::string_view part = parts->next(); !part.empty(); part = parts->next()) all += part;
    return all;
  };
  EXPECT_EQ(content(text, false, text.size(), checksum), text);
  EXPECT_EQ(content(deflated, true, text.size(), checksum), text);
  EXPECT_EQ(content("", false, 0, 0), "");
  for (const bool is_deflated : {false, true}) {
    const std::string& bytes = is_deflated ? deflated : text;
    const auto refused = [&](std::string_view given, size_t n_byte, uint32_t crc) {
      return error_of([&] { content(given, is_deflated, n_byte, crc); });
    };
    EXPECT_THAT(refused(bytes, text.size(), checksum + 1), HasSubstr("a.zip/b: damaged"));
    EXPECT_THAT(refused(bytes, text.size() - 1, checksum), HasSubstr("a.zip/b: damaged"));
    EXPECT_THAT(refused(bytes.substr(0, bytes.size() / 2), text.size(), checksum),
                HasSubstr("a.zip/b: "));
  }
  EXPECT_THAT(error_of([&] { content(deflated + "x", true, text.size(), checksum); }),
              HasSubstr("something else follows"));
}

}  // namespace
}  // namespace fathom::unpack_test
