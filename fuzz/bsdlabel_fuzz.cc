// Fuzzes read_bsdlabel: an input is the start of a disk, and then of a slice of each flavour.
#include "class/bsd_disklabel.h"

#include "fuzz/partition_input.h"

namespace {

// As if the device lay at that offset of its disk; both small and beyond 32 bits of sectors.
constexpr std::uint64_t kSliceOffsets[] = {0, 512, 7680 * 512, std::uint64_t{1} << 50};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using ashlar::BsdFlavour;
  ashlar::fuzz::InputDisk disk(data, size);
  ashlar::fuzz::check(ashlar::read_bsdlabel(disk), disk.size_bytes());
  for (const auto flavour : {BsdFlavour::freebsd, BsdFlavour::netbsd, BsdFlavour::openbsd}) {
    for (const std::uint64_t offset : kSliceOffsets) {
      const auto table = ashlar::read_bsdlabel(disk, {flavour, offset, 5});
      ashlar::fuzz::check(table, disk.size_bytes());
    }
  }
  return 0;
}
