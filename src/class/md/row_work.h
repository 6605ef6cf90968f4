// What a part of a stripe needs while it is read or changed: its lock, its plan, its buffers.
//
// Buffers are blocks of the array's stripe cache, a buffer cache whose blocks are numbered through
// member by member. Parity stays in it, so that small writes one after the other read it once; data
// do not: they are in scratch buffers of it.
//
//            block 0      block 1      block 2       of the part's range of the chunk
//   role 1   [pin][....]  [pin][....]  [pin][....]   a row of pins, and a segment for each, so that
//   role 4   [pin][....]  [pin][....]  [pin][....]   a range of it is the payload of one request
//
// OWNERSHIP: a context's (ParityLocal), which has a fixed number of them. THREAD: the context's,
// but for the wake functions.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "bio/bio.h"
#include "cache/buffer_cache.h"
#include "class/md/parked.h"
#include "class/md/stripe_locks.h"
#include "md/row_plan.h"

namespace ashlar {

inline constexpr std::uint32_t kStripeBlockBytes = 4096;

struct RowWork {
  explicit RowWork(const md::ParityLayout& layout) : row(layout, 0) {}

  // --- what is asked
  Bio& bio() const noexcept { return *parked.bio; }
  md::Row row;
  std::uint64_t first = 0;  // bytes of the row's data, from the start of its first chunk
  std::uint64_t last = 0;
  md::RowPlan plan;

  md::Roles written = 0;  // members that changes go to

  // --- waiting
  StripeLock lock;
  cache::Waiter room;
  bool locked = false;
  MdParked parked;
  ListLink link;  // among the free ones

  // --- buffers; by role
  md::Roles cached = 0;        // whose bytes the cache had
  bool caching = false;        // blocks of parity stay in the cache when it is written
  std::uint64_t reserved = 0;  // pins
  std::uint32_t first_block = 0;
  std::uint32_t blocks = 0;                             // of each role that has buffers
  std::array<std::uint32_t, md::kMaxColumns> at{};      // where the role's pins begin
  std::array<std::uint8_t, md::kMaxColumns> has_all{};  // bit s: of segment s, in the cache
  std::vector<cache::Pin> pins;
  std::vector<Segment> memory;  // of the pins

  // Bytes of the request by role, for data that it covers; where the role's chunk begins in it.
  std::int64_t request_offset(std::uint32_t role, std::uint32_t chunk_bytes) const noexcept {
    return static_cast<std::int64_t>(std::uint64_t{row.index[role]} * chunk_bytes) -
           static_cast<std::int64_t>(first);
  }
  // REQUIRES: the role has buffers, and `at_byte` of the chunk lies in them.
  std::byte* buffer(std::uint32_t role, std::uint32_t at_byte) noexcept {
    const std::uint32_t block = at_byte / kStripeBlockBytes - first_block;
    return memory[at[role] + block].data + at_byte % kStripeBlockBytes;
  }
  // [begin, ...) of the chunk of `role`, in its buffers.
  Payload payload(std::uint32_t role, std::uint32_t begin) const noexcept {
    const std::uint32_t block = begin / kStripeBlockBytes - first_block;
    return {memory.data() + at[role] + block, blocks - block, begin % kStripeBlockBytes};
  }
  void release_pins() noexcept {
    pins.clear();
    memory.clear();
  }
};

// Computes, with everything that the plan reads in place: what cannot be read, into buffers for a
// write and into the request's payload for a read; and for a write the parity, into its buffers.
void compute_row(RowWork& work, std::uint32_t chunk_bytes) noexcept;

// For a repair: what cannot be read is computed, and parity compared. What was read wrong is right
// in its buffers afterwards.
struct RowRepair {
  md::Roles wrong = 0;       // parity that did not fit the data
  std::uint32_t blocks = 0;  // of kStripeBlockBytes, in which some did not
};
RowRepair repair_row(RowWork& work, std::uint32_t chunk_bytes) noexcept;

}  // namespace ashlar
