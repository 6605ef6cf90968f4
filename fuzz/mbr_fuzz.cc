// Fuzzes read_mbr: an input is the start of a disk (partition_input.h).
#include "class/mbr/mbr_table.h"

#include "fuzz/partition_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ashlar::fuzz::InputDisk disk(data, size);
  ashlar::fuzz::check(ashlar::read_mbr(disk), disk.size_bytes());
  return 0;
}
