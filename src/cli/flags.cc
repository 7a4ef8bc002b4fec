// SPDX-License-Identifier: Apache-2.0
#include "cli/flags.h"

#include <algorithm>
#include <iostream>
#include <limits>
#include <tuple>

#include "base/error.h"
#include "base/parse_whole.h"
#include "cli/numbers.h"
#include "encode/post_file.h"
#include "encode/recommended.h"
#include "report/option_names.h"

namespace fathom::cli {

void WeightFlags::add_to(CLI::App& command) {
  command.add_option("--adapter", adapter,
                     "LoRA adapter to merge: PEFT's folder, or a file of lora_A and lora_B");
  command.add_option("--adapter-alpha", adapter_alpha,
                     "alpha of an adapter without adapter_config.json: W + alpha/r B A");
  command
      .add_option("--ignore-tensors", ignore_tensors,
                  "leave out tensors that match, such as 'moba.*'; may be given again")
      ->allow_extra_args(false)
      ->type_name("PATTERN");
}

void WeightFlags::apply_to(ModelOptions& options) const {
  options.adapter = adapter;
  options.adapter_alpha = adapter_alpha;
  options.ignore_tensors = ignore_tensors;
}

void ModelFlags::add_to(CLI::App& command) {
  command.add_option("model", model, "Hugging Face directory, weight file or index.json")
      ->required()
      ->type_name("MODEL");
  command.add_option("--vocab", vocab,
                     "vocabulary: rwkv_vocab_v20230424.txt or tokenizer.json [beside the model, "
                     "else $FATHOM_VOCAB]");
  command.add_option("--backend", backend, "cpu or reference [$FATHOM_BACKEND, else cpu]");
  command
      .add_option(
          "--dtype", dtype,
          "type of products: f32, bf16, int8, or auto: bf16 if the CPU supports it, int8 if "
          "memory is short")
      ->capture_default_str();
  command.add_flag("--small-as-asked", small_as_asked,
                   "use --dtype for models with d_model < 256 too [they are computed in f32]");
  command.add_option("--threads", threads, "threads [all that the process may use]")
      ->transform(whole_number(1, 1024));
  command.add_option("--ln-x-eps", ln_x_eps, "group-norm epsilon [chosen by layout: fathom info]")
      ->transform(real_number({.above = 0}));
  command.add_option("--ln-eps", ln_eps, "layer-norm epsilon [the file's, else 1e-5]")
      ->transform(real_number({.above = 0}));
  auto* folder = command.add_option("--cache", cache,
                                    "folder that keeps packed weights, to be mapped at the next "
                                    "start; as large as the weights in --dtype");
  command
      .add_flag("--cache-verify", cache_verify,
                "compare all of the cache with its checksums, not only the blocks that run")
      ->needs(folder);
  command.add_flag("--exceed-memory", exceed_memory,
                   "go on where the weights need more memory than is available");
  weights.add_to(command);
}

size_t ModelFlags::n_thread() const { return threads ? threads : available_threads(); }

ModelOptions ModelFlags::options() const {
  ModelOptions o;
  o.compute = parse_compute(dtype);
  o.n_thread = n_thread();
  o.ln_x_eps = ln_x_eps;
  o.ln_eps = ln_eps;
  o.small_as_asked = small_as_asked;
  o.cache = {.folder = cache, .verify = cache_verify};
  o.exceed_memory = exceed_memory;
  weights.apply_to(o);
  return o;
}

std::optional<std::filesystem::path> ModelFlags::vocab_path() const {
  if (vocab.empty()) return std::nullopt;
  return vocab;
}

OpenOptions ModelFlags::open_options(std::function<size_t(const Config&)> n_block) const {
  OpenOptions open{.model = model, .backend = backend, .vocab = vocab_path(), .options = options()};
  open.options.n_block = std::move(n_block);
  return open;
}

void tell_user(const std::string& note) { std::cerr << "fathom: " << with_flags(note) << '\n'; }

void tell(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) tell_user(note);
}

OpenModel open_model(const ModelFlags& flags, std::function<size_t(const Config&)> n_block) {
  return OpenModel(flags.open_options(std::move(n_block)), tell_user);
}

namespace {

constexpr const char* kEosHelp =
    "of --pool eos: token id put behind every text and pooled there, or none: the last token is "
    "pooled [65535, EmbeddingRWKV's; rwkv-metal's models want 0]";

}  // namespace

void EncodeFlags::add_to(CLI::App& command) {
  auto* layer = command.add_option("--layers", layers, "list such as 1,3,5-8,final, or all")
                    ->capture_default_str();
  auto* pooled =
      command
          .add_option(
              "--pool", pool,
              concat(names_of(kRowPoolings), " (weighted: by position); of layers 1 to L also ",
                     names_of(std::span(kPoolings).subspan(kRowPoolings.size()))))
          ->capture_default_str();
  auto* normed =
      command
          .add_option("--norm", norm, "what is pooled: none (the residual stream) or ln_out of it")
          ->capture_default_str();
  command
      .add_option("--head", head,
                  "EmbeddingRWKV's task head: cls, sts or retr, on --pool eos of layer final")
      ->excludes(layer)
      ->excludes(pooled)
      ->excludes(normed);
  command.add_option("--bos", bos, "token id in front of every text, or none")
      ->capture_default_str();
  command.add_option("--eos", eos, kEosHelp)->type_name("ID");
  command.add_option("--scan", scan, "forward, reverse, both (averaged) or echo (read twice)")
      ->capture_default_str();
  command.add_option("--post", post,
                     "apply the post-processing in this file of fathom fit --heads");
  command.add_flag("--normalize", normalize, "scale every vector to length 1");
  command.add_option("--batch-tokens", batch_tokens, "tokens in one packed batch")
      ->capture_default_str()
      ->transform(whole_number(1, 1 << 20));
}

