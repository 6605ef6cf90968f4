// raid1 and raid10: copies, and the repair of what differs between them.
#include "class/md/copies_base.h"

#include <cstring>
#include <new>

namespace ashlar {
namespace {

constexpr std::align_val_t kAlignment{4096};

std::uint32_t copy_bit(std::uint64_t copy) { return std::uint32_t{1} << copy; }

}  // namespace

void CopyRepair::Free::operator()(std::byte* memory) const noexcept {
  operator delete(memory, kAlignment);
}

CopyRepair* CopyRepair::make(std::uint32_t copies) noexcept {
  std::unique_ptr<CopyRepair> made(new (std::nothrow) CopyRepair);
  if (made == nullptr) return nullptr;
  void* const memory = operator new(copies* kPieceBytes, kAlignment, std::nothrow);
  if (memory == nullptr) return nullptr;
  made->memory_.reset(static_cast<std::byte*>(memory));
  for (std::uint32_t copy = 0; copy < copies; ++copy) {
    made->segments_[copy] = {made->memory_.get() + copy * kPieceBytes, kPieceBytes};
  }
  return made.release();
}

CopiesBase::CopiesBase(std::unique_ptr<MdArray> array)
    : RedundantArray(std::move(array)),
      layout_(array_->layout()),
      step_bytes_(layout_.mirror() != nullptr
                      ? std::max<std::uint64_t>(kBlockBytes, array_->block_bytes)
                      : array_->superblock().chunk_bytes),
      resync_from_(array_->assembly.resync_offset_bytes) {
  find_copy_sets();
}

// As many as there are places to begin in.
void CopiesBase::find_copy_sets() {
  const std::uint64_t chunk = array_->superblock().chunk_bytes;
  const std::uint64_t chunks = layout_.mirror() != nullptr ? 1 : array_->places.size();
  for (std::uint64_t each = 0; each < chunks && each * chunk < layout_.array_bytes(); ++each) {
    copy_sets_.push_back(roles_of(each * chunk, ~std::uint32_t{0}));
  }
}

bool CopiesBase::enough(MemberSet live) const noexcept {
  return std::all_of(copy_sets_.begin(), copy_sets_.end(),
                     [&](MemberSet copies) { return (copies & live) != 0; });
}

// The members with those copies of a byte.
MemberSet CopiesBase::roles_of(std::uint64_t at, std::uint32_t copies) const noexcept {
  MemberSet roles = 0;
  for (std::uint32_t copy = 0; copy < layout_.copies(); ++copy) {
    if ((copies & copy_bit(copy)) != 0) roles |= member_bit(layout_.place(at, copy).role);
  }
  return roles;
}

// --- work in ranges

std::vector<Extent> CopiesBase::ranges_of(std::span<const Extent> sync_ranges) const {
  std::vector<Extent> ranges;
  for (const Extent& each : sync_ranges) {
    const std::uint64_t first = align_down(each.offset, step_bytes_);
    const std::uint64_t end = std::min(align_up(each.end(), step_bytes_), array_->size_bytes());
    if (first >= end) continue;
    if (!ranges.empty() && first <= ranges.back().end()) {
      ranges.back().length = std::max(ranges.back().end(), end) - ranges.back().offset;
    } else {
      ranges.push_back({first, end - first});
    }
  }
  return ranges;
}

std::vector<Extent> CopiesBase::ranges_from(std::uint32_t role, std::uint64_t member_offset) const {
  const std::uint64_t first = md_bytes_within(*array_, role, member_offset);
  const Extent rest{first, array_->size_bytes() - first};
  return ranges_of({&rest, 1});
}

// Rows of raid10 are filled in the order of the array: of every copy that lies in a row before that
// of the first copy of a chunk, the chunk comes before it.
std::uint64_t CopiesBase::filled_below(std::uint64_t offset) const noexcept {
  if (layout_.mirror() != nullptr || offset == 0) return offset;
  const std::uint64_t last = std::min(offset, layout_.array_bytes() - 1);
  return align_down(layout_.place(last).offset_bytes, step_bytes_);
}

void CopiesBase::made_right(std::uint64_t below) noexcept {
  if (below > resync_from_.load(std::memory_order_relaxed)) resync_from_.store(below);
}

// Who tears something tells the keeper first and lowers `torn_from_` then: what the keeper has not
// heard of when it is asked here is still lowered afterwards.
bool CopiesBase::resync_done(md::Keeper& keeper) noexcept {
  std::uint64_t torn = torn_from_.load();
  if (!keeper.resync_done()) return false;
  resync_from_.store(md::kAll);
  torn_from_.compare_exchange_strong(torn, md::kAll);
  return true;
}

void CopiesBase::set_torn(std::uint64_t from) noexcept {
  std::uint64_t before = torn_from_.load();
  while (from < before && !torn_from_.compare_exchange_weak(before, from)) {
  }
}

// --- a repair

void CopiesBase::leave_gate(Bio& bio, CopiesPad& pad) noexcept {
  if (!pad.entered) return;
  pad.entered = false;
  if (bio.op == Op::read || bio.op == Op::repair) {
    gate_.unlock(pad.its_entry());
  } else if (pad.phase != CopiesPhase::entering) {
    gate_.leave(pad.its_entry());
  }
  std::destroy_at(&pad.its_entry());
}

Verdict CopiesBase::begin_repair(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept {
  pad.at = 0;
  pad.error = Errc::io;
  pad.repair = CopyRepair::make(layout_.copies());
  if (pad.repair == nullptr) return end_repair(bio, pad, Errc::no_memory);
  return next_repair(bio, pad, cx, local);
}

Verdict CopiesBase::next_repair(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept {
  if (bio.cancel_requested()) return end_repair(bio, pad, Errc::cancelled);
  if (pad.at == bio.length) return end_repair(bio, pad, Errc::ok);
  const std::uint64_t run = layout_.place(bio.offset + pad.at).run_bytes;
  pad.piece =
      static_cast<std::uint32_t>(std::min({bio.length - pad.at, CopyRepair::kPieceBytes, run}));
  return lock_repair(bio, pad, cx, local);
}

Verdict CopiesBase::lock_repair(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept {
  pad.phase = CopiesPhase::repair_locking;
  if (!pad.entered) {
    new (pad.entry) CorrectionGate::Entry(bio, {bio.offset + pad.at, pad.piece});
    pad.entered = true;
  }
  if (!gate_.lock(pad.its_entry())) {
    local.wait_to_correct(pad.its_entry());
    return Verdict::held();
  }
  return read_copies(bio, pad, cx);
}

Verdict CopiesBase::read_copies(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
  pad.phase = CopiesPhase::repair_reading;
  pad.bad = 0;
  pad.repair->read = 0;
  Split split(cx, bio);
  for (std::uint32_t copy = 0; copy < layout_.copies(); ++copy) {
    const md::Place place = layout_.place(bio.offset + pad.at, copy);
    if (!readable(place.role, place.offset_bytes, place.offset_bytes + pad.piece)) continue;
    pad.repair->read |= copy_bit(copy);
    split.add_own({.op = Op::read,
                   .consumer = array_->places[place.role].consumer,
                   .offset = array_->on_device(place.role, place.offset_bytes),
                   .length = pad.piece,
                   .payload = pad.repair->payload(copy),
                   .tag = copy});
  }
  return pad.repair->read != 0 ? split.verdict() : end_repair(bio, pad, Errc::io);
}

void CopiesBase::repair_child_ended(const Bio& child, CopiesPad& pad) noexcept {
  if (child.ok()) return;
  pad.bad |= copy_bit(child.tag);
  pad.error = child.error;
}

// The copies that differ from the first one; their blocks are counted.
std::uint32_t CopiesBase::differing(CopyRepair& repair, std::uint32_t good,
                                    std::uint64_t length) noexcept {
  const std::uint32_t first = first_member(good);
  std::uint32_t wrong = 0;
  std::uint32_t blocks = 0;
  for (std::uint64_t at = 0; at < length; at += kBlockBytes) {
    const std::uint64_t block = std::min<std::uint64_t>(kBlockBytes, length - at);
    bool any = false;
    for (std::uint32_t left = good & (good - 1); left != 0; left &= left - 1) {
      const std::uint32_t copy = first_member(left);
      const bool same = std::memcmp(repair.bytes(first, length).data() + at,
                                    repair.bytes(copy, length).data() + at, block) == 0;
      if (same) continue;
      wrong |= copy_bit(copy);
      any = true;
    }
    if (any) ++blocks;
  }
  count_wrong(blocks);
  return wrong;
}

Verdict CopiesBase::write_copies(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept {
  const std::uint32_t good = pad.repair->read & ~pad.bad;
  if (good == 0) return end_repair(bio, pad, pad.error);
  bio.error = Errc::ok;
  bio.done = 0;
  const std::uint32_t wrong = differing(*pad.repair, good, pad.piece);
  if ((bio.flags & kCheck) != 0) return end_piece(bio, pad, cx, local);
  const MemberSet written = array_->members.sets().written();
  pad.phase = CopiesPhase::repair_writing;
  pad.bad = 0;
  Split split(cx, bio);
  for (std::uint32_t copy = 0; copy < layout_.copies(); ++copy) {
    if ((good & ~wrong & copy_bit(copy)) != 0) continue;
    const md::Place place = layout_.place(bio.offset + pad.at, copy);
    if ((written & member_bit(place.role)) == 0) continue;
    if (has_bad_blocks(place.role, place.offset_bytes, place.offset_bytes + pad.piece)) continue;
    split.add_own({.op = Op::write,
                   .consumer = array_->places[place.role].consumer,
                   .offset = array_->on_device(place.role, place.offset_bytes),
                   .length = pad.piece,
                   .payload = pad.repair->payload(first_member(good)),
                   .tag = copy});
  }
  if (bio.children == nullptr) return end_piece(bio, pad, cx, local);
  bio.shielded = true;
  return split.verdict();
}

Verdict CopiesBase::end_piece(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept {
  leave_gate(bio, pad);
  pad.at += pad.piece;
  return next_repair(bio, pad, cx, local);
}

Verdict CopiesBase::go_on_repair(Bio& bio, CopiesPad& pad, Context& cx, Local& local) noexcept {
  if (pad.phase == CopiesPhase::repair_locking) return lock_repair(bio, pad, cx, local);
  if (pad.phase == CopiesPhase::repair_reading) {
    if (bio.cancel_requested()) return end_repair(bio, pad, Errc::cancelled);
    return write_copies(bio, pad, cx, local);
  }
  bio.shielded = false;
  bio.error = Errc::ok;
  bio.done = 0;
  const MemberSet refused = roles_of(bio.offset + pad.at, pad.bad);
  if (refused != 0 && !drop(refused, Op::write, pad.error)) return end_repair(bio, pad, pad.error);
  return end_piece(bio, pad, cx, local);
}

Verdict CopiesBase::end_repair(Bio& bio, CopiesPad& pad, Errc error) noexcept {
  leave_gate(bio, pad);
  delete std::exchange(pad.repair, nullptr);
  if (error == Errc::ok) {
    bio.succeed();
  } else {
    bio.fail(error);
  }
  return Verdict::done();
}

}  // namespace ashlar
