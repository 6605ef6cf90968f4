// Bios of one size for one context: a free list over chunks.
//
// THREAD: one context. MEMORY: chunks come from the given resource and go back with the pool; a
// resource that fails (bounded, in tests) makes `allocate` answer null, never throw past here.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include "bio/bio.h"

namespace ashlar {

class BioPool {
 public:
  BioPool(std::uint32_t frame_bytes, std::pmr::memory_resource& memory);
  BioPool(const BioPool&) = delete;
  BioPool& operator=(const BioPool&) = delete;
  // REQUIRES: every bio is back.
  ~BioPool();

  // A fresh bio, or null when memory is exhausted.
  Bio* allocate() noexcept {
    if (free_ == nullptr && !grow()) return nullptr;
    Bio* bio = free_;
    free_ = bio->sibling_next;
    --free_count_;
    bio->sibling_next = nullptr;
    return bio;
  }

  // REQUIRES: `bio` came from this pool and is idle.
  void release(Bio& bio) noexcept {
    bio.sibling_next = free_;
    free_ = &bio;
    ++free_count_;
  }

  // Grows until `count` are free; false when memory is exhausted before.
  bool ensure_free(std::uint64_t count) noexcept {
    while (free_count_ < count) {
      if (!grow()) return false;
    }
    return true;
  }

  std::uint64_t free_count() const noexcept { return free_count_; }
  std::uint64_t total() const noexcept { return total_; }
  std::uint32_t frame_bytes() const noexcept { return frame_bytes_; }

 private:
  bool grow() noexcept;

  struct Chunk {
    void* memory;
    std::size_t bytes;
    std::uint32_t count;
  };
  const std::uint32_t frame_bytes_;
  const std::size_t slot_bytes_;
  std::pmr::memory_resource& memory_;
  Bio* free_ = nullptr;
  std::uint64_t free_count_ = 0;
  std::uint64_t total_ = 0;
  std::vector<Chunk> chunks_;
};

}  // namespace ashlar
