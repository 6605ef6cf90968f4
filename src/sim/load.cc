// What is asked, and what is made of the answers.
#include "sim/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ashlar::sim {
namespace {

constexpr std::uint64_t kMostBytes = 32 * kKiB;

}  // namespace

Load::Load(std::uint64_t seed, World& world, Model& model, std::vector<Channel*> channels,
           bool troubled)
    : random_(seed),
      world_(world),
      model_(model),
      channels_(std::move(channels)),
      troubled_(troubled),
      depth_(std::uint64_t{1} << random_.below(6)),
      block_bytes_(channels_[0]->program().entry.align_mask + 1),
      blocks_(channels_[0]->program().entry.size_bytes / block_bytes_),
      most_blocks_(std::min(blocks_, kMostBytes / block_bytes_)),
      hot_blocks_(1 + random_.below(blocks_)) {}

Load::~Load() { ASHLAR_ASSERT(under_way_.empty()); }

Extent Load::some_extent(Op op) {
  if (op == Op::flush) return {};
  const std::uint64_t first = random_.below(random_.one_in(4) ? blocks_ : hot_blocks_);
  std::uint64_t most = random_.one_in(8) ? most_blocks_ : 8;
  // Without a payload any length goes.
  if (!has_payload(op) && random_.one_in(8)) most = blocks_;
  const std::uint64_t count = 1 + random_.below(std::min(blocks_ - first, most));
  return {first * block_bytes_, count * block_bytes_};
}

bool Load::submit_one() {
  if (under_way_.size() >= depth_) return false;
  constexpr std::array kMix = {Op::read,  Op::read,    Op::read,        Op::read,  Op::write,
                               Op::write, Op::write,   Op::write,       Op::write, Op::flush,
                               Op::flush, Op::discard, Op::write_zeroes};
  const Op op = kMix[random_.below(kMix.size())];
  const bool durable = (op == Op::write || op == Op::write_zeroes) && random_.one_in(4);
  return start(op, some_extent(op), durable);
}

// Memory in one piece or in several.
void Load::scatter(Request& request, std::uint64_t length) {
  request.memory.resize(length);
  std::byte* at = request.memory.data();
  for (std::uint64_t left = length; left > 0;) {
    const std::uint64_t piece = random_.one_in(2) ? left : 1 + random_.below(left);
    request.segments.push_back({at, piece});
    at += piece;
    left -= piece;
  }
}

bool Load::start(Op op, Extent extent, bool fua) {
  Channel& channel = *channels_[random_.below(channels_.size())];
  Bio* const fresh = channel.allocate();
  if (fresh == nullptr) return false;
  auto request = std::make_unique<Request>();
  request->load = this;
  request->channel = &channel;
  request->cancelled = false;
  request->id = model_.begin(op, extent, fua);
  request->bio = fresh;
  Bio& bio = *request->bio;
  bio.op = op;
  bio.flags = fua ? kFua : 0;
  bio.offset = extent.offset;
  bio.length = extent.length;
  bio.payload = Payload{};
  if (has_payload(op)) {
    scatter(*request, extent.length);
    bio.payload = {request->segments.data(), static_cast<std::uint32_t>(request->segments.size()),
                   0};
  }
  if (op == Op::write) Model::fill(extent, request->id, request->memory);
  bio.user = request.get();
  bio.end_io = &ended;
  ++counts_.requests;
  world_.trace().event(
      world_.now_ns(), "submit",
      {request->id, static_cast<std::uint64_t>(op), bio.flags, extent.offset, extent.length});
  under_way_.push_back(std::move(request));
  channel.submit(bio);
  return true;
}

void Load::cancel_one() {
  if (under_way_.empty()) return;
  Request& request = *under_way_[random_.below(under_way_.size())];
  if (request.cancelled) return;
  request.cancelled = true;
  ++counts_.cancelled;
  world_.trace().event(world_.now_ns(), "cancel", {request.id});
  request.channel->lane().cancel(*request.bio);
}

void Load::ended(Bio& bio) noexcept {
  auto& request = *static_cast<Request*>(bio.user);
  Load& load = *request.load;
  load.judge(request);
  request.channel->release(bio);
  std::erase_if(load.under_way_, [&](const auto& each) { return each.get() == &request; });
}

void Load::complain(std::string sentence) {
  if (!failure_) failure_ = std::move(sentence);
}

void Load::judge(Request& request) {
  const Bio& bio = *request.bio;
  world_.trace().event(world_.now_ns(), "end",
                       {request.id, static_cast<std::uint64_t>(bio.error), blind_});
  if (blind_) return;
  if (!bio.ok()) ++counts_.failed;
  const bool wished = bio.error == Errc::cancelled && request.cancelled;
  const bool known = bio.error == Errc::io || bio.error == Errc::gone;
  if (!bio.ok() && !wished && !(troubled_ && known)) {
    complain(fmt::format("request {}: {} ended with an error that nothing caused: {}", request.id,
                         to_string(bio.op), to_string(bio.error)));
  }
  auto wrong = model_.end(request.id, bio.ok(), request.memory);
  if (wrong) complain(fmt::format("request {}: {}", request.id, *wrong));
}

}  // namespace ashlar::sim
