// SPDX-License-Identifier: Apache-2.0
// Policy files: a depth policy with all its parameters, how it was fitted, and for which model.
//
// A file without arrays is JSON. A file with arrays is safetensors whose __metadata__ holds the
// same JSON under "fathom_policy". docs/reference/policy-files.md lists fields and arrays. The
// reader checks all sizes, shapes and numbers; the model is checked when the policy is used.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/atomic_file.h"
#include "base/json.h"
#include "depth/exit.h"
#include "depth/mask.h"
#include "depth/reading.h"
#include "depth/route.h"
#include "model/model.h"

namespace fathom {

// Identifies the model of a policy. `weights` is a hash of the dimensions and of all layer norms,
// which every file format stores with enough digits. They are rounded to bf16 first, so that a
// model converted to another dtype or layout keeps its fingerprint.
struct ModelFingerprint {
  std::string version;  // as name_of(Version)
  size_t n_layer = 0, d_model = 0;
  std::string weights;  // 16 hexadecimal digits

  bool operator==(const ModelFingerprint&) const = default;
};
ModelFingerprint fingerprint_of(const Model& model);

using PolicyRule = std::variant<BlockMask, ExitRule, RouteRule>;

struct PolicyFile {
  ModelFingerprint model;
  // How sequences are read and pooled, as by Reading::pool_as(). The policy was fitted to it. A
  // file without an eos means EmbeddingRWKV's.
  Reading reading = {};
  // How it was fitted: any fields ("data", "command", "target", ...).
  OrderedJson fitted = OrderedJson::object();
  PolicyRule rule;

  std::string_view kind() const;  // "mask", "exit", "route"
  // Throws Error naming the field that contradicts another one or the model's dimensions.
  void check() const;
};

// Throws Error naming the field or array; read_policy_file() the file, too.
PolicyFile parse_policy_file(std::span<const std::byte> bytes);
PolicyFile read_policy_file(const std::filesystem::path& path);
// Checks first. The file appears whole or not at all.
void write_policy_file(const std::filesystem::path& path, const PolicyFile& file);
// The same into a file that the caller commits.
void write_policy_file(AtomicFile& out, const PolicyFile& file);
// The JSON of the file: all of it but the arrays.
OrderedJson to_json(const PolicyFile& file);

// Throws Error naming which model the file is for and which this one is.
void require_model(const PolicyFile& file, const Model& model, const std::string& name);
// The rule must have been checked.
std::unique_ptr<DepthPolicy> make_policy(std::string name, PolicyRule rule);

// A value of --depth.
struct DepthChoice {
  std::unique_ptr<DepthPolicy> policy;  // nullptr: "full", every requested layer
  std::optional<PolicyFile> file;       // its rule has moved into the policy
};
// "full", "fixed:L", "mask:FILE", "exit:FILE", "route:FILE", or FILE, whose kind is detected.
// Throws UsageError for another form, a depth that the model does not
// have, or a file of another kind; Error as above.
DepthChoice open_depth(std::string_view text, const Model& model);
// The file that such a text names; nullopt: none.
std::optional<std::filesystem::path> depth_file(std::string_view text);
// The names of the classes that an exit policy answers with, which `fathom fit` keeps in the file's
// fitted["classes"]; empty where there are none, or not as many as the policy has classes.
std::vector<std::string> class_names(const DepthChoice& choice);
// The number of blocks of n_layer that such a choice may run, known before the model is opened: L,
// the depth of a mask, else all. Throws as open_depth() for what needs no model.
size_t deepest_block(std::string_view text, size_t n_layer);

}  // namespace fathom
