// What a class may do to a new provider while it tastes it: read bytes, and nothing else.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace ashlar {

// Synchronous reads of a provider on the control thread. Bounded: a taster that reads more than
// kTasteBudget bytes gets an error, so that hostile metadata cannot make tasting endless.
// What the table above a device says of it; GEOM's attributes of a slice. Some things can only be
// read with it: a disklabel in a slice counts from the start of the disk.
struct PartitionFacts {
  std::string scheme;              // the class of the table, "mbr"
  std::string type;                // as the table has it: "0xa5", a UUID
  std::uint64_t offset_bytes = 0;  // from the start of the table's device
  // The number that Linux gives to the first partition inside this one; 0: it looks for none.
  std::uint32_t nested_number = 0;
};

class TasteReader {
 public:
  // Enough for a GPT with 128 Ki entries of 128 bytes in both copies, and for long chains.
  static constexpr std::uint64_t kTasteBudgetBytes = 64 * kMiB;

  virtual ~TasteReader() = default;

  // Fills `into` from byte `offset`. No alignment is asked of the caller.
  // Errors: out_of_range past the end, invalid past the budget, io from the device.
  virtual Result<void> read(std::uint64_t offset, ByteSpan into) = 0;

  virtual std::uint64_t size_bytes() const = 0;
  virtual std::uint32_t block_size_bytes() const = 0;  // the device's own; a hint for sector size
  virtual const std::string& name() const = 0;         // for messages: "disk0"

  // So many bytes more may be read: for a class that was not found but asked for, and has much on
  // the device that is its own.
  virtual void allow(std::uint64_t /*bytes*/) {}

  // Null where the device is not a partition.
  const PartitionFacts* partition() const { return partition_; }
  // `facts` outlives the reader.
  void set_partition(const PartitionFacts* facts) { partition_ = facts; }

 private:
  const PartitionFacts* partition_ = nullptr;
};

}  // namespace ashlar
