// SPDX-License-Identifier: Apache-2.0
// A policy file as a method of a sweep: one operating point, run on every example.
//
// An exit policy for the classes of this task answers with its own heads. For any other policy a
// head is fitted on the policy's vectors, as for a layer.
#pragma once

#include <optional>
#include <string>

#include "study/prepared_task.h"

namespace fathom {

class FilePolicy {
 public:
  // spec: "mask:FILE", "exit:FILE", "route:FILE". Throws Error: no policy file, or one for another
  // model.
  FilePolicy(const std::string& spec, const PreparedTask& prepared, FeatureSource& source);
  FilePolicy(const FilePolicy&) = delete;  // the encoder refers to the policy

  const Method& method() const { return method_; }
  const Encoder& encoder() const { return encoder_; }
  // What the file says of its making.
  OrderedJson fitted() const { return choice_.file ? choice_.file->fitted : OrderedJson(); }
  const LayerFit* head() const { return head_ ? &*head_ : nullptr; }  // nullptr: its own answer

 private:
  Outcomes outcomes(std::span<const std::string_view> texts, std::span<const size_t> rows,
                    std::span<const double> fitted_answers) const;

  const PreparedTask& prepared_;
  FeatureSource& source_;
  DepthChoice choice_;
  Encoder encoder_;
  std::optional<LayerFit> head_;
  Method method_;
};

// Of the bytes of its file. Throws Error if it cannot be read.
std::string policy_hash(const std::string& spec);

}  // namespace fathom
