// Bytes to a device, in order, with several large writes under way.
//
//   OrderedWriter writer(device, channel, offset);
//   while (more) {
//     auto room = writer.room();
//     if (!room) return room.error();
//     fill(room->first(n));
//     if (auto sent = writer.commit(n); !sent) return sent;
//   }
//   return writer.finish();
//
// THREAD: the channel's lane's. OWNERSHIP: borrows device and channel; owns its buffers.
#pragma once

#include <array>

#include "cli/transfer.h"

namespace ashlar::cli {

class OrderedWriter {
 public:
  // REQUIRES: the device is open for writing; `offset` is a multiple of its block size.
  OrderedWriter(const Device& device, Channel& channel, std::uint64_t offset)
      : device_(device), channel_(channel), offset_(offset), ended_(offset) {}
  OrderedWriter(const OrderedWriter&) = delete;
  OrderedWriter& operator=(const OrderedWriter&) = delete;

  // kPieceBytes to be filled. Errors: those of an earlier write; no_memory.
  Result<ByteSpan> room();

  // Writes the first `length` bytes of what room() gave behind what was written before.
  // REQUIRES: room() was called; `length` is a multiple of the block size.
  Result<void> commit(std::uint64_t length);

  // Waits for all of it and flushes the device. Errors: those of a write or of the flush.
  Result<void> finish();

  // Where the next commit() writes, and the byte before which every write has ended well.
  std::uint64_t offset() const { return offset_; }
  std::uint64_t safe_offset() const { return ended_; }

 private:
  Transfer& slot() { return slots_[made_ % kDepth]; }
  Result<void> collect(Transfer& slot);

  const Device& device_;
  Channel& channel_;
  std::uint64_t offset_;
  std::uint64_t ended_;
  std::uint64_t made_ = 0;  // requests; request n is in slot n % kDepth
  std::array<Transfer, kDepth> slots_;
};

}  // namespace ashlar::cli
