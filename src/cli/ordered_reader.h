// A range of a device in order, with several large requests under way: for sums and copies.
//
//   OrderedReader reader(device, channel, {offset, length});
//   while (true) {
//     auto piece = reader.next();
//     if (!piece) return piece.error();       // names layer, disk and byte
//     if (piece->empty()) break;
//     use(*piece);
//   }
//
// THREAD: the channel's lane's. OWNERSHIP: borrows device and channel; owns its buffers.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "node/device.h"

namespace ashlar::cli {

// Memory as files opened with O_DIRECT want it.
inline constexpr std::size_t kBufferAlignment = 4096;
struct FreeMemory {
  void operator()(std::byte* memory) const noexcept { std::free(memory); }
};
using Buffer = std::unique_ptr<std::byte[], FreeMemory>;
// Null when memory is exhausted. `bytes` is rounded up to kBufferAlignment.
Buffer make_buffer(std::uint64_t bytes);

struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

class OrderedReader {
 public:
  // Large enough to amortise a request, small enough that a queue of them stays in the cache's
  // reach; what a stack cannot take whole it carves.
  static constexpr std::uint64_t kPieceBytes = kMiB;
  static constexpr std::size_t kDepth = 8;

  // Any alignment. REQUIRES: the range lies within the device.
  OrderedReader(const Device& device, Channel& channel, ByteRange range);
  // Ends what is still under way.
  ~OrderedReader();
  OrderedReader(const OrderedReader&) = delete;
  OrderedReader& operator=(const OrderedReader&) = delete;

  // The next bytes, valid until the next call; empty at the end of the range.
  // Errors: the device's (nothing more can be read then), no_memory.
  Result<ByteView> next();

 private:
  struct Slot {
    Buffer memory;
    Segment segment;
    Bio* bio = nullptr;  // null: not under way
    bool ended = false;
    std::uint64_t offset = 0;
  };

  Result<void> fill();
  Result<void> submit(Slot& slot);

  const Device& device_;
  Channel& channel_;
  const ByteRange range_;
  const std::uint64_t end_;           // of the aligned range around `range_`
  std::uint64_t submitted_;           // bytes of the device, up to which requests were made
  std::uint64_t taken_ = 0;           // requests whose bytes next() has handed out
  std::uint64_t made_ = 0;            // requests made
  std::array<Slot, kDepth> slots_{};  // request n is in slot n % kDepth
};

// Fills `into` from byte `offset`, any alignment. Errors: the device's.
Result<void> read_bytes(const Device& device, Channel& channel, std::uint64_t offset,
                        ByteSpan into);

}  // namespace ashlar::cli
