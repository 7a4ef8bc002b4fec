// SPDX-License-Identifier: Apache-2.0
#include "text/unpack.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/error.h"

namespace fathom {
namespace {

constexpr size_t kPart = size_t{1} << 20;
constexpr uint64_t kMostTimes = 100, kAlways = uint64_t{64} << 20;
constexpr uint64_t kXzMemory = uint64_t{256} << 20;
constexpr int kZstdWindowLog = 27;  // 128 MiB, what `zstd -d` allows, too

// Gives the first part of a source again, then its others.
class Again final : public ByteParts {
 public:
  Again(std::string_view first, ByteParts& source) : first_(first), source_(source) {}
  std::string_view next() override {
    return first_.empty() ? source_.next() : std::exchange(first_, {});
  }

 private:
  std::string_view first_;
  ByteParts& source_;
};

// What the decoders share: the input that is left, parts of one size, the limit.
class Decoder : public ByteParts {
 public:
  Decoder(ByteParts& source, std::string name)
      : name_(std::move(name)), source_(source), buffer_(std::make_unique<char[]>(kPart)) {}

  std::string_view next() final {
    size_t n = 0;
    while (n < kPart && !done_) n += decode({buffer_.get() + n, kPart - n});
    n_out_ += n;
    FATHOM_REQUIRE(n_out_ <= kAlways + kMostTimes * n_in_, name_, ": unpacks to over ",
                   kAlways >> 20, " MiB and ", kMostTimes, " times its size; expected text");
    return {buffer_.get(), n};
  }

 protected:
  // Writes to `out`, which is not empty, and returns how much, perhaps nothing; done() at the end.
  virtual size_t decode(std::span<char> out) = 0;

  void done() { done_ = true; }
  // Makes `input` not empty unless the source has ended.
  void refill() {
    if (!input.empty() || ended_) return;
    input = source_.next();
    ended_ = input.empty();
    n_in_ += input.size();
  }
  bool ended() const { return ended_ && input.empty(); }
  [[noreturn]] void fail(std::string_view what) const { throw Error(concat(name_, ": ", what)); }

  std::string_view input;  // not yet decoded

 private:
  std::string name_;
  ByteParts& source_;
  std::unique_ptr<char[]> buffer_;
  uint64_t n_in_ = 0, n_out_ = 0;
  bool ended_ = false, done_ = false;
};

class XzDecoder final : public Decoder {
 public:
  XzDecoder(ByteParts& source, std::string name) : Decoder(source, std::move(name)) {
    check(lzma_stream_decoder(&stream_, kXzMemory, LZMA_CONCATENATED));
  }
  ~XzDecoder() override { lzma_end(&stream_); }

 private:
  size_t decode(std::span<char> out) override {
    refill();
    stream_.next_in = reinterpret_cast<const uint8_t*>(input.data());
    stream_.avail_in = input.size();
    stream_.next_out = reinterpret_cast<uint8_t*>(out.data());
    stream_.avail_out = out.size();
    check(lzma_code(&stream_, ended() ? LZMA_FINISH : LZMA_RUN));
    input.remove_prefix(input.size() - stream_.avail_in);
    return out.size() - stream_.avail_out;
  }

  void check(lzma_ret code) {
    switch (code) {
      case LZMA_OK:
        return;
      case LZMA_STREAM_END:
        return done();
      case LZMA_MEMLIMIT_ERROR:
        fail("needs more than 256 MiB to decompress");
      case LZMA_MEM_ERROR:
        fail("out of memory");
      case LZMA_OPTIONS_ERROR:
        fail("unsupported xz options");
      case LZMA_BUF_ERROR:
        fail("truncated xz file");
      default:
        fail("damaged xz data");
    }
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
};

// Deflate: gzip with any number of members, or one raw stream.
class DeflateDecoder final : public Decoder {
 public:
  enum class Wrapper { kGzip, kRaw };

  DeflateDecoder(ByteParts& source, std::string name, Wrapper wrapper)
      : Decoder(source, std::move(name)), wrapper_(wrapper) {
    if (inflateInit2(&stream_, wrapper == Wrapper::kGzip ? 16 + MAX_WBITS : -MAX_WBITS) != Z_OK)
      fail("out of memory");
  }
  ~DeflateDecoder() override { inflateEnd(&stream_); }

 private:
  size_t decode(std::span<char> out) override {
    refill();
    if (between_members_ && !begin_member()) return 0;
    // zlib counts in 32 bits; a part may be all of a mapped file.
    const size_t n_in = std::min<size_t>(input.size(), size_t{1} << 30);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(n_in);
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int code = inflate(&stream_, Z_NO_FLUSH);
    input.remove_prefix(n_in - stream_.avail_in);
    if (code == Z_STREAM_END)
      between_members_ = true;
    else if (code == Z_BUF_ERROR || (code == Z_OK && ended() && stream_.avail_out != 0))
      fail_unless_more();
    else if (code == Z_MEM_ERROR)
      fail("out of memory");
    else if (code != Z_OK)
      fail(kind("damaged ", " data"));
    return out.size() - stream_.avail_out;
  }

