// The medium, the cache, and what a power cut leaves of them.
//
// Invariants: (1) `current_` is `medium_` with all cached writes over it, in order, while no power
// was cut; (2) a cached write is on the medium only through flush, FUA or survival; (3) a FUA write
// takes older cached bytes of its sectors with it.
#include "sim/disk.h"

#include <algorithm>
#include <utility>

#include "program/program.h"

namespace ashlar::sim {
namespace {

// One request in so many takes very much longer than the others.
constexpr std::uint64_t kStragglerOdds = 24;
constexpr std::uint64_t kStragglerFactor = 20;
// One in so many hangs, as disks do that try again for long.
constexpr std::uint64_t kHangOdds = 300;
// One write in so many is to be seen by reads before it is acknowledged.
constexpr std::uint64_t kEarlyOdds = 4;

bool is_write(const Bio& bio) { return changes_data(bio.op); }

}  // namespace

Disk::Disk(std::uint32_t number, std::uint64_t seed, const DiskOptions& options, Trace& trace)
    : number_(number),
      options_(options),
      random_(seed),
      trace_(trace),
      medium_(options.size_bytes),
      current_(options.size_bytes) {}

Disk::~Disk() { ASHLAR_ASSERT(in_flight_.empty()); }

Disk::Job& Disk::job_of(Bio& bio) {
  return *reinterpret_cast<Job*>(Program::pad_of(bio, bio.home->steps[bio.pc]));
}

std::uint64_t Disk::begin(Bio& bio, Job& job) {
  in_flight_.push_back(&bio);
  job.covered = writes_;
  job.lands_at = bio.offset;
  job.applied = false;
  const DiskFaults& faults = options_.faults;
  if (!calm_) ++requests_;
  if (faults.dies_after != 0 && requests_ > faults.dies_after) dead_ = true;
  job.lost = (bio.op == Op::flush || bio.fua()) && strikes(faults.lost_flush_odds);
  if (bio.op == Op::write && strikes(faults.misdirect_odds)) {
    const std::uint64_t places = (options_.size_bytes - bio.length) / options_.sector_bytes + 1;
    job.lands_at = random_.below(places) * options_.sector_bytes;
  }
  const bool plain = powered_ && !dead_ && !bio.fua() && faults.error_odds == 0;
  if (is_write(bio) && plain && random_.one_in(kEarlyOdds)) {
    apply(bio, job, false);
    job.applied = true;
  }
  std::uint64_t wait = options_.latency_ns + random_.below(options_.jitter_ns + 1);
  if (random_.one_in(kStragglerOdds)) wait *= kStragglerFactor;
  if (!calm_ && random_.one_in(kHangOdds)) wait = kHangNs;
  return wait;
}

// What becomes of a request before it is looked at.
Errc Disk::weather() {
  if (!powered_ || dead_) return Errc::io;
  return !calm_ && strikes(options_.faults.error_odds) ? Errc::io : Errc::ok;
}

void Disk::finish(Bio& bio, Job& job, std::uint64_t now_ns) {
  std::erase(in_flight_, &bio);
  const Errc trouble = weather();
  if (trouble == Errc::ok) {
    execute(bio, job);
    bio.succeed();
  } else {
    if (powered_) ++failures_;
    // A write that failed may be done all the same, or in part.
    if (powered_ && !dead_ && is_write(bio) && !job.applied) apply_torn(bio, job);
    bio.fail(trouble);
  }
  trace_.event(now_ns, "disk",
               {number_, static_cast<std::uint64_t>(bio.op), bio.offset, bio.length,
                static_cast<std::uint64_t>(bio.error)});
}

void Disk::abandon(Bio& bio, Job& job) {
  std::erase(in_flight_, &bio);
  if (powered_ && !dead_ && is_write(bio) && !job.applied && random_.one_in(2)) {
    apply_torn(bio, job);
  }
}

void Disk::execute(Bio& bio, Job& job) {
  switch (bio.op) {
    case Op::read:
      bio.payload.copy_from(current_.data() + bio.offset, bio.length);
      return;
    case Op::flush:
      // At the least what was acknowledged when it came, at the most all that is there.
      if (!job.lost) flush(random_.one_in(2) ? job.covered : writes_);
      return;
    case Op::discard:
      // A hint, and no more.
      if (!job.applied && (options_.exact_discards || random_.one_in(2))) apply(bio, job, false);
      return;
    case Op::write:
    case Op::write_zeroes:
      if (!job.applied) apply(bio, job, bio.fua() && !job.lost);
      return;
    case Op::repair:  // is refused
      return;
  }
}

std::vector<std::byte> Disk::data_of(const Bio& bio) const {
  std::vector<std::byte> bytes(bio.length);
  if (bio.op == Op::write) bio.payload.copy_to(bytes.data(), bytes.size());
  return bytes;
}

void Disk::apply(const Bio& bio, const Job& job, bool durable) {
  std::vector<bool> all(bio.length / options_.sector_bytes, true);
  store(job.lands_at, data_of(bio), std::move(all), durable || !options_.write_cache);
}

void Disk::apply_torn(const Bio& bio, const Job& job) {
  store(job.lands_at, data_of(bio), torn(bio.length), !options_.write_cache);
}

// Which sectors of a write of `length` bytes are done: all, none, a first part, or any.
std::vector<bool> Disk::torn(std::uint64_t length) {
  const std::uint64_t sectors = length / options_.sector_bytes;
  std::vector<bool> kept(sectors);
  const std::uint64_t how = random_.below(4);
  const std::uint64_t first_part = random_.below(sectors + 1);
  for (std::uint64_t i = 0; i < sectors; ++i) {
    kept[i] = how == 0 || (how == 2 && i < first_part) || (how == 3 && random_.one_in(2));
  }
  return kept;
}

void Disk::store(std::uint64_t offset, std::vector<std::byte> bytes, std::vector<bool> kept,
                 bool durable) {
  const std::uint32_t sector = options_.sector_bytes;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) continue;
    std::copy_n(bytes.data() + i * sector, sector, current_.data() + offset + i * sector);
  }
  Cached entry{++writes_, offset, std::move(bytes), std::move(kept)};
  if (durable) {
    overtake(offset, entry.kept);
    to_medium(entry);
  } else {
    cache_.push_back(std::move(entry));
  }
}

