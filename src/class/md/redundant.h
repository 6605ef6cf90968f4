// What arrays with copies and arrays with parity have in common: members that are dropped, that
// come and are filled, what is recorded of them, and the work that is due (topology/upkeep.h).
//
//   on_consumer_added     looked at; nothing uses it yet, and it is in no record
//   on_consumer_reached   in its place, written to and being filled; what is due is a recovery
//
// A place that nobody is in may only be changed in the second step: no request is left that has
// seen the member before it there.
//
// THREAD: what requests call, any context; the rest as in GeomBody and Upkeep.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "class/md/array.h"
#include "class/md/recorder.h"
#include "topology/step_class.h"
#include "topology/upkeep.h"

namespace ashlar {

class RedundantArray : private MdRecorder::Dropper, public Upkeep {
 public:
  RedundantArray(const RedundantArray&) = delete;
  RedundantArray& operator=(const RedundantArray&) = delete;

  // --- Upkeep
  std::optional<UpkeepJob> due() override;
  UpkeepJob whole(UpkeepJob::Kind kind) override;
  bool wanted(const UpkeepJob& job) const noexcept override;
  void progress(const UpkeepJob& job, std::uint64_t offset) noexcept override;
  bool finish(const UpkeepJob& job) noexcept override;
  // As the kernel counts: all sectors of a block in which something is wrong.
  std::uint64_t mismatches() const noexcept override;

 protected:
  // What a repair counts in.
  static constexpr std::uint32_t kBlockBytes = 4096;

  explicit RedundantArray(std::unique_ptr<MdArray> array);
  ~RedundantArray() override = default;

  // --- what the levels differ in
  // These members have all data between them.
  virtual bool enough(MemberSet live) const noexcept = 0;
  // A place has another member, from the next request on.
  virtual void took_place(std::uint32_t /*role*/) noexcept {}
  // Ranges of what is kept in sync, as ranges of the array in whole steps, with neighbours joined.
  virtual std::vector<Extent> ranges_of(std::span<const Extent> sync_ranges) const = 0;
  // What is to be done for the member at a place, whose data are valid below this byte of them.
  virtual std::vector<Extent> ranges_from(std::uint32_t role,
                                          std::uint64_t member_offset) const = 0;
  // When everything below a byte of the array is done: what is in sync below which byte, and up to
  // where a member is filled.
  virtual std::uint64_t synced_below(std::uint64_t offset) const noexcept = 0;
  virtual std::uint64_t filled_below(std::uint64_t offset) const noexcept = 0;
  // A resync has made everything below this byte of the array right.
  virtual void made_right(std::uint64_t below) noexcept = 0;
  // All of it. False: some was torn meanwhile.
  virtual bool resync_done(md::Keeper& keeper) noexcept = 0;

  // --- members
  // Takes them out of use, where the others have all data. False: nothing has changed.
  bool drop(MemberSet bad, Op op, Errc error) noexcept;
  // Of a consumer that is in use, else kNobody. An empty place is not looked at: somebody may be
  // taking it.
  std::uint32_t role_of(std::uint32_t consumer) const noexcept;
  // Whether [offset, end) of a member's data may be read.
  bool readable(std::uint32_t role, std::uint64_t offset, std::uint64_t end) const noexcept {
    if ((array_->members.readable(end) & member_bit(role)) == 0) return false;
    if ((with_bad_blocks_.load(std::memory_order_relaxed) & member_bit(role)) == 0) [[likely]]
      return true;
    return !has_bad_blocks(role, offset, end);
  }
  bool has_bad_blocks(std::uint32_t role, std::uint64_t offset, std::uint64_t end) const noexcept;
  bool writable() const noexcept { return writable_.load(std::memory_order_relaxed); }

  // --- for GeomBody (RedundantStep)
  void set_access(bool writing) { writable_.store(writing, std::memory_order_relaxed); }
  bool lose(std::uint32_t consumer);
  Result<void> add(std::uint32_t consumer, const ConsumerView& view);
  void reach(std::uint32_t consumer);
  Result<void> remove(std::uint32_t consumer);
  bool dirty() const { return recorder_.keeps() && recorder_.dirty(); }

  std::vector<Extent> to_resync() const;
  // Requests of users are to be counted: somebody looks after the array.
  bool looked_after() const noexcept { return looked_after_.load(std::memory_order_relaxed); }
  void count_wrong(std::uint32_t blocks) noexcept {
    if (blocks != 0) wrong_blocks_.fetch_add(blocks, std::memory_order_relaxed);
  }

  const std::unique_ptr<MdArray> array_;
  const MemberSet all_;
  std::atomic<MemberSet> with_bad_blocks_{0};
  MdRecorder recorder_;

 private:
  // A member that takes an empty place, until every request may go to it.
  struct Joining {
    std::uint32_t consumer;
    std::uint32_t role;
    md::KeeperDevice device;
    bool by_bitmap;  // it was this place's member, and lacks what the bitmap says
  };

  Result<std::uint32_t> empty_place(const md::Superblock* old) const;
  Result<Joining> joining(std::uint32_t consumer, const ConsumerView& view) const;
  void drop_devices(std::span<const std::uint32_t> consumers) noexcept override;

  std::optional<Joining> joining_;  // the control thread's
  std::atomic<bool> writable_{false};
  std::atomic<bool> looked_after_{false};
  std::atomic<std::uint64_t> wrong_blocks_{0};
};

// A step class over it.
template <typename Array, typename Pad, typename Base = RedundantArray>
class RedundantStep : public StepClass<Array, Pad>, protected Base {
 public:
  Result<void> on_access(bool, bool writing) override {
    Base::set_access(writing);
    return {};
  }
  bool on_consumer_lost(std::uint32_t consumer) override { return Base::lose(consumer); }
  Result<void> on_consumer_added(std::uint32_t consumer, const ConsumerView& view) override {
    return Base::add(consumer, view);
  }
  void on_consumer_reached(std::uint32_t consumer) override { Base::reach(consumer); }
  Result<void> on_consumer_removed(std::uint32_t consumer) override {
    return Base::remove(consumer);
  }
  Upkeep* upkeep() override { return this; }
  bool wants_flush() const override { return Base::dirty(); }

 protected:
  using Base::Base;
};

}  // namespace ashlar
