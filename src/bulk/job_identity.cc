// SPDX-License-Identifier: Apache-2.0
#include "bulk/job_identity.h"

#include <system_error>

#include "base/error.h"
#include "base/hash.h"
#include "kernels/cpu/isa.h"
#include "text/byte_parts.h"

namespace fathom {
namespace {

constexpr int kFormat = 1;

// Another instruction set may round in another way.
OrderedJson instructions() {
  OrderedJson j;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) j.push_back("avx2");
  if (__builtin_cpu_supports("avx512f")) j.push_back("avx512");
  if (__builtin_cpu_supports("avx512vnni")) j.push_back("avx512_vnni");
  if (__builtin_cpu_supports("avx512bf16")) j.push_back("avx512_bf16");
#endif
  if (const auto limit = cpu::max_isa())
    j.push_back(concat("at most ", std::string(cpu::name_of(*limit))));
  return j;
}

OrderedJson model_identity(const OpenModel& open) {
  OrderedJson j = describe(open.model);
  j.erase("path");
  Hasher all;
  for (const auto& file : open.model.checkpoint().files()) {
    const std::string hash = file_hash(file);
    all.add(std::as_bytes(std::span(hash)));
  }
  j["files"] = hex_of(all.value());
  std::error_code error;
  const std::filesystem::path vocabulary = open.vocabulary.source;
  j["tokenizer"] = std::filesystem::is_regular_file(vocabulary, error) ? file_hash(vocabulary)
                                                                       : open.vocabulary.source;
  return j;
}

std::string short_text(const OrderedJson& j) {
  std::string text = dump_json(j);
  constexpr size_t kMost = 60;
  if (text.size() > kMost) text = text.substr(0, kMost) + "...";
  return text;
}

}  // namespace

std::string file_hash(const std::filesystem::path& path) {
  InputFile file(path);
  Hasher hasher;
  for (std::string_view part = file.next(); !part.empty(); part = file.next())
    hasher.add(std::as_bytes(std::span(part)));
  return hex_of(hasher.value());
}

OrderedJson job_identity(const EmbedJobOptions& options, std::span<const InputSummary> inputs,
                         const OpenModel& open, const Encoder& encoder, const DepthChoice& depth) {
  OrderedJson j;
  j["journal"] = kFormat;
  j["fathom"] = FATHOM_VERSION;
  j["instructions"] = instructions();
  OrderedJson files = OrderedJson::array();
  for (const InputSummary& input : inputs) {
    OrderedJson one{{"n_row", input.n_row}, {"content", hex_of(input.hash)}};
    if (inputs.size() > 1) one["name"] = input.name;  // which is then in the output
    files.push_back(std::move(one));
  }
  j["inputs"] = std::move(files);
  j["fields"] = {options.fields.text, options.fields.id, options.fields.label};
  j["empty"] = static_cast<int>(options.empty);
  j["shard"] = concat(options.shard.index, "/", options.shard.count);
  j["with_text"] = options.with_text;
  j["allow_nonfinite"] = options.allow_nonfinite;
  j["output_dtype"] = std::string(name_of(options.dtype));
  j["calibration"] = options.calibration.empty() ? "" : file_hash(options.calibration);
  j["depth_log"] = !options.depth_log.empty();
  j["model"] = model_identity(open);
  j["embedding"] = describe(encoder.options(), open.model.config());
  j["embedding"]["dimensions"] = encoder.dim();
  if (depth.policy) j["depth"] = describe(depth);
  OrderedJson hashes = OrderedJson::array();
  for (const auto& file : options.option_files) hashes.push_back(file_hash(file));
  j["option_files"] = std::move(hashes);
  return j;
}

void require_same_job(const OrderedJson& there, const OrderedJson& here,
                      const std::filesystem::path& journal, const std::filesystem::path& part) {
  if (there == here) return;
  std::string what = "other options", was, is;
  for (const OrderedJson& step : OrderedJson::diff(there, here)) {
    const OrderedJson::json_pointer at(step.at("path").get<std::string>());
    what = at.to_string().substr(1);
    was = there.contains(at) ? short_text(there.at(at)) : "nothing";
    is = here.contains(at) ? short_text(here.at(at)) : "nothing";
    break;
  }
  throw Error(concat(journal.string(), ": of a job with ", what, " ", was, ", this one has ", is,
                     "; expected the same command, or a new beginning: rm ", journal.string(), " ",
                     part.string()));
}

}  // namespace fathom
