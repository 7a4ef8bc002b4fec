// SPDX-License-Identifier: Apache-2.0
// From a request's body to a job of the engine, and from the job's result to the reply.
//
// All functions throw RequestError; any thread may call them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serve/body.h"
#include "serve/job.h"
#include "serve/reply.h"
#include "serve/routes.h"
#include "serve/served_model.h"

namespace fathom::serve {

struct Context {
  const ServeOptions& options;
  std::span<const std::unique_ptr<ServedModel>> models;
};

struct Asked {
  std::shared_ptr<Job> job;               // nullptr: `reply` needs none
  std::function<Reply(const Job&)> make;  // of a job without a fault
  Reply reply = {};
  // Where job.texts[i] stood in the request, for errors: "input[3]".
  std::vector<std::string> places = {};
  size_t n_char = 0, n_input = 0;
  bool single = false;
};

// Of the routes with a body.
Asked ask(const Route& route, std::string_view body, const Context& context);

// --- What the functions behind it share.

// The model that the body names, or the first. Throws kNoModel.
size_t find_model(const Context& context, const std::optional<std::string>& name,
                  const std::string& field);

// Reading and policy that a body asks for.
struct AskedReading {
  Way way;
  const NamedPolicy* policy = nullptr;
  bool is_list = false;  // layers were given as a list
};
// all_layers: where no layer is named, every one that can be pooled so.
AskedReading reading_of(const Body& body, const ServedModel& model, bool all_layers = false);
// The way of a policy with what the body says of length and size. `dim`: by PooledAnswer, whole.
Way way_of(const ServedModel& model, const Reading& reading, const DepthPolicy* policy);
// That way for a loaded policy.
Way policy_way(const ServedModel& model, const NamedPolicy& policy, const DepthPolicy& runs,
               const Reading& base);

// Adds a text to the job: tokenised behind the prompt, or checked ids.
void add_text(Asked& asked, const ServedModel& model, const Input& input, const std::string& prompt,
              std::string place);
std::string prompt_of(const ServedModel& model, const std::optional<std::string>& name,
                      const std::string& field);
// An item, with room in the result. Throws kTooLarge beyond options.max_reply_values.
void add_item(Asked& asked, const Context& context, size_t way, size_t text, size_t n_value);
// Accepted without effect: no text is too long.
void check_truncate(const Body& body);

// {"exit_layer", "n_token", …} of an item.
OrderedJson told_of(const Job& job, size_t item, const ServedModel& model,
                    const NamedPolicy* policy);
std::span<const float> vector_of(const Job& job, size_t item, size_t vector);

Asked ask_embeddings(const Body& body, const Context& context);
Asked ask_layers(const Body& body, const Context& context);
Asked ask_embed(const Body& body, const Context& context);
Asked ask_embed_all(const Body& body, const Context& context);
Asked ask_similarity(const Body& body, const Context& context);
Asked ask_rerank(const Body& body, const Context& context);
Asked ask_predict(const Body& body, const Context& context);
Asked ask_tokenize(const Body& body, const Context& context);
Asked ask_decode(const Body& body, const Context& context);

}  // namespace fathom::serve
