// Fuzzes read_gpt: an input is the start of a disk, read as it is, and again with right checksums,
// which no mutation would find, so that the numbers behind them are tested too.
#include "class/gpt/gpt_table.h"

#include <isa-l/crc.h>

#include "fuzz/partition_input.h"

namespace {

using ashlar::ByteSpan;
using ashlar::load_le;
using ashlar::store_le;

std::uint32_t crc32(ByteSpan bytes) {
  return crc32_gzip_refl(0, reinterpret_cast<unsigned char*>(bytes.data()), bytes.size());
}

// Makes the checksums of the header at `at` right, as far as header and array lie in the input.
void seal(ByteSpan disk, std::uint64_t at, std::uint64_t sector_bytes) {
  if (!ashlar::within(at, 92, disk.size())) return;
  const ByteSpan header = disk.subspan(at);
  const auto array_lba = load_le<std::uint64_t>(header, 72);
  const std::uint64_t length =
      std::uint64_t{load_le<std::uint32_t>(header, 80)} * load_le<std::uint32_t>(header, 84);
  const auto header_bytes = load_le<std::uint32_t>(header, 12);
  if (array_lba < disk.size() && ashlar::within(array_lba * sector_bytes, length, disk.size())) {
    store_le<std::uint32_t>(header, 88, crc32(disk.subspan(array_lba * sector_bytes, length)));
  }
  if (header_bytes < 92 || header_bytes > header.size()) return;
  store_le<std::uint32_t>(header, 16, 0);
  store_le<std::uint32_t>(header, 16, crc32(header.first(header_bytes)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ashlar::fuzz::InputDisk disk(data, size);
  ashlar::fuzz::check(ashlar::read_gpt(disk), disk.size_bytes());

  // Without zeros behind it, so that the backup is at the end of the input.
  ashlar::fuzz::InputDisk sealed(data, size);
  sealed.set_size_bytes(size);
  for (const std::uint64_t sector_bytes : {512, 4096}) {
    seal(sealed.bytes(), sector_bytes, sector_bytes);
    if (size >= sector_bytes)
      seal(sealed.bytes(), size / sector_bytes * sector_bytes - sector_bytes, sector_bytes);
  }
  ashlar::fuzz::check(ashlar::read_gpt(sealed), sealed.size_bytes());
  return 0;
}
