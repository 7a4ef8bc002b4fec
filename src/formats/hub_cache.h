// SPDX-License-Identifier: Apache-2.0
// Models in the cache of Hugging Face's hub: models--ORG--NAME/{refs/main, snapshots/HASH/...}.
// Source: huggingface_hub, "Understand caching" (docs, guides/manage-cache) and constants.py.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace fathom {

// Where the hub keeps its files: $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE (its older name), else
// $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub.
std::filesystem::path hub_cache();

// `path` itself, unless it means a model of the hub:
//   a folder models--ORG--NAME        the snapshot that its refs/main names, else its only one
//   ORG/NAME that is no path          the same in hub_cache()
// Throws Error: no snapshot, several and no refs/main; ORG/NAME that is neither a path nor in the
// cache, with the command that downloads it.
std::filesystem::path resolve_model_path(const std::filesystem::path& path);

}  // namespace fathom
