// Keeps the metadata of a running array: superblocks, the write-intent bitmap and the record of
// failures, so that after a power cut at any moment the kernel (or an assembly here) resyncs what
// it must and trusts nothing that it should not, and after an orderly end finds the array clean.
//
// The keeper does no I/O and never sleeps. Whoever is about to change data asks; where something
// has to be on the members first, the one who asked carries that out, and others wait:
//
//   switch (keeper.begin_write(range, waiter)) {
//     case Answer::open:    write the data; then keeper.end_write(range, ...); break;
//     case Answer::record:  carry out keeper.record(); keeper.recorded(failed); ask again; break;
//     case Answer::wait:    waiter.wake is called; then ask again; break;
//     case Answer::lost:    fail the request; break;
//   }
//
// STATES, as the superblocks have them (each arrow is a record, and one more event):
//
//                 begin_write                    begin_clean
//   untouched -----------------> dirty <------------------------> clean
//       |                          |         begin_write            |
//       '------ member_failed -----+----- member_failed ------------'     same state, one role less
//
// An array that nobody writes to is not touched at all. One without redundancy (linear, raid0) has
// no such states: it is always open, and a member less is its end.
//
// A RECORD is a list of phases. A phase begins when the one before it is durable on every live
// member; the puts within one go in any order. A later phase is what makes an earlier one count:
//
//   1 level      superblocks of members that an interrupted update left one event behind: else a
//                cut during phase 4 would leave them two behind, which is stale
//   2 announce   the bitmap's header, with the events at which bits were last cleared: a member
//                that left before that must not be brought up to date by the bits
//   3 bits       pages of the bitmap, set and cleared bits together; header with the new events
//   4 states     superblocks, with the new events
//
// - Bits are set, and the array is dirty, before begin_write says open: what a cut leaves half
//   written is resynced.
// - The bitmap has the new events before any superblock: else its bits would be out of date.
// - Bits that were not trusted go to the members as all set under a header that is marked as stale
//   (phase 2 and 3), and the mark is taken away when all are there.
// - A record that clears bits, says clean, or says how far a resync or recovery has come begins
//   with a flush of every member (Phase::flush_first): what it promises is on the media. The
//   kernel flushes each member before its own superblock only.
// - Whom a put fails on has failed: recorded() takes the list, and the next record says so.
//
// FAILURES: from member_failed() on, no write begins until the others have recorded it; a request
// that has seen it, or has left the member out, asks settle_failures() before it is acknowledged.
// Were it acknowledged before, a cut would bring the member back as if it had everything. The last
// member that the data need never fails on the members: the array is lost in memory, and what is
// on them stays as it is, for another try. Places that are empty are recorded so with the first
// record.
//
// BITS are cleared lazily: clear_bits(), called every few seconds, clears those that were idle
// since the call before; begin_clean() clears all. Never while a place has no member in sync.
//
// EVENTS only grow. (The kernel takes one back where it can, to let spares sleep; that is not
// needed by anybody who reads them. Here spares are written too.)
//
// COST of begin_write and end_write in an open array: one atomic addition to a counter that few
// threads share, one load, and with a bitmap one addition and one load for each chunk.
//
// THREAD: any, for everything. OWNERSHIP: the keeper outlives its waiters. Lock: one, on the slow
// paths alone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/list.h"
#include "base/mutex.h"
#include "md/assembly.h"
#include "md/bitmap_book.h"
#include "md/member_book.h"

namespace ashlar::md {

// The bitmap as it was read from the freshest member.
struct BitmapCopy {
  BitmapHeader header;
  std::vector<std::byte> bits;  // (header.bits() + 7) / 8
};

enum class Answer : std::uint8_t {
  open,    // as asked; go on
  record,  // carry out record(), call recorded(), and ask again
  wait,    // the waiter is called; then ask again
  busy,    // begin_clean alone: writes are under way; ask later
  lost,    // more members have failed than the array can do without
};

// How far the data of a write have come.
enum class Written : std::uint8_t {
  all,   // on every place of the array
  live,  // on every member that has not failed; member_failed() was called before
  some,  // members that live may differ: it was cancelled, or failed on the way
};

struct Put {
  std::uint32_t device = 0;
  std::uint64_t offset = 0;  // of the device
  ByteView bytes;
};

struct Phase {
  // Every device of the record is flushed before the puts start.
  bool flush_first = false;
  // In any order. Durable (FUA, or a flush) before the next phase.
  std::vector<Put> puts;
};

struct Record {
  std::vector<std::uint32_t> devices;
  std::vector<Phase> phases;  // a device that fails is left out of later ones
};

// What a place that is being filled lacks.
struct Lacking {
  // Of the member's data: nothing below this.
  std::uint64_t from = 0;
  // Only `ranges`, in bytes of what is kept in sync (Layout::sync_bytes), are missing.
  bool by_bitmap = false;
  std::vector<Extent> ranges;
};

class Keeper {
 public:
  // One who waits. `wake` is called once, without a lock, on whichever thread made it possible.
  // OWNERSHIP: the user's, until it was woken or forgotten.
  struct Waiter {
    void (*wake)(Waiter& waiter) noexcept = nullptr;
    void* user = nullptr;

