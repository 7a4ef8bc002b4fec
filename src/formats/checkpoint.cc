// SPDX-License-Identifier: Apache-2.0
#include "formats/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/byte_reader.h"
#include "formats/checkpoint_json.h"
#include "formats/checks.h"
#include "formats/file_contents.h"
#include "formats/ggmf.h"
#include "formats/gguf.h"
#include "formats/hub_cache.h"
#include "formats/locate.h"
#include "formats/model_files.h"
#include "formats/safetensors.h"
#include "formats/torch_zip.h"
#include "formats/wrapper_names.h"

namespace fathom {

namespace fs = std::filesystem;

namespace {

struct OpenFiles {
  FileContents contents;             // of all files together
  std::vector<uint32_t> by_name;     // indices of contents.tensors
  std::vector<MappedFile> mappings;  // what the contents point into
  std::vector<fs::path> files;       // one per mapping
  std::vector<size_t> n_tensor;      // one per mapping
  fs::path directory;
  Json config;
};

enum class Content { kSafetensors, kTorch, kGguf, kGgmf, kJson };

void require_content(std::string_view text) {
  FATHOM_REQUIRE(!text.empty(), "the file is empty");
  FATHOM_REQUIRE(!text.starts_with("version https://git-lfs"),
                 "is a git-lfs pointer, not the file itself; fetch it with `git lfs pull`");
}

Content sniff(const MappedFile& file) {
  const std::string_view text = file.text();
  require_content(text);
  if (text.starts_with("GGUF")) return Content::kGguf;
  if (text.starts_with("fmgg")) return Content::kGgmf;  // 0x67676d66, little-endian
  if (text.starts_with("PK\x03\x04")) return Content::kTorch;
  const bool brace_at_8 = text.size() > 8 && text[8] == '{';
  if (brace_at_8 && ByteReader(file.bytes()).read<uint64_t>("length") <= kMaxSafetensorsHeader)
    return Content::kSafetensors;
  if (looks_like_torch(file.bytes())) return Content::kTorch;
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && text[first] == '{') return Content::kJson;
  if (brace_at_8)
    return Content::kSafetensors;  // the parser will say what is wrong with its length
  throw Error(concat("not a known format (expected safetensors, a torch file, GGUF or rwkv.cpp's",
                     " .bin); it begins with '", excerpt(text.substr(0, 16)), "'"));
}

FileContents parse(Content content, std::span<const std::byte> bytes) {
  switch (content) {
    case Content::kSafetensors:
      return parse_safetensors(bytes);
    case Content::kTorch:
      return parse_torch(bytes);
    case Content::kGguf:
      return parse_gguf(bytes);
    case Content::kGgmf:
      return parse_ggmf(bytes);
    case Content::kJson:
      break;
  }
  throw Error("is JSON, expected weights");
}

// Adds one file's tensors to those of the files before it. Metadata, attributes and extras are the
// first file's: all files of a model have the same, or none.
void append(FileContents more, FileContents& all) {
  FATHOM_REQUIRE(more.format == all.format, "is a ", name_of(more.format),
                 " file among files that are ", name_of(all.format));
  for (Tensor& t : more.tensors) add_tensor(all.tensors, std::move(t));
  for (std::string& note : more.notes)
    if (std::find(all.notes.begin(), all.notes.end(), note) == all.notes.end())
      all.notes.push_back(std::move(note));
}

void add_file(OpenFiles& open, const fs::path& path, MappedFile file, FileContents contents) {
  open.n_tensor.push_back(contents.tensors.size());
  if (open.mappings.empty()) {
    open.contents = std::move(contents);
  } else {
    naming(path.string(), [&] { append(std::move(contents), open.contents); });
  }
  open.files.push_back(path);
  open.mappings.push_back(std::move(file));
}

// "x-00001-of-00003.gguf" and 2 -> "x-00003-of-00003.gguf".
fs::path split_file(const fs::path& first, const GgufSplit& split, size_t number) {
  const auto part = [&](size_t n) {
    char text[64];
    std::snprintf(text, sizeof(text), "-%05zu-of-%05zu", n + 1, split.count);
    return std::string(text);
  };
  const std::string stem = first.stem().string(), ending = part(0);
  FATHOM_REQUIRE(stem.ends_with(ending), "is part 1 of ", split.count,
                 ", so its name should end with ", ending, first.extension().string());
  return first.parent_path() /
         (stem.substr(0, stem.size() - ending.size()) + part(number) + first.extension().string());
}

void add_gguf_parts(OpenFiles& open, const fs::path& first) {
  const GgufSplit split = naming(first.string(), [&] { return gguf_split(open.contents); });
  if (split.count == 1) return;
  FATHOM_REQUIRE(split.number == 0, first.string(), ": is part ", split.number + 1, " of ",
                 split.count, "; open the first part");
  for (size_t number = 1; number < split.count; ++number) {
    const fs::path path = naming(first.string(), [&] { return split_file(first, split, number); });
    MappedFile file(path);
    FileContents contents = naming(path.string(), [&] {
      FATHOM_REQUIRE(sniff(file) == Content::kGguf, "expected a GGUF file");
      FileContents part = parse_gguf(file.bytes());
      const GgufSplit own = gguf_split(part);
      FATHOM_REQUIRE(own.number == number && own.count == split.count, "expected part ", number + 1,
                     " of ", split.count, ", this is part ", own.number + 1, " of ", own.count);
      return part;
    });
    add_file(open, path, std::move(file), std::move(contents));
  }
  open.contents.notes.push_back(concat("read ", split.count, " parts of a split GGUF"));
  const auto total = open.contents.metadata.find("split.tensors.count");
  if (total == open.contents.metadata.end()) return;
  const size_t n = open.contents.tensors.size();
  const int64_t* as_signed = std::get_if<int64_t>(&total->second);
  const uint64_t* as_unsigned = std::get_if<uint64_t>(&total->second);
  const bool equal =
      (as_signed && std::cmp_equal(*as_signed, n)) || (as_unsigned && *as_unsigned == n);
  FATHOM_REQUIRE(equal, first.string(), ": the parts have ", n,
                 " tensors, which is not what split.tensors.count says");
}

// Error unless every tensor of the index is in the file that the index says.
void check_index(const OpenFiles& open, const CheckpointIndex& index) {
  const auto file_of = [&](uint32_t tensor) {
    size_t file = 0;
    for (size_t end = open.n_tensor[0]; tensor >= end; end += open.n_tensor[file]) ++file;
    return file;
  };
  const auto tensors = std::span(open.contents.tensors);
  for (const auto& [name, file] : index.tensors) {
    const auto at =
        std::lower_bound(open.by_name.begin(), open.by_name.end(), name,
                         [&](uint32_t i, const std::string& n) { return tensors[i].name < n; });
    const bool found = at != open.by_name.end() && tensors[*at].name == name;
    FATHOM_REQUIRE(found && file_of(*at) == file, open.files[file].string(), ": tensor ", name,
                   ", which the index promises, is not in this file");
  }
}

// Drops the tensors that the index says are in another shard; their number.
size_t drop_tensors_of_others(std::vector<Tensor>& tensors, const CheckpointIndex& index,
                              size_t file) {
  return std::erase_if(tensors, [&](const Tensor& t) {
    const auto at =
        std::lower_bound(index.tensors.begin(), index.tensors.end(), t.name,
                         [](const auto& entry, const std::string& n) { return entry.first < n; });
    return at != index.tensors.end() && at->first == t.name && at->second != file;
  });
}

void open_index(OpenFiles& open, const fs::path& path, const MappedFile& file) {
  const CheckpointIndex index = naming(path.string(), [&] { return parse_index(file.text()); });
  size_t n_dropped = 0;
  for (size_t i = 0; i < index.files.size(); ++i) {
    const fs::path shard = path.parent_path() / index.files[i];
    FATHOM_REQUIRE(is_there(shard), shard.string(), ": this shard, which ",
                   path.filename().string(), " names, is missing");
    MappedFile mapped(shard);
    FileContents contents =
        naming(shard.string(), [&] { return parse(sniff(mapped), mapped.bytes()); });
    n_dropped += drop_tensors_of_others(contents.tensors, index, i);
    add_file(open, shard, std::move(mapped), std::move(contents));
  }
  open.by_name = naming(path.string(), [&] { return sorted_by_name(open.contents.tensors); });
  check_index(open, index);
  if (const size_t n = open.contents.tensors.size(); n > index.tensors.size())
    open.contents.notes.push_back(
        concat(n - index.tensors.size(), " tensors of the shards are not in the index"));
  if (n_dropped > 0)
    open.contents.notes.push_back(
        concat(n_dropped, " tensors stand in several shards: taken from the one in the index"));
}

void open_file(OpenFiles& open, const fs::path& path) {
  MappedFile file(path);
  const Content content = naming(path.string(), [&] { return sniff(file); });
  if (content == Content::kJson) {
    open_index(open, path, file);
  } else {
    FileContents contents = naming(path.string(), [&] { return parse(content, file.bytes()); });
    add_file(open, path, std::move(file), std::move(contents));
    if (content == Content::kGguf) add_gguf_parts(open, path);
    open.by_name = naming(path.string(), [&] { return sorted_by_name(open.contents.tensors); });
  }
  FATHOM_REQUIRE(!open.contents.tensors.empty(), path.string(), ": holds no tensors");
  if (open.contents.format == FileFormat::kSafetensors ||
      open.contents.format == FileFormat::kTorch) {
    strip_wrapper_names(open.contents.tensors, open.contents.notes);
    open.by_name = naming(path.string(), [&] { return sorted_by_name(open.contents.tensors); });
  }
}

void open_directory(OpenFiles& open, const fs::path& directory) {
  const LocatedWeights located = locate_weights(directory);
  open_file(open, located.path);
  if (!located.not_read.empty())
    open.contents.notes.push_back(
        concat("read ", located.path.filename().string(), ", not ", located.not_read));
}

// config.json beside the weights. One that cannot be used is a note: weights tell nearly all.
Json read_config(const fs::path& directory, std::vector<std::string>& notes) {
  const fs::path path = directory / "config.json";
  if (!is_there(path)) return nullptr;
  try {
    const MappedFile file(path);
    return naming(path.string(), [&] {
      require_content(file.text());
      bool changed = false;
      Json config = parse_config(file.text(), changed);
      if (changed)
        notes.push_back(
            concat(path.string(), ": NaN and Infinity, which JSON does not have, are null"));
      return config;
    });
  } catch (const Error& e) {
    notes.push_back(concat(e.what(), "; not used"));
    return nullptr;
  }
}

}  // namespace

