// SPDX-License-Identifier: Apache-2.0
// Every golden model of $FATHOM_SHARED, in every file it comes in, against the arrays that an
// independent float64 program computed (../shared/golden/README.md has the rules); and rwkv.cpp's
// real tiny models against its own logits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <map>
#include <optional>

#include "base/json.h"
#include "encode/trace.h"
#include "kernels/timed_backend.h"
#include "model/run_model.h"

namespace fathom::golden_test {
namespace {

namespace fs = std::filesystem;
using test::relative_error;

// ---- the golden arrays

struct Golden {
  std::vector<size_t> shape;
  std::vector<float> values;
};

std::map<std::string, Golden> read_golden(const fs::path& path) {
  const Checkpoint file = Checkpoint::open(path);
  std::map<std::string, Golden> arrays;
  for (const Tensor& t : file.tensors()) {
    Golden g{t.shape, std::vector<float>(t.n_element())};
    read_f32(t, 0, g.values.size(), g.values);
    arrays[t.name] = std::move(g);
  }
  return arrays;
}

// The state arrays of a trace, as the golden files have them: one part of every block.
std::vector<float> of_blocks(State& state, const std::function<std::span<float>(size_t)>& part) {
  std::vector<float> all;
  for (size_t i = 0; i < state.n_layer(); ++i) {
    const auto p = part(i);
    all.insert(all.end(), p.begin(), p.end());
  }
  return all;
}

// Rows `kept` of every (T, C) matrix in `all`.
std::vector<float> rows_of(const std::vector<float>& all, size_t n_token, size_t c,
                           const std::optional<std::vector<float>>& kept) {
  if (!kept) return all;
  std::vector<float> rows;
  for (size_t matrix = 0; matrix < all.size() / (n_token * c); ++matrix)
    for (float t : *kept) {
      const float* row = all.data() + (matrix * n_token + static_cast<size_t>(t)) * c;
      rows.insert(rows.end(), row, row + c);
    }
  return rows;
}

std::vector<float> candidate(Trace& t, const std::string& name,
                             const std::optional<std::vector<float>>& kept) {
  const size_t c = t.d_model, a = t.state.wkv(0).size() / 3;
  State& s = t.state;
  if (name == "hidden") return rows_of(t.hidden, t.n_token, c, kept);
  if (name == "final") return rows_of(t.final, t.n_token, c, kept);
  if (name == "mean") return t.mean;
  if (name == "last") return t.last;
  if (name == "mean_lnout") return t.mean_lnout;
  if (name == "last_lnout") return t.last_lnout;
  if (name == "logits") return t.logits;
  if (name == "logits_last") return t.logits_last;
  if (name == "state_att_x") return of_blocks(s, [&](size_t i) { return s.att_shift(i); });
  if (name == "state_ffn_x") return of_blocks(s, [&](size_t i) { return s.ffn_shift(i); });
  if (name == "state_wkv") return of_blocks(s, [&](size_t i) { return s.wkv(i); });
  if (name == "state_aa") return of_blocks(s, [&](size_t i) { return s.wkv(i).subspan(0, a); });
  if (name == "state_bb") return of_blocks(s, [&](size_t i) { return s.wkv(i).subspan(a, a); });
  if (name == "state_pp") return of_blocks(s, [&](size_t i) { return s.wkv(i).subspan(2 * a); });
  ADD_FAILURE() << "unknown golden array " << name;
  return {};
}

bool is_compared(const std::string& name) {
  return name != "ids" && name != "token_pos" && name != "hidden_rescaled6" &&
         !name.starts_with("embed_");  // heads of EmbeddingRWKV, not part of a trace
}

// The smallest cosine between rows of c.
double smallest_cosine(const std::vector<float>& got, const std::vector<float>& want, size_t c) {
  if (got.size() != want.size()) return -1;
  double smallest = 1;
  for (size_t row = 0; row < want.size(); row += c) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = row; i < row + c; ++i) {
      ab += double{got[i]} * want[i];
      aa += double{got[i]} * got[i];
      bb += double{want[i]} * want[i];
    }
    if (aa > 0 && bb > 0) smallest = std::min(smallest, ab / std::sqrt(aa * bb));
    if (!std::isfinite(ab)) return -1;
  }
  return smallest;
}

// ---- the golden models

// One file (or the directory) of a golden model, and the golden files that belong to it.
struct Case {
  fs::path model, folder;
  std::vector<std::string> goldens;
  Json tolerance;
  bool first = false;  // the first file of its directory
};