void Disk::to_medium(const Cached& each) {
  const std::uint32_t sector = options_.sector_bytes;
  for (std::size_t i = 0; i < each.kept.size(); ++i) {
    if (!each.kept[i]) continue;
    std::copy_n(each.bytes.data() + i * sector, sector, medium_.data() + each.offset + i * sector);
  }
}

// What is cached of these sectors is older than what is on the medium now.
void Disk::overtake(std::uint64_t offset, const std::vector<bool>& kept) {
  const std::uint32_t sector = options_.sector_bytes;
  for (Cached& each : cache_) {
    for (std::size_t i = 0; i < each.kept.size(); ++i) {
      const std::uint64_t at = each.offset + i * sector;
      if (at < offset || at >= offset + kept.size() * sector) continue;
      if (kept[(at - offset) / sector]) each.kept[i] = false;
    }
  }
}

void Disk::flush(std::uint64_t covered) {
  auto end = cache_.begin();
  for (; end != cache_.end() && end->number <= covered; ++end) to_medium(*end);
  cache_.erase(cache_.begin(), end);
}

// One write, through a power cut.
void Disk::survive(Cached& each) {
  const std::vector<bool> done = torn(each.bytes.size());
  for (std::size_t i = 0; i < done.size(); ++i) each.kept[i] = each.kept[i] && done[i];
  to_medium(each);
}

void Disk::cut_power(std::uint64_t now_ns) {
  for (Cached& each : cache_) survive(each);
  cache_.clear();
  for (Bio* bio : in_flight_) {
    const Job& job = job_of(*bio);
    if (dead_ || !is_write(*bio) || job.applied) continue;
    Cached entry{++writes_, job.lands_at, data_of(*bio), {}};
    entry.kept.assign(bio->length / options_.sector_bytes, true);
    survive(entry);
  }
  powered_ = false;
  trace_.event(now_ns, "cut", {number_});
}

void Disk::power_on() {
  ASHLAR_ASSERT(in_flight_.empty() && cache_.empty());
  powered_ = true;
  settle();
}

}  // namespace ashlar::sim
