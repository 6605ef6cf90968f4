// The rules that every partition table shares: ends of devices, overlaps, bounded reports.
#include "topology/partition_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace ashlar {

void add_doubt(PartitionTable& table, std::string sentence) {
  if (table.doubts.size() >= kMaxDoubts) return;
  if (table.doubts.size() == kMaxDoubts - 1) sentence = "there is more, not listed here";
  table.doubts.push_back(std::move(sentence));
}

void add_entry(PartitionTable& table, PartitionEntry entry, std::uint64_t device_bytes) {
  ASHLAR_ASSERT(entry.extent.length <= UINT64_MAX - entry.extent.offset);
  // The rest of an image that ends within a sector belongs to no partition.
  const std::uint64_t end = align_down(device_bytes, table.sector_bytes);
  if (entry.extent.length == 0) return;
  if (entry.extent.offset >= end) {
    add_doubt(table, fmt::format("partition {} starts at byte {}, past the end of the device at "
                                 "byte {}, and is left out",
                                 entry.number, entry.extent.offset, end));
    return;
  }
  if (entry.extent.end() > end) {
    add_doubt(table, fmt::format("partition {} ends at byte {}, past the end of the device at "
                                 "byte {}, and is cut short",
                                 entry.number, entry.extent.end(), end));
    entry.extent.length = end - entry.extent.offset;
  }
  table.entries.push_back(std::move(entry));
}

void note_overlaps(PartitionTable& table) {
  std::vector<const PartitionEntry*> by_offset;
  for (const PartitionEntry& entry : table.entries) {
    if (!entry.container) by_offset.push_back(&entry);
  }
  const auto key = [](const PartitionEntry* entry) {
    return std::pair(entry->extent.offset, entry->number);
  };
  std::sort(by_offset.begin(), by_offset.end(),
            [&](const auto* a, const auto* b) { return key(a) < key(b); });
  const PartitionEntry* reaches_furthest = nullptr;
  for (const PartitionEntry* entry : by_offset) {
    if (reaches_furthest != nullptr && entry->extent.offset < reaches_furthest->extent.end()) {
      add_doubt(table, fmt::format("partitions {} and {} overlap from byte {}",
                                   reaches_furthest->number, entry->number, entry->extent.offset));
    }
    if (reaches_furthest == nullptr || entry->extent.end() > reaches_furthest->extent.end()) {
      reaches_furthest = entry;
    }
  }
}

}  // namespace ashlar
