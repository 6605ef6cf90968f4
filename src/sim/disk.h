// A simulated disk: a medium, a volatile write cache before it, and what may go wrong with both.
//
//   write -> [in flight] -> [cache: any order, any part] -> medium
//                FUA ------------------------------------->
//                flush: what was in the cache when it came -->
//
// A power cut leaves on the medium, of each write that was in flight or in the cache, the whole,
// nothing, or a torn part in whole sectors. The disk outlives the stacks that are put over it: a
// stack sees it through the class sim_disk (sim/disk_class.h).
//
// THREAD: one.
#pragma once

#include <cstdint>
#include <vector>

#include "base/extent.h"
#include "base/random.h"
#include "bio/bio.h"
#include "program/context.h"
#include "sim/trace.h"

namespace ashlar::sim {

// For so long a request takes that hangs.
inline constexpr std::uint64_t kHangNs = 10'000'000'000;

// What a disk does wrong, beyond what a disk may do.
struct DiskFaults {
  std::uint64_t error_odds = 0;       // one request in so many fails with `io`; 0: none
  std::uint64_t dies_after = 0;       // requests, from then on all fail with `io`; 0: never
  std::uint64_t lost_flush_odds = 0;  // a lie: one flush or FUA in so many does nothing; 0: none
  std::uint64_t misdirect_odds = 0;   // one write in so many lands elsewhere; 0: none

  bool any() const { return error_odds != 0 || dies_after != 0; }
};

struct DiskOptions {
  std::uint64_t size_bytes = 0;
  std::uint32_t sector_bytes = 512;  // what is never torn
  bool write_cache = true;           // false: what was acknowledged is on the medium
  bool exact_discards = false;       // what is discarded is zeros; else it may stay as it is
  std::uint64_t latency_ns = 0;      // of each request
  std::uint64_t jitter_ns = 0;       // up to so much more; what reorders completions
  DiskFaults faults{};
};

class Disk {
 public:
  Disk(std::uint32_t number, std::uint64_t seed, const DiskOptions& options, Trace& trace);
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  ~Disk();

  std::uint32_t number() const { return number_; }
  const DiskOptions& options() const { return options_; }
  // It answers nothing any more.
  bool dead() const { return dead_; }
  void die() { dead_ = true; }
  // Requests that it failed so far, with the power on.
  std::uint64_t failures() const { return failures_; }

  // What the medium holds. For tables that are there before the first stack.
  ByteSpan medium() { return medium_; }
  // What reads see.
  ByteView current() const { return current_; }
  // Reads see the medium, from now on.
  void settle() { current_ = medium_; }

  // The power goes off: the medium gets what survives, and until power_on() every request fails and
  // changes nothing.
  void cut_power(std::uint64_t now_ns);
  void power_on();
  // While it is calm, requests fail only when it is dead.
  void set_calm(bool calm) { calm_ = calm; }

  // --- for the class sim_disk
  // --------------------------------------------------------------------- One request on its way;
  // lies in the bio's pad.
  struct Job {
    Timer timer;
    Context* cx;
    std::uint64_t covered;   // flush: the newest cached write that it must make durable
    std::uint64_t lands_at;  // where a write goes: bio.offset, unless misdirected
    bool applied;            // a write that is in the cache before it is acknowledged
    bool lost;               // a flush or FUA that does nothing
  };

  // How long `bio` will take, nanoseconds.
  std::uint64_t begin(Bio& bio, Job& job);
  // Carries `bio` out and gives it its result.
  void finish(Bio& bio, Job& job, std::uint64_t now_ns);
  // `bio` was cancelled: a write may be done, or in part.
  void abandon(Bio& bio, Job& job);
  // What is under way, oldest first.
  const std::vector<Bio*>& in_flight() const { return in_flight_; }

 private:
  // A write in the cache. Sectors that a later FUA overtook are not kept.
  struct Cached {
    std::uint64_t number;
    std::uint64_t offset;
    std::vector<std::byte> bytes;
    std::vector<bool> kept;
  };

  static Job& job_of(Bio& bio);
  bool strikes(std::uint64_t odds) { return odds != 0 && random_.one_in(odds); }
  Errc weather();
  void execute(Bio& bio, Job& job);
  void apply(const Bio& bio, const Job& job, bool durable);
  void apply_torn(const Bio& bio, const Job& job);
  std::vector<std::byte> data_of(const Bio& bio) const;
  void store(std::uint64_t offset, std::vector<std::byte> bytes, std::vector<bool> kept,
             bool durable);
  void to_medium(const Cached& each);
  void overtake(std::uint64_t offset, const std::vector<bool>& kept);
  void flush(std::uint64_t covered);
  std::vector<bool> torn(std::uint64_t length);
  void survive(Cached& each);

  const std::uint32_t number_;
  const DiskOptions options_;
  Random random_;
  Trace& trace_;
  std::vector<std::byte> medium_;
  std::vector<std::byte> current_;  // what reads see: the medium under the cache
  std::vector<Cached> cache_;       // oldest first
  std::vector<Bio*> in_flight_;
  std::uint64_t writes_ = 0;    // that reached the cache
  std::uint64_t requests_ = 0;  // since it was made
  std::uint64_t failures_ = 0;
  bool calm_ = false;
  bool dead_ = false;
  bool powered_ = true;
};

}  // namespace ashlar::sim
