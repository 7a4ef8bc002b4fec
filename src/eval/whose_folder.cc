// SPDX-License-Identifier: Apache-2.0
#include "eval/whose_folder.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <system_error>

#include "base/error.h"
#include "base/list.h"
#include "text/text_file.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

// A labelled split that a task finds in the root itself.
struct Claim {
  const Task* task;
  Split split;
};

// The file and the split, where the first of the task's splits that is there lies in the root
// itself and not in a folder that the task names.
std::optional<std::pair<fs::path, Claim>> claim_of(const Task& task, const fs::path& root) {
  for (Split split : {task.report, Split::kTrain, Split::kValidation, Split::kTest})
    for (std::string_view folder : task.folders)
      for (const Source& source : task.sources) {
        if (source.split != split || source.layout == Layout::kUnlabelled) continue;
        const auto file =
            find_text_file(folder.empty() ? root / source.file : root / folder / source.file);
        if (!file) continue;
        if (!folder.empty()) return std::nullopt;
        return std::pair{*file, Claim{&task, split}};
      }
  return std::nullopt;
}

// Whether a folder of this name is one of the task's: "RTE" for glue/RTE.
bool has_name(const Task& task, const std::string& name) {
  return !name.empty() && std::ranges::any_of(task.folders, [&](std::string_view folder) {
    return fs::path(folder).filename() == name;
  });
}

bool can_read(const Claim& claim, const fs::path& root) {
  try {
    load_dataset(*claim.task, claim.split, root);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// MNLI's two tasks, SICK's two: one folder, one family.
size_t n_family(std::span<const Claim> claims) {
  std::set<const std::string_view*> folders;
  for (const Claim& claim : claims) folders.insert(claim.task->folders.data());
  return folders.size();
}

std::string names_of(std::span<const Claim> claims) {
  std::vector<std::string_view> names;
  for (const Claim& claim : claims) names.push_back(claim.task->name);
  return join(names);
}

// Those of the claims on one file that hold.
std::vector<Claim> owners_of(const fs::path& file, const std::vector<Claim>& claims,
                             const fs::path& root) {
  if (n_family(claims) == 1) return claims;
  std::error_code ignored;
  const std::string name = fs::canonical(root, ignored).filename().string();
  std::vector<Claim> owners;
  for (const Claim& claim : claims)
    if (has_name(*claim.task, name)) owners.push_back(claim);
  if (!owners.empty()) return owners;
  for (const Claim& claim : claims)
    if (can_read(claim, root)) owners.push_back(claim);
  FATHOM_REQUIRE(!owners.empty(), file.string(), ": is of none of the tasks with a file of this ",
                 "name (", names_of(claims), "); one of them alone says what it misses");
  if (n_family(owners) > 1)
    throw UsageError(concat(file.string(), ": may be of any of ", names_of(owners),
                            ", and the folder's name does not say: name one task"));
  return owners;
}

}  // namespace

std::vector<const Task*> tasks_of_folder(std::span<const Task* const> chosen,
                                         const fs::path& root) {
  std::map<fs::path, std::vector<Claim>> claims;
  for (const Task* task : chosen)
    if (const auto claim = claim_of(*task, root)) claims[claim->first].push_back(claim->second);
  std::set<const Task*> refused;
  for (const auto& [file, of_file] : claims) {
    for (const Claim& claim : of_file) refused.insert(claim.task);
    for (const Claim& owner : owners_of(file, of_file, root)) refused.erase(owner.task);
  }
  std::vector<const Task*> kept;
  for (const Task* task : chosen)
    if (!refused.contains(task)) kept.push_back(task);
  return kept;
}

}  // namespace fathom
