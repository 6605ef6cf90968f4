// Bios in chunks; a chunk shrinks to one bio when memory is short.
#include "program/pool.h"

#include <algorithm>
#include <new>

namespace ashlar {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kChunkBytes = 64 * 1024;  // what one growth aims for
constexpr std::size_t kMaxChunkBios = 256;

}  // namespace

BioPool::BioPool(std::uint32_t frame_bytes, std::pmr::memory_resource& memory)
    : frame_bytes_(frame_bytes),
      slot_bytes_(align_up(sizeof(Bio) + frame_bytes, kCacheLine)),
      memory_(memory) {}

BioPool::~BioPool() {
  ASHLAR_ASSERT(free_count_ == total_);
  for (const Chunk& chunk : chunks_) {
    for (std::uint32_t i = 0; i < chunk.count; ++i) {
      reinterpret_cast<Bio*>(static_cast<std::byte*>(chunk.memory) + i * slot_bytes_)->~Bio();
    }
    memory_.deallocate(chunk.memory, chunk.bytes, kCacheLine);
  }
}

bool BioPool::grow() noexcept {
  std::size_t count = std::clamp(kChunkBytes / slot_bytes_, std::size_t{1}, kMaxChunkBios);
  // Under shortage a single bio may still fit where a chunk does not.
  for (; count > 0; count /= 2) {
    try {
      chunks_.reserve(chunks_.size() + 1);
      void* memory = memory_.allocate(count * slot_bytes_, kCacheLine);
      chunks_.push_back({memory, count * slot_bytes_, static_cast<std::uint32_t>(count)});
      for (std::size_t i = count; i > 0; --i) {
        release(*new (static_cast<std::byte*>(memory) + (i - 1) * slot_bytes_) Bio);
      }
      total_ += count;
      return true;
    } catch (const std::bad_alloc&) {
    }
  }
  return false;
}

}  // namespace ashlar
