// raid4, 5 and 6: requests against stripes with parity.
//
//   reads    of members that can be read go to them as over a stripe: no lock, no buffer. What
//            cannot be read is computed from the others.
//   changes  go stripe by stripe (parts of the request, Split::add_part), each under its lock
//
// A part of a stripe is a small state machine; each arrow is one trip of its bio:
//
//   work -> lock -> room -> reading -> (compute) -> writing -> done
//    |       |       |         |                       shielded: not cancelled midway
//    wait for another part     +-- a member cannot be read: planned anew without it
//
// A member that could not be written is dropped if the others have the array (members.h); then the
// request has succeeded. A read that failed on a member is answered from the others, and what was
// computed is written back to it; it is dropped where that fails too.
//
// A change that fails on more members than the array can do without leaves a stripe torn
// (torn_stripes.h): what would have to be computed there cannot be read, until a repair.
//
// PROGRESS: who waits for a work holds nothing; who waits for a lock holds a work; who waits for
// room holds both, and whoever has room waits for disks only.
// PAYLOAD: the bytes of a write must not change until it has ended: parity is computed from them.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "class/md/redundant.h"
#include "class/md/row_work.h"
#include "class/md/torn_stripes.h"
#include "class/md/unsure_stripes.h"
#include "program/local.h"
#include "program/split.h"

namespace ashlar {

enum class ParityPhase : std::uint8_t {
  direct,    // a read, on its members
  entering,  // what must be on the members before the data
  parts,     // its parts are under way
  leaving,   // what must be on the members before the end
  flushing,  //
  work,      // waits for a work
  lock,      // for its part of the stripe
  room,      // for buffers
  reading,
  writing,
  cancelled,  // while it waited
  restoring,  // what could not be read is written back
};

struct ParityPad {
  RowWork* work;
  ParityPhase phase;
  Errc error;          // of the last member that failed
  MemberSet avoid;     // could not be read, for this request
  MemberSet asked;     // `avoid` when the members were asked
  MemberSet refused;   // could not be written
  bool everyone;       // every place had a member when the change began
  bool torn;           // the members may hold a part of the change
  MdRecordPad record;  // of a whole change or flush
};

// The works of one context, and who waits for one.
class ParityLocal final : public MdLocal {
 public:
  // Parts of stripes that one context has under way at once. More wait; enough to keep disks busy.
  static constexpr std::size_t kWorks = 64;

  ParityLocal(const md::ParityLayout& layout, LocalSet<ParityLocal>& set, Context& cx);
  ~ParityLocal() override;

  // Null: none is free; the bio is asked again when one is, and `was_asked` then.
  RowWork* take(Bio& bio, bool was_asked) noexcept;
  void give(RowWork& work, Context& cx) noexcept;

 private:
  using Works = List<RowWork, &RowWork::link>;

  std::vector<std::unique_ptr<RowWork>> all_;
  Works free_;
  std::size_t free_count_ = 0;
  std::size_t promised_ = 0;  // of these, to bios that have been asked again
  List<Bio, &Bio::queue> waiting_;
  LocalSet<ParityLocal>::Member member_;  // last: it leaves the set first
};

class ParityArray final : public RedundantStep<ParityArray, ParityPad> {
 public:
  using Local = ParityLocal;
  static constexpr bool kBuildsParts = true;
  // Blocks in the stripe cache; more for arrays whose stripes are longer, less for small ones.
  static constexpr std::uint64_t kCacheBytes = 64 * kMiB;

  // Errors: no_memory.
  static Result<std::unique_ptr<GeomBody>> make(std::unique_ptr<MdArray> array);

  std::uint16_t max_children() const;
  void adjust_limits(std::uint32_t, Limits& limits) const override;
  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override;
  std::vector<ConsumerByte> locate(std::uint32_t, std::uint64_t offset,
                                   std::uint32_t) const override;
  std::vector<std::pair<std::string, std::string>> status() const override;
  std::unique_ptr<Local> make_local(Context& cx) {
    return std::make_unique<Local>(layout_, locals_, cx);
  }