std::vector<std::string> goldens_of(const Json& manifest, const std::string& file) {
  const std::string kind = file.find("f16.gguf") != std::string::npos    ? "golden_f16_"
                           : file.find("q8_0.gguf") != std::string::npos ? "golden_q8_0_"
                                                                         : "";
  std::vector<std::string> names;
  for (const std::string name : manifest.at("goldens")) {
    const bool special = name.starts_with("golden_f16_") || name.starts_with("golden_q8_0_");
    if (kind.empty() ? !special : name.starts_with(kind)) names.push_back(name);
  }
  return names;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  std::error_code absent;
  std::vector<fs::path> folders;
  for (const char* root : {"golden", "golden_native"})
    for (const auto& entry : fs::directory_iterator(test::shared_folder() / root, absent))
      if (fs::exists(entry.path() / "manifest.json")) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  for (const fs::path& folder : folders) {
    const Json manifest = Json::parse(test::read_whole(folder / "manifest.json"));
    std::vector<std::string> files = manifest.at("model_files");
    bool first = true;
    for (const std::string& file : files) {
      all.push_back({folder / file, folder, goldens_of(manifest, file),
                     manifest.at("recommended_tolerance_fp32"), first});
      first = false;
    }
    const bool one_model = files.size() == 1 || fs::exists(folder / "config.json");
    if (one_model)
      all.push_back({folder, folder, goldens_of(manifest, ""),
                     manifest.at("recommended_tolerance_fp32"), false});
  }
  return all;
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  std::string name =
      info.param.folder.filename().string() + "_" +
      (info.param.model == info.param.folder ? "directory" : info.param.model.filename().string());
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

// The formula, with the products that this CPU has: without bf16, low-rank matrices of an int8 model
// stay in f32.
class FormulaOfThisCpu : public TimedBackend {
 public:
  FormulaOfThisCpu() : TimedBackend(reference_backend()) {}
  bool supports(Compute c) const override { return cpu_backend().supports(c); }
};

class GoldenModel : public testing::TestWithParam<Case> {
 protected:
  // Calls check(golden file's name, golden arrays, trace) for every golden file that `wanted`.
  template <class Wanted, class Check>
  void run(const Backend& backend, Compute compute, const Wanted& wanted, const Check& check) {
    ModelOptions options;
    options.compute = compute;
    options.small_as_asked = true;
    options.n_thread = 1;
    const Model model = Model::open(GetParam().model, backend, options);
    stored_dtype_ = model.info().stored_dtype;
    Workspace work(1);
    for (const std::string& name : GetParam().goldens) {
      if (!wanted(name)) continue;
      const auto golden = read_golden(GetParam().folder / name);
      const std::vector<float>& ids = golden.at("ids").values;
      const std::vector<uint32_t> tokens(ids.begin(), ids.end());
      Trace t = trace(model, tokens, {.chunk = 0, .all_logits = golden.count("logits") > 0}, work);
      check(name, golden, t);
    }
  }
  std::string stored_dtype_;  // of the model that run() opened

  // The smallest cosine of a golden file's array in the formula's own rounded products.
  double cosine_of_formula(Compute compute, const std::string& file, const char* array) {
    double cosine = -1;
    run(
        FormulaOfThisCpu(), compute, [&](const std::string& name) { return name == file; },
        [&](const std::string&, const auto& golden, Trace& t) {
          cosine = smallest_cosine(candidate(t, array, std::nullopt), golden.at(array).values,
                                   t.d_model);
        });
    return cosine;
  }

  // Every array within the manifest's tolerance.
  void check_f32(const std::string& name, const std::map<std::string, Golden>& golden, Trace& t) {
    std::optional<std::vector<float>> kept;
    if (golden.count("token_pos")) kept = golden.at("token_pos").values;
    size_t n_compared = 0;
    for (const auto& [array, want] : golden) {
      if (!is_compared(array)) continue;
      ++n_compared;
      const auto tolerances = GetParam().tolerance.value(name, Json::object());
      const double tolerance = tolerances.value(array, 2e-5);
      EXPECT_LE(relative_error(candidate(t, array, kept), want.values), tolerance)
          << name << " " << array;
    }
    EXPECT_GE(n_compared, 4u) << name;
  }
};

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GoldenModel);
INSTANTIATE_TEST_SUITE_P(Golden, GoldenModel, testing::ValuesIn(cases()), case_name);

TEST(Golden, ModelsAreThere) {
  if (!fs::exists(test::shared_folder() / "golden"))
    GTEST_SKIP() << "no golden models in " << test::shared_folder();
  EXPECT_GE(cases().size(), 30u);
}

TEST(Golden, NativeModelsAreThere) {
  if (!fs::exists(test::shared_folder() / "golden_native"))
    GTEST_SKIP() << "no native models in " << test::shared_folder();
  for (const char* name : {"v7_native", "v7_native_fused"}) {
    const Model model =
        Model::open(test::shared_folder() / "golden_native" / name, reference_backend());
    EXPECT_EQ(model.info().layout, TensorLayout::kNative) << name;
    EXPECT_EQ(model.config().has_ln0, name == std::string("v7_native")) << name;
    EXPECT_THAT(model.info().ignored,
                testing::Each(testing::ContainsRegex("blocks\\.0\\.att\\.v[012]")))
        << name;
  }
}

TEST_P(GoldenModel, F32IsWithinTheManifestsTolerance) {
  run(
      cpu_backend(), Compute::kF32, [](const std::string&) { return true; },
      [this](const auto& name, const auto& golden, Trace& t) { check_f32(name, golden, t); });
}

