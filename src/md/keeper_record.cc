// What a record says, in the order that keeper.h explains.
#include <algorithm>
#include <limits>

#include "md/keeper.h"

namespace ashlar::md {
namespace {

// Pages of the bitmap that are looked through for clear_bits() at a time, so that the lock is not
// held for long.
constexpr std::uint64_t kPagesAtOnce = 16;
constexpr std::uint64_t kAllPages = std::numeric_limits<std::uint64_t>::max();

}  // namespace

// False: there is nothing to be said.
bool Keeper::build(Kind kind) {
  const bool flush = kind != Kind::needed || checkpoint_due_;
  goal_ = {};
  goal_.states = kind == Kind::clean || something_to_say() || (want_dirty_ && !dirty_);
  goal_.dirty = kind != Kind::clean && (dirty_ || want_dirty_);
  goal_.events = events_ + (goal_.states ? 1 : 0);
  record_ = {};
  bytes_.clear();
  for (std::uint32_t i = 0; i < members_.count(); ++i) {
    if (members_.live(i)) record_.devices.push_back(i);
  }
  if (goal_.states) add_level();
  if (bitmap_ != nullptr) add_bitmap(kind);
  if (goal_.states) add_states();
  if (record_.phases.empty()) return false;
  record_.phases.front().flush_first = flush;
  return true;
}

ByteView Keeper::own(std::vector<std::byte> bytes) {
  bytes_.push_back(std::move(bytes));
  return bytes_.back();
}

void Keeper::add_level() {
  Phase level;
  for (const std::uint32_t each : record_.devices) {
    if (!members_.behind(each)) continue;
    level.puts.push_back({each, members_.given(each).superblock.superblock_offset_bytes,
                          own(members_.level_superblock(each))});
  }
  if (!level.puts.empty()) record_.phases.push_back(std::move(level));
}

void Keeper::add_page(Phase& phase, std::uint64_t offset, ByteView page) {
  for (const std::uint32_t each : record_.devices) {
    if (!members_.has_bitmap_copy(each)) continue;
    const KeeperDevice& device = members_.given(each);
    const std::uint64_t end = align_up(bitmap_->header().total_bytes(), device.block_bytes);
    const std::uint64_t length = std::min(end - offset, kBitmapPageBytes);
    phase.puts.push_back(
        {each, device.superblock.bitmap_start_bytes() + offset, page.first(length)});
  }
}

void Keeper::add_bitmap(Kind kind) {
  BitmapBook& book = *bitmap_;
  // With the bits as they are before any is cleared.
  std::vector<std::byte> announcement = book.header_page(book.stale_on_members(), events_);
  std::uint64_t cleared = 0;
  if (kind != Kind::needed && members_.degraded() == 0) {
    const bool all = kind == Kind::clean;
    cleared = book.clear_idle(!all, all ? kAllPages : kPagesAtOnce);
  }
  const std::uint64_t events_cleared = book.header().events_cleared;
  if (cleared != 0 && events_cleared < events_) {
    Phase announce;
    add_page(announce, 0, own(std::move(announcement)));
    record_.phases.push_back(std::move(announce));
    book.set_header(goal_.events, events_);
  } else if (goal_.states) {
    book.set_header(goal_.events, events_cleared);
  }
  if (!book.any_changed()) return;
  Phase bits;
  for (const BitmapBook::Page& each : book.take_pages(book.stale_on_members())) {
    add_page(bits, each.offset, each.bytes);
  }
  record_.phases.push_back(std::move(bits));
  if (!book.stale_on_members()) return;
  Phase trust;
  add_page(trust, 0, own(book.header_page(false, book.header().events_cleared)));
  record_.phases.push_back(std::move(trust));
}

void Keeper::add_states() {
  members_.publish();
  const MemberBook::Array array{goal_.events, clock_(), goal_.dirty ? 0 : resync_checkpoint()};
  Phase states;
  for (const std::uint32_t each : record_.devices) {
    states.puts.push_back({each, members_.given(each).superblock.superblock_offset_bytes,
                           own(members_.superblock(each, array))});
  }
  record_.phases.push_back(std::move(states));
  want_dirty_ = false;
  checkpoint_due_ = false;
}

// The record is on every member that lives.
void Keeper::take_over() {
  events_ = goal_.events;
  if (goal_.states) {
    dirty_ = goal_.dirty;
    members_.published();
  }
  if (bitmap_ == nullptr) return;
  bitmap_->written();
  bitmap_->not_stale_any_more();
}

}  // namespace ashlar::md
