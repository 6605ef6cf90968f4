// What a kept overlay still has to say in its map, and where in the map there is room.
//
//   a write ends -> add()  [open ranges, in the order in which they came] ---> a round: records
//   a flush      -> begin(): the open ranges, packed into records, each with a free slot
//                   (the records are written and flushed by whoever flushes)
//                -> end()
//
// Rounds of several flushes may be under way at once, and say the same twice: what counts in the
// map is the union of its records, so there is no order between them, no flush waits for another,
// and no lane for another lane.
//
// A round of one record that is far from full is a tail: its ranges stay open and are said again by
// the next round, whose end frees the tail's slot. So the map grows by a record for each 126 ranges
// at least, however often somebody flushes.
//
// THREAD: any; a lock is held for as long as it takes to copy a few ranges.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "bio/payload.h"
#include "class/overlay/store_format.h"

namespace ashlar::overlay {

inline constexpr LockClass kLedgerLock{"overlay.ledger"};

// Records on their way into the map. Its memory is what is written.
struct Round {
  static constexpr std::size_t kMostRecords = 8;

  std::size_t records = 0;  // 0: there was no slot free
  std::array<std::uint64_t, kMostRecords> slots{};
  std::uint64_t end = 0;    // all ranges before this one are in it, or in the map already
  std::uint64_t reach = 0;  // what its records say
  bool tail = false;
  std::array<Segment, kMostRecords> segments{};  // of `pages`
  alignas(kPageBytes) std::array<std::array<std::byte, kPageBytes>, kMostRecords> pages;
};

class Ledger {
 public:
  // More open ranges than these are not left to the next flush.
  static constexpr std::size_t kManyOpen = 32 * 1024;

  // Goes on with a map as it was loaded. Throws std::bad_alloc.
  explicit Ledger(const Loaded& loaded);

  // A range that is in the overlay since now; its bytes are in the store. False: no memory.
  bool add(Extent range) noexcept ASHLAR_EXCLUDES(mutex_);

  // How many ranges were added so far; what comes later is counted as another. Asked before their
  // bytes are made durable.
  std::uint64_t cut() noexcept ASHLAR_EXCLUDES(mutex_);
  // How many of them the map on the medium says.
  std::uint64_t durable() const noexcept ASHLAR_EXCLUDES(mutex_);
  bool has_open() const noexcept ASHLAR_EXCLUDES(mutex_);
  // Too many are open, and nobody is at work on them.
  bool overfull() const noexcept ASHLAR_EXCLUDES(mutex_);

  // Some ranges among the first `until` that the map does not say yet.
  // REQUIRES: durable() < until, and their bytes are durable. Null: no memory.
  std::unique_ptr<Round> begin(std::uint64_t until) noexcept ASHLAR_EXCLUDES(mutex_);
  // `written`: the records of `round` are durable. Else they may or may not be.
  void end(const Round& round, bool written) noexcept ASHLAR_EXCLUDES(mutex_);
  // No slot will come free any more.
  bool is_full() const noexcept ASHLAR_EXCLUDES(mutex_);

 private:
  void adopt(const Loaded& loaded) ASHLAR_REQUIRES(mutex_);
  void make_room() ASHLAR_REQUIRES(mutex_);
  std::optional<std::uint64_t> take_slot() ASHLAR_REQUIRES(mutex_);
  void give_back(std::uint64_t slot) noexcept ASHLAR_REQUIRES(mutex_);
  void fill(Round& round, std::uint64_t until) ASHLAR_REQUIRES(mutex_);
  void pack(Round& round, const std::vector<Extent>& ranges) ASHLAR_REQUIRES(mutex_);

  const Identity identity_;
  const std::uint64_t slots_;
  mutable Mutex mutex_{kLedgerLock};
  std::vector<Extent> open_ ASHLAR_GUARDED_BY(mutex_);
  std::uint64_t base_ ASHLAR_GUARDED_BY(mutex_) = 0;           // the number of open_.front()
  std::uint64_t shared_ ASHLAR_GUARDED_BY(mutex_) = 0;         // ranges before it are in some round
  std::uint64_t durable_ ASHLAR_GUARDED_BY(mutex_) = 0;        // ranges before it are in the map
  std::vector<std::uint64_t> free_ ASHLAR_GUARDED_BY(mutex_);  // a heap, the lowest first
  std::uint64_t next_ ASHLAR_GUARDED_BY(mutex_) = 0;           // no slot from here on was used
  std::uint64_t reach_ ASHLAR_GUARDED_BY(mutex_);              // what is durable says so
  struct Tail {
    std::uint64_t slot;
    std::uint64_t reach;
  };
  std::optional<Tail> tail_ ASHLAR_GUARDED_BY(mutex_);
  std::uint64_t taken_ ASHLAR_GUARDED_BY(mutex_) = 0;   // slots that may come back
  std::uint64_t number_ ASHLAR_GUARDED_BY(mutex_) = 0;  // of the next record
  std::uint64_t sealed_ ASHLAR_GUARDED_BY(mutex_) = 0;  // records that never change
  std::uint32_t rounds_ ASHLAR_GUARDED_BY(mutex_) = 0;  // under way
};

}  // namespace ashlar::overlay
