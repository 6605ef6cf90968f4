// The disks of the suite: a leaf class whose instances belong to a shelf.
//
// Invariant: `bytes` and `durable` of a disk differ in dirty blocks only.
#include "conformance/disk.h"

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "bio/unmapped.h"
#include "topology/step_class.h"

namespace ashlar::conformance {
namespace {

// Which disk create() is to make: it has no other way to be told.
struct Making {
  Shelf* shelf = nullptr;
  std::uint32_t disk = 0;
  std::uint64_t size_bytes = 0;
  Limits limits;
};
thread_local Making making;

void fill_with_noise(ByteSpan bytes, std::uint64_t seed) {
  std::uint64_t n = 0;
  for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    store_le(bytes, at, random_at(seed, n++));
  }
}

}  // namespace

class Disk final : public StepClass<Disk> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "conformance_disk",
      .summary = "a disk of the conformance suite",
      .policies = OpPolicies::handle_all(),
      .placement = Placement::lane,
      .payload = PayloadUse::moves,
  };

  explicit Disk(const Making& from)
      : shelf_(*from.shelf), number_(from.disk), limits_(from.limits) {}

  static Result<GeomPlan> create(const CreateArguments&) {
    GeomPlan plan;
    plan.body = std::make_unique<Disk>(making);
    plan.providers.push_back({.size_bytes = making.size_bytes});
    return plan;
  }

  void adjust_limits(std::uint32_t, Limits& limits) const override { limits = limits_; }
  void on_gone(std::uint32_t) noexcept override { shelf_.lose(number_); }

  Verdict on_request(Bio& bio, NoPad&, Context& cx) noexcept {
    return shelf_.take(number_, bio, cx);
  }
  void on_cancel(Bio& bio, NoPad&, Context& cx) noexcept { shelf_.let_go(bio, cx); }

 private:
  Shelf& shelf_;
  const std::uint32_t number_;
  const Limits limits_;
};

// --- the trial's side
// -----------------------------------------------------------------------------

Provider& Shelf::add(Topology& topology, std::vector<std::byte> bytes, const Limits& limits) {
  static constexpr ClassInfo kInfo = {&Disk::kFacts, &Disk::create, nullptr};
  making = {this, size(), bytes.size(), limits};
  auto geom = topology.create(kInfo, {"disk" + std::to_string(size()), {}, {}});
  ASHLAR_ASSERT(geom.ok());
  DiskState& state = disks_.emplace_back();
  state.provider = (*geom)->providers().front().get();
  state.limits = limits;
  state.dirty.resize(bytes.size() / limits.block_bytes);
  state.durable = bytes;
  state.bytes = std::move(bytes);
  return *state.provider;
}

void Shelf::fail(Numbers which, Errc error) {
  const MutexLock lock(mutex_);
  failing_ = which;
  error_ = error;
}

void Shelf::hold(Numbers which) {
  const MutexLock lock(mutex_);
  holding_ = which;
}

void Shelf::be_deaf(bool deaf) {
  const MutexLock lock(mutex_);
  deaf_ = deaf;
}

void Shelf::count_from_one() {
  const MutexLock lock(mutex_);
  seen_.clear();
}

std::vector<Seen> Shelf::seen() const {
  const MutexLock lock(mutex_);
  return seen_;
}

std::size_t Shelf::held() const {
  const MutexLock lock(mutex_);
  return held_.size();
}

std::optional<std::string> Shelf::complaint() const {
  const MutexLock lock(mutex_);
  return complaint_;
}

void Shelf::release_held() {
  std::vector<Held> released;
  {
    const MutexLock lock(mutex_);
    released.swap(held_);
    for (const Held& each : released) carry_out(each.disk, *each.bio);
  }
  for (const Held& each : released) each.cx->resume(*each.bio, Verdict::done());
}

void Shelf::see_unmapped_in(ByteSpan bytes) {
  const MutexLock lock(mutex_);
  unmapped_ = bytes;
}

