// What a partition table parser finds: the result type that mbr, gpt and bsdlabel share.
//
// A parser is a function over a TasteReader that returns Result<PartitionTable>:
//   Errc::not_found  there is no such table here; nothing to tell anybody
//   Errc::corrupt    there is one, damaged beyond use; the sentence names the byte
//   anything else    the device could not be read
// A damaged table that can still be used is a value, and its damage is in `doubts`.
//
// THREAD: values without state; the control thread uses them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/extent.h"

namespace ashlar {

struct PartitionEntry {
  std::uint32_t number = 0;      // the number Linux gives to it: 1 for sda1
  Extent extent;                 // bytes, within the device that was read
  std::string type;              // as the table has it: "0x83", a lower-case UUID, "7"
  std::string type_name;         // the same for people, "Linux"; empty where it is not known
  std::string label;             // UTF-8 without control characters; empty where there is none
  std::string uuid;              // lower case; "69346880-01" in an MBR; empty where there is none
  std::uint64_t attributes = 0;  // GPT attribute bits; bit 0 in an MBR: marked active (0x80)
  // An extended partition: it holds others and no data. Linux makes a device of its first KiB, so
  // that a boot loader can be written there; Ashlar makes none.
  bool container = false;
  // A BSD slice of an MBR: the number that Linux gives to the first partition in it. 0: none.
  std::uint32_t nested_number = 0;

  friend bool operator==(const PartitionEntry&, const PartitionEntry&) = default;
};

struct PartitionTable {
  std::string scheme;                   // "mbr", "gpt" or "bsdlabel"
  std::uint32_t sector_bytes = 512;     // the unit the table counts in
  std::string disk_uuid;                // the table's own identity; empty where there is none
  std::uint32_t next_number = 1;        // behind the last that was given out
  std::vector<PartitionEntry> entries;  // in the table's order; their numbers differ
  std::vector<std::string> evidence;    // why it was recognised, a sentence each
  std::vector<std::string> doubts;      // what is wrong with it; at most kMaxDoubts sentences
  int confidence = 0;                   // 0 to 100, to weigh tables that claim the same device
};

// A hostile table can be wrong in every entry; a report of a page still gets read.
inline constexpr std::size_t kMaxDoubts = 32;

// Appends a sentence to the doubts; the last one that fits says that there are more.
void add_doubt(PartitionTable& table, std::string sentence);

// Adds `entry` the way Linux adds partitions to a disk of `device_bytes`: an empty one is left out,
// one that starts past the end is left out with a doubt, and one that ends past the end is cut
// short with a doubt. REQUIRES: extent.offset + extent.length does not overflow.
void add_entry(PartitionTable& table, PartitionEntry entry, std::uint64_t device_bytes);

// Adds a doubt for each entry that shares bytes with an earlier one. Linux keeps both, and so
// does Ashlar. Containers do not count.
void note_overlaps(PartitionTable& table);

}  // namespace ashlar
