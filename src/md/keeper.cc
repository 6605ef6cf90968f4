// The gates: who may go on, who carries a record out, who waits. What a record says: keeper_record.
#include "md/keeper.h"

#include <algorithm>

namespace ashlar::md {

Result<std::unique_ptr<Keeper>> Keeper::make(const Assembly& assembly,
                                             std::vector<KeeperDevice> devices,
                                             std::optional<BitmapCopy> bitmap, Clock clock) {
  ASHLAR_ASSERT(assembly.layout && assembly.freshest < devices.size());
  const Superblock freshest = devices[assembly.freshest].superblock;
  const std::uint64_t sync_bytes = assembly.layout->sync_bytes();
  std::unique_ptr<BitmapBook> book;
  if (freshest.has_bitmap && sync_bytes != 0) {
    if (!bitmap) return make_error(Errc::invalid, "md: the array has a bitmap, which is not given");
    auto distrust = distrust_bitmap(bitmap->header, freshest, sync_bytes);
    if (!distrust) return distrust.error();
    if (bitmap->header.sync_bytes < sync_bytes) {
      return make_error(Errc::unsupported, "md: {}; let the kernel mend that first", *distrust);
    }
    book = std::make_unique<BitmapBook>(bitmap->header, bitmap->bits, distrust->empty());
  }
  auto members =
      MemberBook::make(assembly, std::move(devices), book ? book->header().total_bytes() : 0);
  if (!members) return members.error();
  return std::unique_ptr<Keeper>(
      new Keeper(assembly, freshest, std::move(*members), std::move(book), std::move(clock)));
}

Keeper::Keeper(const Assembly& assembly, const Superblock& freshest, MemberBook members,
               std::unique_ptr<BitmapBook> bitmap, Clock clock)
    : layout_(assembly.layout),
      plain_(assembly.layout->sync_bytes() == 0),
      sync_bytes_(assembly.layout->sync_bytes()),
      clock_(std::move(clock)),
      bitmap_(std::move(bitmap)),
      members_(std::move(members)),
      events_(freshest.events),
      resync_offset_(assembly.resync_offset_bytes) {
  for (std::uint32_t i = 0; i < members_.count(); ++i) {
    if (!members_.given(i).bad_blocks.empty()) any_bad_.store(true);
  }
  if (bitmap_ != nullptr && resync_offset_ != kAll) {
    for (const Extent& each : bitmap_->set_ranges()) {
      if (each.end() > resync_offset_) bitmap_->set_unsynced(each);
    }
    // A cut between the bits and the superblocks of the last record: all of it is in sync, and the
    // next record says so.
    if (bitmap_->unsynced().empty()) {
      resync_offset_ = kAll;
      checkpoint_due_ = true;
    }
  }
  gate_.store(plain_);
}

Keeper::~Keeper() {
  MutexLock lock(mutex_);
  ASHLAR_ASSERT(!recording_ && waiters_.empty());
}

// --- writes

Keeper::Counter& Keeper::own_counter() noexcept {
  thread_local char here;
  const auto address = reinterpret_cast<std::uintptr_t>(&here);
  return counters_[(address * 0x9e3779b97f4a7c15u) >> 60];
}

// Counted first, asked after: begin_clean() shuts the gate first and counts after.
bool Keeper::enter(const Extent& sync_range) noexcept {
  own_counter().writes.fetch_add(1, std::memory_order_seq_cst);
  if (gate_.load(std::memory_order_seq_cst)) {
    if (bitmap_ == nullptr || bitmap_->enter(sync_range)) return true;
    bitmap_->leave(sync_range);
  }
  own_counter().writes.fetch_sub(1, std::memory_order_seq_cst);
  return false;
}

void Keeper::leave(const Extent& sync_range) noexcept {
  if (bitmap_ != nullptr) bitmap_->leave(sync_range);
  own_counter().writes.fetch_sub(1, std::memory_order_seq_cst);
}

bool Keeper::writes_under_way() const noexcept {
  std::int64_t sum = 0;
  for (const Counter& each : counters_) sum += each.writes.load(std::memory_order_seq_cst);
  return sum != 0;
}

Answer Keeper::begin_write(const Extent& sync_range, Waiter& waiter) noexcept {
  ASHLAR_ASSERT(plain_ || (sync_range.length != 0 &&
                           within(sync_range.offset, sync_range.length, sync_bytes_)));
  while (!enter(sync_range)) {
    MutexLock lock(mutex_);
    if (!lost_ && !dirty_) want_dirty_ = true;
    if (!lost_ && bitmap_ != nullptr) bitmap_->want(sync_range);
    const Answer answer = demand(Kind::needed, waiter);
    if (answer != Answer::open) return answer;
  }
  return Answer::open;
}

void Keeper::end_write(const Extent& sync_range, Written written) noexcept {
  if (written != Written::all && !plain_) {
    MutexLock lock(mutex_);
    // With nobody missing, "all that live" should have been all.
    if (written == Written::some || members_.degraded() == 0) torn(sync_range);
  }
  leave(sync_range);
}

// Where no resync is due, one is from here on. One that is due may be under way, and past this.
void Keeper::torn(const Extent& sync_range) {
  if (bitmap_ != nullptr) bitmap_->set_unsynced(sync_range);
  if (resync_offset_ == kAll) {
    resync_offset_ = sync_range.offset;
    return;
  }
  constexpr std::size_t kMostTorn = 64;
  if (torn_.size() < kMostTorn) {
    torn_.push_back(sync_range);
    return;
  }
  Extent& last = torn_.back();
  const std::uint64_t start = std::min(last.offset, sync_range.offset);
  last = {start, std::max(last.end(), sync_range.end()) - start};
  if (bitmap_ != nullptr) bitmap_->set_unsynced(last);
}

std::uint64_t Keeper::resync_checkpoint() const {
  std::uint64_t offset = resync_offset_;
  for (const Extent& each : torn_) offset = std::min(offset, each.offset);
  return offset;
}

// --- records

// Closed while something has to be recorded before data may change.
void Keeper::set_gate() {
  const bool open = plain_ || (dirty_ && !cleaning_ && !members_.unrecorded_failures());
  gate_.store(open && !lost_, std::memory_order_seq_cst);
  unsettled_.store(lost_ || members_.unrecorded_failures(), std::memory_order_seq_cst);
}

Answer Keeper::demand(Kind kind, Waiter& waiter) {
  if (lost_) return Answer::lost;
  if (recording_) {
    waiter.waits_ = true;
    waiters_.push_back(waiter);
    return Answer::wait;
  }
  if (!build(kind)) return Answer::open;
  recording_ = true;
  return Answer::record;
}

const Record& Keeper::record() const noexcept { return record_; }

void Keeper::recorded(std::span<const std::uint32_t> failed) noexcept {
  MutexLock lock(mutex_);
  ASHLAR_ASSERT(recording_);
  for (const std::uint32_t each : failed) fail(each);
  if (!lost_) take_over();
  recording_ = false;
  cleaning_ = false;
  set_gate();
  Waiters woken;
  woken.splice_back(waiters_);
  for (Waiter* each = woken.empty() ? nullptr : &woken.front(); each != nullptr;
       each = woken.next(*each)) {
    each->waits_ = false;
  }
  lock.unlock();
  while (Waiter* each = woken.pop_front()) each->wake(*each);
}

bool Keeper::forget(Waiter& waiter) noexcept {
  const MutexLock lock(mutex_);
  if (!waiter.waits_) return false;
  waiter.waits_ = false;
  waiter.link_.unlink();
  return true;
}

// --- failures

bool Keeper::member_failed(std::uint32_t role) noexcept {
  MutexLock lock(mutex_);
  const auto device = members_.at(role);
  if (device) fail(*device);
  return !lost_;
}

bool Keeper::device_failed(std::uint32_t device) noexcept {
  MutexLock lock(mutex_);
  fail(device);
  return !lost_;
}

void Keeper::fail(std::uint32_t device) {
  if (lost_ || !members_.live(device)) return;
  members_.fail(device);
  lost_ = !layout_->lost_without(members_.in_sync()).empty();
  set_gate();
}

Answer Keeper::settle_failures(Waiter& waiter) noexcept {
  if (!unsettled_.load(std::memory_order_seq_cst)) return Answer::open;
  MutexLock lock(mutex_);
  if (lost_) return Answer::lost;
  // A failure that a record under way says is not on the members yet: its end is waited for.
  const bool open = !recording_ && !members_.unrecorded_failures();
  return open ? Answer::open : demand(Kind::needed, waiter);
}

// --- the end of activity

bool Keeper::something_to_say() const { return checkpoint_due_ || members_.unrecorded_failures(); }

Answer Keeper::begin_clean(Waiter& waiter) noexcept {
  MutexLock lock(mutex_);
  if (lost_ || recording_) return demand(Kind::clean, waiter);
  if (!dirty_) {
    want_dirty_ = false;
    return something_to_say() ? demand(Kind::needed, waiter) : Answer::open;
  }
  cleaning_ = true;
  set_gate();
  if (!writes_under_way()) return demand(Kind::clean, waiter);
  cleaning_ = false;
  set_gate();
  return Answer::busy;
}

Answer Keeper::clear_bits(Waiter& waiter) noexcept {
  MutexLock lock(mutex_);
  if (lost_) return Answer::lost;
  if (bitmap_ == nullptr || !dirty_ || !bitmap_->any_set()) return Answer::open;
  return demand(Kind::clear_bits, waiter);
}

// --- resync and recovery

std::vector<Extent> Keeper::to_resync() const {
  const MutexLock lock(mutex_);
  if (resync_offset_ == kAll) return {};
  if (bitmap_ != nullptr) return bitmap_->unsynced();
  return {{resync_offset_, sync_bytes_ - resync_offset_}};
}

void Keeper::set_resync(std::uint64_t offset) noexcept {
  const MutexLock lock(mutex_);
  if (offset <= resync_offset_ || resync_offset_ == kAll) return;
  offset = std::min(offset, sync_bytes_);
  if (bitmap_ != nullptr) {
    const std::uint64_t start = align_down(resync_offset_, bitmap_->header().chunk_bytes);
    bitmap_->set_synced({start, offset - start});
    for (const Extent& each : torn_) bitmap_->set_unsynced(each);
  }
  resync_offset_ = offset;
  checkpoint_due_ = checkpoint_due_ || !dirty_;
}

bool Keeper::resync_done() noexcept {
  const MutexLock lock(mutex_);
  if (resync_offset_ == kAll) return true;
  if (bitmap_ != nullptr) {
    bitmap_->set_synced({0, sync_bytes_});
    for (const Extent& each : torn_) bitmap_->set_unsynced(each);
  }
  resync_offset_ = kAll;
  resync_offset_ = resync_checkpoint();
  torn_.clear();
  checkpoint_due_ = checkpoint_due_ || !dirty_;
  return resync_offset_ == kAll;
}

std::optional<Lacking> Keeper::to_recover(std::uint32_t role) const {
  const MutexLock lock(mutex_);
  const auto device = members_.at(role);
  if (!device || members_.state(*device) != MemberBook::State::recovering) return std::nullopt;
  Lacking lacking{members_.recovery_offset(*device), false, {}};
  lacking.by_bitmap = bitmap_ != nullptr && members_.recovery_by_bitmap(*device);
  if (lacking.by_bitmap) lacking.ranges = bitmap_->set_ranges();
  return lacking;
}

void Keeper::set_recovery(std::uint32_t role, std::uint64_t offset) noexcept {
  const MutexLock lock(mutex_);
  const auto device = members_.at(role);
  if (!device) return;  // it has failed
  members_.set_recovery(*device, offset);
  checkpoint_due_ = true;
}

void Keeper::member_recovered(std::uint32_t role) noexcept {
  const MutexLock lock(mutex_);
  const auto device = members_.at(role);
  if (!device) return;  // it has failed
  members_.recovered(*device);
  checkpoint_due_ = true;
}

Result<void> Keeper::fits(const KeeperDevice& device) const {
  const MutexLock lock(mutex_);
  return members_.fits(device, bitmap_ ? bitmap_->header().total_bytes() : 0);
}

Result<std::uint32_t> Keeper::add_device(KeeperDevice device, std::optional<std::uint32_t> again) {
  const MutexLock lock(mutex_);
  const bool bad = !device.bad_blocks.empty();
  const std::uint64_t bitmap_bytes = bitmap_ ? bitmap_->header().total_bytes() : 0;
  auto added = members_.add(std::move(device), bitmap_bytes, again);
  if (!added) return added.error();
  if (bad) any_bad_.store(true);
  checkpoint_due_ = true;
  return *added;
}

void Keeper::start_recovery(std::uint32_t device, std::uint32_t role, bool by_bitmap) noexcept {
  const MutexLock lock(mutex_);
  ASHLAR_ASSERT(!by_bitmap || bitmap_ != nullptr);
  members_.start_recovery(device, role, by_bitmap);
  if (bitmap_ != nullptr) bitmap_->rewrite();
  checkpoint_due_ = true;
}

bool Keeper::bitmap_suffices(const Superblock& old) const noexcept {
  const MutexLock lock(mutex_);
  return bitmap_ != nullptr && old.is_version_1() && !bitmap_->stale_on_members() &&
         old.set_uuid == bitmap_->header().set_uuid && old.recovery_offset_bytes == kAll &&
         old.events >= bitmap_->header().events_cleared && old.events <= events_;
}

Answer Keeper::checkpoint(Waiter& waiter) noexcept {
  const MutexLock lock(mutex_);
  if (lost_) return Answer::lost;
  return something_to_say() ? demand(Kind::needed, waiter) : Answer::open;
}

// --- what is known

std::optional<std::uint32_t> Keeper::device_at(std::uint32_t role) const noexcept {
  const MutexLock lock(mutex_);
  return members_.at(role);
}

bool Keeper::in_sync(std::uint32_t role) const noexcept {
  const MutexLock lock(mutex_);
  return members_.in_sync()[role];
}

std::uint32_t Keeper::degraded() const noexcept {
  const MutexLock lock(mutex_);
  return members_.degraded();
}

bool Keeper::lost() const noexcept {
  const MutexLock lock(mutex_);
  return lost_;
}

std::uint64_t Keeper::events() const noexcept {
  const MutexLock lock(mutex_);
  return events_;
}

std::optional<Extent> Keeper::bad(std::uint32_t role, const Extent& data_range) const noexcept {
  if (!any_bad_.load(std::memory_order_relaxed)) return std::nullopt;
  const MutexLock lock(mutex_);
  const auto device = members_.at(role);
  if (!device) return std::nullopt;
  const KeeperDevice& given = members_.given(*device);
  const std::uint64_t data = given.superblock.data_offset_bytes;
  const Extent range{data + data_range.offset, data_range.length};
  const auto found = std::find_if(given.bad_blocks.begin(), given.bad_blocks.end(),
                                  [&](const Extent& each) { return each.end() > range.offset; });
  if (found == given.bad_blocks.end() || found->offset >= range.end()) return std::nullopt;
  const std::uint64_t start = std::max(found->offset, range.offset);
  return Extent{start - data, std::min(found->end(), range.end()) - start};
}

}  // namespace ashlar::md
