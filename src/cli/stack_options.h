// What most verbs have in common: which images and stacks are opened, and how.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "node/node.h"
#include "node/stack.h"

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

  // Every image is seen through an overlay: in a file, or a temporary one where it is empty.
  std::optional<std::string> overlay;
  bool make_overlay = true;       // where the file does not exist
  bool without_overlays = false;  // of stack files either

  EngineOptions engine_options() const { return {.choice = engine}; }
};

// The images of the command line and of all stacks, in the order in which they are opened, each
// with its overlay: FILE for the only one, FILE.0, FILE.1, ... for several.
struct OpenSet {
  std::vector<ImageOptions> images;
  std::vector<StackDescription> stacks;

  // Of everything.
  std::vector<ImageOptions*> all();
};
Result<OpenSet> plan_stack(const StackOptions& options);

// Opens all images, then all stacks, and tastes what is on them. Errors: the first of them.
Result<std::unique_ptr<Node>> open_stack(const StackOptions& options);

// Opens one device of it, read-only unless `write`.
Result<std::unique_ptr<Device>> open_device(Node& node, const StackOptions& options,
                                            const std::string& name, bool write = false);

}  // namespace ashlar::cli
