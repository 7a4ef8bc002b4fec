// SPDX-License-Identifier: Apache-2.0
// fathom convert: a model of any layout to Hugging Face's or llama.cpp's.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "encode/describe.h"
#include "encode/vocabulary_export.h"
#include "formats/write_safetensors.h"
#include "model/export.h"
#include "report/option_names.h"

namespace fathom::cli {
namespace {

namespace fs = std::filesystem;

struct ConvertFlags {
  std::string model, output, dtype, pooling = "mean", vocab;
  std::optional<float> ln_x_eps, ln_eps;
  WeightFlags weights;
  bool pooling_given = false;
};

enum class Target : uint8_t { kSafetensors, kFolder, kGguf };

Target target_of(const std::string& output) {
  std::error_code ignored;
  if (output.ends_with('/') || fs::is_directory(output, ignored)) return Target::kFolder;
  if (output.ends_with(".safetensors")) return Target::kSafetensors;
  if (output.ends_with(".gguf")) return Target::kGguf;
  throw UsageError(
      concat("OUT: expected a name ending in .safetensors or .gguf, or a folder "
             "(ending in /), got '",
             output, "'"));
}

// As asked for; else as the matrices are stored, where the target has that type.
StoredType choose_dtype(const ConvertFlags& flags, const std::string& stored, Target target) {
  const bool gguf = target == Target::kGguf;
  if (flags.dtype.empty()) {
    for (StoredType t : {StoredType::kF16, StoredType::kBF16})
      if (stored == name_of(t)) return t;
    return gguf && stored == name_of(StoredType::kQ8_0) ? StoredType::kQ8_0 : StoredType::kF32;
  }
  if (flags.dtype == "f32") return StoredType::kF32;
  if (flags.dtype == "f16") return StoredType::kF16;
  if (flags.dtype == "bf16") return StoredType::kBF16;
  if (flags.dtype != "q8_0")
    throw UsageError(concat("--dtype: expected f32, f16, bf16 or q8_0, got '", flags.dtype, "'"));
  if (!gguf) throw UsageError("--dtype q8_0: only .gguf files hold it");
  return StoredType::kQ8_0;
}

uint32_t parse_gguf_pooling(const std::string& text) {
  if (text == "none") return 0;
  if (text == "mean") return 1;
  if (text == "last") return 3;
  throw UsageError(concat("--pooling: expected mean, last or none, got '", text, "'"));
}

// The tensors again, each of which moves the progress bar when it is written.
std::vector<TensorToWrite> with_progress(std::vector<TensorToWrite> tensors,
                                         const std::string& label) {
  const auto bar = std::make_shared<Progress>(label, tensors.size());
  const auto done = std::make_shared<size_t>(0);
  for (TensorToWrite& t : tensors)
    t.write = [write = std::move(t.write), bar, done](std::ostream& out) {
      write(out);
      bar->at(++*done);
    };
  return tensors;
}

void report(const fs::path& file, const std::string& layout, StoredType dtype, size_t n_tensor,
            const std::vector<std::string>& notes, const ExportSource& source) {
  fmt::print("{}: {}, {}, {} tensors, {:.1f} MB\n", file.string(), layout, name_of(dtype), n_tensor,
             static_cast<double>(fs::file_size(file)) / 1e6);
  for (const std::string& note : source.info.notes)
    fmt::print("note           {}\n", with_flags(note));
  for (const std::string& note : notes) fmt::print("note           {}\n", with_flags(note));
  for (const std::string& name : source.info.ignored) fmt::print("left out       {}\n", name);
}

void to_gguf(const ConvertFlags& flags, ExportSource& source, const Vocabulary& vocabulary,
             StoredType dtype) {
  const fs::path file = flags.output;
  OutputSet outputs;
  outputs.expect(file);
  fs::path model = flags.model;
  if (!model.has_filename()) model = model.parent_path();  // "folder/"
  GgufExport e =
      export_gguf(source, dtype, model.stem().string(), parse_gguf_pooling(flags.pooling));
  add_gguf_vocabulary(vocabulary, e.architecture, source.config.n_vocab, e.metadata, e.notes);
  OrderedJson changes = OrderedJson::object();
  describe_changes(source.info, changes);
  if (!changes.empty()) e.metadata.emplace_back("fathom.converted_with", dump_json(changes));
  const size_t n_tensor = e.tensors.size();
  write_gguf(outputs.open(file), e.metadata, with_progress(std::move(e.tensors), "convert"));
  outputs.commit();
  report(file, "GGUF " + e.architecture, dtype, n_tensor, e.notes, source);
}

void to_hugging_face(const ConvertFlags& flags, ExportSource& source, const Vocabulary& vocabulary,
                     StoredType dtype, Target target) {
  if (flags.pooling_given) throw UsageError("--pooling: only .gguf files hold it");
  const fs::path output = flags.output;
  const fs::path file = target == Target::kFolder ? output / "model.safetensors" : output;
  const fs::path folder = target == Target::kFolder ? output : output.parent_path();
  OutputSet outputs;
  if (target == Target::kFolder)
    outputs.expect_in(folder, {"model.safetensors"});
  else
    outputs.expect(file);
  HuggingFaceExport e = export_hugging_face(source, dtype);
  e.config["converted_by"] = "fathom " FATHOM_VERSION;
  OrderedJson changes = OrderedJson::object();
  describe_changes(source.info, changes);
  if (!changes.empty()) e.config["converted_with"] = changes;
  const auto words = vocabulary_file(vocabulary, e.notes);
  const fs::path words_path = words ? folder / words->name : fs::path();
  require_may_write(folder / "config.json", words_path, words ? words->text : "");
  const size_t n_tensor = e.tensors.size();
  AtomicFile& weights = outputs.open(file);
  // Beside the model they may be its own: what require_may_write() lets pass.
  outputs.replace(folder / "config.json", dump_json(e.config, 2) + "\n");
  if (words) outputs.replace(words_path, words->text);
  write_safetensors(weights, with_progress(std::move(e.tensors), "convert"), {{"format", "pt"}});
  outputs.commit();
  report(file, e.layout, dtype, n_tensor, e.notes, source);
}

void run(const ConvertFlags& flags) {
  const Target target = target_of(flags.output);
  const Checkpoint checkpoint = Checkpoint::open(flags.model);
  std::unique_ptr<ExportSource> source;
  try {
    ModelOptions options;
    options.ln_x_eps = flags.ln_x_eps;
    options.ln_eps = flags.ln_eps;
    flags.weights.apply_to(options);
    source = std::make_unique<ExportSource>(checkpoint, options);
  } catch (const Error& e) {
    const bool named = std::string_view(e.what()).starts_with(flags.model);
    throw Error(named ? e.what() : concat(flags.model, ": ", e.what()));
  }
  const StoredType dtype = choose_dtype(flags, source->info.stored_dtype, target);
  const Vocabulary vocabulary =
      find_vocabulary(checkpoint, source->config.n_vocab,
                      flags.vocab.empty() ? std::nullopt : std::optional<fs::path>(flags.vocab));
  if (target == Target::kGguf)
    to_gguf(flags, *source, vocabulary, dtype);
  else
    to_hugging_face(flags, *source, vocabulary, dtype, target);
}

}  // namespace

void add_convert(CLI::App& app) {
  auto flags = std::make_shared<ConvertFlags>();
  CLI::App* command = app.add_subcommand("convert", "a model in another program's layout");
  command->add_option("model", flags->model, "Hugging Face directory, weight file or index.json")
      ->required()
      ->type_name("MODEL");
  command
      ->add_option("output", flags->output,
                   "FILE.gguf for llama.cpp and Ollama; FILE.safetensors or FOLDER/ for Hugging "
                   "Face (RWKV-4, 5, 6 classes; fla for RWKV-7), with config.json and vocabulary")
      ->required()
      ->type_name("OUT");
  command->add_option("--dtype", flags->dtype,
                      "matrices as f32, f16, bf16 or q8_0 (.gguf only) [as stored, else f32]");
  CLI::Option* pooling = command
                             ->add_option("--pooling", flags->pooling,
                                          "what llama.cpp makes of the tokens' "
                                          "vectors: mean, last or none; .gguf only")
                             ->capture_default_str();
  command->add_option("--vocab", flags->vocab,
                      "vocabulary to go with it [the model's, else $FATHOM_VOCAB]");
  command
      ->add_option("--ln-x-eps", flags->ln_x_eps,
                   "group-norm epsilon of the model [chosen by layout: fathom info]")
      ->transform(real_number({.above = 0}));
  command
      ->add_option("--ln-eps", flags->ln_eps,
                   "layer-norm epsilon of the model [the file's, else 1e-5]")
      ->transform(real_number({.above = 0}));
  flags->weights.add_to(*command);
  command->footer(
      "Examples:\n"
      "  fathom convert RWKV-x060-World-1B6.pth finch/ --dtype bf16\n"
      "  fathom convert RWKV-x070-World-0.1B.pth goose.gguf --dtype q8_0 --pooling mean");
  command->callback([flags, pooling] {
    flags->pooling_given = pooling->count() > 0;
    run(*flags);
  });
}

}  // namespace fathom::cli
