// SPDX-License-Identifier: Apache-2.0
// Standard input, output and error, whatever state they come in.
//
// Standard error is for people: if it is closed, full or a broken pipe, what was to be said is lost
// and nothing else changes. Standard output is a result: its first error is kept while the command
// goes on (its files are not lost with it) and makes the exit code 1 at the end.
#pragma once

namespace fathom::cli {

// First thing in main(). A descriptor from 0 to 2 that is closed is opened, so that no file of the
// program gets its number; reading and writing it still fails.
void prepare_standard_streams();

// Last thing in main(): flushes. Returns the exit code: `code`, or 1 after saying why standard
// output could not be written. Into a pipe that nobody reads the process ends by SIGPIPE, as other
// programs do.
int finish_standard_output(int code);

}  // namespace fathom::cli
