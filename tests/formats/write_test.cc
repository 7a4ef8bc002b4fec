// SPDX-License-Identifier: Apache-2.0
// Writers: what they write is read back by the readers, and a few bytes are checked against the
// formats themselves.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "base/tiny_disk.h"
#include "formats/build_files.h"
#include "formats/checkpoint.h"
#include "formats/dequantise.h"
#include "formats/npy.h"
#include "formats/temp_folder.h"
#include "formats/write_gguf.h"
#include "formats/write_safetensors.h"

namespace fathom::write_test {
namespace {

using test::read_whole;
using test::refusal;
using test::TempFolder;
using test::values_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TensorToWrite bytes_tensor(std::string name, StoredType dtype, std::vector<size_t> shape,
                           std::string bytes) {
  return {.name = std::move(name),
          .dtype = dtype,
          .shape = std::move(shape),
          .write = [bytes](std::ostream& out) { write_text(out, bytes); }};
}

TEST(WriteSafetensors, RoundTrip) {
  const TempFolder folder;
  const std::vector<float> six = {1, 2, 3, 4, 5, -6}, none;
  const std::vector<int32_t> ids = {34, 105};
  const std::vector<TensorToWrite> tensors = {
      bytes_tensor("half", StoredType::kBF16, {3},
                   test::u16(0x3f80) + test::u16(0) + test::u16(0xc000)),
      tensor_to_write("matrix", {2, 3}, six),
      tensor_to_write("ids", {2}, ids),
      tensor_to_write("none", {0, 5}, none),
      bytes_tensor("byte", StoredType::kU8, {1}, "\x07"),
      bytes_tensor("quote\"\\\n\u00e9", StoredType::kF64, {}, test::le(2.5))};
  // The last name has a control character, which our own reader refuses.
  const auto path = folder.file("t.safetensors");
  write_safetensors(path, std::span(tensors).first(5),
                    {{"format", "pt"}, {"note", "\u00e9 \"x\""}});
  const Checkpoint checkpoint = Checkpoint::open(path);
  ASSERT_EQ(checkpoint.tensors().size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(checkpoint.tensors()[i].name, tensors[i].name);
    EXPECT_EQ(checkpoint.tensors()[i].dtype, tensors[i].dtype);
    EXPECT_EQ(checkpoint.tensors()[i].shape, tensors[i].shape);
    // PyTorch's reader wants every tensor aligned to its element size.
    const auto at = reinterpret_cast<uintptr_t>(checkpoint.tensors()[i].bytes.data());
    EXPECT_EQ(at % dtype_info(tensors[i].dtype).block_bytes, 0u) << tensors[i].name;
  }
  EXPECT_THAT(values_of(*checkpoint.find("half")), ElementsAre(1, 0, -2));
  EXPECT_THAT(values_of(*checkpoint.find("matrix")), ElementsAre(1, 2, 3, 4, 5, -6));
  EXPECT_THAT(values_of(*checkpoint.find("ids")), ElementsAre(34, 105));
  EXPECT_THAT(values_of(*checkpoint.find("byte")), ElementsAre(7));
  EXPECT_EQ(checkpoint.attributes(), Json({{"format", "pt"}, {"note", "\u00e9 \"x\""}}));
  EXPECT_EQ(read_whole(path)[8], '{');
  EXPECT_EQ(static_cast<uint8_t>(read_whole(path)[0]) % 8, 0);  // the data is aligned
  write_safetensors(folder.file("u.safetensors"), std::span(tensors).last(1));
  EXPECT_THAT(read_whole(folder.file("u.safetensors")), HasSubstr(R"(quote\"\\\n)"));
}

TEST(WriteSafetensors, LeavesNothingBehindWhenItCannotWrite) {
  const TempFolder folder;
  EXPECT_THAT(refusal([&] { write_safetensors(folder.file("no/such/t.safetensors"), {}); }),
              HasSubstr("t.safetensors: cannot write"));
  // A tensor whose data cannot be made: the exception passes, no file appears.
  const TensorToWrite failing = {
      .name = "w", .dtype = StoredType::kF32, .shape = {1}, .write = [](std::ostream&) {
        throw Error("no data");
      }};
  EXPECT_THAT(refusal([&] { write_safetensors(folder.file("t"), std::span(&failing, 1)); }),
              HasSubstr("no data"));
  EXPECT_EQ(folder.n_file(), 0u);
}

TEST(WriteSafetensors, ReportsAFullDisk) {
  const test::TinyDisk disk("64k");
  if (!disk.is_mounted()) GTEST_SKIP() << "may not mount a file system";
  const std::vector<float> x(100'000);
  const TensorToWrite full = tensor_to_write("w", {x.size()}, std::span(x));
  EXPECT_THAT(refusal([&] { write_safetensors(disk.path() / "t", std::span(&full, 1)); }),
              HasSubstr("t: cannot write: No space left on device"));
  EXPECT_TRUE(disk.is_empty());
}

TEST(WriteGguf, RoundTrip) {
  const TempFolder folder;
  std::vector<float> x(64), back(64);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::cos(static_cast<float>(i));
  std::vector<std::byte> blocks(2 * 34);
  quantise_q8_0(x, blocks);
  const std::vector<float> six = {1, 2, 3, 4, 5, 6};
  const std::string packed(reinterpret_cast<const char*>(blocks.data()), blocks.size());
  const std::vector<TensorToWrite> tensors = {
      tensor_to_write("a", {2, 3}, six), bytes_tensor("q", StoredType::kQ8_0, {2, 32}, packed),
      bytes_tensor("h", StoredType::kF16, {1}, test::u16(0x3c00)),
      bytes_tensor("b", StoredType::kBF16, {1, 1, 1}, test::u16(0x4000))};
  const GgufMetadata metadata = {{"general.architecture", std::string("rwkv7")},
                                 {"u8", uint8_t{8}},
                                 {"u16", uint16_t{16}},
                                 {"u32", uint32_t{32}},
                                 {"i32", int32_t{-32}},
                                 {"u64", uint64_t{64}},
                                 {"f32", 1e-5f},
                                 {"yes", true},
                                 {"tokens", std::vector<std::string>{"<s>", "", "\\x00"}},
                                 {"types", std::vector<int32_t>{3, -1}},
                                 {"counts", std::vector<uint32_t>{7}},
                                 {"scores", std::vector<float>{0.5f, 0.25f}}};
  const auto path = folder.file("m.gguf");
  write_gguf(path, metadata, tensors);

  const Checkpoint checkpoint = Checkpoint::open(path);
  EXPECT_EQ(checkpoint.format(), FileFormat::kGguf);
  EXPECT_THAT(checkpoint.find("a")->shape, ElementsAre(2, 3));
  EXPECT_THAT(values_of(*checkpoint.find("a")), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(values_of(*checkpoint.find("h")), ElementsAre(1));
  EXPECT_THAT(values_of(*checkpoint.find("b")), ElementsAre(2));
  dequantise(StoredType::kQ8_0, blocks.data(), back);
  EXPECT_EQ(values_of(*checkpoint.find("q")), back);

  const auto& m = checkpoint.metadata();
  EXPECT_EQ(m.size(), metadata.size());
  EXPECT_EQ(std::get<std::string_view>(m.at("general.architecture")), "rwkv7");
  EXPECT_EQ(std::get<uint64_t>(m.at("u8")), 8u);
  EXPECT_EQ(std::get<uint64_t>(m.at("u16")), 16u);
  EXPECT_EQ(std::get<uint64_t>(m.at("u32")), 32u);
  EXPECT_EQ(std::get<int64_t>(m.at("i32")), -32);
  EXPECT_EQ(std::get<uint64_t>(m.at("u64")), 64u);
  EXPECT_EQ(std::get<double>(m.at("f32")), double{1e-5f});
  EXPECT_EQ(std::get<bool>(m.at("yes")), true);
  EXPECT_THAT(meta_strings(std::get<MetaArray>(m.at("tokens")), "tokens"),
              ElementsAre("<s>", "", "\\x00"));
  EXPECT_THAT(meta_integers(std::get<MetaArray>(m.at("types")), "types"), ElementsAre(3, -1));
  EXPECT_THAT(meta_integers(std::get<MetaArray>(m.at("counts")), "counts"), ElementsAre(7));
  EXPECT_EQ(std::get<MetaArray>(m.at("scores")).count, 2u);
  EXPECT_EQ(read_whole(path).size() % 32, 0u);
  EXPECT_THAT(read_whole(path), StartsWith("GGUF" + test::u32(3) + test::u64(4) + test::u64(12)));
}

TEST(WriteGguf, LeavesNothingBehindWhenItCannotWrite) {
  const TempFolder folder;
  const TensorToWrite failing = {
      .name = "w", .dtype = StoredType::kF32, .shape = {1}, .write = [](std::ostream&) {
        throw Error("no data");
      }};
  EXPECT_THAT(refusal([&] { write_gguf(folder.file("t"), {}, std::span(&failing, 1)); }),
              HasSubstr("no data"));
  EXPECT_EQ(folder.n_file(), 0u);
}

TEST(Npy, HeaderIsNumPys) {
  const TempFolder folder;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<size_t> shape = {2, 3};
  write_npy(folder.file("a.npy"), shape, values);
  const std::string file = read_whole(folder.file("a.npy"));
  ASSERT_EQ(file.size(), 128u + 24);
  EXPECT_THAT(file, StartsWith(std::string("\x93NUMPY\x01\x00", 8) + test::u16(118) +
                               "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  "));
  EXPECT_EQ(file[127], '\n');
  EXPECT_EQ(file.substr(128), test::data_of(values));
}

TEST(Npy, RoundTripOfEveryRank) {
  const TempFolder folder;
  for (const std::vector<size_t>& shape : std::vector<std::vector<size_t>>{
           {}, {0}, {3}, {2, 3}, {3, 0, 2}, {13, 5, 64}, {1, 1, 1, 1}}) {
    const size_t n = std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<>());
    std::vector<float> values(n);
    std::iota(values.begin(), values.end(), -1.f);
    write_npy(folder.file("a.npy"), shape, values);
    EXPECT_EQ(std::filesystem::file_size(folder.file("a.npy")) % 64, n * 4 % 64);
    const NpyArray array = read_npy(folder.file("a.npy"));
    EXPECT_EQ(array.shape, shape);
    EXPECT_EQ(array.values, values);
  }
}

TEST(Npy, WrittenRowByRowAppearsAtCommit) {
  const TempFolder folder;
  const std::vector<size_t> shape = {3, 2};
  {
    AtomicFile file(folder.file("a.npy"));
    NpyWriter writer(file, shape);
    for (size_t row : {2, 0, 1}) {
      const auto x = static_cast<float>(row);
      writer.write(2 * row, std::vector<float>{x, x + 0.5f});
    }
    writer.finish();
    EXPECT_FALSE(std::filesystem::exists(folder.file("a.npy")));
    file.commit();
  }
  EXPECT_THAT(read_npy(folder.file("a.npy")).values, ElementsAre(0, 0.5f, 1, 1.5f, 2, 2.5f));
  {
    AtomicFile file(folder.file("b.npy"));
    const NpyWriter given_up(file, shape);
  }
  EXPECT_EQ(folder.n_file(), 1u);
}

TEST(Npy, RefusesOtherFiles) {
  const TempFolder folder;
  const std::vector<size_t> shape = {2};
  write_npy(folder.file("a.npy"), shape, std::vector<float>{1, 2});
  const std::string good = read_whole(folder.file("a.npy"));
  const auto refused = [&](const std::string& contents) {
    return refusal([&] { read_npy(folder.write("b.npy", contents)); });
  };
  EXPECT_THAT(refused(""), HasSubstr("truncated"));
  EXPECT_THAT(refused("PK" + good.substr(2)), HasSubstr("not a .npy file"));
  EXPECT_THAT(refused(good.substr(0, good.size() - 1)),
              HasSubstr("b.npy: the shape needs 8 bytes"));
  std::string doubles = good;
  doubles.replace(doubles.find("<f4"), 3, "<f8");
  EXPECT_THAT(refused(doubles), HasSubstr("expected a header that begins with"));
  std::string shape_damaged = good;
  shape_damaged.replace(shape_damaged.find("(2,"), 3, "(x,");
  EXPECT_THAT(refused(shape_damaged), HasSubstr("the shape is damaged"));
}

}  // namespace
}  // namespace fathom::write_test
