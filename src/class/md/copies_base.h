// raid1 and raid10: which copies there are, and how they are made equal. Requests of users are in
// copies_array.cc.
//
// A repair goes through its range in pieces:
//
//   locking --> reading --> (compare) --> writing --> next piece
//     |           every copy that may      the first copy that could be read, to those that
//     |           be read                  differ, could not be read, or are being filled
//   changes of the range wait, and are waited for (correction_gate.h)
//
// The first copy is the one that counts: reads of what may differ go to it alone, so nothing that
// was read once changes.
#pragma once

#include <array>
#include <memory>

#include "class/md/copies_pad.h"
#include "class/md/redundant.h"
#include "program/split.h"

namespace ashlar {

// Room for a piece of each copy. THREAD: its bio's.
class CopyRepair {
 public:
  static constexpr std::uint64_t kPieceBytes = 64 * kKiB;

  // Null: no memory.
  static CopyRepair* make(std::uint32_t copies) noexcept;

  ByteSpan bytes(std::uint32_t copy, std::uint64_t length) noexcept {
    return {segments_[copy].data, length};
  }
  Payload payload(std::uint32_t copy) const noexcept { return {&segments_[copy], 1, 0}; }

  std::uint32_t read = 0;  // bit c: copy c was asked for

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };

  std::unique_ptr<std::byte, Free> memory_;
  std::array<Segment, kMaxMdMembers> segments_;
};

class CopiesBase : public RedundantArray {
 protected:
  using Local = CorrectionGate::Local;

  explicit CopiesBase(std::unique_ptr<MdArray> array);

  // --- a repair: from on_request, from on_child, from on_complete
  Verdict begin_repair(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept;
  static void repair_child_ended(const Bio& child, CopiesPad& pad) noexcept;
  Verdict go_on_repair(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept;
  Verdict end_repair(Bio& bio, CopiesPad& pad, Errc error) noexcept;

  void leave_gate(Bio& bio, CopiesPad& pad) noexcept;

  // --- copies that may differ
  // From this byte of the array on; kAll: none.
  std::uint64_t uneven_from() const noexcept {
    return std::min(resync_from_.load(std::memory_order_relaxed),
                    torn_from_.load(std::memory_order_relaxed));
  }
  // A change of what begins here ended midway. After the keeper was told.
  void set_torn(std::uint64_t from) noexcept;

  CorrectionGate gate_;

 private:
  // --- RedundantArray
  bool enough(MemberSet live) const noexcept override;
  std::uint64_t step_bytes() const override { return step_bytes_; }
  std::uint64_t requests() const noexcept override { return gate_.requests(); }
  std::vector<Extent> ranges_of(std::span<const Extent> sync_ranges) const override;
  std::vector<Extent> ranges_from(std::uint32_t role, std::uint64_t member_offset) const override;
  std::uint64_t synced_below(std::uint64_t offset) const noexcept override { return offset; }
  std::uint64_t filled_below(std::uint64_t offset) const noexcept override;
  void made_right(std::uint64_t below) noexcept override;
  bool resync_done(md::Keeper& keeper) noexcept override;

  void find_copy_sets();
  Verdict next_repair(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept;
  Verdict lock_repair(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept;
  Verdict read_copies(Bio& bio, CopiesPad& pad, Context& cx) noexcept;
  Verdict write_copies(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept;
  Verdict end_piece(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept;
  std::uint32_t differing(CopyRepair& repair, std::uint32_t good, std::uint64_t length) noexcept;
  MemberSet roles_of(std::uint64_t at, std::uint32_t copies) const noexcept;

  const md::Layout& layout_;
  const std::uint64_t step_bytes_;
  std::vector<MemberSet> copy_sets_;  // the members that hold the copies of a chunk
  // Copies may differ from there on: what a resync has not been to, and what was torn since.
  std::atomic<std::uint64_t> resync_from_;
  std::atomic<std::uint64_t> torn_from_{md::kAll};
};

}  // namespace ashlar