  // Zeros after the last member are padding, as of a tape. False where nothing else follows.
  bool begin_member() {
    if (wrapper_ == Wrapper::kGzip)
      input.remove_prefix(std::min(input.find_first_not_of('\0'), input.size()));
    if (input.empty()) {
      if (ended()) done();
      return false;
    }
    if (wrapper_ == Wrapper::kRaw || static_cast<unsigned char>(input[0]) != 0x1f)
      fail(concat("something else follows the ", kind("", " data")));
    inflateReset(&stream_);
    between_members_ = false;
    return true;
  }

  void fail_unless_more() {
    if (ended()) fail(kind("truncated ", " file"));
  }

  std::string kind(const char* before, const char* after) const {
    return concat(before, wrapper_ == Wrapper::kGzip ? "gzip" : "deflate", after);
  }

  Wrapper wrapper_;
  z_stream stream_{};
  bool between_members_ = false;
};

class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder(ByteParts& source, std::string name)
      : Decoder(source, std::move(name)), stream_(ZSTD_createDStream(), ZSTD_freeDStream) {
    if (!stream_) fail("out of memory");
    check(ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kZstdWindowLog));
  }

 private:
  size_t decode(std::span<char> out) override {
    refill();
    if (frame_ended_ && ended()) {
      done();
      return 0;
    }
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const size_t left = check(ZSTD_decompressStream(stream_.get(), &to, &in));
    input.remove_prefix(in.pos);
    frame_ended_ = left == 0;
    if (left != 0 && ended() && to.pos < to.size) fail("truncated zstd file");
    return to.pos;
  }

  size_t check(size_t code) const {
    if (!ZSTD_isError(code)) return code;
    const std::string_view what = ZSTD_getErrorName(code);
    if (what.find("too much memory") != what.npos)
      fail("needs more than 128 MiB to decompress (written with zstd --long or --ultra)");
    fail(concat("damaged zstd data (", what, ")"));
  }

  std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream_;
  bool frame_ended_ = false;
};

class ZipEntryParts final : public ByteParts {
 public:
  ZipEntryParts(ByteParts& source, bool deflated, uint64_t n_byte, uint32_t checksum,
                std::string name)
      : source_(&source), wanted_bytes_(n_byte), wanted_checksum_(checksum), name_(name) {
    if (!deflated) return;
    decoder_ =
        std::make_unique<DeflateDecoder>(source, std::move(name), DeflateDecoder::Wrapper::kRaw);
    source_ = decoder_.get();
  }

  std::string_view next() override {
    const std::string_view part = source_->next();
    if (part.empty()) {
      FATHOM_REQUIRE(n_byte_ == wanted_bytes_ && checksum_ == wanted_checksum_, name_,
                     ": damaged: its content does not have the size and checksum that the "
                     "archive gives");
      return part;
    }
    n_byte_ += part.size();
    checksum_ = static_cast<uint32_t>(
        crc32_z(checksum_, reinterpret_cast<const Bytef*>(part.data()), part.size()));
    return part;
  }

 private:
  ByteParts* source_;
  std::unique_ptr<ByteParts> decoder_;
  uint64_t wanted_bytes_, n_byte_ = 0;
  uint32_t wanted_checksum_, checksum_ = 0;
  std::string name_;
};

bool is_zstd(std::string_view first) {
  constexpr std::string_view kFrame = "\x28\xB5\x2F\xFD", kSkippable = "\x2A\x4D\x18";
  if (first.starts_with(kFrame)) return true;
  // 0x184D2A50 to 0x184D2A5F, which pzstd writes first.
  return first.size() >= 4 && (first[0] & 0xF0) == 0x50 && first.substr(1, 3) == kSkippable;
}

}  // namespace

Packing packing_of(std::string_view first) {
  constexpr std::string_view kXz(
      "\xFD"
      "7zXZ\0",
      6),
      kGzip("\x1F\x8B\x08");
  if (first.starts_with(kXz)) return Packing::kXz;
  if (first.starts_with(kGzip)) return Packing::kGzip;
  return is_zstd(first) ? Packing::kZstd : Packing::kNone;
}

std::string_view unpack_command(Packing packing) {
  switch (packing) {
    case Packing::kXz:
      return "xz -dc";
    case Packing::kGzip:
      return "gzip -dc";
    case Packing::kZstd:
      return "zstd -dc";
    case Packing::kNone:
      break;
  }
  FATHOM_ASSERT(!"not packed");
}

Unpacked::Unpacked(ByteParts& source, std::string name) : source_(&source) {
  first_ = source.next();
  packing_ = packing_of(first_);
  if (packing_ == Packing::kNone) return;
  ahead_ = std::make_unique<Again>(first_, source);
  if (packing_ == Packing::kXz)
    decoder_ = std::make_unique<XzDecoder>(*ahead_, std::move(name));
  else if (packing_ == Packing::kGzip)
    decoder_ =
        std::make_unique<DeflateDecoder>(*ahead_, std::move(name), DeflateDecoder::Wrapper::kGzip);
  else
    decoder_ = std::make_unique<ZstdDecoder>(*ahead_, std::move(name));
  source_ = decoder_.get();
  first_ = source_->next();
}

std::string_view Unpacked::next() {
  if (std::exchange(gave_first_, true)) return source_->next();
  return first_;
}

std::unique_ptr<ByteParts> unpack_zip_entry(ByteParts& source, bool deflated, uint64_t n_byte,
                                            uint32_t checksum, std::string name) {
  return std::make_unique<ZipEntryParts>(source, deflated, n_byte, checksum, std::move(name));
}

}  // namespace fathom
