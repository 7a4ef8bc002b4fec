// SPDX-License-Identifier: Apache-2.0
#include "kernels/backend.h"

#include <cstdlib>

#include "base/error.h"
#include "kernels/cpu/isa.h"

namespace fathom {

std::string_view name_of(Compute compute) {
  switch (compute) {
    case Compute::kF32:
      return "f32";
    case Compute::kBF16:
      return "bf16";
    case Compute::kInt8:
      return "int8";
  }
  FATHOM_ASSERT(!"unknown Compute");
}

std::unique_ptr<PackedWeight> Backend::adopt(size_t, size_t, Compute,
                                             std::span<const std::byte>) const {
  FATHOM_ASSERT(!"this backend's weights have no packed blob");
}

const Backend& backend(std::string_view name) {
  cpu::max_isa();  // a wrong limit is an error even where it would limit nothing
  const char* from_environment = std::getenv("FATHOM_BACKEND");
  const bool asked = !name.empty();
  if (!asked && from_environment != nullptr) name = from_environment;
  if (name.empty() || name == "cpu") return cpu_backend();
  if (name == "reference") return reference_backend();
  throw UsageError(concat(asked ? "backend '" : "FATHOM_BACKEND: backend '", name,
                          "' is unknown; expected reference or cpu"));
}

}  // namespace fathom
