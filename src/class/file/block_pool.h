// Blocks of memory of one size, aligned to a page, for one lane: vectors for the kernel, and
// buffers for payloads whose memory is not aligned.
//
// THREAD: the lane's. Memory stays in the pool until the pool ends; at most `most` blocks.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <vector>

namespace ashlar {

class BlockPool {
 public:
  static constexpr std::size_t kAlignment = 4096;

  // `block_bytes` is a multiple of kAlignment.
  BlockPool(std::size_t block_bytes, std::size_t most) : block_bytes_(block_bytes), most_(most) {
    all_.reserve(most);
    free_.reserve(most);
  }

  std::size_t block_bytes() const noexcept { return block_bytes_; }

  // Makes sure that one block is there. False: no memory.
  bool ensure_one() noexcept { return !free_.empty() || grow(); }

  // Null when all blocks are in use and there may be no more, or there is no memory for more.
  std::byte* take() noexcept {
    if (free_.empty() && !grow()) return nullptr;
    std::byte* const block = free_.back();
    free_.pop_back();
    return block;
  }

  void give_back(std::byte* block) noexcept { free_.push_back(block); }

 private:
  bool grow() noexcept {
    if (all_.size() == most_) return false;
    auto* const memory = static_cast<std::byte*>(std::aligned_alloc(kAlignment, block_bytes_));
    if (memory == nullptr) return false;
    all_.emplace_back(memory, &std::free);
    free_.push_back(memory);
    return true;
  }

  const std::size_t block_bytes_;
  const std::size_t most_;
  std::vector<std::unique_ptr<std::byte, decltype(&std::free)>> all_;
  std::vector<std::byte*> free_;
};

}  // namespace ashlar