std::optional<std::uint32_t> Shelf::unflushed() const {
  const MutexLock lock(mutex_);
  for (std::uint32_t i = 0; i < size(); ++i) {
    const std::vector<bool>& dirty = disks_[i].dirty;
    if (std::find(dirty.begin(), dirty.end(), true) != dirty.end()) return i;
  }
  return std::nullopt;
}

void Shelf::cut_power() {
  const MutexLock lock(mutex_);
  for (DiskState& each : disks_) {
    each.bytes = each.durable;
    each.dirty.assign(each.dirty.size(), false);
  }
}

void Shelf::resize(Topology& topology, std::uint32_t disk, std::uint64_t size_bytes) {
  {
    const MutexLock lock(mutex_);
    DiskState& state = disks_[disk];
    const std::size_t before = state.bytes.size();
    state.bytes.resize(size_bytes);
    if (size_bytes > before) fill_with_noise(ByteSpan(state.bytes).subspan(before), before);
    state.durable = state.bytes;
    state.dirty.assign(size_bytes / state.limits.block_bytes, false);
  }
  topology.resize(provider(disk), size_bytes);
}

class ShelfReader final : public TasteReader {
 public:
  explicit ShelfReader(Shelf::DiskState& disk) : disk_(disk) {}
  Result<void> read(std::uint64_t offset, ByteSpan into) override {
    if (!within(offset, into.size(), disk_.bytes.size())) {
      return make_error(Errc::out_of_range, "{}: {} bytes at byte {} are past the end", name(),
                        into.size(), offset);
    }
    std::memcpy(into.data(), disk_.bytes.data() + offset, into.size());
    return {};
  }
  std::uint64_t size_bytes() const override { return disk_.bytes.size(); }
  std::uint32_t block_size_bytes() const override { return disk_.limits.block_bytes; }
  const std::string& name() const override { return disk_.provider->name; }

 private:
  Shelf::DiskState& disk_;
};

std::unique_ptr<TasteReader> Shelf::reader(Provider& provider) {
  for (DiskState& each : disks_) {
    if (each.provider == &provider) return std::make_unique<ShelfReader>(each);
  }
  return nullptr;
}

// --- the lanes' side
// ------------------------------------------------------------------------------

Verdict Shelf::take(std::uint32_t disk, Bio& bio, Context& cx) noexcept {
  const MutexLock lock(mutex_);
  inspect(disk, bio);
  const std::uint64_t number = seen_.size() + 1;
  const Errc error = disks_[disk].gone ? Errc::gone : failing_.has(number) ? error_ : Errc::ok;
  seen_.push_back({disk, bio.op, bio.flags, {bio.offset, bio.length}, error != Errc::ok});
  if (error == Errc::ok && holding_.has(number)) {
    held_.push_back({disk, &bio, &cx});
    return Verdict::held();
  }
  if (error == Errc::ok) {
    carry_out(disk, bio);
  } else {
    bio.fail(error);
  }
  return Verdict::done();
}

void Shelf::let_go(Bio& bio, Context& cx) noexcept {
  {
    const MutexLock lock(mutex_);
    if (deaf_) return;
    std::erase_if(held_, [&](const Held& each) { return each.bio == &bio; });
  }
  bio.fail(Errc::cancelled);
  cx.resume(bio, Verdict::done());
}

void Shelf::lose(std::uint32_t disk) noexcept {
  std::vector<Held> lost;
  {
    const MutexLock lock(mutex_);
    disks_[disk].gone = true;
    const auto first = std::stable_partition(held_.begin(), held_.end(),
                                             [=](const Held& each) { return each.disk != disk; });
    lost.assign(first, held_.end());
    held_.erase(first, held_.end());
  }
  for (const Held& each : lost) {
    each.bio->fail(Errc::gone);
    each.cx->resume(*each.bio, Verdict::done());
  }
}

