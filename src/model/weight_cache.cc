// SPDX-License-Identifier: Apache-2.0
#include "model/weight_cache.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/disk.h"
#include "base/error.h"
#include "base/hash.h"
#include "formats/checks.h"
#include "model/inspect.h"
#include "model/names.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

fs::path real_path(const fs::path& path) {
  std::error_code error;
  const fs::path found = fs::canonical(path, error);
  return error ? path : found;
}

// Stands for the headers of all formats: which tensors there are, of which type and shape, in which
// order.
std::string tensor_table(const Checkpoint& checkpoint) {
  std::string table;
  for (const Tensor& t : checkpoint.tensors()) {
    table += concat(t.name, '\n', name_of(t.dtype));
    for (size_t d : t.shape) table += concat(' ', d);
    for (size_t s : t.strides) table += concat(" by ", s);
    table += '\n';
  }
  return table;
}

// What a file of packed weights holds for: equal keys, equal packed blobs. A line for each part.
std::string key_of(const Checkpoint& checkpoint, const std::string& blob_layout, Compute compute,
                   const std::string& prefix, const CacheChanges& changes) {
  std::string key = concat("fathom ", FATHOM_VERSION, "\nlayout ", blob_layout, "\ndtype ",
                           name_of(compute), "\nprefix ", prefix, '\n');
  const auto stamps = checkpoint.stamps();
  for (size_t i = 0; i < stamps.size(); ++i) {
    key += concat("file ", real_path(checkpoint.files()[i]).string(), "\nsize ", stamps[i].bytes,
                  "\nmodified ", stamps[i].modified_ns, '\n');
  }
  if (!changes.adapters.empty()) key += concat("adapters ", changes.adapters, '\n');
  for (const std::string& pattern : changes.ignore_tensors)
    key += concat("ignore ", hash_text(pattern), '\n');
  const Names names(checkpoint, prefix, changes.ignore_tensors);
  return concat(key, "tensors ", hash_text(tensor_table(checkpoint)), "\nrescale every ",
                rescale_every(checkpoint, names.version()), '\n');
}

// The first line that differs.
std::string difference(std::string_view found, std::string_view wanted) {
  const auto line = [](std::string_view& text) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view first = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return first;
  };
  while (!found.empty() && !wanted.empty()) {
    const std::string_view a = line(found), b = line(wanted);
    if (a != b) return concat("it was made for '", excerpt(a), "', this is '", excerpt(b), "'");
  }
  return "it was made for another model";
}

// Named after the model for people; which files replace each other is in the hash.
std::string file_name(const Checkpoint& checkpoint, const std::string& blob_layout, Compute compute,
                      const std::string& prefix, const CacheChanges& changes) {
  const fs::path model = real_path(checkpoint.files().front());
  const std::string hash =
      hash_text(concat(model.string(), '\n', prefix, '\n', blob_layout,
                       changes.adapters.empty() ? "" : "\n", changes.adapters));
  const std::string folder = model.parent_path().filename().string();
  return concat(concat(folder, '-', model.stem().string()).substr(0, 100), '-', name_of(compute),
                '-', hash, ".packed");
}

}  // namespace

WeightCache::WeightCache(const CacheOptions& options, const Checkpoint& checkpoint,
                         const Backend& backend, Compute compute, const std::string& prefix,
                         ThreadPool& pool, const CacheChanges& changes)
    : backend_(backend) {
  if (options.folder.empty()) return;
  const std::string layout = backend.blob_layout();
  if (layout.empty()) {
    messages_.push_back(concat("no cache: backend ", backend.name(), " has no packed form"));
    return;
  }
  key_ = key_of(checkpoint, layout, compute, prefix, changes);
  path_ = options.folder / file_name(checkpoint, layout, compute, prefix, changes);
  open(options.verify, pool);
}