void EncodeFlags::add_texts_to(CLI::App& command, const std::string& pools) {
  command.add_option("--pool", pool, pools)->capture_default_str();
  command.add_option("--norm", norm, "none or ln_out")->capture_default_str();
  command.add_option("--bos", bos, "token id in front of every text, or none")
      ->capture_default_str();
  if (pools.ends_with("eos")) command.add_option("--eos", eos, kEosHelp)->type_name("ID");
  command.add_option("--scan", scan, "forward, reverse, both or echo")->capture_default_str();
  command.add_option("--batch-tokens", batch_tokens, "tokens in one packed batch")
      ->capture_default_str()
      ->transform(whole_number(1, 1 << 20));
}

std::string EncodeFlags::recommend(const CLI::App& command, const std::string& model) {
  if (command.count("--layers") > 0 || command.count("--head") > 0) return "";
  const auto found = recommended_reading(model);
  if (!found) return "using layer final; `fathom eval` finds the best layer";
  const std::tuple<const char*, std::string*, const std::string*> choices[] = {
      {"--pool", &pool, &found->pool},
      {"--norm", &norm, &found->norm},
      {"--scan", &scan, &found->scan},
      {"--bos", &bos, &found->bos}};
  for (const auto& [flag, value, wanted] : choices)
    if (command.count(flag) > 0 && *value != *wanted)
      return concat("using layer final: ", found->file, " recommends layer ", found->layers,
                    " with ", flag, " ", *wanted);
  layers = found->layers;
  for (const auto& [flag, value, wanted] : choices) *value = *wanted;
  normalize = normalize || found->normalize;
  return concat("using layer ", layers, ", ", pool, " pooling, as ", found->file, " recommends",
                found->why.empty() ? "" : concat(" (", found->why, ")"));
}

void EncodeFlags::check() const {
  parse_pooling(pool);
  parse_norm(norm);
  parse_scan(scan);
  parse_bos(bos);
  if (!head.empty()) parse_head(head);
  if (!eos) return;
  parse_eos(*eos);
  if (head.empty() && parse_pooling(pool) != Pooling::kEos)
    throw UsageError(
        concat("--eos ", *eos, ": expected --pool eos or --head beside it, got --pool ", pool));
}

EncodeOptions EncodeFlags::options(const Config& config) const {
  check();
  LayerList list = parse_layer_list(head.empty() ? layers : "final", config.n_layer);
  for (size_t layer : list.repeated)
    std::cerr << "fathom: --layers: layer " << layer_name(layer, config.n_layer)
              << " is asked for more than once and given once\n";
  EncodeOptions o{Reading{.layers = std::move(list.layers),
                          .pooling = head.empty() ? parse_pooling(pool) : Pooling::kEos,
                          .norm = parse_norm(norm),
                          .bos = parse_bos(bos),
                          .eos = eos ? parse_eos(*eos) : kEosToken,
                          .scan = parse_scan(scan),
                          .normalize = normalize},
                  {}};
  o.batch_tokens = batch_tokens;
  if (!head.empty()) o.head = parse_head(head);
  if (!post.empty()) o.post = read_post(post, o.layers, config);
  if (o.bos && *o.bos >= config.n_vocab)
    throw UsageError(concat("--bos: expected none or an id below ", config.n_vocab, ", got ", bos));
  if (eos && o.eos && *o.eos >= config.n_vocab)
    throw UsageError(
        concat("--eos: expected none or an id below ", config.n_vocab, ", got ", *eos));
  return o;
}

size_t EncodeFlags::n_block(const Config& config) const {
  if (!head.empty()) return config.n_layer;
  const std::vector<size_t> chosen = parse_layers(layers, config.n_layer);
  return std::min(config.n_layer, *std::ranges::max_element(chosen));
}

std::string EncodeFlags::pooling() const {
  const std::string end = eos ? " " + *eos : "";
  return head.empty() ? pool + end : concat("eos", end, ", head ", head);
}

namespace {

std::optional<Token> parse_id(const char* flag, const std::string& text) {
  if (text == "none") return std::nullopt;
  const std::optional<uint64_t> id = parse_whole(text);
  if (!id || *id > std::numeric_limits<Token>::max())
    throw UsageError(concat(flag, ": expected none or a token id such as 0, got '", text, "'"));
  return static_cast<Token>(*id);
}

}  // namespace

std::optional<Token> parse_bos(const std::string& text) { return parse_id("--bos", text); }
std::optional<Token> parse_eos(const std::string& text) { return parse_id("--eos", text); }

std::optional<Compute> parse_compute(const std::string& text) {
  for (Compute c : {Compute::kF32, Compute::kBF16, Compute::kInt8})
    if (text == name_of(c)) return c;
  if (text == "auto") return std::nullopt;
  throw UsageError(concat("--dtype: expected f32, bf16, int8 or auto, got '", text, "'"));
}

}  // namespace fathom::cli
