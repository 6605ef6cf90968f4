// A shard of a buffer cache: the table of its blocks, and what goes next. The cache's own.
//
// THREAD: any, under its mutex.
#pragma once

#include <vector>

#include "cache/buffer.h"

namespace ashlar::cache {

inline std::uint64_t mixed(std::uint64_t key) noexcept {
  key *= 0x9e3779b97f4a7c15u;
  return key ^ key >> 32;
}

// Neighbours that share a shard, so that a run is found under one lock.
inline constexpr std::uint64_t kNeighbours = DirtyRun::kMost;

inline bool within_blocks(Extent blocks, std::uint64_t block) noexcept {
  return block - blocks.offset < blocks.length;
}

struct alignas(64) BufferCache::Shard {
  Shard(std::uint64_t expected, std::uint64_t rows) : policy(expected), table(rows) {}

  Buffer*& row_of(std::uint64_t block) noexcept ASHLAR_REQUIRES(mutex) {
    return table[mixed(block) >> 20 & (table.size() - 1)];
  }

  Buffer* find(std::uint64_t block) noexcept ASHLAR_REQUIRES(mutex) {
    Buffer* at = row_of(block);
    while (at != nullptr && at->block != block) at = at->next;
    return at;
  }

  void insert(Buffer& buffer, std::uint64_t block) noexcept ASHLAR_REQUIRES(mutex) {
    buffer.block = block;
    buffer.next = row_of(block);
    row_of(block) = &buffer;
    policy.insert(buffer);
  }

  // Out of the table; it was taken out of the policy.
  void erase(Buffer& buffer) noexcept ASHLAR_REQUIRES(mutex) {
    Buffer** at = &row_of(buffer.block);
    while (*at != &buffer) at = &(*at)->next;
    *at = buffer.next;
    buffer.next = nullptr;
    buffer.error = Errc::ok;
    buffer.valid = false;
  }

  Buffer* evict() noexcept ASHLAR_REQUIRES(mutex) {
    Buffer* const gone = policy.evict([](const Buffer& each) { return each.idle(); });
    if (gone == nullptr) return nullptr;
    erase(*gone);
    ++counts.evicted;
    return gone;
  }

  static constexpr LockClass kLock{"cache.shard"};
  Mutex mutex{kLock};
  S3Fifo<Buffer> policy ASHLAR_GUARDED_BY(mutex);
  std::vector<Buffer*> table ASHLAR_GUARDED_BY(mutex);
  List<Buffer, &Buffer::dirty_link> dirty ASHLAR_GUARDED_BY(mutex);  // the longest dirty first
  CacheCounts counts ASHLAR_GUARDED_BY(mutex);
};

}  // namespace ashlar::cache
