// SPDX-License-Identifier: Apache-2.0
// Texts whose vectors are not finite: an error, or counted if the caller allows them.
#pragma once

#include <string>

#include "encode/embed_texts.h"

namespace fathom {

// One stream of blocks, one thread. The encoder must outlive it.
class NonFiniteTexts {
 public:
  NonFiniteTexts(const Encoder& encoder, bool allowed, TextPlace place)
      : encoder_(encoder), allowed_(allowed), place_(std::move(place)) {}

  // Throws Error that names the first such text and the block to blame, unless they are allowed.
  void look(const EmbeddedBlock& block, Workspace& work);
  // "3 of 10 texts have ..." with the first; "" if all were finite.
  std::string count(size_t n_text) const;

  // Where a stream is gone on with: what was counted before, and the message of the first.
  size_t n() const { return n_; }
  const std::string& first() const { return first_; }
  void restore(size_t n, std::string first) {
    n_ = n;
    first_ = std::move(first);
  }

 private:
  const Encoder& encoder_;
  bool allowed_;
  TextPlace place_;
  size_t n_ = 0;
  std::string first_;
};

}  // namespace fathom