  Verdict on_request(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict on_complete(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  void on_child(Bio& bio, Bio& child, ParityPad& pad, Context& cx) noexcept;
  void on_cancel(Bio& bio, ParityPad& pad, Context& cx) noexcept;

 private:
  ParityArray(std::unique_ptr<MdArray> array, std::unique_ptr<cache::BufferCache> cache);

  // --- whole requests (parity_array.cc)
  Verdict read(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict by_rows(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Extent sync_range(const Bio& bio) const noexcept;
  Verdict change(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict end_change(Bio& bio, ParityPad& pad, Context& cx, Errc error) noexcept;
  Verdict flush(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict end_flush(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  static Verdict end(Bio& bio, Errc error) noexcept;

  // --- RedundantArray (parity_upkeep.cc)
  bool enough(MemberSet live) const noexcept override {
    return static_cast<std::uint32_t>(std::popcount(live)) >= layout_.data_disks();
  }
  void took_place(std::uint32_t role) noexcept override {
    epochs_[role].fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t step_bytes() const override { return row_bytes_; }
  std::uint64_t requests() const noexcept override;
  std::vector<Extent> ranges_of(std::span<const Extent> member_ranges) const override;
  std::vector<Extent> ranges_from(std::uint32_t role, std::uint64_t member_offset) const override;
  std::uint64_t synced_below(std::uint64_t offset) const noexcept override {
    return offset / row_bytes_ * chunk_bytes_;
  }
  std::uint64_t filled_below(std::uint64_t offset) const noexcept override {
    return synced_below(offset);
  }
  void made_right(std::uint64_t below) noexcept override { unsure_.set_sure(below); }
  bool resync_done(md::Keeper& keeper) noexcept override {
    unsure_.set_all_sure();
    return keeper.resync_done();
  }

  // --- parts of stripes (parity_row.cc)
  Verdict begin_row(Bio& bio, ParityPad& pad, Context& cx, bool was_asked) noexcept;
  Verdict lock_row(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict plan_row(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict ask_members(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict row_was_read(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict write_row(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict row_was_written(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict restore_row(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict repair(Bio& bio, ParityPad& pad, Context& cx) noexcept;
  Verdict end_row(Bio& bio, ParityPad& pad, Context& cx, Errc error) noexcept;
  static Verdict wait(Bio& bio, ParityPad& pad, ParityPhase phase) noexcept;
  void plan(Bio& bio, ParityPad& pad) noexcept;
  md::RowMembers members_of(const RowWork& work, MemberSet avoid) const noexcept;
  bool get_buffers(RowWork& work) noexcept;
  void get_role(RowWork& work, std::uint32_t role, bool cached);
  bool caches(const RowWork& work) const noexcept;
  void keep_parity(RowWork& work) noexcept;
  void give_room(RowWork& work) noexcept;
  void add_buffer_children(Split& split, RowWork& work, Op op, std::uint8_t flags) noexcept;
  void add_request_children(Split& split, RowWork& work, MemberSet roles) noexcept;

  // The number of the first block of its buffers: another one for each member that a place has had.
  std::uint64_t block_of(const RowWork& work, std::uint32_t role) const noexcept {
    const std::uint64_t member =
        epochs_[role].load(std::memory_order_relaxed) * layout_.disks() + role;
    return member * cache_blocks_ + layout_.member_offset(work.row.number) / kStripeBlockBytes +
           work.first_block;
  }
  std::uint64_t on_member(const RowWork& work, std::uint32_t role, std::uint32_t at) const {
    return array_->on_device(role, layout_.member_offset(work.row.number) + at);
  }

  const md::ParityLayout& layout_;
  const std::uint32_t chunk_bytes_;
  const std::uint64_t row_bytes_;
  std::uint64_t cache_blocks_;  // of each member, in the numbers of the cache
  std::array<std::atomic<std::uint64_t>, kMaxMdMembers> epochs_{};  // members that a place has had
  std::unique_ptr<cache::BufferCache> cache_;
  StripeLocks locks_;
  TornStripes torn_;
  UnsureStripes unsure_;
  mutable LocalSet<ParityLocal> locals_;
  std::atomic<std::uint64_t> restored_{0};  // parts that were written back to a member
};

}  // namespace ashlar
