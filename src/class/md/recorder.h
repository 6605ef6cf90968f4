// Puts the keeper's records on the members, as children of the request that needs them: before the
// first byte of a change, and before a change that a member has failed in is acknowledged.
//
//   on_request    enter(range) ----- open ----> the data ...        (most of the time)
//                   | records, or waits
//   on_complete   go_on() ---------- open ----> the data ...
//   ... data done leave(written) --- open ----> the end
//                   | records, or waits
//   on_complete   go_on() ---------- open ----> the end
//
// One record is under way at a time, whichever request carries it out; while it does so it is
// shielded. An array without a keeper is always open.
//
// THREAD: any context; the pad is its bio's.
#pragma once

#include <atomic>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "class/md/members.h"
#include "class/md/parked.h"
#include "class/md/planted.h"
#include "md/keeper.h"
#include "program/split.h"

namespace ashlar {

struct MdKeeperWait {
  md::Keeper::Waiter waiter;
  MdParked parked;
};

struct MdRecordPad {
  enum class Stage : std::uint8_t { enter, leave, clean, late };  // late: planted

  Extent range;  // of what is kept in sync
  Stage stage;
  bool waits;    // `wait` is made
  bool records;  // children of a record are under way
  alignas(8) std::byte wait[sizeof(MdKeeperWait)];

  MdKeeperWait& its_wait() noexcept { return *std::launder(reinterpret_cast<MdKeeperWait*>(wait)); }
};

class MdRecorder {
 public:
  // Takes the devices of a body out of use that a record could not be put on.
  class Dropper {
   public:
    virtual void drop_devices(std::span<const std::uint32_t> consumers) noexcept = 0;

   protected:
    ~Dropper() = default;
  };
  // Children of one batch of a record.
  static constexpr std::uint16_t kMostPuts = 64;

  // `keeper` may be null. `fua`: every device has it.
  MdRecorder(std::unique_ptr<md::Keeper> keeper, Dropper& dropper, bool fua, MdPlanted planted)
      : keeper_(std::move(keeper)), dropper_(dropper), fua_(fua), planted_(planted) {}

  bool keeps() const noexcept { return keeper_ != nullptr; }
  // The members do not say (yet, or any more) that the array is clean.
  bool dirty() const noexcept { return changes_.load() != cleaned_.load(); }
  md::Keeper* keeper() const noexcept { return keeper_.get(); }

  // Nothing: go on. Else the verdict to answer; on_complete is called, and asks go_on().
  // A done() verdict: the request has failed.
  std::optional<Verdict> enter(Bio& bio, MdRecordPad& pad, Extent sync_range, MdLocal& local,
                               Context& cx) noexcept;
  std::optional<Verdict> leave(Bio& bio, MdRecordPad& pad, md::Written written, MdLocal& local,
                               Context& cx) noexcept;
  // Without a write: what has failed is to be recorded before the request ends, and where nobody
  // will write for some time (kQuiet), that the array is clean.
  std::optional<Verdict> settle(Bio& bio, MdRecordPad& pad, MdLocal& local, Context& cx) noexcept;
  std::optional<Verdict> go_on(Bio& bio, MdRecordPad& pad, MdLocal& local, Context& cx) noexcept;

  void child_ended(const Bio& child) noexcept {
    if (!child.ok()) failed_[child.tag] = true;
  }
  // True: the bio waits no more, and is the caller's to end.
  bool forget(MdRecordPad& pad) noexcept;

  void member_failed(MemberSet roles) noexcept;

 private:
  std::optional<Verdict> ask(Bio& bio, MdRecordPad& pad, MdLocal& local, Context& cx) noexcept;
  md::Answer ask_keeper(const MdRecordPad& pad, md::Keeper::Waiter& waiter) noexcept;
  bool start_record() noexcept;
  // For the keeper a write has ended as soon as it may begin.
  bool ends_early() const noexcept {
    return planted_ == MdPlanted::late_dirt || planted_ == MdPlanted::early_clean;
  }
  std::optional<Verdict> next_batch(Bio& bio, Context& cx) noexcept;
  bool add_flushes(Split& split) noexcept;
  void end_record() noexcept;

  const std::unique_ptr<md::Keeper> keeper_;
  Dropper& dropper_;
  const bool fua_;
  const MdPlanted planted_;
  std::atomic<std::uint64_t> changes_{0};  // records, most of them before changes
  std::atomic<std::uint64_t> cleaned_{0};  // of these, before the last record that said clean

  // Of the record under way; whoever carries it out has them.
  enum class At : std::uint8_t { flush_first, puts, flush_behind };
  At at_ = At::flush_first;
  std::size_t phase_ = 0;
  std::size_t put_ = 0;
  std::vector<bool> failed_;       // by device
  std::vector<Segment> segments_;  // of the puts of the phase
  std::vector<std::uint32_t> devices_failed_;
};

}  // namespace ashlar