void WeightCache::open(bool verify, ThreadPool& pool) {
  std::error_code error;
  if (!fs::exists(path_, error)) return;
  try {
    MappedFile file(path_);
    const WeightCacheFile parsed = parse_weight_cache(file.bytes());
    FATHOM_REQUIRE(parsed.key == key_, difference(parsed.key, key_));
    if (verify) {
      pool.run(parsed.weights.size(), [&](size_t i) {
        const CachedWeight& w = parsed.weights[i];
        FATHOM_REQUIRE(hash_of(w.blob) == w.hash, w.name, " does not match its checksum");
      });
      messages_.push_back(
          concat(path_.string(), ": all ", parsed.weights.size(), " checksums are right"));
    }
    for (const CachedWeight& w : parsed.weights) in_file_.emplace(w.name, InFile{w, verify});
    file_ = std::move(file);
  } catch (const Error& e) {
    std::string why = e.what();
    if (why.starts_with(path_.string())) why.erase(0, path_.string().size() + 2);
    messages_.push_back(concat(path_.string(), ": not used: ", why));
  }
}

// The weights of a block together, so that threads share them. What does not match is forgotten: it
// is packed again, and written.
void WeightCache::check_block_of(ThreadPool& pool, const std::string& name) {
  const auto named = in_file_.find(name);
  if (named == in_file_.end() || named->second.checked) return;
  const std::string block = name.substr(0, name.find('.', name.find('.') + 1) + 1);  // "blocks.3."
  std::vector<InFile*> todo;
  for (auto at = in_file_.lower_bound(block); at != in_file_.end() && at->first.starts_with(block);
       ++at)
    if (!at->second.checked) todo.push_back(&at->second);
  std::vector<char> is_right(todo.size());
  pool.run(todo.size(), [&](size_t i) {
    const CachedWeight& w = todo[i]->weight;
    is_right[i] = hash_of(w.blob) == w.hash;
    todo[i]->checked = true;
  });
  for (size_t i = 0; i < todo.size(); ++i) {
    if (is_right[i]) continue;
    const std::string_view damaged = todo[i]->weight.name;
    messages_.push_back(
        concat(path_.string(), ": ", damaged, " does not match its checksum: packed again"));
    in_file_.erase(damaged);
  }
}

std::unique_ptr<PackedWeight> WeightCache::find(const std::string& name, const WeightRows& rows,
                                                Compute compute) {
  const auto at = in_file_.find(name);
  if (at == in_file_.end()) return nullptr;
  const CachedWeight& w = at->second.weight;
  if (w.n_out != rows.n_out || w.n_in != rows.n_in || w.compute != compute) return nullptr;
  try {
    return backend_.adopt(w.n_out, w.n_in, compute, w.blob);
  } catch (const Error&) {
    return nullptr;  // of another size than its name says: packed again
  }
}

std::unique_ptr<PackedWeight> WeightCache::pack(ThreadPool& pool, const std::string& name,
                                                const WeightRows& rows, Compute compute) {
  check_block_of(pool, name);
  auto weight = find(name, rows, compute);
  const bool found = weight != nullptr;
  if (!found) weight = backend_.pack(pool, rows, compute);
  if (!path_.empty()) {
    kept_.push_back({name, {}, found});
    kept_.back().weight = {{}, rows.n_out, rows.n_in, compute, weight->blob, 0};
  }
  return weight;
}

void WeightCache::save(ThreadPool& pool) {
  const bool complete = std::ranges::all_of(kept_, [](const Kept& k) { return k.found; });
  if (path_.empty() || complete) return;
  if (file_) messages_.push_back(concat(path_.string(), ": some weights were missing or damaged"));
  pool.run(kept_.size(), [&](size_t i) {
    kept_[i].weight.name = kept_[i].name;
    kept_[i].weight.hash = hash_of(kept_[i].weight.blob);
  });
  WeightCacheFile contents{key_, {}};
  for (const Kept& k : kept_) contents.weights.push_back(k.weight);
  try {
    std::error_code error;
    fs::create_directories(path_.parent_path(), error);
    if (error) throw_cannot_make(path_.parent_path(), error.message());
    AtomicFile out(path_);
    out.let_inputs_change();  // the key says of which file it is
    write_weight_cache(out.stream(), contents);
    out.sync();
    out.commit();
    messages_.push_back(concat(path_.string(), ": packed weights written"));
  } catch (const Error& e) {
    messages_.push_back(concat("no cache: ", e.what()));
  }
}

}  // namespace fathom
