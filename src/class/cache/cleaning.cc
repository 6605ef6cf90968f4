// What is dirty goes below: a run of it with a write that finds much of it, all of it with a flush.
#include <algorithm>

#include "class/cache/layer.h"

namespace ashlar::cache_layer {

using cache::Cleaning;
using cache::DirtyRun;
using cache::Pin;

namespace {

constexpr Extent kAll{0, ~std::uint64_t{0}};

}  // namespace

// Up to `most` runs, within the pins that a job has. False: none may be written now. What lies past
// the end of a device that has shrunk is dropped.
bool Layer::take_runs(Job& job, std::uint32_t most) noexcept {
  std::uint32_t room = jobs_.pins_each();
  while (job.runs < most && room > 0) {
    DirtyRun& run = job.run[job.runs];
    if (!cache_->take_dirty(kAll, job.until, std::min(room, most_blocks()), run)) break;
    if (byte_of(run.first) >= job.size) {
      cache_->written(run, Errc::ok);
      continue;
    }
    room -= run.count;
    ++job.runs;
  }
  return job.runs > 0;
}

Verdict Layer::write_runs(Job& job, Bio& bio, Context& cx) noexcept {
  Split split(cx, bio);
  std::uint32_t at = 0;
  for (std::uint32_t i = 0; i < job.runs; ++i) {
    const DirtyRun& run = job.run[i];
    const std::uint32_t first = at;
    std::uint64_t length = 0;
    for (const Pin& pin : run.used()) {
      if (byte_of(pin.block()) >= job.size) break;
      const std::uint64_t bytes = bytes_there(pin.block(), job.size);
      job.segments[at++] = {const_cast<std::byte*>(pin.bytes().data()), bytes};
      length += bytes;
    }
    split.add_own({.op = Op::write,
                   .offset = byte_of(run.first),
                   .length = length,
                   .payload = {&job.segments[first], at - first, 0},
                   .tag = tag_of(i, 1)});
  }
  return split.verdict();
}

// The first error, where there was one. What failed stays dirty.
Errc Layer::end_runs(Job& job) noexcept {
  Errc error = Errc::ok;
  for (std::uint32_t i = 0; i < job.runs; ++i) {
    cache_->written(job.run[i], job.errors[i]);
    if (error == Errc::ok) error = job.errors[i];
  }
  job.runs = 0;
  return error;
}

Verdict Layer::clean_first(Job& job, Bio& bio, Context& cx) noexcept {
  job.until = cache_->now();
  if (!take_runs(job, 1)) return gather(job, bio, cx);
  job.phase = Phase::cleaning;
  return write_runs(job, bio, cx);
}

Verdict Layer::sync(Job& job, Bio& bio, Context& cx) noexcept {
  job.phase = Phase::syncing;
  job.waits = false;
  for (;;) {
    if (bio.cancel_requested()) return end(job, bio, Errc::cancelled);
    if (take_runs(job, kMostRuns)) return write_runs(job, bio, cx);
    switch (cache_->clean(kAll, job.until, job.waiter)) {
      case Cleaning::take:
        continue;
      case Cleaning::wait:
        job.waits = true;
        return Verdict::held();
      case Cleaning::clean:
        static_cast<void>(end(job, bio, Errc::ok));
        return flush_below(bio);
    }
  }
}

// A device that offers no flush has nothing to be flushed.
Verdict Layer::flush_below(Bio& bio) noexcept {
  if (flushes_.load(std::memory_order_relaxed)) return Verdict::forward(0);
  bio.succeed();
  return Verdict::done();
}

}  // namespace ashlar::cache_layer
