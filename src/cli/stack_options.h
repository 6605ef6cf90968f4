// What most verbs have in common: which images and stacks are opened, and how.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "node/node.h"

namespace ashlar::cli {

struct StackOptions {
  std::vector<std::string> images;  // -a
  std::vector<std::string> stacks;  // -f
  bool write = false;               // images may be written to
  bool insist = false;              // arrays are started although data may be wrong
  bool direct = true;               // O_DIRECT where a file allows it
  // What is due on arrays is done once something over them is open for writing.
  bool look_after = false;
  unsigned upkeep_share = UpkeepOptions::kDefaultShare;  // percent of the time
  EngineChoice engine = EngineChoice::automatic;
  Dispatch dispatch = Dispatch::direct;
  bool unmapped = false;  // payloads may lie in memory that is not mapped

  EngineOptions engine_options() const { return {.choice = engine}; }
};

// Opens all images, then all stacks, and tastes what is on them. Errors: the first of them.
Result<std::unique_ptr<Node>> open_stack(const StackOptions& options);

// Opens one device of it, read-only unless `write`.
Result<std::unique_ptr<Device>> open_device(Node& node, const StackOptions& options,
                                            const std::string& name, bool write = false);

}  // namespace ashlar::cli
