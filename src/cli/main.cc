// SPDX-License-Identifier: Apache-2.0
// The program `fathom`: a table of subcommands, and the one place where errors become exit codes.
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/temporaries.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/standard_streams.h"
#include "report/option_names.h"

namespace {

void add_commands(CLI::App& app) {
  using namespace fathom::cli;
  app.formatter(help_formatter());
  add_info(app);
  add_tokenize(app);
  add_trace(app);
  add_embed(app);
  add_rerank(app);
  add_search(app);
  add_classify(app);
  add_eval(app);
  add_compare(app);
  add_fit(app);
  add_bench(app);
  add_policy(app);
  add_sweep(app);
  add_advise(app);
  add_prune(app);
  add_route(app);
  add_metrics(app);
  add_convert(app);
  add_serve(app);
  add_help(app);
  add_completion(app);
  finish_help(app);
}

// For tests of examples: a command line is checked and nothing done.
void stop_here() { throw CLI::Success(); }

// The exit code.
int run(int argc, char** argv) {
  CLI::App app{
      "Fathom: RWKV sentence embeddings at any depth.\n"
      "Layers: 0 = after ln0, i = after block i, final = ln_out of the last block.",
      "fathom"};
  app.set_version_flag("--version", "fathom " FATHOM_VERSION);
  app.require_subcommand(1);
  app.footer(
      "fathom COMMAND --help shows a command's flags with examples.\n"
      "fathom help TOPIC explains layers, depth, formats.");
  add_commands(app);

  constexpr int kData = 1, kUsage = 2;
  try {
    // CLI11 would only say that a subcommand is required.
    const auto is_called = [&](const CLI::App* c) { return c->check_name(argv[1]); };
    if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_called).empty())
      throw fathom::UsageError(fathom::cli::unknown_command(argv[1]));
    if (std::getenv("FATHOM_PARSE_ONLY")) app.parse_complete_callback(stop_here);
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    std::cerr << "fathom: " << e.what() << " (see --help)\n";
    return kUsage;
  } catch (const fathom::InvalidOption& e) {
    std::cerr << "fathom: " << fathom::message_of(e) << '\n';
    return kUsage;
  } catch (const fathom::UsageError& e) {
    std::cerr << "fathom: " << fathom::with_flags(e.what()) << '\n';
    return kUsage;
  } catch (const std::bad_alloc&) {
    std::cerr << "fathom: out of memory\n";
    return kData;
  } catch (const std::filesystem::filesystem_error& e) {
    // Its own text begins with the function that failed.
    std::cerr << "fathom: " << e.path1().string() << ": " << e.code().message() << '\n';
    return kData;
  } catch (const std::exception& e) {
    std::cerr << "fathom: " << fathom::with_flags(e.what()) << '\n';
    return kData;
  }
}

}  // namespace

int main(int argc, char** argv) {
  fathom::cli::prepare_standard_streams();
  fathom::remove_temporaries_on_signals();
  fathom::report_lost_pages([] { fathom::remove_temporaries(); });
  return fathom::cli::finish_standard_output(run(argc, argv));
}
