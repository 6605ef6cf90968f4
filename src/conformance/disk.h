// The disks below a class under test: memory that checks what reaches it, and does what a trial
// wants: fails the n-th request, holds some, forgets in a power cut what was not flushed.
//
// Requests are numbered over all disks of a shelf, from 1 since the last count_from_one().
//
// THREAD: disks run on lanes, any number of them; the rest is the trial's thread, which has the
// first lane. A power cut and a release REQUIRE that nothing is under way but what is held.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "program/context.h"
#include "topology/topology.h"

namespace ashlar::conformance {

// A request that reached a disk.
struct Seen {
  std::uint32_t disk;
  Op op;
  std::uint8_t flags;
  Extent extent;
  bool failed;
};

// The numbers [first, first + count); count 0: none.
struct Numbers {
  std::uint64_t first = 1;
  std::uint64_t count = 0;
  bool has(std::uint64_t number) const { return number >= first && number - first < count; }
  static Numbers all() { return {1, ~std::uint64_t{0}}; }
  static Numbers only(std::uint64_t number) { return {number, 1}; }
};

class Shelf {
 public:
  Shelf() = default;
  Shelf(const Shelf&) = delete;
  Shelf& operator=(const Shelf&) = delete;

  // A new disk with these bytes and limits.
  Provider& add(Topology& topology, std::vector<std::byte> bytes, const Limits& limits);
  std::uint32_t size() const { return static_cast<std::uint32_t>(disks_.size()); }
  Provider& provider(std::uint32_t disk) { return *disks_[disk].provider; }

  // What happens to requests from now on.
  void fail(Numbers which, Errc error) ASHLAR_EXCLUDES(mutex_);
  void hold(Numbers which) ASHLAR_EXCLUDES(mutex_);
  // Held requests end when they are released, not when they are cancelled.
  void be_deaf(bool deaf) ASHLAR_EXCLUDES(mutex_);
  void count_from_one() ASHLAR_EXCLUDES(mutex_);

  std::vector<Seen> seen() const ASHLAR_EXCLUDES(mutex_);
  std::size_t held() const ASHLAR_EXCLUDES(mutex_);
  // Carries out what is held, in the order in which it came.
  void release_held() ASHLAR_EXCLUDES(mutex_);
  // What a class did that no consumer may, in words; the first thing.
  std::optional<std::string> complaint() const ASHLAR_EXCLUDES(mutex_);

  // A disk with blocks that are not durable: neither flushed nor written with FUA.
  std::optional<std::uint32_t> unflushed() const ASHLAR_EXCLUDES(mutex_);
  // All disks go back to what is durable.
  void cut_power() ASHLAR_EXCLUDES(mutex_);
  // A disk has another size; new bytes are noise. Tells the topology.
  void resize(Topology& topology, std::uint32_t disk, std::uint64_t size_bytes)
      ASHLAR_EXCLUDES(mutex_);

  // Where the bytes of unmapped memory are to be found: `bytes` is all of its file, mapped
  // elsewhere. Disks never map a payload themselves.
  void see_unmapped_in(ByteSpan bytes) ASHLAR_EXCLUDES(mutex_);

  // Reads disks past everything, as create() and taste() do.
  std::unique_ptr<TasteReader> reader(Provider& provider);

 private:
  friend class Disk;
  friend class ShelfReader;

  struct DiskState {
    Provider* provider = nullptr;
    Limits limits;
    std::vector<std::byte> bytes;
    std::vector<std::byte> durable;
    std::vector<bool> dirty;  // by block
    bool gone = false;
  };
  struct Held {
    std::uint32_t disk;
    Bio* bio;
    Context* cx;
  };

  Verdict take(std::uint32_t disk, Bio& bio, Context& cx) noexcept ASHLAR_EXCLUDES(mutex_);
  void let_go(Bio& bio, Context& cx) noexcept ASHLAR_EXCLUDES(mutex_);
  void lose(std::uint32_t disk) noexcept ASHLAR_EXCLUDES(mutex_);
  void inspect(std::uint32_t disk, const Bio& bio) ASHLAR_REQUIRES(mutex_);
  static std::string_view what_is_wrong(const DiskState& disk, const Bio& bio);
  void carry_out(std::uint32_t disk, Bio& bio) ASHLAR_REQUIRES(mutex_);
  void store(DiskState& disk, const Bio& bio) ASHLAR_REQUIRES(mutex_);
  ByteSpan visible(ByteSpan piece) ASHLAR_REQUIRES(mutex_);
  void copy(const Bio& bio, std::byte* at) ASHLAR_REQUIRES(mutex_);
  void make_durable(DiskState& disk, Extent extent) ASHLAR_REQUIRES(mutex_);

  mutable Mutex mutex_{kLock};
  static constexpr LockClass kLock{"conformance.shelf"};
  std::deque<DiskState> disks_;
  std::vector<Seen> seen_ ASHLAR_GUARDED_BY(mutex_);
  std::vector<Held> held_ ASHLAR_GUARDED_BY(mutex_);
  std::optional<std::string> complaint_ ASHLAR_GUARDED_BY(mutex_);
  Numbers failing_ ASHLAR_GUARDED_BY(mutex_);
  Numbers holding_ ASHLAR_GUARDED_BY(mutex_);
  Errc error_ ASHLAR_GUARDED_BY(mutex_) = Errc::io;
  bool deaf_ ASHLAR_GUARDED_BY(mutex_) = false;
  ByteSpan unmapped_ ASHLAR_GUARDED_BY(mutex_);
};

}  // namespace ashlar::conformance
