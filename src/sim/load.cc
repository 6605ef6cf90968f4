// What is asked, and what is made of the answers.
#include "sim/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "program/deadline.h"
#include "sim/disk.h"

namespace ashlar::sim {
namespace {

constexpr std::uint64_t kMostBytes = 32 * kKiB;
// Deadlines from too late to twice what most requests take.
constexpr std::uint64_t kMostDeadlineNs = 1'000'000;
// Each context on the way of a cancellation takes a turn, and may be late by kMostLatenessNs
// (world.cc) several times; a disk that hangs does so for a hundred times as long.
constexpr std::uint64_t kGraceNs = 100'000'000;

// A record of an array is three trips for each of its phases, and the data go behind it; while
// somebody else's is under way, one waits for that too.
constexpr std::uint64_t kMostShieldedTrips = 40;

class RealTimekeeper final : public Timekeeper {
 public:
  void submit(Channel& channel, Bio& bio, std::uint64_t at_ns) noexcept override {
    deadline_.submit(channel, bio, at_ns);
  }

 private:
  Deadline deadline_;
};

}  // namespace

std::unique_ptr<Timekeeper> real_timekeeper() { return std::make_unique<RealTimekeeper>(); }

Load::Load(std::uint64_t seed, World& world, Model& model, std::vector<Channel*> channels,
           bool troubled, const MakeTimekeeper& make_timekeeper)
    : random_(seed),
      world_(world),
      model_(model),
      channels_(std::move(channels)),
      troubled_(troubled),
      make_timekeeper_(make_timekeeper),
      depth_(std::uint64_t{1} << random_.below(6)),
      block_bytes_(channels_[0]->program().entry.align_mask + 1),
      blocks_(channels_[0]->program().entry.size_bytes / block_bytes_),
      most_blocks_(std::min(blocks_, kMostBytes / block_bytes_)),
      hot_blocks_(1 + random_.below(blocks_)),
      deadline_odds_(random_.one_in(2) ? 3 : 1'000'000),
      grace_ns_(kGraceNs) {}

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
  Op op = kMix[random_.below(kMix.size())];
  if (!channels_[0]->program().ops.has(op)) op = Op::write;
  const bool durable = (op == Op::write || op == Op::write_zeroes) && random_.one_in(4);
  const bool quiet = shields_ && op == Op::flush && random_.one_in(4);
  const Extent extent = some_extent(op);
  if (apart_ && changes_data(op) && changes_now(extent)) return false;
  return start(op, extent, durable ? kFua : quiet ? kQuiet : std::uint8_t{0});
}

// Some of it, by a request that is under way.
bool Load::changes_now(Extent extent) const {
  return std::any_of(under_way_.begin(), under_way_.end(), [&](const auto& each) {
    return changes_data(each->op) && each->extent.offset < extent.end() &&
           extent.offset < each->extent.end();
  });
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

bool Load::start(Op op, Extent extent, std::uint8_t flags) {
  Channel& channel = *channels_[random_.below(channels_.size())];
  Bio* const fresh = channel.allocate();
  if (fresh == nullptr) return false;
  auto request = std::make_unique<Request>(
      Request{this, &channel, fresh, model_.begin(op, extent, (flags & kFua) != 0), op, extent});
  Bio& bio = *request->bio;
  bio.op = op;
  bio.flags = flags;
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
  draw_deadline(*request);
  Request& it = *request;
  under_way_.push_back(std::move(request));
  if (it.timekeeper != nullptr) {
    it.timekeeper->submit(channel, bio, it.deadline_ns);
  } else {
    channel.submit(bio);
  }
  return true;
}

void Load::expect_shields() {
  shields_ = true;
  grace_ns_ = kGraceNs + kMostShieldedTrips * kHangNs;
}

void Load::draw_deadline(Request& request) {
  if (!random_.one_in(deadline_odds_)) return;
  request.deadline_ns = world_.now_ns() + random_.below(kMostDeadlineNs);
  request.timekeeper = make_timekeeper_();
  world_.trace().event(world_.now_ns(), "deadline", {request.id, request.deadline_ns});
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
  if (request.ended) return load.complain(fmt::format("request {}: ended twice", request.id));
  if (bio.state != BioState::idle) {
    // What is still at work on it ends it in truth; until then it stays.
    request.hasty = true;
    return load.complain(fmt::format("request {}: ended before its parts had", request.id));
  }
  request.ended = true;
  if (!request.hasty) load.judge(request);
  request.memory = {};
  request.segments = {};
  request.channel->release(bio);
  const auto place = std::find_if(load.under_way_.begin(), load.under_way_.end(),
                                  [&](const auto& each) { return each.get() == &request; });
  load.past_.push_back(std::move(*place));
  load.under_way_.erase(place);
}

void Load::complain(std::string sentence) {
  if (!failure_) failure_ = std::move(sentence);
}

void Load::judge(Request& request) {
  const Bio& bio = *request.bio;
  world_.trace().event(world_.now_ns(), "end",
                       {request.id, static_cast<std::uint64_t>(bio.error), blind_});
  judge_deadline(request);
  if (blind_) return;
  if (!bio.ok()) ++counts_.failed;
  const bool wished = (bio.error == Errc::cancelled && request.cancelled) ||
                      (bio.error == Errc::timed_out && request.deadline_ns != kNever);
  const bool known = bio.error == Errc::io || bio.error == Errc::gone;
  if (!bio.ok() && !wished && !(troubled_ && known)) {
    complain(fmt::format("request {}: {} ended with an error that nothing caused: {}", request.id,
                         to_string(bio.op), to_string(bio.error)));
  }
  auto wrong = model_.end(request.id, bio.ok(), request.memory);
  if (wrong) complain(fmt::format("request {}: {}", request.id, *wrong));
}

// With the power off too: a cancellation needs no disk.
void Load::judge_deadline(const Request& request) {
  if (request.deadline_ns == kNever) return;
  const std::uint64_t now = world_.now_ns();
  const bool timed_out = request.bio->error == Errc::timed_out;
  if (timed_out) ++counts_.timed_out;
  if (timed_out && now < request.deadline_ns) {
    complain(fmt::format("request {}: timed out {} ns before its deadline", request.id,
                         request.deadline_ns - now));
  }
  if (prompt_ && now > request.deadline_ns && now - request.deadline_ns > grace_ns_) {
    complain(fmt::format("request {}: ended {} ns after its deadline", request.id,
                         now - request.deadline_ns));
  }
}

}  // namespace ashlar::sim
