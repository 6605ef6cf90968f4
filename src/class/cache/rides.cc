// Reads and changes: hits at once, everything else by a job.
//
// Invariants: (1) pins are taken in ascending order, and by requests that have all the room that
// they need, so that nobody waits in a circle; (2) a change has its blocks alone from before it
// goes below until it has ended, so that nobody fills them meanwhile; (3) bytes that were
// acknowledged and are not below are in a dirty buffer, whatever fails.
#include <algorithm>

#include "class/cache/layer.h"

namespace ashlar::cache_layer {

using cache::Access;
using cache::Get;
using cache::Pin;

// --- blocks and bytes ----------------------------------------------------------------------------

// The last block may be cut off by the device's end.
std::uint64_t Layer::bytes_there(std::uint64_t block, std::uint64_t size) const noexcept {
  return std::min(byte_of(1), size - byte_of(block));
}

bool Layer::covers(const Bio& bio, std::uint64_t block, std::uint64_t size) const noexcept {
  const std::uint64_t first = byte_of(block);
  return bio.offset <= first && bio.end() >= first + bytes_there(block, size);
}

// Bytes of the device that are the request's and the block's.
Extent Layer::common(const Bio& bio, std::uint64_t block) const noexcept {
  const std::uint64_t first = std::max(bio.offset, byte_of(block));
  return {first, std::min(bio.end(), byte_of(block + 1)) - first};
}

void Layer::copy_out(const Bio& bio, const Pin& pin) const noexcept {
  const Extent both = common(bio, pin.block());
  const std::byte* const from = pin.bytes().data() + (both.offset - byte_of(pin.block()));
  bio.payload.from(both.offset - bio.offset).copy_from(from, both.length);
}

void Layer::copy_in(const Bio& bio, Pin& pin) const noexcept {
  const Extent both = common(bio, pin.block());
  std::byte* const into = pin.edit().data() + (both.offset - byte_of(pin.block()));
  bio.payload.from(both.offset - bio.offset).copy_to(into, both.length);
}

bool Layer::goes_through(const Bio& bio) const noexcept {
  return dirty_mark_ == 0 || bio.op != Op::write || bio.fua();
}

std::uint32_t Layer::most_blocks() const noexcept {
  return static_cast<std::uint32_t>(block_of(most_bytes_.load(std::memory_order_relaxed)));
}

// --- begin and end -------------------------------------------------------------------------------

Verdict Layer::on_request(Bio& bio, CachePad& pad, Context& cx) noexcept {
  pad.job = nullptr;
  pad.queued = false;
  if (gone_.load(std::memory_order_relaxed)) [[unlikely]] {
    bio.fail(Errc::gone);
    return Verdict::done();
  }
  if (bio.op == Op::flush && cache_->dirty() == 0) return flush_below(bio);
  Local& local = local_of(*this, cx);
  if (bio.op == Op::read) {
    const std::uint64_t behind = block_of(bio.end() - 1) + 1;
    pad.ahead =
        static_cast<std::uint32_t>(local.streams.observe(block_of(bio.offset), behind, ahead_));
    pad.next = serve_hits(bio, local);
    if (pad.next == behind) [[likely]] {
      bio.succeed();
      return Verdict::done();
    }
  }
  Job* const job = jobs_.take(bio, pad, local);
  return job == nullptr ? Verdict::held() : begin(*job, bio, cx);
}

// The first block that is not there, or is in use.
std::uint64_t Layer::serve_hits(Bio& bio, Local& local) noexcept {
  std::uint64_t block = block_of(bio.offset);
  if (!local.has_pin()) return block;
  for (const std::uint64_t behind = block_of(bio.end() - 1) + 1; block < behind; ++block) {
    const Pin pin = cache_->try_read(block);
    if (!pin) break;
    copy_out(bio, pin);
  }
  return block;
}

Verdict Layer::begin(Job& job, Bio& bio, Context& cx) noexcept {
  job.size = size_.load(std::memory_order_acquire);
  if (most_blocks() == 0) return end(job, bio, Errc::unsupported);
  if (bio.op == Op::flush) {
    job.until = cache_->now();
    return sync(job, bio, cx);
  }
  if (bio.end() > job.size) return end(job, bio, Errc::out_of_range);
  job.next = bio.op == Op::read ? job.pad->next : block_of(bio.offset);
  job.behind = block_of(bio.end() - 1) + 1;
  if (!goes_through(bio) && cache_->dirty() >= dirty_mark_) return clean_first(job, bio, cx);
  return gather(job, bio, cx);
}

Verdict Layer::end(Job& job, Bio& bio, Errc error) noexcept {
  for (std::uint32_t i = 0; i < job.count; ++i) job.pins[i].release();
  job.pad->job = nullptr;
  jobs_.give(job);
  error == Errc::ok ? bio.succeed() : bio.fail(error);
  return Verdict::done();
}

Verdict Layer::on_complete(Bio& bio, CachePad& pad, Context& cx) noexcept {
  if (pad.job == nullptr) return Verdict::done();  // a flush that went below
  Job& job = *pad.job;
  bio.error = Errc::ok;
  bio.done = 0;
  switch (job.phase) {
    case Phase::begin:
      return bio.cancel_requested() ? end(job, bio, Errc::cancelled) : begin(job, bio, cx);
    case Phase::cleaning:
      static_cast<void>(end_runs(job));  // what failed is dirty still; a flush will say so
      return gather(job, bio, cx);
    case Phase::gathering:
      return gather(job, bio, cx);
    case Phase::filling:
      return end_fill(job, bio, cx);
    case Phase::past:
      return end(job, bio, first_error(job));
    case Phase::through:
      return end_through(job, bio);
    case Phase::syncing:
      break;
  }
  const Errc error = end_runs(job);
  return error == Errc::ok ? sync(job, bio, cx) : end(job, bio, error);
}

// A child of a fill is for several pins.
void Layer::on_child(Bio&, Bio& child, CachePad& pad, Context&) noexcept {
  const auto first = static_cast<std::uint32_t>(child.tag);
  const auto count = static_cast<std::uint32_t>(child.tag >> 32);
  std::fill_n(pad.job->errors.begin() + first, count, child.error);
}

void Layer::on_cancel(Bio& bio, CachePad& pad, Context& cx) noexcept {
  if (pad.queued) {
    if (!jobs_.forget(pad)) return;
    bio.fail(Errc::cancelled);
    return cx.resume(bio, Verdict::done());
  }
  // One that was woken already goes on, and sees that it is cancelled.
  if (pad.job == nullptr || !pad.job->waits || !cache_->forget(pad.job->waiter)) return;
  pad.job->waits = false;
  cx.resume(bio, end(*pad.job, bio, Errc::cancelled));
}

// --- pins ----------------------------------------------------------------------------------------

Verdict Layer::gather(Job& job, Bio& bio, Context& cx) noexcept {
  const Access access = bio.op == Op::read ? Access::read : Access::modify;
  job.phase = Phase::gathering;
  while (job.next < job.behind) {
    Get got;
    if (std::exchange(job.waits, false)) got = std::exchange(job.waiter.got, {});
    if (bio.cancel_requested()) {
      got.pin.release();
      return end(job, bio, Errc::cancelled);
    }
    // `wait` is what nobody was woken with.
    if (got.kind == Get::Kind::wait) got = cache_->get(job.next, access, job.waiter);
    switch (got.kind) {
      case Get::Kind::wait:
        job.waits = true;
        return Verdict::held();
      case Get::Kind::failed:  // somebody else's error; it is tried again
        continue;
      case Get::Kind::ready:
        if (bio.op == Op::read) {
          copy_out(bio, got.pin);
          break;
        }
        [[fallthrough]];
      case Get::Kind::fill:
        job.pins[job.count++] = std::move(got.pin);
    }
    ++job.next;
  }
  return gathered(job, bio, cx);
}

Verdict Layer::gathered(Job& job, Bio& bio, Context& cx) noexcept {
  job.asked = job.count;
  if (bio.op == Op::read) {
    if (job.count == 0) return end(job, bio, Errc::ok);
    read_ahead(job);
    return fill(job, bio, cx);
  }
  if (goes_through(bio)) return write_through(job, bio, cx);
  for (std::uint32_t i = 0; i < job.count; ++i) {
    if (needs_fill(job, bio, i)) return fill(job, bio, cx);
  }
  return put(job, bio, cx);
}

void Layer::read_ahead(Job& job) noexcept {
  const std::uint64_t end = block_of(job.size + byte_of(1) - 1);
  const std::uint64_t most =
      std::min({std::uint64_t{job.pad->ahead}, std::uint64_t{most_blocks()},
                std::uint64_t{jobs_.pins_each()} - job.count, end - std::min(end, job.behind)});
  for (std::uint64_t i = 0; i < most; ++i) {
    Pin pin = cache_->prefetch(job.behind + i);
    if (!pin) return;
    job.pins[job.count++] = std::move(pin);
  }
}

bool Layer::needs_fill(const Job& job, const Bio& bio, std::uint32_t pin) const noexcept {
  const Pin& it = job.pins[pin];
  return bio.op == Op::read || (!it.valid() && !covers(bio, it.block(), job.size));
}

// --- fills ---------------------------------------------------------------------------------------

// A child for each run of neighbours that are not there, not longer than the device below takes;
// what is read ahead is a run of its own, so that its error is nobody's.
Verdict Layer::fill(Job& job, Bio& bio, Context& cx) noexcept {
  job.phase = Phase::filling;
  Split split(cx, bio);
  for (std::uint32_t first = 0; first < job.count; ++first) {
    if (!needs_fill(job, bio, first)) continue;
    const std::uint64_t block = job.pins[first].block();
    const std::uint32_t stop = first < job.asked ? job.asked : job.count;
    std::uint64_t length = 0;
    std::uint32_t behind = first;
    for (; behind < stop && behind - first < most_blocks() && needs_fill(job, bio, behind) &&
           job.pins[behind].block() == block + (behind - first);
         ++behind) {
      const std::uint64_t bytes = bytes_there(job.pins[behind].block(), job.size);
      job.segments[behind] = {job.pins[behind].edit().data(), bytes};
      length += bytes;
    }
    split.add_own({.op = Op::read,
                   .offset = byte_of(block),
                   .length = length,
                   .payload = {&job.segments[first], behind - first, 0},
                   .tag = tag_of(first, behind - first)});
    first = behind - 1;
  }
  return split.verdict();
}

Verdict Layer::end_fill(Job& job, Bio& bio, Context& cx) noexcept {
  if (bio.op == Op::read) return end_read(job, bio, cx);
  for (std::uint32_t i = 0; i < job.count; ++i) {
    if (needs_fill(job, bio, i) && job.errors[i] == Errc::ok) {
      cache_->filled(job.pins[i], Access::modify, Errc::ok);
    }
  }
  if (bio.cancel_requested()) return end(job, bio, Errc::cancelled);
  return put(job, bio, cx);
}

// A block that could not be read is let go as it is: whoever waits for it tries by itself.
Verdict Layer::end_read(Job& job, Bio& bio, Context& cx) noexcept {
  bool beyond = false;  // more was asked for than the request's own bytes, and that failed
  for (std::uint32_t i = 0; i < job.count; ++i) {
    Pin& pin = job.pins[i];
    if (job.errors[i] == Errc::ok) {
      cache_->filled(pin, Access::read, Errc::ok);
      if (i < job.asked) copy_out(bio, pin);
      pin.release();
    } else if (i < job.asked) {
      beyond = beyond || !covers(bio, pin.block(), job.size);
    }
  }
  if (beyond && !bio.cancel_requested()) return read_past(job, bio, cx);
  return end(job, bio, first_error(job));
}

Errc Layer::first_error(const Job& job) noexcept {
  const auto* const end = job.errors.begin() + job.asked;
  const auto* const bad =
      std::find_if(job.errors.begin(), end, [](Errc each) { return each != Errc::ok; });
  return bad == end ? Errc::ok : *bad;
}

// The request's own bytes of the blocks that could not be read, past the cache: it does not fail
// for bytes that it did not ask for.
Verdict Layer::read_past(Job& job, Bio& bio, Context& cx) noexcept {
  job.phase = Phase::past;
  Split split(cx, bio);
  for (std::uint32_t first = 0; first < job.asked; ++first) {
    if (job.errors[first] == Errc::ok) continue;
    const std::uint64_t block = job.pins[first].block();
    std::uint32_t behind = first + 1;
    while (behind < job.asked && job.errors[behind] != Errc::ok &&
           job.pins[behind].block() == block + (behind - first)) {
      ++behind;
    }
    const std::uint64_t from = common(bio, block).offset;
    const std::uint64_t to = common(bio, block + (behind - first) - 1).end();
    split.add(0, from, from - bio.offset, to - from, tag_of(first, behind - first));
    first = behind - 1;
  }
  return split.verdict();
}

// --- changes -------------------------------------------------------------------------------------

// Into the cache. From the first block on for which there is no room among the dirty ones, or of
// which the rest could not be read, the request is written through.
Verdict Layer::put(Job& job, Bio& bio, Context& cx) noexcept {
  for (; job.through < job.count; ++job.through) {
    Pin& pin = job.pins[job.through];
    if (needs_fill(job, bio, job.through) || !pin.make_dirty()) {
      return write_through(job, bio, cx);
    }
    copy_in(bio, pin);
  }
  return end(job, bio, Errc::ok);
}

Verdict Layer::write_through(Job& job, Bio& bio, Context& cx) noexcept {
  job.phase = Phase::through;
  const std::uint64_t first = common(bio, job.pins[job.through].block()).offset;
  Split split(cx, bio);
  split.add(0, first, first - bio.offset, bio.end() - first, tag_of(0, 1));
  return split.verdict();
}

Verdict Layer::end_through(Job& job, Bio& bio) noexcept {
  const Errc error = job.errors[0];
  for (std::uint32_t i = job.through; i < job.count; ++i) {
    change(job, bio, job.pins[i], error == Errc::ok);
  }
  return end(job, bio, error);
}

// What becomes of a block that was changed below. Where that failed, or discarded it, a dirty one
// keeps what it has: what is below may be older than what was acknowledged.
void Layer::change(Job& job, const Bio& bio, Pin& pin, bool ok) noexcept {
  const bool whole = covers(bio, pin.block(), job.size);
  if (!ok || bio.op == Op::discard) {
    if (!pin.dirty()) pin.spoil();
  } else if (bio.op == Op::write_zeroes) {
    const Extent both = common(bio, pin.block());
    const std::uint64_t at = both.offset - byte_of(pin.block());
    if (whole) {
      pin.spoil();
    } else if (pin.valid()) {
      std::fill_n(pin.edit().begin() + static_cast<std::ptrdiff_t>(at), both.length, std::byte{0});
    }
  } else if (whole || pin.valid()) {
    copy_in(bio, pin);
    if (whole) pin.make_valid();
  }
}

}  // namespace ashlar::cache_layer
