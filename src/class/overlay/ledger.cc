// Invariants: (1) a slot is free, in a round that is under way, the tail, or sealed for good;
// (2) all ranges before `durable_` are in sealed records or in the tail; (3) the tail says nothing
// but ranges that are open or sealed, so a later round makes it superfluous; (4) no slot at or past
// `reach_` is used, so that whoever loads the map finds every record.
#include "class/overlay/ledger.h"

#include <algorithm>
#include <functional>
#include <new>

namespace ashlar::overlay {
namespace {

// Fewer ranges are said again by the next round.
constexpr std::size_t kTailRanges = kMostRanges / 2;

bool covers(const std::vector<Extent>& joined, const std::vector<Extent>& ranges) {
  return std::all_of(ranges.begin(), ranges.end(), [&](const Extent& range) {
    auto behind = std::upper_bound(
        joined.begin(), joined.end(), range.offset,
        [](std::uint64_t offset, const Extent& each) { return offset < each.offset; });
    return behind != joined.begin() && range.end() <= std::prev(behind)->end();
  });
}

// What a map keeps of what it was loaded with: of the tails, newest first, those that say something
// that nothing else does.
std::vector<const Loaded::Slot*> slots_to_keep(const Loaded& loaded) {
  std::vector<const Loaded::Slot*> kept;
  std::vector<Extent> said;
  const auto keep = [&](const Loaded::Slot& slot) {
    kept.push_back(&slot);
    said.insert(said.end(), slot.record.ranges.begin(), slot.record.ranges.end());
  };
  for (const Loaded::Slot& each : loaded.slots) {
    if (!each.record.tail) keep(each);
  }
  bool newest = true;
  for (auto each = loaded.slots.rbegin(); each != loaded.slots.rend(); ++each) {
    if (!each->record.tail) continue;
    join_ranges(said);
    if (newest || !covers(said, each->record.ranges)) keep(*each);
    newest = false;
  }
  return kept;
}

}  // namespace

Ledger::Ledger(const Loaded& loaded)
    : identity_(loaded.header.identity), slots_(loaded.header.slots) {
  const MutexLock lock(mutex_);
  adopt(loaded);
}

void Ledger::adopt(const Loaded& loaded) {
  reach_ = std::min(kReachAhead, slots_);
  std::vector<bool> used;
  const Loaded::Slot* tail = nullptr;
  for (const Loaded::Slot* each : slots_to_keep(loaded)) {
    next_ = std::max(next_, each->slot + 1);
    used.resize(next_);
    used[each->slot] = true;
    reach_ = std::max(reach_, each->record.reach);
    if (!each->record.tail) {
      ++sealed_;
    } else if (tail == nullptr) {
      tail = each;
    }
  }
  // Only where records lie of their reach: somebody must be able to go on all the same.
  if (reach_ <= next_) reach_ = std::min(next_ + kReachAhead, slots_);
  for (const Loaded::Slot& each : loaded.slots) number_ = std::max(number_, each.record.number + 1);
  for (std::uint64_t slot = 0; slot < next_; ++slot) {
    if (!used[slot]) free_.push_back(slot);
  }
  std::make_heap(free_.begin(), free_.end(), std::greater<>());
  if (tail == nullptr) return;
  tail_ = Tail{tail->slot, tail->record.reach};
  taken_ = 1;
  open_ = tail->record.ranges;
  shared_ = durable_ = open_.size();
}

bool Ledger::add(Extent range) noexcept {
  const MutexLock lock(mutex_);
  const bool own = base_ + open_.size() > shared_;
  if (own && open_.back().end() == range.offset) {
    open_.back().length += range.length;
    return true;
  }
  try {
    open_.push_back(range);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

std::uint64_t Ledger::cut() noexcept {
  const MutexLock lock(mutex_);
  shared_ = base_ + open_.size();
  return shared_;
}

std::uint64_t Ledger::durable() const noexcept {
  const MutexLock lock(mutex_);
  return durable_;
}

bool Ledger::has_open() const noexcept {
  const MutexLock lock(mutex_);
  return durable_ < base_ + open_.size();
}

bool Ledger::overfull() const noexcept {
  const MutexLock lock(mutex_);
  return open_.size() > kManyOpen && rounds_ == 0;
}

bool Ledger::is_full() const noexcept {
  const MutexLock lock(mutex_);
  return free_.empty() && next_ == slots_ && rounds_ == 0;
}

// So that to give a slot back needs no memory.
void Ledger::make_room() {
  const std::size_t need = free_.size() + taken_ + Round::kMostRecords;
  if (free_.capacity() < need) free_.reserve(2 * need);
}

// Never at or past `reach_`: records say a further one before it is used.
std::optional<std::uint64_t> Ledger::take_slot() {
  if (free_.empty() && next_ >= reach_) return std::nullopt;
  ++taken_;
  if (free_.empty()) return next_++;
  std::pop_heap(free_.begin(), free_.end(), std::greater<>());
  const std::uint64_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void Ledger::give_back(std::uint64_t slot) noexcept {
  --taken_;
  free_.push_back(slot);
  std::push_heap(free_.begin(), free_.end(), std::greater<>());
}

void Ledger::pack(Round& round, const std::vector<Extent>& ranges) {
  round.reach = std::min(next_ + kReachAhead, slots_);
  Record record;
  record.tail = round.tail;
  record.reach = round.reach;
  record.sealed = sealed_;
  auto from = ranges.begin();
  for (std::size_t i = 0; i < round.records; ++i) {
    const auto left = static_cast<std::size_t>(ranges.end() - from);
    const auto to = from + static_cast<std::ptrdiff_t>(std::min(kMostRanges, left));
    record.number = number_++;
    record.ranges.assign(from, to);
    put_record(record, identity_, round.pages[i]);
    round.segments[i] = {round.pages[i].data(), kPageBytes};
    from = to;
  }
}

// Of the first open ranges as many as there are slots for; joined they may need fewer.
void Ledger::fill(Round& round, std::uint64_t until) {
  const std::uint64_t most = until - base_;
  const std::uint64_t wanted =
      std::min<std::uint64_t>((most + kMostRanges - 1) / kMostRanges, Round::kMostRecords);
  std::uint64_t got = 0;
  while (got < wanted) {
    const auto slot = take_slot();
    if (!slot) break;
    round.slots[got++] = *slot;
  }
  const std::uint64_t count = std::min<std::uint64_t>(most, got * kMostRanges);
  std::vector<Extent> ranges(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(count));
  join_ranges(ranges);
  round.records = (ranges.size() + kMostRanges - 1) / kMostRanges;
  while (got > round.records) give_back(round.slots[--got]);
  round.end = base_ + count;
  round.tail = round.records == 1 && ranges.size() < kTailRanges;
  pack(round, ranges);
  shared_ = std::max(shared_, round.end);
}

std::unique_ptr<Round> Ledger::begin(std::uint64_t until) noexcept {
  const MutexLock lock(mutex_);
  ASHLAR_ASSERT(durable_ < until && until <= base_ + open_.size());
  try {
    auto round = std::make_unique<Round>();
    make_room();
    fill(*round, until);
    ++rounds_;
    return round;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// What a tail said of the reach must be said by what makes it superfluous: else it stays for good.
void Ledger::end(const Round& round, bool written) noexcept {
  const MutexLock lock(mutex_);
  --rounds_;
  if (!written || round.end <= durable_) {
    for (std::size_t i = 0; i < round.records; ++i) give_back(round.slots[i]);
    return;
  }
  if (tail_ && tail_->reach <= round.reach) give_back(tail_->slot);
  tail_.reset();
  reach_ = std::max(reach_, round.reach);
  durable_ = round.end;
  if (round.tail) {
    tail_ = Tail{round.slots[0], round.reach};
    return;
  }
  sealed_ += round.records;
  taken_ -= round.records;
  const std::uint64_t said = round.end - base_;
  open_.erase(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(said));
  base_ = round.end;
}

}  // namespace ashlar::overlay