   private:
    friend class Keeper;
    bool waits_ = false;  // under the keeper's lock
    ListLink link_;
  };

  using Clock = std::function<std::uint64_t()>;  // seconds since 1970; any thread

  // REQUIRES: the assembly has a layout, and its candidates are the devices.
  // Errors: invalid (bitmap missing, or of another array), unsupported (blocks so large that
  // metadata share them), with a sentence.
  static Result<std::unique_ptr<Keeper>> make(const Assembly& assembly,
                                              std::vector<KeeperDevice> devices,
                                              std::optional<BitmapCopy> bitmap, Clock clock);
  // REQUIRES: nobody waits, no record is under way.
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // --- writes. Ranges are of what is kept in sync (Layout::sync_bytes): of members for raid1, 4,
  // 5, 6, of the array for raid10; whole stripes for parity. Any for linear and raid0.
  Answer begin_write(const Extent& sync_range, Waiter& waiter) noexcept;
  // REQUIRES: begin_write said open, with the same range.
  void end_write(const Extent& sync_range, Written written) noexcept;

  // --- records
  // REQUIRES: an answer was `record`, and recorded() has not been called since.
  const Record& record() const noexcept;
  // The record has been carried out, but for the devices in `failed`, whose puts did not all
  // succeed. REQUIRES: as above.
  void recorded(std::span<const std::uint32_t> failed) noexcept;
  // The waiter waits no more. False: it has been called, or is about to be.
  bool forget(Waiter& waiter) noexcept;

  // --- failures
  // The member at this place, or a device without one, is not to be used any more. False: the
  // array is lost by it. Saying it again is harmless.
  bool member_failed(std::uint32_t role) noexcept;
  bool device_failed(std::uint32_t device) noexcept;
  // Open: the others have recorded every failure so far. One load where there is none.
  Answer settle_failures(Waiter& waiter) noexcept;

  // --- the end of activity
  // Open: the members say clean (or how far a resync has come), or nothing was ever written.
  // Writes that begin meanwhile wait, and make it dirty again.
  Answer begin_clean(Waiter& waiter) noexcept;
  // To be called every header.daemon_sleep_seconds or so. Open: nothing is to be cleared now.
  Answer clear_bits(Waiter& waiter) noexcept;

  // --- resync and recovery; what is set here goes out with the next record, or by checkpoint()
  // What may differ between members, in bytes of what is kept in sync.
  std::vector<Extent> to_resync() const;
  // All below this (of what is kept in sync) has been made equal. It grows.
  void set_resync(std::uint64_t offset) noexcept;
  // All of to_resync() has been. False: some was torn again meanwhile; once more.
  bool resync_done() noexcept;
  // Nullopt where the place is in sync, or has no member.
  std::optional<Lacking> to_recover(std::uint32_t role) const;
  // The member's data below this are as they should be. REQUIRES: it is being recovered.
  void set_recovery(std::uint32_t role, std::uint64_t offset) noexcept;
  void member_recovered(std::uint32_t role) noexcept;
  // A device that was not there: a spare by now. Of its superblock the place counts (version,
  // offsets, sizes, UUID, logs); the rest is filled in. Its number for Put::device and below;
  // `again`: that of one that is not used any more, and is in no record that is under way.
  // Errors: those of fits().
  Result<std::uint32_t> add_device(KeeperDevice device, std::optional<std::uint32_t> again = {});
  // Whether it can be added. Errors: no_space (no number is left for it), invalid, unsupported.
  Result<void> fits(const KeeperDevice& device) const;
  // A spare begins to fill an empty place. REQUIRES: that they are. `by_bitmap`: it was this
  // place's member, and bitmap_suffices() for its superblock of then.
  void start_recovery(std::uint32_t device, std::uint32_t role, bool by_bitmap = false) noexcept;
  bool bitmap_suffices(const Superblock& old) const noexcept;
  // Open: all of that, and of failures, is on the members.
  Answer checkpoint(Waiter& waiter) noexcept;

