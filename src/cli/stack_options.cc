// Images and stacks of the command line, opened.
#include "cli/stack_options.h"

namespace ashlar::cli {

std::vector<ImageOptions*> OpenSet::all() {
  std::vector<ImageOptions*> every;
  for (ImageOptions& each : images) every.push_back(&each);
  for (StackDescription& stack : stacks) {
    for (ImageOptions& each : stack.images) every.push_back(&each);
  }
  return every;
}

Result<OpenSet> plan_stack(const StackOptions& options) {
  OpenSet set;
  for (const std::string& path : options.images) set.images.push_back({.path = path});
  for (const std::string& path : options.stacks) {
    auto stack = load_stack(path);
    if (!stack) return stack.error();
    set.stacks.push_back(std::move(*stack));
  }
  const std::vector<ImageOptions*> all = set.all();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (options.without_overlays) {
      all[i]->overlay.reset();
      continue;
    }
    if (all[i]->overlay) all[i]->overlay->create = options.make_overlay;
    if (!options.overlay || all[i]->overlay) continue;
    OverlayOptions overlay{.file = *options.overlay, .create = options.make_overlay};
    if (!overlay.file.empty() && all.size() > 1) overlay.file += fmt::format(".{}", i);
    all[i]->overlay = std::move(overlay);
  }
  return set;
}

Result<std::unique_ptr<Node>> open_stack(const StackOptions& options) {
  auto set = plan_stack(options);
  if (!set) return set.error();
  auto node = Node::create({.writable = options.write,
                            .direct = options.direct,
                            .insist = options.insist,
                            .look_after = options.look_after,
                            .upkeep = {.share_percent = options.upkeep_share},
                            .engine = options.engine_options()});
  if (!node) return node.error();
  for (const ImageOptions& each : set->images) {
    if (auto added = (*node)->add_image(each); !added) return added.error();
  }
  for (const StackDescription& each : set->stacks) {
    if (auto added = (*node)->add_stack(each); !added) return added.error();
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
