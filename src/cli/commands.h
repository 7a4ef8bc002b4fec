// SPDX-License-Identifier: Apache-2.0
// The subcommands. Each adds itself to the program: flags, help with examples, and what to run.
#pragma once

#include <CLI/CLI.hpp>

namespace fathom::cli {

void add_info(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_trace(CLI::App& app);
void add_embed(CLI::App& app);
void add_eval(CLI::App& app);
void add_classify(CLI::App& app);
void add_fit(CLI::App& app);
void add_bench(CLI::App& app);
void add_policy(CLI::App& app);
void add_sweep(CLI::App& app);
void add_advise(CLI::App& app);
void add_prune(CLI::App& app);
void add_route(CLI::App& app);
void add_metrics(CLI::App& app);
void add_rerank(CLI::App& app);
void add_search(CLI::App& app);
void add_compare(CLI::App& app);
void add_convert(CLI::App& app);
void add_serve(CLI::App& app);

}  // namespace fathom::cli
