// Images and stacks of the command line, opened.
#include "cli/stack_options.h"

#include "node/stack.h"

namespace ashlar::cli {

Result<std::unique_ptr<Node>> open_stack(const StackOptions& options) {
  auto node = Node::create({.writable = options.write,
                            .direct = options.direct,
                            .insist = options.insist,
                            .look_after = options.look_after,
                            .upkeep = {.share_percent = options.upkeep_share},
                            .engine = options.engine_options()});
  if (!node) return node.error();
  for (const std::string& path : options.images) {
    if (auto added = (*node)->add_image({.path = path}); !added) return added.error();
  }
  for (const std::string& path : options.stacks) {
    auto stack = load_stack(path);
    if (!stack) return stack.error();
    if (auto added = (*node)->add_stack(*stack); !added) return added.error();
  }
  (*node)->settle_members();
  return std::move(*node);
}

Result<std::unique_ptr<Device>> open_device(Node& node, const StackOptions& options,
                                            const std::string& name, bool write) {
  return node.open(name, {.write = write,
                          .dispatch = options.dispatch,
                          .unmapped = options.unmapped,
                          .user = "the ashlar command"});
}

}  // namespace ashlar::cli
