// SPDX-License-Identifier: Apache-2.0
// The public headers beside those of every folder below them: no name means two things.
#include <fathom/embedder.h>
#include <fathom/error.h>
#include <fathom/options.h>
#include <fathom/version.h>
#include <gtest/gtest.h>

#include <type_traits>

#include "base/dtype.h"
#include "base/error.h"
#include "depth/exit.h"
#include "depth/layers.h"
#include "depth/mask.h"
#include "depth/policy.h"
#include "depth/policy_file.h"
#include "depth/route.h"
#include "encode/encoder.h"
#include "encode/nonfinite.h"
#include "encode/reranker.h"
#include "encode/state_pooling.h"
#include "encode/task_heads.h"
#include "encode/tokenised_groups.h"
#include "encode/trace.h"
#include "encode/vocabulary.h"
#include "formats/checkpoint.h"
#include "formats/npy.h"
#include "kernels/backend.h"
#include "model/inspect.h"
#include "model/model.h"
#include "probe/fit.h"
#include "text/tokenizer.h"
#include "text/words.h"

namespace fathom::headers_test {
namespace {

// Words that both sides use are one type, defined once.
static_assert(std::is_same_v<decltype(EncodeOptions::pooling), decltype(EmbedOptions::pooling)>);
static_assert(std::is_same_v<decltype(EncodeOptions::norm), decltype(EmbedOptions::norm)>);
static_assert(std::is_same_v<decltype(EncodeOptions::scan), decltype(EmbedOptions::scan)>);
static_assert(!std::is_same_v<DType, StoredType>);
static_assert(std::is_base_of_v<Error, UsageError> && std::is_base_of_v<Error, Stopped>);
static_assert(std::is_copy_constructible_v<Embedder> &&
              std::is_nothrow_move_constructible_v<Embedder>);

TEST(PublicHeaders, VersionIsThatOfTheLibrary) {
  const std::string parts = std::to_string(FATHOM_VERSION_MAJOR) + "." +
                            std::to_string(FATHOM_VERSION_MINOR) + "." +
                            std::to_string(FATHOM_VERSION_PATCH);
  EXPECT_EQ(parts, FATHOM_VERSION_STRING);
  EXPECT_EQ(parts, version());
}

}  // namespace
}  // namespace fathom::headers_test
