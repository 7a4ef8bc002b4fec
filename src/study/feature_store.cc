// SPDX-License-Identifier: Apache-2.0
#include "study/feature_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/disk.h"
#include "base/error.h"
#include "base/file_roles.h"
#include "base/hash.h"
#include "encode/nonfinite.h"

namespace fathom {
namespace {

constexpr size_t kPage = 4096;
constexpr std::array<char, 8> kMagic = {'F', 'A', 'T', 'H', 'O', 'M', 'F', 'C'};

struct Header {
  std::array<char, 8> magic = kMagic;
  uint64_t version = 3;
  uint64_t n_layer = 0, n_text = 0, dim = 0, dtype = 0;
  uint64_t n_done = 0;
  uint64_t key_size = 0;
  std::array<char, kPage - 64> key = {};
};
static_assert(sizeof(Header) == kPage);

// How long a text is, as it is stored.
struct Length {
  uint32_t n_token = 0, sum = 0;
};

uint32_t sum_of(std::span<const std::byte> bytes) { return static_cast<uint32_t>(hash_of(bytes)); }

Length length_of(size_t text, uint32_t n_token) {
  const uint64_t what[] = {text, n_token};
  return {n_token, sum_of(std::as_bytes(std::span(what)))};
}

size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

Header header_of(const FeatureShape& shape, const std::string& key) {
  Header h;
  h.n_layer = shape.n_layer;
  h.n_text = shape.n_text;
  h.dim = shape.dim;
  h.dtype = static_cast<uint64_t>(shape.dtype);
  h.key_size = key.size();
  std::ranges::copy(key, h.key.begin());
  return h;
}

}  // namespace

FeatureCache::FeatureCache(std::filesystem::path path, std::string key, const FeatureShape& shape)
    : path_(std::move(path)), key_(std::move(key)), shape_(shape) {
  FATHOM_ASSERT(key_.size() <= sizeof(Header::key));
  FATHOM_ASSERT(shape_.dtype == DType::kF32 || shape_.dtype == DType::kBF16);
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  FATHOM_REQUIRE(file_ >= 0, path_.string(), ": cannot be written: ", std::strerror(errno));
  try {
    note_input(path_);
    // Any number of processes read a complete file; one fills it.
    lock(LOCK_SH);
    std::optional<size_t> done = stored_done();
    if (done != shape_.n_text) {
      lock(LOCK_EX);
      done = stored_done();  // somebody may have been quicker
      if (!done) start_anew();
    }
    n_done_ = done.value_or(0);
    map_if_complete();
  } catch (...) {
    ::close(file_);
    throw;
  }
}

FeatureCache::FeatureCache(FeatureCache&& other) noexcept
    : path_(std::move(other.path_)),
      key_(std::move(other.key_)),
      shape_(other.shape_),
      n_done_(other.n_done_),
      file_(std::exchange(other.file_, -1)),
      mapped_(std::move(other.mapped_)) {}

FeatureCache::~FeatureCache() {
  if (file_ >= 0) ::close(file_);  // and with it the lock
}

size_t FeatureCache::sum_offset(size_t layer, size_t text) const {
  return kPage + whole_pages(shape_.n_text * sizeof(Length)) +
         (layer * shape_.n_text + text) * sizeof(uint32_t);
}

size_t FeatureCache::offset_of(size_t layer, size_t text) const {
  return sum_offset(0, 0) + whole_pages(shape_.n_layer * shape_.n_text * sizeof(uint32_t)) +
         (layer * shape_.n_text + text) * shape_.dim * dtype_info(shape_.dtype).block_bytes;
}

void FeatureCache::fail_damaged(size_t text) const {
  throw Error(concat(path_.string(), ": what is stored of text ", text + 1,
                     " does not match its checksum; remove the file and run again"));
}

void FeatureCache::lock(int kind) const {
  FATHOM_REQUIRE(::flock(file_, kind | LOCK_NB) == 0, path_.string(),
                 ": another process is using these features");
}

std::optional<size_t> FeatureCache::stored_done() const {
  Header stored, wanted = header_of(shape_, key_);
  struct stat status {};
  const bool whole = ::fstat(file_, &status) == 0 &&
                     static_cast<size_t>(status.st_size) == offset_of(shape_.n_layer, 0) &&
                     ::pread(file_, &stored, kPage, 0) == static_cast<ssize_t>(kPage);
  if (!whole) return std::nullopt;
  wanted.n_done = stored.n_done;
  if (std::memcmp(&stored, &wanted, kPage) != 0 || stored.n_done > shape_.n_text)
    return std::nullopt;
  return stored.n_done;
}

void FeatureCache::map_if_complete() {
  if (!complete()) return;
  lock(LOCK_SH);
  mapped_.emplace(path_);
  FATHOM_REQUIRE(mapped_->bytes().size() == offset_of(shape_.n_layer, 0), path_.string(),
                 ": the file was changed by somebody else");
}

void FeatureCache::write_at(const void* data, size_t size, size_t offset) const {
  fathom::write_at(file_, {static_cast<const std::byte*>(data), size}, offset, path_,
                   offset_of(shape_.n_layer, 0));
}

void FeatureCache::start_anew() {
  const Header header = header_of(shape_, key_);
  // The header last: until then the file is nobody's.
  const bool sized = ::ftruncate(file_, 0) == 0 &&
                     ::ftruncate(file_, static_cast<off_t>(offset_of(shape_.n_layer, 0))) == 0;
  if (!sized) throw_cannot_write(path_, errno, offset_of(shape_.n_layer, 0), file_);
  try {
    reserve(file_, offset_of(shape_.n_layer, 0), path_);
  } catch (const Error&) {
    (void)!::ftruncate(file_, 0);  // what there was of it is given back
    throw;
  }
  write_at(&header, kPage, 0);
}

void FeatureCache::append(std::span<const float> values, std::span<const uint32_t> n_token) {
  const size_t n = n_token.size(), row = n * shape_.dim;
  FATHOM_ASSERT(values.size() == shape_.n_layer * row && n <= shape_.n_text - n_done_);
  std::vector<Length> lengths;
  for (size_t i = 0; i < n; ++i) lengths.push_back(length_of(n_done_ + i, n_token[i]));
  write_at(lengths.data(), n * sizeof(Length), kPage + n_done_ * sizeof(Length));
  const size_t stored_row = shape_.dim * dtype_info(shape_.dtype).block_bytes;
  std::vector<BF16> narrow;
  std::vector<uint32_t> sums(n);
  for (size_t l = 0; l < shape_.n_layer; ++l) {
    const std::span<const float> block = values.subspan(l * row, row);
    std::span<const std::byte> stored = std::as_bytes(block);
    if (shape_.dtype == DType::kBF16) {
      narrow.clear();
      for (float v : block) narrow.push_back(to_bf16(v));
      stored = std::as_bytes(std::span(narrow));
    }
    for (size_t i = 0; i < n; ++i) sums[i] = sum_of(stored.subspan(i * stored_row, stored_row));
    write_at(stored.data(), stored.size(), offset_of(l, n_done_));
    write_at(sums.data(), n * sizeof(uint32_t), sum_offset(l, n_done_));
  }
  if (::fdatasync(file_) != 0)
    throw_cannot_write(path_, errno, offset_of(shape_.n_layer, 0), file_);
  n_done_ += n;
  const uint64_t done = n_done_;
  write_at(&done, sizeof(done), offsetof(Header, n_done));
  map_if_complete();
}

void FeatureCache::read(size_t layer, size_t begin, size_t n, std::span<float> out) const {
  FATHOM_ASSERT(mapped_ && layer < shape_.n_layer && n <= shape_.n_text &&
                begin <= shape_.n_text - n && out.size() == n * shape_.dim);
  const std::byte* from = mapped_->bytes().data() + offset_of(layer, begin);
  const std::byte* sums = mapped_->bytes().data() + sum_offset(layer, begin);
  const size_t stored_row = shape_.dim * dtype_info(shape_.dtype).block_bytes;
  for (size_t i = 0; i < n; ++i) {
    uint32_t sum = 0;
    std::memcpy(&sum, sums + i * sizeof(sum), sizeof(sum));
    if (sum_of({from + i * stored_row, stored_row}) != sum) fail_damaged(begin + i);
  }
  if (shape_.dtype == DType::kF32) {
    std::memcpy(out.data(), from, out.size_bytes());
    return;
  }
  for (size_t j = 0; j < out.size(); ++j) {
    BF16 narrow;
    std::memcpy(&narrow, from + j * sizeof(BF16), sizeof(BF16));
    out[j] = to_f32(narrow);
  }
}

std::vector<size_t> FeatureCache::n_token() const {
  FATHOM_ASSERT(mapped_);
  std::vector<size_t> all;
  for (size_t i = 0; i < shape_.n_text; ++i) {
    Length stored;
    std::memcpy(&stored, mapped_->bytes().data() + kPage + i * sizeof(Length), sizeof(Length));
    if (stored.sum != length_of(i, stored.n_token).sum) fail_damaged(i);
    all.push_back(stored.n_token);
  }
  return all;
}

void fill(FeatureCache& cache, const Encoder& encoder, const Tokenizer& tokenizer,
          std::span<const std::string_view> texts, Workspace& work,
          const std::function<void(size_t)>& progress, const TextPlace& place) {
  const FeatureShape& shape = cache.shape();
  const size_t done = cache.n_done();
  const auto place_of = [&](size_t i) {
    return place ? place(done + i) : concat("text ", done + i + 1);
  };
  FATHOM_ASSERT(texts.size() == shape.n_text && encoder.n_vector() == shape.n_layer &&
                encoder.dim() == shape.dim);
  const auto keep = [&](const EmbeddedBlock& block) {
    if (const auto at = find_nonfinite(block.vectors, block.n_vector, block.size()))
      throw Error(concat(place_of(block.begin + at->text), ": ",
                         explain_nonfinite(encoder, block.ids, *at, work)));
    std::vector<uint32_t> n_token;
    for (const std::vector<Token>& ids : block.ids)
      n_token.push_back(static_cast<uint32_t>(scanned_tokens(ids.size(), encoder.options())));
    cache.append(block.vectors, n_token);
    if (progress) progress(cache.n_done());
  };
  embed_texts(encoder, tokenizer, texts.subspan(done), work, keep, {.place = place_of});
}

}  // namespace fathom
