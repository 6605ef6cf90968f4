// One request at a time, with a buffer of its own: what ordered reading and writing are made of.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "node/device.h"

namespace ashlar::cli {

// The size of one large request: enough to amortise it, and a queue of them still fits the
// processor's cache. What a stack cannot take whole it carves.
inline constexpr std::uint64_t kPieceBytes = kMiB;
// Requests under way at once.
inline constexpr std::size_t kDepth = 8;

// THREAD: the channel's lane's. OWNERSHIP: borrows device and channel.
class Transfer {
 public:
  Transfer() = default;
  // Ends what is under way.
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Memory for at least `bytes`, aligned for O_DIRECT; the same at each call.
  // Errors: no_memory. REQUIRES: not under way; never more than at the first call.
  Result<ByteSpan> buffer(std::uint64_t bytes);

  // Starts a read into, or a write from, the first `length` bytes of the buffer; or a flush.
  // Errors: no_memory. REQUIRES: not under way; buffer() had room.
  Result<void> start(const Device& device, Channel& channel, Op op, std::uint64_t offset,
                     std::uint64_t length);

  bool under_way() const { return bio_ != nullptr; }

  // Sleeps until it has ended. Errors: the device's, naming layer, disk and byte.
  // REQUIRES: under_way().
  Result<void> wait();

  // Of the last start().
  std::uint64_t offset() const { return offset_; }
  ByteView bytes() const { return {segment_.data, segment_.length}; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };

  const Device* device_ = nullptr;
  Channel* channel_ = nullptr;
  std::unique_ptr<std::byte[], Free> memory_;
  std::uint64_t capacity_ = 0;
  Segment segment_;
  Bio* bio_ = nullptr;
  std::uint64_t offset_ = 0;
  bool ended_ = false;
};

}  // namespace ashlar::cli
