// What a request has of the cache while it is not served at once: pins, the memory of its children,
// and where it stands. There are as many as there is room for pins; who finds none waits its turn.
//
//   begin -> cleaning -> gathering -> filling -> (put) -> through -> end
//            a run of     pins, in     what is              what is not
//            dirty ones   order        not there            kept dirty
//                                        |-> past: a block that cannot be read, but for a part
//
//   begin -> syncing, as often as something is dirty -> flush below
//
// THREAD: a job belongs to the context of its request; the rest of Jobs is any context's.
#pragma once

#include <array>
#include <new>
#include <vector>

#include "base/mutex.h"
#include "cache/buffer_cache.h"
#include "cache/streams.h"
#include "program/local.h"

namespace ashlar::cache_layer {

// Blocks of the longest request, and of what is read ahead with it.
inline constexpr std::uint32_t kMostSpan = 32;
// A request that begins amid a block touches one more.
inline constexpr std::uint32_t kMostPins = 2 * kMostSpan + 1;
// Every second block of a request is there: 17 runs. Two are cut by the device's longest request,
// and one is read ahead.
inline constexpr std::uint16_t kMaxChildren = 20;
// Runs of dirty blocks that a flush writes at once.
inline constexpr std::uint32_t kMostRuns = 4;

enum class Phase : std::uint8_t { begin, cleaning, gathering, filling, past, through, syncing };

class Jobs;
class Local;
struct CachePad;

struct Job {
  Jobs* home = nullptr;
  ListLink link;  // among the free ones, or those that were woken in a context
  Bio* bio = nullptr;
  CachePad* pad = nullptr;
  Local* local = nullptr;
  Phase phase = Phase::begin;
  bool waits = false;         // `waiter` does
  std::uint64_t next = 0;     // block to be pinned next
  std::uint64_t behind = 0;   // the last block
  std::uint64_t size = 0;     // of the device, when the request began
  std::uint64_t until = 0;    // a flush: what became dirty before
  std::uint32_t count = 0;    // pins
  std::uint32_t asked = 0;    // of these, for the request itself; the others are read ahead
  std::uint32_t through = 0;  // the first pin that is written through
  std::uint32_t runs = 0;
  cache::Waiter waiter;
  std::array<cache::Pin, kMostPins> pins;
  std::array<Errc, kMostPins> errors{};  // of each pin's or run's child
  std::array<Segment, kMostPins> segments{};
  std::array<cache::DirtyRun, kMostRuns> run;
};

// A request that waits for a job; lies in its pad.
struct Turn {
  Turn(Bio& its_bio, CachePad& its_pad, Local& its_local)
      : bio(&its_bio), pad(&its_pad), local(&its_local) {}
  ListLink link;
  Bio* bio;
  CachePad* pad;
  Local* local;
};

struct CachePad {
  Job* job;             // null: none yet, or none any more
  std::uint64_t next;   // a read: the first block that is still to be served
  std::uint32_t ahead;  // and how many behind the last are worth reading
  bool queued;          // it waits for a job: `turn` is one
  alignas(8) std::byte bytes[sizeof(Turn)];
  Turn& turn() noexcept { return *std::launder(reinterpret_cast<Turn*>(bytes)); }
};

class Jobs {
 public:
  Jobs(cache::BufferCache& cache, std::uint32_t count, std::uint32_t pins_each);
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;
  // REQUIRES: all are given back.
  ~Jobs();

  std::uint32_t pins_each() const noexcept { return pins_each_; }

  // Null: there is none now; the request is asked again (Context::ask_again) with its job in the
  // pad.
  Job* take(Bio& bio, CachePad& pad, Local& local) noexcept;
  // REQUIRES: its pins are released.
  void give(Job& job) noexcept;
  // A request that is cancelled waits no more. False: it has a job, or is about to.
  bool forget(CachePad& pad) noexcept;

 private:
  friend class Local;
  using List = ashlar::List<Job, &Job::link>;
  static constexpr LockClass kLock{"cache_layer.jobs"};

  void wake(Job& job) noexcept ASHLAR_REQUIRES(mutex_);

  cache::BufferCache& cache_;
  const std::uint32_t pins_each_;
  std::vector<Job> all_;
  Mutex mutex_{kLock};
  List free_ ASHLAR_GUARDED_BY(mutex_);
  ashlar::List<Turn, &Turn::link> turns_ ASHLAR_GUARDED_BY(mutex_);
};

// One context's: a pin for hits, who reads in sequence, and the jobs that may go on.
class Local final : public LocalState {
 public:
  Local(cache::BufferCache& cache, Jobs& jobs, Context& cx)
      : cache_(cache), jobs_(jobs), cx_(cx), has_pin_(cache.try_reserve(1)) {}
  ~Local() override {
    if (has_pin_) cache_.unreserve(1);
  }

  // Whether one pin may be held at a time, for as long as a step runs.
  bool has_pin() const noexcept { return has_pin_; }
  cache::Streams streams;

  void attend(Context& cx) noexcept override;

 private:
  friend class Jobs;
  cache::BufferCache& cache_;
  Jobs& jobs_;
  Context& cx_;
  const bool has_pin_;
  Jobs::List woken_;  // under the lock of Jobs
};

}  // namespace ashlar::cache_layer
