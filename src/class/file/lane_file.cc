// Invariants: (1) a transfer is in exactly one of the two lists; (2) it holds at most one vector
// and one buffer, until it ends; (3) while requests wait for a buffer, all buffers are held by
// requests that the engine has, so that one comes free; the first was made with the lane's state.
#include "class/file/lane_file.h"

#include <limits.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <new>
#include <type_traits>

#include "class/file/open_file.h"

namespace ashlar {
namespace {

static_assert(std::is_standard_layout_v<Transfer> && offsetof(Transfer, request) == 0);

Transfer& transfer_of(FilePad& pad) noexcept {
  return *std::launder(reinterpret_cast<Transfer*>(pad.bytes));
}

// Counters have one writer: no locked addition is needed.
void count(std::atomic<std::uint64_t>& counter) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// How many segments, empty ones too, the first `length` bytes are, where they are whole and few
// enough for one call: then the vector may go down as it is. Else 0.
std::uint32_t whole_segments(const Payload& view, std::uint64_t length) noexcept {
  if (view.start != 0) return 0;
  const Segment* segment = view.segments;
  while (length > 0 && segment->length <= length) length -= (segment++)->length;
  const auto count = static_cast<std::uint64_t>(segment - view.segments);
  return length == 0 && count <= IOV_MAX ? static_cast<std::uint32_t>(count) : 0;
}

// As much of the first `length` bytes as `room` entries describe; returns the entries used.
std::uint32_t describe(const Payload& view, std::uint64_t length, iovec* into, std::uint32_t room,
                       std::uint64_t& described) noexcept {
  std::uint32_t used = 0;
  std::uint64_t skip = view.start;
  described = 0;
  for (const Segment* segment = view.segments; described < length && used < room; ++segment) {
    const std::uint64_t piece = std::min(segment->length - skip, length - described);
    if (piece > 0) into[used++] = {segment->data + skip, piece};
    described += piece;
    skip = 0;
  }
  return used;
}

// Cuts `described` bytes down to whole sectors, where there is one: a request that takes several
// calls and is cancelled in between leaves no sector half written.
std::uint32_t cut_to_sectors(iovec* vector, std::uint32_t used, std::uint64_t& described) noexcept {
  constexpr std::uint64_t kSectorBytes = 4096;
  const std::uint64_t sectors = align_down(described, kSectorBytes);
  if (sectors == 0) return used;
  while (described > sectors) {
    iovec& last = vector[used - 1];
    const auto excess = static_cast<std::size_t>(described - sectors);
    const std::size_t cut = std::min(last.iov_len, excess);
    last.iov_len -= cut;
    described -= cut;
    if (last.iov_len == 0) --used;
  }
  return used;
}

}  // namespace

LaneFile::LaneFile(FileTarget& target, Context& cx)
    : target_(target),
      cx_(cx),
      engine_(cx.engine()),
      engine_name_(cx.engine().name()),
      vectors_(kVectorBytes, kMostVectors),
      buffers_(kBufferBytes, kMostBuffers),
      member_(*target.lanes, *this, cx) {
  if (target.rule.direct && !buffers_.ensure_one()) throw std::bad_alloc();
}

LaneFile::~LaneFile() {
  ASHLAR_ASSERT(in_flight_.empty());
  ASHLAR_ASSERT(waiting_.empty());
  target_.past_bounced += bounced();
  target_.past_zeroed += zeroed_by_writing();
}

Verdict LaneFile::begin(Bio& bio, FilePad& pad) noexcept {
  if (target_.gone.load(std::memory_order_relaxed)) [[unlikely]] {
    bio.fail(Errc::gone);
    return Verdict::done();
  }
  if (bio.op == Op::discard && target_.discard_refused.load(std::memory_order_relaxed)) {
    bio.succeed();
    return Verdict::done();
  }
  Transfer& transfer = *new (pad.bytes) Transfer;
  transfer.bio = &bio;
  transfer.lane = this;
  transfer.request.fd = target_.fd;
  transfer.request.on_complete = &LaneFile::completed;
  in_flight_.push_back(transfer);
  switch (bio.op) {
    case Op::read:
    case Op::write:
      transfer.request.op = bio.op == Op::read ? EngineOp::read : EngineOp::write;
      transfer.request.sync_data = bio.fua();
      next_round(transfer);
      break;
    case Op::flush:
      start_sync(transfer);
      break;
    case Op::discard:
    case Op::write_zeroes:
      start_range(transfer);
      break;
    case Op::repair:  // is refused
      break;
  }
  return Verdict::held();
}

// --- reads and writes
// -----------------------------------------------------------------------------

bool LaneFile::fits_direct(const Payload& view, std::uint64_t length) const noexcept {
  const std::uint64_t memory_mask = target_.rule.memory_alignment - 1;
  const std::uint64_t length_mask = target_.rule.offset_alignment - 1;
  std::uint64_t misfit = 0;
  view.for_each(length, [&](ByteSpan piece) {
    misfit |= (reinterpret_cast<std::uintptr_t>(piece.data()) & memory_mask) |
              (piece.size() & length_mask);
  });
  return misfit == 0;
}

void LaneFile::next_round(Transfer& transfer) noexcept {
  const Bio& bio = *transfer.bio;
  const std::uint64_t length = bio.length - transfer.moved;
  const Payload view = bio.payload.from(transfer.moved);
  if (target_.rule.direct && !fits_direct(view, length)) return bounce(transfer, view, length);
  if (std::byte* const data = view.contiguous(length)) {
    transfer.one = {data, length};
    return submit(transfer, &transfer.one, 1, length);
  }
  const std::uint32_t whole = whole_segments(view, length);
  if (whole == 0) return gather(transfer, view, length);
  submit(transfer, reinterpret_cast<const iovec*>(view.segments), whole, length);
}

// Without a block of the pool, one segment a round: slow service is better than none.
void LaneFile::gather(Transfer& transfer, const Payload& view, std::uint64_t length) noexcept {
  if (transfer.vector == nullptr) transfer.vector = vectors_.take();
  const bool pooled = transfer.vector != nullptr;
  iovec* const into = pooled ? reinterpret_cast<iovec*>(transfer.vector) : &transfer.one;
  const std::uint32_t room = pooled ? kVectorBytes / sizeof(iovec) : 1;
  std::uint64_t described = 0;
  std::uint32_t used = describe(view, length, into, room, described);
  if (described < length) used = cut_to_sectors(into, used, described);
  submit(transfer, into, used, described);
}

void LaneFile::bounce(Transfer& transfer, const Payload& view, std::uint64_t length) noexcept {
  if (transfer.buffer == nullptr) {
    transfer.buffer = buffers_.take();
    if (transfer.buffer == nullptr) {
      transfer.stage = Transfer::Stage::waiting;
      transfer.link.unlink();
      waiting_.push_back(transfer);
      return;
    }
    count(bounced_);
  }
  const std::uint64_t piece = std::min<std::uint64_t>(length, kBufferBytes);
  if (transfer.bio->op == Op::write) view.copy_to(transfer.buffer, piece);
  transfer.one = {transfer.buffer, piece};
  submit(transfer, &transfer.one, 1, piece);
}

void LaneFile::submit(Transfer& transfer, const iovec* vector, std::uint32_t vector_count,
                      std::uint64_t length) noexcept {
  EngineRequest& request = transfer.request;
  request.offset = transfer.bio->offset + transfer.moved;
  request.length = length;
  request.vector = vector;
  request.vector_count = vector_count;
  engine_.submit(request);
}

// --- ranges, zeros and flushes
// ----------------------------------------------------------------------

void LaneFile::start_range(Transfer& transfer) noexcept {
  const Bio& bio = *transfer.bio;
  transfer.stage = Transfer::Stage::range;
  transfer.request.op = bio.op == Op::discard ? EngineOp::discard : EngineOp::write_zeroes;
  transfer.request.may_unmap = (bio.flags & kNoUnmap) == 0;
  submit(transfer, nullptr, 0, bio.length);
}

void LaneFile::next_zeroes(Transfer& transfer) noexcept {
  const Bio& bio = *transfer.bio;
  const std::size_t zero_bytes = target_.zeroes.front().iov_len;
  const std::uint64_t rest = bio.length - transfer.moved;
  transfer.request.op = EngineOp::write;
  transfer.request.sync_data = bio.fua();
  if (rest < zero_bytes) {
    transfer.one = {target_.zeroes.front().iov_base, rest};
    return submit(transfer, &transfer.one, 1, rest);
  }
  const auto times = std::min<std::uint64_t>(rest / zero_bytes, target_.zeroes.size());
  submit(transfer, target_.zeroes.data(), static_cast<std::uint32_t>(times), times * zero_bytes);
}

void LaneFile::start_sync(Transfer& transfer) noexcept {
  transfer.stage = Transfer::Stage::sync;
  transfer.request.op = EngineOp::sync;
  submit(transfer, nullptr, 0, 0);
}

// --- what the engine answers
// ------------------------------------------------------------------------

void LaneFile::completed(EngineRequest& request) {
  auto& transfer = reinterpret_cast<Transfer&>(request);
  transfer.lane->carry_on(transfer);
}

void LaneFile::carry_on(Transfer& transfer) noexcept {
  const Bio& bio = *transfer.bio;
  const std::int64_t result = transfer.request.result;
  if (target_.gone.load(std::memory_order_relaxed)) return finish(transfer, Errc::gone);
  if (result < 0) return failed(transfer, static_cast<int>(-result));
  switch (transfer.stage) {
    case Transfer::Stage::move:
    case Transfer::Stage::zeroes:
      return moved_some(transfer);
    case Transfer::Stage::range:
      if (bio.fua()) return start_sync(transfer);
      return finish(transfer, Errc::ok);
    case Transfer::Stage::sync:
      return finish(transfer, Errc::ok);
    case Transfer::Stage::waiting:
      break;
  }
  ASHLAR_ASSERT(false && "a request that waits is not the engine's");
}

// Nothing moved, or direct I/O that stops within a block: the file ends there, shorter than it was.
void LaneFile::moved_some(Transfer& transfer) noexcept {
  const Bio& bio = *transfer.bio;
  const auto result = static_cast<std::uint64_t>(transfer.request.result);
  if (bio.op == Op::read && transfer.buffer != nullptr) {
    bio.payload.from(transfer.moved).copy_from(transfer.buffer, result);
  }
  transfer.moved += result;
  if (transfer.moved == bio.length) return finish(transfer, Errc::ok);
  const bool ends_here = result == 0 || transfer.moved % target_.rule.offset_alignment != 0;
  if (ends_here) return finish(transfer, Errc::io);
  if (bio.cancel_requested()) return finish(transfer, Errc::cancelled);
  if (transfer.stage == Transfer::Stage::zeroes) return next_zeroes(transfer);
  next_round(transfer);
}

void LaneFile::failed(Transfer& transfer, int error_number) noexcept {
  const bool cannot = error_number == EOPNOTSUPP && transfer.stage == Transfer::Stage::range;
  if (cannot && transfer.bio->op == Op::discard) {
    target_.discard_refused.store(true, std::memory_order_relaxed);
    return finish(transfer, Errc::ok);
  }
  if (cannot) {
    count(zeroed_);
    transfer.stage = Transfer::Stage::zeroes;
    return next_zeroes(transfer);
  }
  finish(transfer, file_errc(error_number));
}

// The fault names the byte where it stopped: the offset moves on with what was transferred.
void LaneFile::finish(Transfer& transfer, Errc error) noexcept {
  Bio& bio = *transfer.bio;
  std::byte* const vector = transfer.vector;
  std::byte* const buffer = transfer.buffer;
  if (error == Errc::ok) {
    bio.succeed();
  } else {
    bio.offset += transfer.moved;
    bio.done = transfer.moved;
    bio.fail(error);
  }
  transfer.link.unlink();
  transfer.~Transfer();
  if (vector != nullptr) vectors_.give_back(vector);
  if (buffer != nullptr) buffers_.give_back(buffer);
  cx_.resume(bio, Verdict::done());
  if (buffer != nullptr) serve_waiting();
}

void LaneFile::serve_waiting() noexcept {
  Transfer* const next = waiting_.pop_front();
  if (next == nullptr) return;
  in_flight_.push_back(*next);
  next->stage = Transfer::Stage::move;
  next_round(*next);
}

// --- ends before the end
// ----------------------------------------------------------------------------

void LaneFile::cancel(FilePad& pad) noexcept {
  Transfer& transfer = transfer_of(pad);
  if (transfer.stage == Transfer::Stage::waiting) return finish(transfer, Errc::cancelled);
  engine_.cancel(transfer.request);
}

void LaneFile::attend(Context&) noexcept {
  if (!target_.gone.load(std::memory_order_relaxed)) return;
  while (!waiting_.empty()) finish(waiting_.front(), Errc::gone);
  if (in_flight_.empty()) return;
  for (Transfer* each = &in_flight_.front(); each != nullptr; each = in_flight_.next(*each)) {
    engine_.cancel(each->request);
  }
}

}  // namespace ashlar
