// The part of a temporary overlay that is kept in memory: one stretch of addresses as long as the
// device, of which only pages that were written take room.
//
// THREAD: any number of contexts at once; two requests for the same bytes at the same time leave
// either's bytes in any mixture, as on a disk.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/result.h"
#include "bio/payload.h"
#include "class/overlay/sector_map.h"

namespace ashlar::overlay {

class OwnMemory {
 public:
  OwnMemory() = default;
  OwnMemory(const OwnMemory&) = delete;
  OwnMemory& operator=(const OwnMemory&) = delete;
  ~OwnMemory();

  // REQUIRES: called once, before all else. Errors: no_memory.
  Result<void> open(std::uint64_t device_bytes, std::uint64_t most_bytes);

  // Room for the pages of `range`, none of whose sectors is in memory; those pages that others have
  // sectors in are paid for. False: it would be more than there may be.
  bool claim(const SectorMap& map, Extent range) noexcept;

  // REQUIRES: claimed.
  void write(std::uint64_t offset, const Payload& from, std::uint64_t length) noexcept {
    from.copy_to(data_ + offset, length);
  }
  void read(std::uint64_t offset, const Payload& into, std::uint64_t length) const noexcept {
    into.copy_from(data_ + offset, length);
  }
  void zero(std::uint64_t offset, std::uint64_t length) noexcept;

  std::uint64_t used_bytes() const noexcept { return used_.load(std::memory_order_relaxed); }

 private:
  std::byte* data_ = nullptr;
  std::uint64_t length_ = 0;
  std::uint64_t most_ = 0;
  std::atomic<std::uint64_t> used_{0};  // whole pages
};

}  // namespace ashlar::overlay
