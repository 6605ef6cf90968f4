// `ashlar commit`: what is in a kept overlay goes to its image.
//
//   the overlay is marked as begun, flushed -> the bytes are written to the image -> the image is
//   flushed -> the overlay is marked as applied, flushed
//
// Stopped anywhere it is done again from the start: until it is marked as applied, the overlay has
// everything, and nothing but this writes to the image.
#include <unistd.h>

#include <algorithm>

#include "class/overlay/store_format.h"
#include "cli/app.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/transfer.h"
#include "cli/verbs.h"

namespace ashlar::cli {
namespace {

// A device with one request at a time.
class Party {
 public:
  static Result<Party> open(Node& node, Lane& lane, const ImageOptions& image) {
    auto provider = node.add_image(image);
    if (!provider) return provider.error();
    auto device = node.open(**provider, {.write = true, .exclusive = true, .user = "a commit"});
    if (!device) return device.error();
    Party party;
    party.device_ = std::move(*device);
    auto channel = party.device_->channel(lane);
    if (!channel) return channel.error();
    party.channel_ = std::move(*channel);
    party.transfer_ = std::make_unique<Transfer>();
    return party;
  }

  std::uint64_t size() const { return device_->size_bytes(); }

  // REQUIRES: blocks, at most kPieceBytes. The bytes are there until the next call.
  Result<ByteView> read(std::uint64_t offset, std::uint64_t length) {
    auto moved = move(Op::read, offset, length);
    if (!moved) return moved.error();
    return transfer_->bytes();
  }
  Result<void> write(std::uint64_t offset, ByteView bytes) {
    auto buffer = transfer_->buffer(kPieceBytes);
    if (!buffer) return buffer.error();
    std::copy(bytes.begin(), bytes.end(), buffer->begin());
    return move(Op::write, offset, bytes.size());
  }
  Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length) {
    return move(Op::write_zeroes, offset, length);
  }
  bool makes_zeroes() const { return device_->limits().ops.has(Op::write_zeroes); }
  Result<void> flush() { return move(Op::flush, 0, 0); }

  overlay::Read reader() {
    return [this](std::uint64_t offset, ByteSpan into) -> Result<void> {
      auto bytes = read(offset, into.size());
      if (!bytes) return bytes.error();
      std::copy(bytes->begin(), bytes->end(), into.begin());
      return {};
    };
  }

 private:
  Result<void> move(Op op, std::uint64_t offset, std::uint64_t length) {
    if (auto buffer = transfer_->buffer(kPieceBytes); !buffer) return buffer.error();
    if (auto begun = transfer_->start(*device_, *channel_, op, offset, length); !begun)
      return begun;
    return transfer_->wait();
  }

  std::unique_ptr<Device> device_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Transfer> transfer_;  // first to go
};

Result<void> mark(Party& store, std::uint64_t at) {
  std::vector<std::byte> page(overlay::kPageBytes, std::byte{0xa5});
  if (auto written = store.write(at, page); !written) return written;
  return store.flush();
}

Result<void> copy(Party& store, Party& image, Extent range) {
  while (range.length > 0) {
    const std::uint64_t piece = std::min(range.length, kPieceBytes);
    auto bytes = store.read(overlay::kDataAt + range.offset, piece);
    if (!bytes) return bytes.error();
    const bool zeros = std::all_of(bytes->begin(), bytes->end(),
                                   [](std::byte each) { return each == std::byte{}; });
    auto moved = zeros && image.makes_zeroes() ? image.write_zeroes(range.offset, piece)
                                               : image.write(range.offset, *bytes);
    if (!moved) return moved;
    range = {range.offset + piece, range.length - piece};
  }
  return {};
}

Result<CommitFact> commit(Party& store, Party& image, CommitFact fact) {
  const auto told = [&](const Error& problem) {
    return make_error(problem.code, "{}: {}", fact.overlay, problem.message);
  };
  auto loaded = overlay::load(store.reader(), store.size());
  if (!loaded) return told(loaded.error());
  fact.before = loaded->applied;
  if (fact.before) return fact;
  auto same = check_base(*loaded, image.size(), fact.image, image.reader());
  if (!same) return told(same.error());
  if (auto marked = mark(store, overlay::kBegunAt); !marked) return marked.error();
  for (const Extent& each : ranges_of(*loaded)) {
    if (auto copied = copy(store, image, each); !copied) return copied.error();
    fact.bytes += each.length;
  }
  if (auto flushed = image.flush(); !flushed) return flushed.error();
  if (auto marked = mark(store, overlay::kAppliedAt); !marked) return marked.error();
  return fact;
}

Result<CommitFact> commit_one(const CommitOptions& options, const ImageOptions& image) {
  NodeOptions writable{
      .writable = true, .direct = options.stack.direct, .engine = options.stack.engine_options()};
  auto node = Node::create(writable);
  if (!node) return node.error();
  auto lane = Lane::create({.engine = writable.engine});
  if (!lane) return lane.error();
  auto store =
      Party::open(**node, **lane, {.path = image.overlay->file, .name = "overlay", .taste = false});
  if (!store) return store.error();
  auto base = Party::open(**node, **lane, {.path = image.path, .name = "image", .taste = false});
  if (!base) return base.error();
  return commit(*store, *base, {.image = image.path, .overlay = image.overlay->file});
}

std::string commit_page(const std::vector<CommitFact>& facts) {
  std::string page;
  for (const CommitFact& each : facts) {
    page += each.before ? fmt::format("{}: {} was committed before\n", printable(each.image),
                                      printable(each.overlay))
                        : fmt::format("{}: {} from {}\n", printable(each.image),
                                      counted(each.bytes, "byte"), printable(each.overlay));
  }
  return page;
}

}  // namespace

Result<int> run_commit(const CommitOptions& options) {
  leave_on_interrupt("stopped; the overlay has everything still: commit it again");
  auto set = plan_stack(options.stack);
  if (!set) return set.error();
  std::vector<CommitFact> facts;
  for (const ImageOptions* each : set->all()) {
    if (!each->overlay || each->overlay->file.empty()) continue;
    auto fact = commit_one(options, *each);
    if (!fact) return fact.error();
    facts.push_back(std::move(*fact));
  }
  if (facts.empty()) {
    return make_error(Errc::invalid, "there is no overlay that is kept in a file");
  }
  auto printed = print(options.json ? commit_json(facts) : commit_page(facts));
  if (!printed) return printed.error();
  return kFine;
}

}  // namespace ashlar::cli
