// A buffer: one block's bytes and what is known of them. The cache's own; users have pins.
//
//   latch   | alone 1 | waited 1 | readers 30 |      taken under the shard's lock, let go without
//   it
//
// Invariants: (1) who has the latch alone may read and set `valid`; everything else is the shard
// lock's; (2) `waited` is set while somebody waits; then nobody takes the latch past them; (3) a
// dirty buffer is valid, but while somebody replaces it.
#pragma once

#include <atomic>
#include <cstdint>

#include "cache/buffer_cache.h"
#include "cache/s3_fifo.h"

namespace ashlar::cache {

struct Buffer : Placed {
  static constexpr std::uint32_t kAlone = 1u << 31;
  static constexpr std::uint32_t kWaited = 1u << 30;
  static constexpr std::uint32_t kReaders = kWaited - 1;

  std::uint64_t key() const noexcept { return block; }
  // Nobody has it, nobody wants it, nothing would be lost.
  bool idle() const noexcept { return latch.load(std::memory_order_acquire) == 0 && !dirty; }

  std::uint64_t block = 0;
  std::byte* data = nullptr;
  std::atomic<std::uint32_t> latch{0};
  bool valid = false;
  bool dirty = false;
  bool writing = false;
  bool scratch = false;           // whoever has it is the only one who knows of it
  Errc error = Errc::ok;          // of the last fill or cleaning, where it failed
  std::uint64_t dirty_since = 0;  // BufferCache::now() when it became dirty
  Buffer* next = nullptr;         // in its row of the table, or in the list of free ones
  ListLink dirty_link;
  List<Waiter, &Waiter::link_> waiters;
};

}  // namespace ashlar::cache
