// raid4, 5 and 6: a part of one stripe, from its lock to its end (parity_array.h has the picture).
#include <algorithm>
#include <new>

#include "class/md/parity_array.h"

namespace ashlar {
namespace {

using md::RowSegment;

// The request's bytes on one member: a range of the member's chunk, and where it is in the request.
struct Covered {
  std::uint32_t begin;
  std::uint32_t end;
  std::uint64_t skip;
};

Covered covered_of(const RowWork& work, std::uint32_t role, std::uint32_t chunk_bytes) {
  const std::int64_t chunk = work.request_offset(role, chunk_bytes);
  const auto length = static_cast<std::int64_t>(work.last - work.first);
  const std::int64_t begin = std::max<std::int64_t>(chunk, 0);
  const std::int64_t end = std::min<std::int64_t>(chunk + chunk_bytes, length);
  return {static_cast<std::uint32_t>(begin - chunk), static_cast<std::uint32_t>(end - chunk),
          static_cast<std::uint64_t>(begin)};
}

MemberSet covered_roles(const md::RowPlan& plan) {
  MemberSet covered = 0;
  for (std::uint32_t i = 0; i < plan.count; ++i) covered |= plan.segments[i].covered;
  return covered;
}

MemberSet recovered_roles(const md::RowPlan& plan) {
  MemberSet recovered = 0;
  for (std::uint32_t i = 0; i < plan.count; ++i) recovered |= plan.segments[i].recovered;
  return recovered;
}

}  // namespace

// --- before the disks are asked
// -------------------------------------------------------------------

Verdict ParityArray::begin_row(Bio& bio, ParityPad& pad, Context& cx, bool was_asked) noexcept {
  Local& local = local_of(*this, cx);
  RowWork* const work = local.take(bio, was_asked);
  if (work == nullptr) return wait(bio, pad, ParityPhase::work);
  pad.work = work;
  work->row = md::Row(layout_, bio.offset / row_bytes_);
  work->first = bio.offset % row_bytes_;
  work->last = work->first + bio.length;
  if (bio.cancel_requested()) return end_row(bio, pad, cx, Errc::cancelled);

  // The range of each chunk, in whole blocks of the cache.
  const bool one_chunk = work->first / chunk_bytes_ == (work->last - 1) / chunk_bytes_;
  const auto begin = static_cast<std::uint32_t>(work->first % chunk_bytes_);
  work->lock.stripe = work->row.number;
  work->lock.begin = one_chunk ? begin / kStripeBlockBytes * kStripeBlockBytes : 0;
  work->lock.end = chunk_bytes_;
  if (one_chunk) {
    const std::uint64_t end = begin + bio.length;
    work->lock.end =
        std::min(chunk_bytes_, static_cast<std::uint32_t>(align_up(end, kStripeBlockBytes)));
  }
  work->first_block = work->lock.begin / kStripeBlockBytes;
  work->blocks = (work->lock.end - work->lock.begin + kStripeBlockBytes - 1) / kStripeBlockBytes;
  return lock_row(bio, pad, cx);
}

Verdict ParityArray::lock_row(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  RowWork& work = *pad.work;
  if (bio.op == Op::read) {
    plan(bio, pad);
    // Nothing is computed: a read like any other, beside changes.
    if (work.plan.possible && recovered_roles(work.plan) == 0) return ask_members(bio, pad, cx);
  }
  if (!locks_.lock(work.lock)) return wait(bio, pad, ParityPhase::lock);
  work.locked = true;
  return plan_row(bio, pad, cx);
}

void ParityArray::plan(Bio& bio, ParityPad& pad) noexcept {
  RowWork& work = *pad.work;
  const md::RowMembers members = members_of(work, pad.avoid);
  if (bio.op == Op::repair) {
    work.plan = md::plan_row_repair(work.row, chunk_bytes_, members);
  } else {
    const auto plan = bio.op == Op::read ? &md::plan_row_read : &md::plan_row_write;
    work.plan = plan(work.row, chunk_bytes_, work.first, work.last, members);
  }
  work.written = members.written;
}

Verdict ParityArray::plan_row(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  RowWork& work = *pad.work;
  if (bio.cancel_requested()) return end_row(bio, pad, cx, Errc::cancelled);
  plan(bio, pad);
  if (!work.plan.possible) return end_row(bio, pad, cx, pad.error);
  work.reserved =
      std::uint64_t{work.blocks} * static_cast<std::uint64_t>(std::popcount(work.plan.buffers));
  if (work.reserved > 0 && !cache_->reserve(work.reserved, work.room)) {
    return wait(bio, pad, ParityPhase::room);
  }
  return ask_members(bio, pad, cx);
}

Verdict ParityArray::wait(Bio& bio, ParityPad& pad, ParityPhase phase) noexcept {
  pad.phase = phase;
  bio.error = Errc::ok;
  bio.done = 0;
  return Verdict::held();
}

// Whoever waits lets go, unless its turn has just come: then it comes again, and sees that it was
// cancelled.
void ParityArray::on_cancel(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  switch (pad.phase) {
    case ParityPhase::entering:
      if (!recorder_.forget(pad.record)) return;
      bio.fail(Errc::cancelled);
      return cx.resume(bio, Verdict::done());
    case ParityPhase::work:
      bio.queue.unlink();
      break;
    case ParityPhase::lock:
      if (!locks_.forget(pad.work->lock)) return;
      break;
    case ParityPhase::room:
      if (!cache_->forget(pad.work->room)) return;
      pad.work->reserved = 0;
      break;
    default:
      return;
  }
  pad.phase = ParityPhase::cancelled;
  cx.ask_again(bio);
}

// --- buffers
// --------------------------------------------------------------------------------------

// Parity stays in the cache where whole blocks of it are computed, so that what is left there is
// right; and where it had to be read or computed from what was read: who writes whole stripes does
// not need it again.
bool ParityArray::caches(const RowWork& work) const noexcept {
  if (work.bio().op != Op::write) return false;
  MemberSet reads = 0;
  for (std::uint32_t i = 0; i < work.plan.count; ++i) reads |= work.plan.segments[i].reads;
  if (reads == 0) return false;
  for (std::uint32_t i = 0; i < work.plan.count; ++i) {
    const RowSegment& each = work.plan.segments[i];
    if ((each.begin | each.end) % kStripeBlockBytes != 0) return false;
  }
  return true;
}

void ParityArray::get_role(RowWork& work, std::uint32_t role, bool cached) {
  const std::uint64_t first = block_of(work, role);
  const bool is_parity = (work.row.parity & member_bit(role)) != 0;
  if (!cached && is_parity && work.bio().op != Op::read) {
    // What is there will be wrong. Nobody has it: this part of the stripe is locked.
    const bool gone = cache_->invalidate({first, work.blocks});
    ASHLAR_ASSERT(gone);
  }
  work.at[role] = static_cast<std::uint32_t>(work.pins.size());
  std::uint32_t there = 0;
  for (std::uint32_t i = 0; i < work.blocks; ++i) {
    cache::Get got;
    if (cached) {
      got = cache_->get(first + i, cache::Access::modify, work.room);
    } else {
      got = {cache::Get::Kind::fill, Errc::ok, cache_->scratch()};
    }
    ASHLAR_ASSERT(got.kind == cache::Get::Kind::ready || got.kind == cache::Get::Kind::fill);
    if (got.kind == cache::Get::Kind::ready) ++there;
    work.memory.push_back({got.pin.edit().data(), kStripeBlockBytes});
    work.pins.push_back(std::move(got.pin));
  }
  if (cached && there == work.blocks) work.cached |= member_bit(role);
}

// False: no memory for the lists.
bool ParityArray::get_buffers(RowWork& work) noexcept {
  work.cached = 0;
  try {
    work.pins.reserve(work.reserved);
    work.memory.reserve(work.reserved);
  } catch (const std::bad_alloc&) {
    return false;
  }
  work.caching = caches(work);
  for (MemberSet left = work.plan.buffers; left != 0; left &= left - 1) {
    const std::uint32_t role = first_member(left);
    get_role(work, role, work.caching && (work.row.parity & member_bit(role)) != 0);
  }
  // What the cache has is not read.
  for (std::uint32_t i = 0; i < work.plan.count; ++i) work.plan.segments[i].reads &= ~work.cached;
  return true;
}

// Requests for what the plan reads into buffers, or for parity: on each member neighbouring
// segments as one.
void ParityArray::add_buffer_children(Split& split, RowWork& work, Op op,
                                      std::uint8_t flags) noexcept {
  for (MemberSet left = work.plan.buffers; left != 0; left &= left - 1) {
    const std::uint32_t role = first_member(left);
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    const auto ask = [&] {
      if (begin == end) return;
      split.add_own({.op = op,
                     .flags = flags,
                     .consumer = array_->places[role].consumer,
                     .offset = on_member(work, role, begin),
                     .length = end - begin,
                     .payload = work.payload(role, begin),
                     .tag = role});
    };
    for (std::uint32_t i = 0; i < work.plan.count; ++i) {
      const RowSegment& segment = work.plan.segments[i];
      if (((op == Op::read ? segment.reads : segment.parity) & member_bit(role)) == 0) continue;
      if (segment.begin != end) {
        ask();
        begin = segment.begin;
      }
      end = segment.end;
    }
    ask();
  }
}

// The request's own bytes, to or from those members.
void ParityArray::add_request_children(Split& split, RowWork& work, MemberSet roles) noexcept {
  for (MemberSet left = roles; left != 0; left &= left - 1) {
    const std::uint32_t role = first_member(left);
    const Covered covered = covered_of(work, role, chunk_bytes_);
    split.add(array_->places[role].consumer, on_member(work, role, covered.begin), covered.skip,
              covered.end - covered.begin, role);
  }
}

// --- reading
// --------------------------------------------------------------------------------------

Verdict ParityArray::ask_members(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  RowWork& work = *pad.work;
  if (bio.cancel_requested()) return end_row(bio, pad, cx, Errc::cancelled);
  if (work.reserved > 0 && !get_buffers(work)) return end_row(bio, pad, cx, Errc::no_memory);
  pad.phase = ParityPhase::reading;
  MemberSet reads = 0;
  for (std::uint32_t i = 0; i < work.plan.count; ++i) reads |= work.plan.segments[i].reads;
  MemberSet direct = 0;
  if (bio.op == Op::read) direct = covered_roles(work.plan) & ~recovered_roles(work.plan);
  if ((reads | direct) == 0) return row_was_read(bio, pad, cx);
  pad.asked = pad.avoid;
  Split split(cx, bio);
  add_buffer_children(split, work, Op::read, 0);
  add_request_children(split, work, direct);
  return split.verdict();
}

Verdict ParityArray::row_was_read(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  RowWork& work = *pad.work;
  if (!bio.ok()) {
    if (bio.cancel_requested()) return end_row(bio, pad, cx, Errc::cancelled);
    if (pad.avoid == pad.asked) return end_row(bio, pad, cx, bio.error);
    // Once more, without those that failed; each time there are fewer.
    give_room(work);
    bio.error = Errc::ok;
    bio.done = 0;
    return work.locked ? plan_row(bio, pad, cx) : lock_row(bio, pad, cx);
  }
  if (bio.op == Op::repair) return repair(bio, pad, cx);
  compute_row(work, chunk_bytes_);
  return bio.op == Op::write ? write_row(bio, pad, cx) : restore_row(bio, pad, cx);
}

// --- writing
// --------------------------------------------------------------------------------------

// From here on the stripe must come to an end, cancelled or not: parity is to fit the data.
Verdict ParityArray::write_row(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  RowWork& work = *pad.work;
  if (bio.cancel_requested()) return end_row(bio, pad, cx, Errc::cancelled);
  pad.phase = ParityPhase::writing;
  bio.shielded = true;
  Split split(cx, bio);
  add_request_children(split, work, covered_roles(work.plan) & work.written);
  add_buffer_children(split, work, Op::write, bio.flags & kFua);
  return split.verdict();
}

Verdict ParityArray::row_was_written(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  RowWork& work = *pad.work;
  bio.shielded = false;
  const bool restored = pad.phase == ParityPhase::restoring;
  if (pad.refused != 0) {
    const bool dropped = drop(pad.refused, Op::write, pad.error);
    pad.torn = !dropped && !restored;
    if (pad.torn) torn_.add(work.row.number);
    // What was read is right, whatever became of writing it back.
    return end_row(bio, pad, cx, dropped || restored ? Errc::ok : pad.error);
  }
  if (restored) {
    restored_.fetch_add(1, std::memory_order_relaxed);
  } else if (bio.ok()) {
    if (work.caching) keep_parity(work);
    const bool whole = work.last - work.first == row_bytes_;
    if (whole && bio.op != Op::read) torn_.remove(work.row.number);
  }
  return end_row(bio, pad, cx, bio.error);
}

void ParityArray::keep_parity(RowWork& work) noexcept {
  for (std::uint32_t i = 0; i < work.plan.count; ++i) {
    const RowSegment& segment = work.plan.segments[i];
    for (MemberSet left = segment.parity; left != 0; left &= left - 1) {
      const std::uint32_t from = work.at[first_member(left)];
      for (std::uint32_t at = segment.begin; at < segment.end; at += kStripeBlockBytes) {
        work.pins[from + at / kStripeBlockBytes - work.first_block].make_valid();
      }
    }
  }
  work.caching = false;
}

// What a member could not read, and the others had, is written to it: a disk gives a sector that
// went bad a new place then.
Verdict ParityArray::restore_row(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  RowWork& work = *pad.work;
  const MemberSet live = array_->members.sets().live;
  const MemberSet roles = recovered_roles(work.plan) & pad.avoid & live & work.written;
  const bool may_write = writable();
  if (roles == 0 || !may_write || bio.cancel_requested()) return end_row(bio, pad, cx, Errc::ok);
  pad.phase = ParityPhase::restoring;
  Split split(cx, bio);
  for (MemberSet left = roles; left != 0; left &= left - 1) {
    const std::uint32_t role = first_member(left);
    const Covered covered = covered_of(work, role, chunk_bytes_);
    split.add_own({.op = Op::write,
                   .consumer = array_->places[role].consumer,
                   .offset = on_member(work, role, covered.begin),
                   .length = covered.end - covered.begin,
                   .payload = bio.payload.from(covered.skip),
                   .tag = role});
  }
  return split.verdict();
}

// Writes what is wrong, what could not be read, and what members lack that are being filled.
Verdict ParityArray::repair(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  RowWork& work = *pad.work;
  const RowRepair found = repair_row(work, chunk_bytes_);
  count_wrong(found.blocks);
  const bool checks = (bio.flags & kCheck) != 0;
  const RowSegment& segment = work.plan.segments[0];
  const MemberSet lacking = (segment.recovered | (segment.parity & ~segment.reads)) & work.written;
  const MemberSet roles = checks ? 0 : lacking | (found.wrong & work.written);
  if (roles == 0 || bio.cancel_requested()) return end_row(bio, pad, cx, Errc::ok);
  pad.phase = ParityPhase::writing;
  bio.shielded = true;
  Split split(cx, bio);
  for (MemberSet left = roles; left != 0; left &= left - 1) {
    const std::uint32_t role = first_member(left);
    split.add_own({.op = Op::write,
                   .consumer = array_->places[role].consumer,
                   .offset = on_member(work, role, 0),
                   .length = chunk_bytes_,
                   .payload = work.payload(role, 0),
                   .tag = role});
  }
  return split.verdict();
}

// --- the end
// --------------------------------------------------------------------------------------

void ParityArray::give_room(RowWork& work) noexcept {
  // Parity that was changed in the cache, and not on all members.
  if (std::exchange(work.caching, false)) {
    for (cache::Pin& each : work.pins) each.spoil();
  }
  work.release_pins();
  if (work.reserved > 0) cache_->unreserve(std::exchange(work.reserved, 0));
}

Verdict ParityArray::end_row(Bio& bio, ParityPad& pad, Context& cx, Errc error) noexcept {
  if (pad.work != nullptr) {
    RowWork& work = *std::exchange(pad.work, nullptr);
    give_room(work);
    if (std::exchange(work.locked, false)) locks_.unlock(work.lock);
    local_of(*this, cx).give(work, cx);
  }
  if (bio.op == Op::write && !is_part(bio)) return end_change(bio, pad, cx, error);
  if (is_part(bio)) bio.tag = pad.torn;
  return end(bio, error);
}

}  // namespace ashlar
