// What the fuzz targets of the partition parsers share: an input as a disk, and what must hold of
// every table that is read from it, however hostile the disk.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "topology/partition_table.h"
#include "topology/taste.h"

namespace ashlar::fuzz {

// The input as a device, followed by zeros: a few bytes of input can so describe a large disk.
// The last two bytes of the input choose the block size and the length of the zeros.
class InputDisk final : public TasteReader {
 public:
  InputDisk(const std::uint8_t* data, std::size_t size) : bytes_(size) {
    std::transform(data, data + size, bytes_.begin(), [](auto byte) { return std::byte{byte}; });
    const std::uint8_t block = size > 0 ? data[size - 1] : 0;
    const std::uint8_t zeros = size > 1 ? data[size - 2] : 0;
    block_size_bytes_ = block == 1 ? 4096 : block == 2 ? 0xffffffff : 512;
    size_bytes_ = size + (std::uint64_t{1} << (zeros % 64)) - 1;
  }

  Result<void> read(std::uint64_t offset, ByteSpan into) override {
    if (!within(offset, into.size(), size_bytes_)) return Error{Errc::out_of_range, "past the end"};
    bytes_read_ += into.size();
    if (bytes_read_ > kTasteBudgetBytes) return Error{Errc::invalid, "budget spent"};
    std::fill(into.begin(), into.end(), std::byte{0});
    if (offset >= bytes_.size()) return {};
    const std::size_t known = std::min<std::uint64_t>(into.size(), bytes_.size() - offset);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), known, into.begin());
    return {};
  }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  std::uint32_t block_size_bytes() const override { return block_size_bytes_; }
  const std::string& name() const override { return name_; }

  std::vector<std::byte>& bytes() { return bytes_; }
  void set_size_bytes(std::uint64_t size_bytes) { size_bytes_ = size_bytes; }

 private:
  std::vector<std::byte> bytes_;
  std::uint64_t size_bytes_ = 0;
  std::uint32_t block_size_bytes_ = 512;
  std::uint64_t bytes_read_ = 0;
  std::string name_ = "disk0";
};

inline void check_error(const Error& error) {
  ASHLAR_ASSERT(error.code != Errc::ok);
  ASHLAR_ASSERT(!error.message.empty());
}

// Partitions lie on the device, in whole sectors, under numbers that differ; reports are bounded.
inline void check_table(const PartitionTable& table, std::uint64_t device_bytes) {
  ASHLAR_ASSERT(is_power_of_two(table.sector_bytes));
  ASHLAR_ASSERT(table.doubts.size() <= kMaxDoubts);
  ASHLAR_ASSERT(!table.evidence.empty());
  ASHLAR_ASSERT(table.confidence >= 0 && table.confidence <= 100);
  std::set<std::uint32_t> numbers;
  for (const PartitionEntry& entry : table.entries) {
    ASHLAR_ASSERT(entry.number != 0);
    ASHLAR_ASSERT(numbers.insert(entry.number).second);
    ASHLAR_ASSERT(entry.extent.length != 0);
    ASHLAR_ASSERT(within(entry.extent.offset, entry.extent.length, device_bytes));
    ASHLAR_ASSERT(entry.extent.offset % table.sector_bytes == 0);
    ASHLAR_ASSERT(entry.extent.length % table.sector_bytes == 0);
  }
}

inline void check(const Result<PartitionTable>& table, std::uint64_t device_bytes) {
  table ? check_table(*table, device_bytes) : check_error(table.error());
}

}  // namespace ashlar::fuzz
