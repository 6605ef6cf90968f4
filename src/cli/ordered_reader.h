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

#include "cli/transfer.h"

namespace ashlar::cli {

struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

class OrderedReader {
 public:
  // Any alignment. REQUIRES: the range lies within the device.
  OrderedReader(const Device& device, Channel& channel, ByteRange range);
  OrderedReader(const OrderedReader&) = delete;
  OrderedReader& operator=(const OrderedReader&) = delete;

  // The next bytes, valid until the next call; empty at the end of the range.
  // Errors: the device's (nothing more can be read then), no_memory.
  Result<ByteView> next();

 private:
  Result<void> fill();

  const Device& device_;
  Channel& channel_;
  const ByteRange range_;
  const std::uint64_t end_;  // of the aligned range around `range_`
  std::uint64_t submitted_;  // the device's byte up to which requests were made
  std::uint64_t made_ = 0;   // requests; request n is in slot n % kDepth
  std::uint64_t taken_ = 0;  // requests whose bytes next() has handed out
  std::array<Transfer, kDepth> slots_;
};

// Fills `into` from byte `offset`, any alignment. Errors: the device's.
Result<void> read_bytes(const Device& device, Channel& channel, std::uint64_t offset,
                        ByteSpan into);

}  // namespace ashlar::cli
