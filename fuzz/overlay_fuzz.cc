// Fuzzes the format of kept overlays. An input is the start of a store, its header and marks, and
// behind them the first records of its map: header page, two pages of marks, then pages of records.
// Half of the inputs get right checksums, so that what lies behind those is reached.
#include <isa-l/crc.h>

#include <algorithm>
#include <vector>

#include "class/overlay/ledger.h"
#include "class/overlay/store_format.h"

namespace {

using namespace ashlar;
using overlay::kPageBytes;

void correct(ByteSpan page, std::size_t at) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(page.data());
  std::uint32_t sum = crc32_gzip_refl(0, bytes, at);
  if (at == 60) sum = crc32_gzip_refl(sum, bytes + 64, kPageBytes - 64);
  store_le(page, at, sum);
}

// Three pages, and from the third on the map, wherever the header says it is.
Result<void> read_at(const std::vector<std::byte>& input, std::uint64_t map_at,
                     std::uint64_t offset, ByteSpan into) {
  std::fill(into.begin(), into.end(), std::byte{});
  const std::uint64_t from = offset >= map_at ? offset - map_at + 3 * kPageBytes : offset;
  if (from >= input.size()) return {};
  const auto count = std::min<std::uint64_t>(into.size(), input.size() - from);
  std::copy_n(input.begin() + static_cast<std::ptrdiff_t>(from), count, into.begin());
  return {};
}

void check(std::vector<std::byte> input) {
  const std::uint64_t map_at =
      std::max(load_le<std::uint64_t>(input, 24), std::uint64_t{overlay::kDataAt});
  const overlay::Read read = [&](std::uint64_t offset, ByteSpan into) {
    return read_at(input, map_at, offset, into);
  };
  const auto loaded = overlay::load(read, std::uint64_t{1} << 40);
  if (!loaded) {
    ASHLAR_ASSERT(!loaded.error().message.empty());
    return;
  }
  for (const Extent& each : ranges_of(*loaded)) {
    ASHLAR_ASSERT(each.length > 0 && within(each.offset, each.length, loaded->header.base_bytes));
  }
  static_cast<void>(check_base(*loaded, loaded->header.base_bytes, "fuzz", read));
  // Whatever was loaded, it can be gone on with.
  overlay::Ledger ledger(*loaded);
  ASHLAR_ASSERT(ledger.add({0, 512}));
  const std::uint64_t all = ledger.cut();
  if (ledger.durable() == all) return;
  const auto round = ledger.begin(all);
  ASHLAR_ASSERT(round != nullptr && round->records <= overlay::Round::kMostRecords);
  for (std::size_t i = 0; i < round->records; ++i) {
    ASHLAR_ASSERT(round->slots[i] < loaded->header.slots);
  }
  ledger.end(*round, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  std::vector<std::byte> input(bytes, bytes + std::min<std::size_t>(size, 8 * kPageBytes));
  input.resize(std::max<std::size_t>(align_up(input.size(), kPageBytes), 3 * kPageBytes));
  check(input);
  correct(ByteSpan(input).first(kPageBytes), kPageBytes - 4);
  for (std::size_t at = 3 * kPageBytes; at < input.size(); at += kPageBytes) {
    correct(ByteSpan(input).subspan(at, kPageBytes), 60);
  }
  check(std::move(input));
  return 0;
}