// Notes the first request that no consumer may send.
void Shelf::inspect(std::uint32_t disk, const Bio& bio) {
  const std::string_view wrong = what_is_wrong(disks_[disk], bio);
  if (complaint_ || wrong.empty()) return;
  complaint_ = fmt::format("disk{} got a {} of {} bytes at byte {} with flags {}, {}", disk,
                           to_string(bio.op), bio.length, bio.offset, bio.flags, wrong);
}

std::string_view Shelf::what_is_wrong(const DiskState& disk, const Bio& bio) {
  const Limits& limits = disk.limits;
  const bool flush = bio.op == Op::flush;
  const std::uint64_t most =
      has_payload(bio.op) ? limits.max_request_bytes : limits.max_range_bytes;
  if (!limits.ops.has(bio.op)) return "an operation that it does not offer";
  if (bio.fua() && !limits.ops.fua()) return "but offers no FUA";
  if (bio.fua() && !changes_data(bio.op)) return "which FUA does not go with";
  if ((bio.length == 0) != flush) return "which has no such length";
  if (flush && bio.offset != 0) return "which has no place";
  if (((bio.offset | bio.length) & (limits.block_bytes - 1)) != 0) return "misaligned";
  if (!within(bio.offset, bio.length, disk.bytes.size())) return "past its end";
  if (bio.length > most) return "longer than it takes";
  if (has_payload(bio.op) && !bio.payload.holds(bio.length)) return "without the memory";
  return {};
}

void Shelf::carry_out(std::uint32_t disk, Bio& bio) {
  DiskState& state = disks_[disk];
  bio.succeed();
  if (!within(bio.offset, bio.length, state.bytes.size())) {
    bio.fail(Errc::out_of_range);  // it shrank meanwhile
  } else if (bio.op == Op::read) {
    copy(bio, state.bytes.data() + bio.offset);
  } else if (bio.op == Op::flush) {
    make_durable(state, {0, state.bytes.size()});
  } else {
    store(state, bio);
  }
}

ByteSpan Shelf::visible(ByteSpan piece) {
  if (unmapped_.empty()) return piece;
  const auto place = locate_unmapped(piece.data());
  return place ? unmapped_.subspan(place->offset, piece.size()) : piece;
}

// Between the payload and `at`, whichever way the operation goes.
void Shelf::copy(const Bio& bio, std::byte* at) {
  std::uint64_t left = bio.length;
  const Segment* segment = bio.payload.segments;
  for (std::uint64_t skip = bio.payload.start; left > 0; skip = 0, ++segment) {
    const std::uint64_t length = std::min<std::uint64_t>(left, segment->length - skip);
    const ByteSpan memory = visible({segment->data + skip, length});
    if (length > 0 && bio.op == Op::read) std::memcpy(memory.data(), at, length);
    if (length > 0 && bio.op == Op::write) std::memcpy(at, memory.data(), length);
    at += length;
    left -= length;
  }
}

void Shelf::store(DiskState& disk, const Bio& bio) {
  std::byte* const at = disk.bytes.data() + bio.offset;
  if (bio.op == Op::write) {
    copy(bio, at);
  } else {
    std::memset(at, 0, bio.length);
  }
  const std::uint64_t block = disk.limits.block_bytes;
  for (std::uint64_t i = bio.offset / block; i < bio.end() / block; ++i) disk.dirty[i] = true;
  if (bio.fua()) make_durable(disk, {bio.offset, bio.length});
}

void Shelf::make_durable(DiskState& disk, Extent extent) {
  const std::uint64_t block = disk.limits.block_bytes;
  for (std::uint64_t i = extent.offset / block; i < extent.end() / block; ++i) {
    if (!disk.dirty[i]) continue;
    std::memcpy(disk.durable.data() + i * block, disk.bytes.data() + i * block, block);
    disk.dirty[i] = false;
  }
}

}  // namespace ashlar::conformance