TEST_P(GoldenModel, ReferenceBackendAgrees) {
  if (!GetParam().first) GTEST_SKIP() << "the same weights as the first file";
  const auto is_short = [](const std::string& name) {
    return name.find("_T1.") != name.npos || name.find("_T17.") != name.npos ||
           name.find("sent1") != name.npos;
  };
  run(reference_backend(), Compute::kF32, is_short,
      [this](const auto& name, const auto& golden, Trace& t) { check_f32(name, golden, t); });
}

// The products themselves, which models as small as these are spared (ModelOptions::small_as_asked):
// the bounds are what was measured here, where the goldens ask for 0.9995 and 0.998. Random weights
// can make more of a rounding error than that (v6_overflow in int8, one token, f32 low-rank
// matrices: 0.77): then the formula, rounded alike, must fall as low.
TEST_P(GoldenModel, RoundedProductsPointInTheSameDirection) {
  if (!GetParam().first) GTEST_SKIP() << "the same weights as the first file";
  for (Compute compute : {Compute::kBF16, Compute::kInt8}) {
    if (!cpu_backend().supports(compute)) continue;
    double worst = 1;
    run(
        cpu_backend(), compute, [](const std::string&) { return true; },
        [&](const std::string& name, const auto& golden, Trace& t) {
          const double bound = compute == Compute::kInt8 ? 0.95
                               : stored_dtype_ == "BF16" ? 0.9995
                                                         : 0.999;
          for (const char* array : {"mean", "last", "mean_lnout", "last_lnout"}) {
            if (!golden.count(array)) continue;
            const double cosine = smallest_cosine(candidate(t, array, std::nullopt),
                                                  golden.at(array).values, t.d_model);
            EXPECT_GE(cosine, 0.5) << name << " " << array << " " << name_of(compute);
            if (cosine < bound) {
              EXPECT_NEAR(cosine, cosine_of_formula(compute, name, array), 0.005)
                  << name << " " << array << " " << name_of(compute);
            }
            worst = std::min(worst, cosine);
          }
        });
    RecordProperty(std::string(name_of(compute)) + "_one_minus_smallest_cosine",
                   std::to_string(1 - worst));
  }
}

// ---- rwkv.cpp's tiny models

constexpr uint32_t kPrompt[] = {34, 105, 110};

fs::path tiny(const std::string& name) {
  return test::shared_folder() / "data/models/rwkv.cpp-tiny" / name;
}

std::vector<float> logits_of(const fs::path& path, const Backend& backend) {
  const Model model = Model::open(path, backend);
  Workspace work(1);
  return trace(model, kPrompt, {}, work).logits_last;
}

std::vector<float> expected_logits(const std::string& model) {
  const std::string bytes = test::read_whole(tiny("expected-logits-" + model + ".bin"));
  std::vector<float> logits(bytes.size() / 4);
  std::memcpy(logits.data(), bytes.data(), logits.size() * 4);
  return logits;
}

TEST(RwkvCpp, F32FilesGiveItsLogits) {
  if (!fs::exists(tiny(""))) GTEST_SKIP() << "no tiny models in " << test::shared_folder();
  for (const std::string model : {"4v0-660K", "5v1-730K", "5v2-730K", "6v0-1m", "7v0-834K"})
    for (const Backend* backend : {&cpu_backend(), &reference_backend()})
      EXPECT_LE(relative_error(logits_of(tiny("tiny-rwkv-" + model + "-FP32.bin"), *backend),
                               expected_logits(model)),
                1e-5)
          << model << " " << backend->name();
}

// rwkv.cpp quantises activations as well, so its own logits of these files cannot be met; the
// distance is printed.
TEST(RwkvCpp, OtherTypesGiveWhatTheReferenceGives) {
  if (!fs::exists(tiny(""))) GTEST_SKIP() << "no tiny models in " << test::shared_folder();
  size_t n = 0;
  for (const auto& entry : fs::directory_iterator(tiny(""))) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("tiny-rwkv-") || name.find("FP32") != name.npos) continue;
    const auto got = logits_of(entry.path(), cpu_backend());
    EXPECT_LE(relative_error(got, logits_of(entry.path(), reference_backend())), 1e-5) << name;
    const size_t dash = name.rfind('-');
    const auto expected = expected_logits(name.substr(10, dash - 10));
    std::cout << name << ": " << relative_error(got, expected)
              << " of the largest logit from rwkv.cpp's float file\n";
    ++n;
  }
  EXPECT_EQ(n, 12u);
}

TEST(RwkvCpp, FloatFilesOfHalfPrecisionAreNear) {
  if (!fs::exists(tiny(""))) GTEST_SKIP() << "no tiny models in " << test::shared_folder();
  // Its weights are all f16 numbers.
  EXPECT_LE(relative_error(logits_of(tiny("tiny-rwkv-7v0-834K-FP16.bin"), cpu_backend()),
                           expected_logits("7v0-834K")),
            1e-5);
  EXPECT_LE(relative_error(logits_of(tiny("tiny-rwkv-6v0-1m-FP16.bin"), cpu_backend()),
                           expected_logits("6v0-1m")),
            2e-2);
}

}  // namespace
}  // namespace fathom::golden_test