  // --- what is known
  std::optional<std::uint32_t> device_at(std::uint32_t role) const noexcept;
  bool in_sync(std::uint32_t role) const noexcept;
  std::uint32_t degraded() const noexcept;  // places without a member in sync
  bool lost() const noexcept;
  std::uint64_t events() const noexcept;
  // The first run of bad blocks that touches this range of the member's data, cut to it. One load
  // where no device has any.
  std::optional<Extent> bad(std::uint32_t role, const Extent& data_range) const noexcept;

 private:
  enum class Kind : std::uint8_t { needed, clear_bits, clean };

  // What the record under way will have made true.
  struct Goal {
    bool states = false;
    bool dirty = false;
    std::uint64_t events = 0;
  };

  // Writes under way: few threads share a counter. A sum of them is right once the gate is shut.
  static constexpr std::size_t kCounters = 16;
  struct alignas(64) Counter {
    std::atomic<std::int64_t> writes{0};
  };

  using Waiters = List<Waiter, &Waiter::link_>;

  Keeper(const Assembly& assembly, const Superblock& freshest, MemberBook members,
         std::unique_ptr<BitmapBook> bitmap, Clock clock);

  Counter& own_counter() noexcept;
  bool enter(const Extent& sync_range) noexcept;
  void leave(const Extent& sync_range) noexcept;
  bool writes_under_way() const noexcept;
  void torn(const Extent& sync_range) ASHLAR_REQUIRES(mutex_);
  Answer demand(Kind kind, Waiter& waiter) ASHLAR_REQUIRES(mutex_);
  bool something_to_say() const ASHLAR_REQUIRES(mutex_);
  void fail(std::uint32_t device) ASHLAR_REQUIRES(mutex_);
  void set_gate() ASHLAR_REQUIRES(mutex_);
  std::uint64_t resync_checkpoint() const ASHLAR_REQUIRES(mutex_);

  // keeper_record.cc
  bool build(Kind kind) ASHLAR_REQUIRES(mutex_);
  void add_level() ASHLAR_REQUIRES(mutex_);
  void add_bitmap(Kind kind) ASHLAR_REQUIRES(mutex_);
  void add_page(Phase& phase, std::uint64_t offset, ByteView page) ASHLAR_REQUIRES(mutex_);
  void add_states() ASHLAR_REQUIRES(mutex_);
  ByteView own(std::vector<std::byte> bytes) ASHLAR_REQUIRES(mutex_);
  void take_over() ASHLAR_REQUIRES(mutex_);

  const std::optional<Layout> layout_;
  const bool plain_;  // no redundancy: nothing is kept
  const std::uint64_t sync_bytes_;
  const Clock clock_;
  const std::unique_ptr<BitmapBook> bitmap_;  // null: there is none

  std::array<Counter, kCounters> counters_;
  std::atomic<bool> gate_{false};       // open: dirty is recorded, and so are all failures
  std::atomic<bool> unsettled_{false};  // failures that are not, or the array is lost
  std::atomic<bool> any_bad_{false};

  static constexpr LockClass kLock{"md.keeper"};
  mutable Mutex mutex_{kLock};
  MemberBook members_ ASHLAR_GUARDED_BY(mutex_);
  std::uint64_t events_ ASHLAR_GUARDED_BY(mutex_);
  // Below it all is in sync, but for `torn_`, which a resync that is under way may have passed.
  std::uint64_t resync_offset_ ASHLAR_GUARDED_BY(mutex_);
  std::vector<Extent> torn_ ASHLAR_GUARDED_BY(mutex_);
  bool dirty_ ASHLAR_GUARDED_BY(mutex_) = false;  // recorded, for writes of ours
  bool want_dirty_ ASHLAR_GUARDED_BY(mutex_) = false;
  bool checkpoint_due_ ASHLAR_GUARDED_BY(mutex_) = false;
  bool cleaning_ ASHLAR_GUARDED_BY(mutex_) = false;
  bool lost_ ASHLAR_GUARDED_BY(mutex_) = false;

  bool recording_ ASHLAR_GUARDED_BY(mutex_) = false;
  Goal goal_ ASHLAR_GUARDED_BY(mutex_);
  Record record_;  // changed under the lock, and read by the one who carries it out
  // Its bytes. A vector's bytes stay where they are when it is moved.
  std::vector<std::vector<std::byte>> bytes_ ASHLAR_GUARDED_BY(mutex_);
  Waiters waiters_ ASHLAR_GUARDED_BY(mutex_);
};

}  // namespace ashlar::md
