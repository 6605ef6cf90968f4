// raid4, 5 and 6: whole requests. Parts of stripes are in parity_row.cc.
#include "class/md/parity_array.h"

#include <algorithm>

#include "program/lookup.h"

namespace ashlar {
namespace {

// Of a part of a stripe: a piece of each segment on each member, and the request's own.
constexpr std::uint32_t kChildrenOfMember = 4;

}  // namespace

Result<std::unique_ptr<GeomBody>> ParityArray::make(std::unique_ptr<MdArray> array) {
  const md::ParityLayout& layout = *array->layout().parity();
  // The longest part of a stripe has buffers on every member; several must fit.
  const std::uint64_t longest = layout.chunk_bytes() * layout.disks();
  const std::uint64_t all = layout.member_bytes() * layout.disks();
  auto cache = cache::BufferCache::create(
      {.block_bytes = kStripeBlockBytes,
       .memory_bytes = std::max(std::min(kCacheBytes, all), 4 * longest)});
  if (!cache) return cache.error();
  return std::unique_ptr<GeomBody>(new ParityArray(std::move(array), std::move(*cache)));
}

ParityArray::ParityArray(std::unique_ptr<MdArray> array, std::unique_ptr<cache::BufferCache> cache)
    : RedundantStep(std::move(array)),
      layout_(*array_->layout().parity()),
      chunk_bytes_(static_cast<std::uint32_t>(layout_.chunk_bytes())),
      row_bytes_(layout_.stripe_bytes()),
      cache_blocks_(layout_.member_bytes() / kStripeBlockBytes + 1),
      cache_(std::move(cache)) {
  unsure_.set(to_resync());
}

std::uint16_t ParityArray::max_children() const {
  // And of a record: a flush of each device, spares and all.
  const std::size_t devices =
      std::max<std::size_t>(MdRecorder::kMostPuts, array_->superblocks.size());
  return static_cast<std::uint16_t>(std::max<std::size_t>(
      {kMaxPieces, std::size_t{kChildrenOfMember} * layout_.disks(), devices}));
}

void ParityArray::adjust_limits(std::uint32_t, Limits& limits) const {
  // A read has a child for each chunk; the worst case begins with the last block of one.
  const std::uint64_t most = (kMaxPieces - 1) * std::uint64_t{chunk_bytes_};
  limits.max_request_bytes = std::min(limits.max_request_bytes, most);
  limits.preferred_bytes =
      std::min(std::max(limits.preferred_bytes, row_bytes_), limits.max_request_bytes);
  limits.block_bytes = std::max(limits.block_bytes, array_->block_bytes);
  limits.max_range_bytes = std::min(limits.max_range_bytes, (kMaxPieces - 1) * row_bytes_);
  limits.ops = limits.ops.without(Op::discard).without(Op::write_zeroes).with(Op::repair);
}

// Never longer than its superblocks say; the stripes that a member in use has no room for are lost.
std::optional<std::uint64_t> ParityArray::on_resize(std::span<const std::uint64_t> sizes) {
  std::uint64_t stripes = layout_.stripes();
  for (MemberSet left = array_->members.sets().written(); left != 0; left &= left - 1) {
    const MdPlace& place = array_->places[first_member(left)];
    const std::uint64_t size = sizes[place.consumer];
    const std::uint64_t data = size - std::min(size, place.data_offset_bytes);
    stripes = std::min(stripes, data / chunk_bytes_);
  }
  return stripes * row_bytes_;
}

std::vector<ConsumerByte> ParityArray::locate(std::uint32_t, std::uint64_t offset,
                                              std::uint32_t) const {
  const md::Place place = layout_.place(offset);
  const MdPlace& member = array_->places[place.role];
  if (!member.there()) return {};
  return {{member.consumer, array_->on_device(place.role, place.offset_bytes)}};
}

std::vector<std::pair<std::string, std::string>> ParityArray::status() const {
  auto lines = md_status(*array_);
  if (torn_.any()) {
    lines.emplace_back("torn", fmt::format("{} stripes of which a change failed midway; a repair "
                                           "makes their parity right",
                                           torn_.count()));
  }
  return lines;
}

// --- requests
// -------------------------------------------------------------------------------------

Verdict ParityArray::on_request(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  pad.work = nullptr;
  pad.error = Errc::io;
  pad.avoid = pad.refused = 0;
  pad.torn = false;
  if (is_part(bio)) return begin_row(bio, pad, cx, false);
  if (looked_after() && bio.op != Op::repair) {
    local_of(*this, cx).count();
  }
  if (bio.op == Op::read) return read(bio, pad, cx);
  if (bio.op == Op::flush) return flush(bio, pad, cx);
  if (bio.op == Op::write) return change(bio, pad, cx);
  // A repair is of whole stripes.
  const bool whole = bio.offset % row_bytes_ == 0 && bio.length % row_bytes_ == 0;
  return whole ? by_rows(bio, pad, cx) : end(bio, Errc::invalid);
}

// Straight to the members, as over a stripe; by rows where one of them cannot be read.
Verdict ParityArray::read(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  pad.phase = ParityPhase::direct;
  const md::Place place = layout_.place(bio.offset);
  if (bio.length <= place.run_bytes) {
    if (!readable(place.role, place.offset_bytes, place.offset_bytes + bio.length))
      return by_rows(bio, pad, cx);
    bio.offset = array_->on_device(place.role, place.offset_bytes);
    return Verdict::forward(array_->places[place.role].consumer);
  }
  const bool healthy = array_->members.sets().live == all_ && with_bad_blocks_ == 0;
  if (!healthy) {
    for (std::uint64_t at = bio.offset; at < bio.end();) {
      const md::Place next = layout_.place(at);
      const std::uint64_t piece = std::min(next.run_bytes, bio.end() - at);
      if (!readable(next.role, next.offset_bytes, next.offset_bytes + piece))
        return by_rows(bio, pad, cx);
      at += piece;
    }
  }
  Split split(cx, bio);
  for (std::uint64_t skip = 0; skip < bio.length;) {
    const md::Place next = layout_.place(bio.offset + skip);
    const std::uint64_t piece = std::min(next.run_bytes, bio.length - skip);
    split.add(array_->places[next.role].consumer, array_->on_device(next.role, next.offset_bytes),
              skip, piece, next.role);
    skip += piece;
  }
  return split.verdict();
}

// One within a stripe is a part, too: who holds a lock must not need what is set aside for whole
// requests, which another may have whose parts wait for that lock.
Verdict ParityArray::by_rows(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  pad.phase = ParityPhase::parts;
  Split split(cx, bio);
  for (std::uint64_t skip = 0; skip < bio.length;) {
    const std::uint64_t left = row_bytes_ - (bio.offset + skip) % row_bytes_;
    const std::uint64_t piece = std::min(left, bio.length - skip);
    split.add_part(skip, piece);
    skip += piece;
  }
  return split.verdict();
}

// Of the stripes that a change touches: what is kept in sync is counted on the members.
Extent ParityArray::sync_range(const Bio& bio) const noexcept {
  const std::uint64_t first = bio.offset / row_bytes_;
  const std::uint64_t last = (bio.end() - 1) / row_bytes_;
  return {layout_.member_offset(first), layout_.member_offset(last - first + 1)};
}

Verdict ParityArray::change(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  pad.phase = ParityPhase::entering;
  pad.everyone = array_->members.complete();
  const auto first = recorder_.enter(bio, pad.record, sync_range(bio), local_of(*this, cx), cx);
  return first ? *first : by_rows(bio, pad, cx);
}

Verdict ParityArray::end_change(Bio& bio, ParityPad& pad, Context& cx, Errc error) noexcept {
  const bool everyone = pad.everyone && array_->members.complete();
  const md::Written written = pad.torn   ? md::Written::some
                              : everyone ? md::Written::all
                                         : md::Written::live;
  pad.phase = ParityPhase::leaving;
  pad.error = error;
  bio.error = Errc::ok;
  bio.done = 0;
  const auto last = recorder_.leave(bio, pad.record, written, local_of(*this, cx), cx);
  return last ? *last : end(bio, error);
}

Verdict ParityArray::flush(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  pad.phase = ParityPhase::flushing;
  Split split(cx, bio);
  for (MemberSet left = array_->members.sets().written(); left != 0; left &= left - 1) {
    const std::uint32_t role = first_member(left);
    split.add(array_->places[role].consumer, 0, 0, 0, role);
  }
  return split.verdict();
}

// What was flushed counts without those that failed only when the others say that they have.
Verdict ParityArray::end_flush(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  if (!bio.ok()) {
    if (bio.cancel_requested()) return end(bio, Errc::cancelled);
    if (pad.refused == 0 || !drop(pad.refused, Op::flush, pad.error)) return end(bio, bio.error);
  }
  pad.phase = ParityPhase::leaving;
  pad.error = Errc::ok;
  bio.error = Errc::ok;
  if (!writable()) return end(bio, Errc::ok);
  const auto last = recorder_.settle(bio, pad.record, local_of(*this, cx), cx);
  return last ? *last : end(bio, Errc::ok);
}

Verdict ParityArray::end(Bio& bio, Errc error) noexcept {
  if (error == Errc::ok) {
    bio.succeed();
  } else {
    bio.fail(error);
  }
  return Verdict::done();
}

void ParityArray::on_child(Bio& bio, Bio& child, ParityPad& pad, Context&) noexcept {
  if (pad.phase == ParityPhase::entering || pad.phase == ParityPhase::leaving) {
    return recorder_.child_ended(child);
  }
  if (pad.phase == ParityPhase::parts) {
    pad.torn = pad.torn || child.tag != 0;
    return;
  }
  if (child.ok()) return;
  if (child.error == Errc::cancelled && bio.cancel_requested() && !bio.shielded) return;
  const MemberSet bit = member_bit(static_cast<std::uint32_t>(child.tag));
  pad.error = child.error;
  const bool reads = pad.phase == ParityPhase::direct || pad.phase == ParityPhase::reading;
  (reads ? pad.avoid : pad.refused) |= bit;
}

Verdict ParityArray::on_complete(Bio& bio, ParityPad& pad, Context& cx) noexcept {
  switch (pad.phase) {
    case ParityPhase::direct:
      if (bio.ok() || bio.cancel_requested()) return Verdict::done();
      bio.error = Errc::ok;
      bio.done = 0;
      return by_rows(bio, pad, cx);
    case ParityPhase::entering:
      if (const auto more = recorder_.go_on(bio, pad.record, local_of(*this, cx), cx)) return *more;
      return by_rows(bio, pad, cx);
    case ParityPhase::leaving:
      if (const auto more = recorder_.go_on(bio, pad.record, local_of(*this, cx), cx)) return *more;
      return end(bio, pad.error);
    case ParityPhase::parts:
      return bio.op == Op::write ? end_change(bio, pad, cx, bio.error) : Verdict::done();
    case ParityPhase::flushing:
      return end_flush(bio, pad, cx);
    case ParityPhase::cancelled:
      return end_row(bio, pad, cx, Errc::cancelled);
    case ParityPhase::work:
      return begin_row(bio, pad, cx, true);
    case ParityPhase::lock:
      pad.work->locked = true;
      return plan_row(bio, pad, cx);
    case ParityPhase::room:
      return ask_members(bio, pad, cx);
    case ParityPhase::reading:
      return row_was_read(bio, pad, cx);
    case ParityPhase::writing:
    case ParityPhase::restoring:
      return row_was_written(bio, pad, cx);
  }
  return Verdict::done();
}

md::RowMembers ParityArray::members_of(const RowWork& work, MemberSet avoid) const noexcept {
  const std::uint64_t base = layout_.member_offset(work.row.number);
  const std::uint64_t begin = base + work.lock.begin;
  const std::uint64_t end = base + work.lock.end;
  MemberSet bad = 0;
  for (MemberSet left = with_bad_blocks_ & array_->members.sets().written(); left != 0;
       left &= left - 1) {
    const std::uint32_t role = first_member(left);
    if (has_bad_blocks(role, begin, end)) bad |= member_bit(role);
  }
  // A check looks at parity that is wrong; everybody else does without it.
  const bool checks = (work.bio().flags & kCheck) != 0;
  if (!checks && torn_.has(work.row.number)) avoid |= work.row.parity;
  return {array_->members.readable(end) & ~avoid & ~bad, array_->members.sets().written() & ~bad,
          !unsure_.has(work.row.number * row_bytes_)};
}

Result<std::unique_ptr<GeomBody>> make_md_parity(std::unique_ptr<MdArray> array) {
  return ParityArray::make(std::move(array));
}

// --- works
// ----------------------------------------------------------------------------------------

ParityLocal::ParityLocal(const md::ParityLayout& layout, LocalSet<ParityLocal>& set, Context& cx)
    : MdLocal(cx), member_(set, *this, cx) {
  for (std::size_t i = 0; i < kWorks; ++i) {
    all_.push_back(std::make_unique<RowWork>(layout));
    RowWork& work = *all_.back();
    work.parked.local = this;
    work.lock.user = work.room.user = &work.parked;
    work.lock.granted = [](StripeLock& lock) noexcept {
      MdParked& parked = *static_cast<MdParked*>(lock.user);
      parked.local->wake(parked);
    };
    work.room.wake = [](cache::Waiter& waiter) noexcept {
      MdParked& parked = *static_cast<MdParked*>(waiter.user);
      parked.local->wake(parked);
    };
    free_.push_back(work);
  }
  free_count_ = kWorks;
}

ParityLocal::~ParityLocal() {
  ASHLAR_ASSERT(waiting_.empty());
  std::size_t idle = 0;
  while (free_.pop_front() != nullptr) ++idle;
  ASHLAR_ASSERT(idle == all_.size());
}

RowWork* ParityLocal::take(Bio& bio, bool was_asked) noexcept {
  if (was_asked) {
    --promised_;
  } else if (free_count_ == promised_) {
    waiting_.push_back(bio);
    return nullptr;
  }
  --free_count_;
  RowWork* const work = free_.pop_front();
  work->parked.bio = &bio;
  return work;
}

void ParityLocal::give(RowWork& work, Context& cx) noexcept {
  work.parked.bio = nullptr;
  free_.push_back(work);
  ++free_count_;
  if (Bio* next = waiting_.pop_front()) {
    ++promised_;
    cx.ask_again(*next);
  }
}

}  // namespace ashlar