struct Checkpoint::Impl : OpenFiles {};

std::string_view name_of(FileFormat format) {
  switch (format) {
    case FileFormat::kSafetensors:
      return "safetensors";
    case FileFormat::kTorch:
      return "torch";
    case FileFormat::kGguf:
      return "gguf";
    case FileFormat::kGgmf:
      return "ggmf";
  }
  FATHOM_ASSERT(!"unknown FileFormat");
}

Checkpoint Checkpoint::open(const fs::path& given) {
  auto impl = std::make_unique<Impl>();
  const fs::path path = resolve_model_path(given);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  FATHOM_REQUIRE(fs::exists(status), path.string(), ": ",
                 error && error != std::errc::no_such_file_or_directory ? error.message()
                                                                        : "no such file or folder");
  if (fs::is_directory(status)) {
    impl->directory = path;
    open_directory(*impl, path);
  } else {
    impl->directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
    open_file(*impl, path);
  }
  impl->config = read_config(impl->directory, impl->contents.notes);
  note_model_files(impl->directory, fs::is_directory(status));
  return Checkpoint(std::move(impl));
}

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

FileFormat Checkpoint::format() const { return impl_->contents.format; }
const std::vector<fs::path>& Checkpoint::files() const { return impl_->files; }
std::span<const Tensor> Checkpoint::tensors() const { return impl_->contents.tensors; }
const Json& Checkpoint::attributes() const { return impl_->contents.attributes; }
const Json& Checkpoint::extras() const { return impl_->contents.extras; }
const Json& Checkpoint::config() const { return impl_->config; }
const fs::path& Checkpoint::directory() const { return impl_->directory; }
const std::vector<std::string>& Checkpoint::notes() const { return impl_->contents.notes; }

const std::map<std::string, MetaValue, std::less<>>& Checkpoint::metadata() const {
  return impl_->contents.metadata;
}

const GgmfHeader* Checkpoint::ggmf() const {
  return impl_->contents.ggmf ? &*impl_->contents.ggmf : nullptr;
}

size_t Checkpoint::file_bytes() const {
  size_t sum = 0;
  for (const MappedFile& file : impl_->mappings) sum += file.bytes().size();
  return sum;
}

std::vector<Checkpoint::Stamp> Checkpoint::stamps() const {
  std::vector<Stamp> all;
  for (const MappedFile& file : impl_->mappings)
    all.push_back({file.bytes().size(), file.modified_ns()});
  return all;
}

const Tensor* Checkpoint::find(std::string_view name) const {
  const auto tensors = this->tensors();
  const auto at =
      std::lower_bound(impl_->by_name.begin(), impl_->by_name.end(), name,
                       [&](uint32_t i, std::string_view n) { return tensors[i].name < n; });
  return at != impl_->by_name.end() && tensors[*at].name == name ? &tensors[*at] : nullptr;
}

}  // namespace fathom
