// SPDX-License-Identifier: Apache-2.0
// The identity of a job: everything that its vectors depend on, and nothing else. Threads and batch
// size are not part of it, since no bit depends on them.
#pragma once

#include <span>

#include "base/json.h"
#include "bulk/embed_job.h"

namespace fathom {

// Reads the model's files. Throws Error.
OrderedJson job_identity(const EmbedJobOptions& options, std::span<const InputSummary> inputs,
                         const OpenModel& open, const Encoder& encoder, const DepthChoice& depth);

// Throws Error that names `journal` and the first thing that differs.
void require_same_job(const OrderedJson& there, const OrderedJson& here,
                      const std::filesystem::path& journal, const std::filesystem::path& part);

// 16 hexadecimal digits of a file's bytes. Throws Error.
std::string file_hash(const std::filesystem::path& path);

}  // namespace fathom
