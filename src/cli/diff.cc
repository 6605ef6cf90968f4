// `ashlar diff`: the devices with the overlays and without them, compared where something was
// written.
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "cli/app.h"
#include "cli/graph_facts.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/transfer.h"
#include "cli/verbs.h"

namespace ashlar::cli {
namespace {

// A device that is read in pieces.
class Side {
 public:
  static Result<Side> open(Node& node, Lane& lane, const StackOptions& options,
                           const std::string& name) {
    Side side;
    auto device = open_device(node, options, name);
    if (!device) return device.error();
    side.device_ = std::move(*device);
    auto channel = side.device_->channel(lane);
    if (!channel) return channel.error();
    side.channel_ = std::move(*channel);
    side.transfer_ = std::make_unique<Transfer>();
    return side;
  }

  const Provider& provider() const { return device_->provider(); }

  Result<void> start(Extent piece) {
    auto buffer = transfer_->buffer(kPieceBytes);
    if (!buffer) return buffer.error();
    return transfer_->start(*device_, *channel_, Op::read, piece.offset, piece.length);
  }
  Result<ByteView> wait() {
    if (auto ended = transfer_->wait(); !ended) return ended.error();
    return transfer_->bytes();
  }

 private:
  std::unique_ptr<Device> device_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Transfer> transfer_;  // first to go
};

void append(std::vector<Extent>& ranges, Extent range) {
  if (!ranges.empty() && ranges.back().end() == range.offset) {
    ranges.back().length += range.length;
  } else {
    ranges.push_back(range);
  }
}

class Comparison {
 public:
  Comparison(const DiffOptions& options, Node& with, Node& without, Lane& lane)
      : options_(options), with_(with), without_(without), lane_(lane) {}

  Result<DeviceDiff> compare(const std::string& name) {
    auto here = Side::open(with_, lane_, options_.stack, name);
    if (!here) return here.error();
    const Provider& provider = here->provider();
    DeviceDiff diff{provider.name, provider.size_bytes, false, {}};
    // A name must be the whole one: a part of it may lead elsewhere without the overlay.
    auto there = Side::open(without_, lane_, options_.stack, provider.name);
    diff.only_here = !there || there->provider().name != provider.name ||
                     there->provider().size_bytes != provider.size_bytes;
    for (std::uint64_t at = 0; at < provider.size_bytes;) {
      const auto runs = block_status(provider, {at, provider.size_bytes - at}, 2);
      const StatusRun& run = runs.front();
      at = run.range.end();
      if (run.status == BlockStatus::below) continue;
      if (diff.only_here) {
        append(diff.ranges, run.range);
      } else if (auto done = compare(*here, *there, run.range, diff); !done) {
        return done.error();
      }
    }
    return diff;
  }

 private:
  Result<void> compare(Side& here, Side& there, Extent range, DeviceDiff& diff) {
    while (range.length > 0) {
      const Extent piece{range.offset, std::min(range.length, kPieceBytes)};
      if (auto started = here.start(piece); !started) return started;
      if (auto started = there.start(piece); !started) return started;
      const auto ours = here.wait();
      if (!ours) return ours.error();
      const auto theirs = there.wait();
      if (!theirs) return theirs.error();
      note(*ours, *theirs, piece, here.provider().limits.block_bytes, diff);
      range = {piece.end(), range.length - piece.length};
    }
    return {};
  }

  static void note(ByteView ours, ByteView theirs, Extent piece, std::uint64_t block,
                   DeviceDiff& diff) {
    for (std::uint64_t at = 0; at < piece.length; at += block) {
      if (std::memcmp(ours.data() + at, theirs.data() + at, block) == 0) continue;
      append(diff.ranges, {piece.offset + at, block});
    }
  }

  const DiffOptions& options_;
  Node& with_;
  Node& without_;
  Lane& lane_;
};

// Devices that are an overlay or lie over one, as they are in the tree.
std::vector<std::string> changed_devices(const Node& node) {
  std::vector<std::string> names;
  for (const Provider* each : node.topology().providers()) {
    if (has_overlay(*each)) names.push_back(each->name);
  }
  return names;
}

std::string diff_page(const std::vector<DeviceDiff>& diffs, const Paint& paint) {
  std::size_t width = 6;
  for (const DeviceDiff& each : diffs) width = std::max(width, width_of(each.device));
  std::string page =
      paint.dim(fmt::format("{}  {:>20}  {:>20}", pad_right("DEVICE", width), "OFFSET", "LENGTH")) +
      "\n";
  for (const DeviceDiff& diff : diffs) {
    const std::string name = paint.name(pad_right(printable(diff.device), width));
    if (diff.only_here) page += fmt::format("{}  only with the overlay\n", name);
    for (const Extent& each : diff.ranges) {
      page += fmt::format("{}  {:>20}  {:>20}\n", name, each.offset, each.length);
    }
  }
  return page;
}

}  // namespace

Result<int> run_diff(const DiffOptions& options) {
  leave_on_interrupt("stopped while comparing; nothing was changed");
  auto with = open_stack(options.stack);
  if (!with) return with.error();
  StackOptions plain = options.stack;
  plain.without_overlays = true;
  plain.write = false;
  auto without = open_stack(plain);
  if (!without) return without.error();
  auto lane = Lane::create({.engine = options.stack.engine_options()});
  if (!lane) return lane.error();
  Comparison comparison(options, **with, **without, **lane);
  std::vector<std::string> names = {options.device};
  if (options.device.empty()) names = changed_devices(**with);
  std::vector<DeviceDiff> diffs;
  for (const std::string& each : names) {
    auto diff = comparison.compare(each);
    if (!diff) return diff.error();
    const bool asked = !options.device.empty();
    if (asked || diff->only_here || !diff->ranges.empty()) diffs.push_back(std::move(*diff));
  }
  auto printed =
      print(options.json ? diff_json(diffs) : diff_page(diffs, Paint::for_output(STDOUT_FILENO)));
  if (!printed) return printed.error();
  return kFine;
}

}  // namespace ashlar::cli
