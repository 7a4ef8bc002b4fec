// SPDX-License-Identifier: Apache-2.0
// Routes that need no engine: /tokenize, /decode.
#include <algorithm>

#include "base/utf8.h"
#include "serve/asked.h"

namespace fathom::serve {
namespace {

const Tokenizer& tokenizer_of(const ServedModel& model) {
  if (!model.open.vocabulary.tokenizer)
    throw RequestError(Fault::kUnprocessable, "", "this model has no vocabulary");
  return *model.open.vocabulary.tokenizer;
}

OrderedJson special_token(Token id) {
  return {{"id", id}, {"text", ""}, {"special", true}, {"start", nullptr}, {"stop", nullptr}};
}

// Characters that begin in front of each byte of the text, and in all: (bytes + 1). Tokens of a
// byte-level vocabulary may end inside a character.
std::vector<size_t> characters_before(std::string_view text) {
  std::vector<size_t> before(text.size() + 1);
  size_t n = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    before[i] = n;
    n += (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
  }
  before[text.size()] = n;
  return before;
}

OrderedJson tokens_json(const std::string& text, const ServedModel& model, bool special) {
  const Tokenizer& tokenizer = tokenizer_of(model);
  const std::vector<size_t> before = characters_before(text);
  OrderedJson all = OrderedJson::array();
  if (special && model.reading.bos) all.push_back(special_token(*model.reading.bos));
  size_t at = 0;
  for (Token id : tokenizer.encode(text)) {
    const std::string piece = tokenizer.piece(id);
    const size_t end = std::min(at + piece.size(), text.size());
    // In front of a byte inside a character, that character has begun.
    all.push_back({{"id", id},
                   {"text", replace_ill_formed(piece)},
                   {"special", false},
                   {"start", before[at]},
                   {"stop", before[end]}});
    at = end;
  }
  if (const auto eos = appended_eos(model.reading); special && eos)
    all.push_back(special_token(*eos));
  return all;
}

}  // namespace

Asked ask_tokenize(const Body& body, const Context& context) {
  const ServedModel& model = *context.models[find_model(context, body.text("model"), "model")];
  const bool special = body.flag("add_special_tokens").value_or(true);
  const std::string prompt = prompt_of(model, body.text("prompt_name"), "prompt_name");
  const Inputs inputs = body.inputs("inputs", context.options.max_client_batch);
  OrderedJson all = OrderedJson::array();
  for (const Input& input : inputs.all) {
    if (input.is_ids) body.refuse("inputs", "texts");
    all.push_back(tokens_json(prompt + input.text, model, special));
  }
  Asked asked;
  asked.reply.body = dump_json(all);
  return asked;
}

Asked ask_decode(const Body& body, const Context& context) {
  const ServedModel& model = *context.models[find_model(context, body.text("model"), "model")];
  const Tokenizer& tokenizer = tokenizer_of(model);
  body.flag("skip_special_tokens");
  const Inputs inputs = body.inputs("ids", context.options.max_client_batch);
  OrderedJson all = OrderedJson::array();
  for (size_t i = 0; i < inputs.all.size(); ++i) {
    const Input& input = inputs.all[i];
    if (!input.is_ids) body.refuse("ids", "token ids, or a list of lists of them");
    std::string text;
    for (Token id : input.ids) {
      const size_t n_vocab = model.open.model.config().n_vocab;
      if (id >= n_vocab)
        throw RequestError(Fault::kUnprocessable, "ids",
                           concat("ids[", i, "]: token id ", id,
                                  " is not of this model, which has ", n_vocab, " ids"));
      // Ids that the model has and the vocabulary has not are special: no text.
      if (id < tokenizer.n_vocab()) text += tokenizer.piece(id);
    }
    all.push_back(replace_ill_formed(text));
  }
  Asked asked;
  asked.reply.body = dump_json(all);
  return asked;
}

}  // namespace fathom::serve
