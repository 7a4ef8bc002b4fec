// SPDX-License-Identifier: Apache-2.0
#include "base/file_title.h"

#include <gtest/gtest.h>

namespace fathom::test::file_title_test {
namespace {

TEST(FileTitle, LeavesOutFoldersPackingAndFormat) {
  EXPECT_EQ(file_title("models/words-50d.txt.xz"), "words-50d");
  EXPECT_EQ(file_title("glove.6B.50d.txt"), "glove.6B.50d");
  EXPECT_EQ(file_title("/a/vectors.bin"), "vectors");
  EXPECT_EQ(file_title("glove.6B.50d"), "glove.6B.50d");
  EXPECT_EQ(file_title("words.zip"), "words");
  EXPECT_EQ(file_title(""), "");
}

}  // namespace
}  // namespace fathom::test::file_title_test
