// SPDX-License-Identifier: Apache-2.0
#include "results/info_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "encode/describe.h"
#include "encode/task_heads.h"
#include "formats/nonfinite_tensor.h"
#include "model/compute_choice.h"
#include "model/inspect.h"

namespace fathom {
namespace {

std::string nonfinite_text(const OrderedJson& j) {
  if (j.is_null()) return "not looked at (`no_values`)";
  if (j["tensors"] == 0) return "all finite";
  const OrderedJson& first = j["first"][0];
  return fmt::format("NOT FINITE: {} ({} of its numbers, the first {} at index {}){}",
                     first["tensor"].get<std::string>(), first["numbers"].get<size_t>(),
                     first["first_value"].get<std::string>(), first["first_index"].get<size_t>(),
                     j["tensors"] == 1
                         ? std::string()
                         : fmt::format("; {} tensors in all", dump_json(j["tensors"])));
}

// "version" to "deep_embed": what the tensors say.
void add_dimensions(const Checkpoint& checkpoint, const Config& c, const ModelInfo& info,
                    OrderedJson& j) {
  j["version"] = std::string(name_of(c));
  j["layout"] = std::string(name_of(info.layout));
  j["format"] = std::string(name_of(checkpoint.format()));
  j["n_layer"] = c.n_layer;
  j["d_model"] = c.d_model;
  j["d_att"] = c.d_att;
  j["n_head"] = c.has_heads() ? OrderedJson(c.n_head()) : OrderedJson(nullptr);
  j["head_size"] = c.has_heads() ? OrderedJson(c.head_size) : OrderedJson(nullptr);
  j["d_ffn"] = c.d_ffn;
  j["n_vocab"] = c.n_vocab;
  for (const auto& [name, rank] : named_ranks(c)) j["lora_rank"][std::string(name)] = rank;
  j["ln0_fused"] = !c.has_ln0;
  if (c.deep_embed)
    j["deep_embed"] = {{"n_in", c.deep_embed.n_in},
                       {"n_out", c.deep_embed.n_out},
                       {"s_emb_x", c.deep_embed.from_embedding}};
}

// What packed weights take and what products run in.
void add_memory(const Config& c, const ModelInfo& info, const Backend& backend,
                const ModelOptions& options, OrderedJson& j) {
  OrderedJson memory;
  for (Compute kind : {Compute::kF32, Compute::kBF16, Compute::kInt8})
    if (backend.supports(kind))
      memory[std::string(name_of(kind))] =
          packed_weight_bytes(c, kind, lora_compute_for(backend, kind), c.n_layer);
  j["packed_weight_bytes"] = memory;
  j["table_bytes"] = info.table_bytes;
  const ComputeFacts facts = compute_facts(backend, c, options);
  const ComputeChoice choice = choose_compute(options.compute, facts);
  j["available_bytes"] = facts.available_bytes;
  j["products"] = {{"asked", options.compute ? name_of(*options.compute) : "auto"},
                   {"dtype", name_of(choice.compute)},
                   {"reason", choice.why.empty() ? "as asked" : choice.why},
                   {"fits", lack_of_memory(choice.compute, facts).empty()}};
  j["state_bytes"] = sizeof(float) * c.n_layer * (2 * c.d_model + c.wkv_state_size());
  j["backend"] = backend.description();
  j["rows_are_bit_identical"] = backend.rows_are_exact(choice.compute);
}

std::string megabytes(double bytes) {
  return fmt::format("{:.{}f} MB", bytes / 1e6, bytes < 1e6 ? 3 : 1);
}

// Label and value, a line each.
struct Lines {
  std::string text;
  void line(std::string_view label, const std::string& value) {
    text += fmt::format("{:<14} {}\n", label, value);
  }
};

std::string text(const OrderedJson& v) {
  return v.is_string() ? v.get<std::string>() : v.is_null() ? std::string("none") : dump_json(v);
}

void add_dimensions(const OrderedJson& j, Lines& out) {
  out.line("version", fmt::format("RWKV-{} ({} layout, {})", text(j["version"]), text(j["layout"]),
                                  text(j["format"])));
  for (const char* key : {"n_layer", "d_model", "n_head", "head_size", "d_ffn", "n_vocab"})
    out.line(key, text(j[key]));
  if (j["d_att"] != j["d_model"]) out.line("d_att", text(j["d_att"]));
  if (j.contains("lora_rank")) {
    std::string ranks;
    for (const auto& [name, rank] : j["lora_rank"].items())
      ranks += fmt::format("{}{} {}", ranks.empty() ? "" : ", ", name, dump_json(rank));
    out.line("LoRA rank", ranks);
  }
  if (j.contains("deep_embed")) {
    const auto& deep = j["deep_embed"];
    out.line("DeepEmbed",
             fmt::format("{} x {} a token and block{}", text(deep["n_in"]), text(deep["n_out"]),
                         deep["s_emb_x"].get<bool>() ? ", with s_emb_x" : ""));
  }
  if (!j["task_heads"].empty()) {
    std::string heads;
    for (const auto& head : j["task_heads"]) heads += concat(heads.empty() ? "" : ", ", text(head));
    out.line("task heads", heads + " (fathom embed --head)");
  }
}

void add_files(const OrderedJson& j, Lines& out) {
  out.line("dtype", text(j["dtype"]));
  out.line("parameters", fmt::format("{} ({:.1f} M)", text(j["n_parameter"]),
                                     j["n_parameter"].get<double>() / 1e6));
  out.line("ln eps", text(j["ln_eps"]));
  out.line("ln_x eps", fmt::format("{} ({})", text(j["ln_x_eps"]), text(j["ln_x_eps_reason"])));
  for (const auto& file : j["files"]) out.line("file", text(file));
  out.line("file size", megabytes(j["file_bytes"].get<double>()));
  out.line(
      "tokenizer",
      j["tokenizer"].is_null()
          ? j["n_vocab"] == 1 ? "none" : "none found: only `ids` works (give `vocabulary` FILE)"
          : fmt::format("{}, {} ids, {}", text(j["tokenizer"]["kind"]),
                        text(j["tokenizer"]["n_vocab"]), text(j["tokenizer"]["source"])));
}

void add_memory(const OrderedJson& j, Lines& out) {
  const double tables = j["table_bytes"].get<double>();
  for (const auto& [dtype, bytes] : j["packed_weight_bytes"].items()) {
    const std::string packed = megabytes(bytes.get<double>()) + " of packed weights";
    out.line("memory " + dtype,
             tables == 0
                 ? packed
                 : fmt::format("{}: {} and {} of tables that stay in the file",
                               megabytes(bytes.get<double>() + tables), packed, megabytes(tables)));
  }
  out.line("available", megabytes(j["available_bytes"].get<double>()) + " of memory");
  out.line("products",
           fmt::format("{} ({})", text(j["products"]["dtype"]), text(j["products"]["reason"])));
}

}  // namespace

OrderedJson info_json(const Checkpoint& checkpoint, const Config& c, ModelInfo info,
                      const Vocabulary& vocabulary, const Backend& backend,
                      const ModelOptions& options) {
  OrderedJson heads = OrderedJson::array();
  for (HeadKind kind : account_for_heads(checkpoint, info)) heads.push_back(name_of(kind));
  OrderedJson j;
  add_dimensions(checkpoint, c, info, j);
  j["task_heads"] = heads;
  j["dtype"] = info.stored_dtype;
  j["n_parameter"] = info.n_parameter;
  // The shortest decimal that is this float: 1e-05, not 9.99e-06.
  const auto shortest = [](float x) { return std::stod(fmt::format("{}", x)); };
  j["ln_eps"] = shortest(c.ln_eps);
  j["ln_x_eps"] = c.has_heads() ? OrderedJson(shortest(c.ln_x_eps)) : OrderedJson(nullptr);
  j["ln_x_eps_reason"] = info.ln_x_eps_reason;
  j["files"] = OrderedJson::array();
  for (const auto& file : checkpoint.files()) j["files"].push_back(file.string());
  j["file_bytes"] = checkpoint.file_bytes();
  j["tokenizer"] = vocabulary.tokenizer
                       ? OrderedJson{{"kind", std::string(vocabulary.tokenizer->name())},
                                     {"n_vocab", vocabulary.tokenizer->n_vocab()},
                                     {"source", vocabulary.source}}
                       : OrderedJson(nullptr);
  add_memory(c, info, backend, options, j);
  j["notes"] = info.notes;
  if (!info.refusal.empty()) j["refused"] = info.refusal;
  OrderedJson changes = OrderedJson::object();
  describe_changes(info, changes);
  if (!changes.empty()) j["changes"] = changes;
  j["ignored_tensors"] = info.ignored;
  return j;
}

OrderedJson nonfinite_json(const Checkpoint& checkpoint, ThreadPool& pool) {
  constexpr size_t kShown = 3;
  const std::vector<NonFiniteTensor> found = nonfinite_tensors(checkpoint, pool);
  OrderedJson first = OrderedJson::array();
  for (size_t i = 0; i < std::min(kShown, found.size()); ++i)
    first.push_back({{"tensor", found[i].name},
                     {"numbers", found[i].n},
                     {"first_index", found[i].first},
                     {"first_value", std::isnan(found[i].value) ? "nan"
                                     : found[i].value > 0       ? "inf"
                                                                : "-inf"}});
  return {{"tensors", found.size()}, {"first", first}};
}

std::string info_text(const OrderedJson& j) {
  Lines out;
  add_dimensions(j, out);
  add_files(j, out);
  add_memory(j, out);
  out.line("state", megabytes(j["state_bytes"].get<double>()) + " a carried sequence");
  out.line("backend", text(j["backend"]));
  out.line("rows", j["rows_are_bit_identical"].get<bool>()
                       ? "bit-identical whatever the batch, its pieces and the threads"
                       : "within 1e-5 of each other for different batches (older instruction set)");
  out.line("values", nonfinite_text(j["nonfinite"]));
  if (j.contains("recommended"))
    out.line(
        "recommended",
        fmt::format("layer {}, {} pooling ({}{})", text(j["recommended"]["layers"]),
                    text(j["recommended"]["pool"]), text(j["recommended"]["file"]),
                    j["recommended"]["why"] == "" ? "" : "; " + text(j["recommended"]["why"])));
  for (const auto& note : j["notes"]) out.line("note", text(note));
  if (j.contains("refused")) out.line("refused", text(j["refused"]));
  for (const auto& name : j["ignored_tensors"]) out.line("ignored", text(name));
  return out.text;
}

}  // namespace fathom
