// Header and records of a kept overlay: written, read, checked.
#include "class/overlay/store_format.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstring>

#include "topology/limits.h"

namespace ashlar::overlay {
namespace {

constexpr std::uint64_t kHeaderMagic = 0x31594c5245564f41;  // "AOVERLY1"
constexpr std::uint64_t kRecordMagic = 0x3150414d4c564f41;  // "AOVLMAP1"
constexpr std::uint32_t kTailFlag = 1;
constexpr std::size_t kHeaderSum = kPageBytes - 4;
constexpr std::size_t kRecordSum = 60;
constexpr std::size_t kListAt = 64;
constexpr std::size_t kMostSamples = (kHeaderSum - kListAt) / 16;

// Where disks of one array or of one model differ: the first 64 KiB and the last 128 KiB have
// partition tables and superblocks; between them lies what no two images have in common.
constexpr std::uint64_t kPagesInFront = 16;
constexpr std::uint64_t kPagesBehind = 32;
constexpr std::uint64_t kPagesBetween = 32;

// A record holds 126 ranges or more, so that a slot for each 32 KiB is twice what is needed where
// each sector is written and flushed by itself. The most that is set aside is 16 GiB, a hole while
// it is not used.
constexpr std::uint64_t kBytesPerSlot = 32 * kKiB;
constexpr std::uint64_t kFewestSlots = 1024;
constexpr std::uint64_t kMostSlots = std::uint64_t{1} << 22;

std::uint32_t crc(ByteView bytes, std::uint32_t start = 0) {
  return crc32_gzip_refl(start, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

// Two checksums of different kinds: enough to tell images apart, and not to resist anybody.
std::uint64_t hash_of(ByteSpan bytes) {
  const auto other = crc32_iscsi(reinterpret_cast<unsigned char*>(bytes.data()),
                                 static_cast<int>(bytes.size()), 0);
  return std::uint64_t{crc(bytes)} << 32 | other;
}

std::uint32_t header_sum(ByteView page) { return crc(page.first(kHeaderSum)); }

std::uint32_t record_sum(ByteView page) {
  return crc(page.subspan(kListAt), crc(page.first(kRecordSum)));
}

bool all_zeros(ByteView bytes) {
  // Each byte is like the one before it, and the first is zero.
  return bytes.empty() || (bytes[0] == std::byte{} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

std::vector<std::uint64_t> sample_offsets(std::uint64_t base_bytes) {
  const std::uint64_t pages = (base_bytes + kPageBytes - 1) / kPageBytes;
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t i = 0; i < std::min(pages, kPagesInFront); ++i) numbers.push_back(i);
  for (std::uint64_t i = 1; i <= kPagesBetween; ++i) {
    numbers.push_back(pages / (kPagesBetween + 1) * i);
  }
  for (std::uint64_t i = pages - std::min(pages, kPagesBehind); i < pages; ++i)
    numbers.push_back(i);
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  for (std::uint64_t& each : numbers) each *= kPageBytes;
  return numbers;
}

Result<std::uint64_t> hash_at(const Read& read, std::uint64_t offset, std::uint64_t base_bytes) {
  std::array<std::byte, kPageBytes> page;
  const ByteSpan bytes = ByteSpan(page).first(std::min(kPageBytes, base_bytes - offset));
  if (auto got = read(offset, bytes); !got) return got.error();
  return hash_of(bytes);
}

Error damaged(std::string_view what) {
  return make_error(Errc::corrupt, "overlay: the overlay is damaged: {}", what);
}

Result<void> check_header(const Header& header, std::uint64_t size_bytes) {
  const bool sound = header.base_bytes > 0 && header.base_bytes <= kMaxDeviceBytes - kDataAt &&
                     header.map_at % kPageBytes == 0 && header.map_at >= kDataAt &&
                     header.map_at - kDataAt >= header.base_bytes && header.map_at <= size_bytes &&
                     header.slots > 0 && header.slots <= (size_bytes - header.map_at) / kPageBytes;
  if (sound) return {};
  return damaged(fmt::format("it speaks of {} bytes and of {} slots from byte {} on, in {} bytes",
                             header.base_bytes, header.slots, header.map_at, size_bytes));
}

Result<Header> get_header(ByteView page, std::uint64_t size_bytes) {
  if (load_le<std::uint64_t>(page, 0) != kHeaderMagic) {
    return make_error(Errc::corrupt, "overlay: there is no overlay: it does not begin like one");
  }
  if (load_le<std::uint32_t>(page, kHeaderSum) != header_sum(page)) {
    return damaged("the checksum of its header is wrong");
  }
  if (const auto version = load_le<std::uint32_t>(page, 8); version != kVersion) {
    return make_error(Errc::unsupported, "overlay: the overlay has version {}, known is {}",
                      version, kVersion);
  }
  Header header;
  header.base_bytes = load_le<std::uint64_t>(page, 16);
  header.map_at = load_le<std::uint64_t>(page, 24);
  header.slots = load_le<std::uint64_t>(page, 32);
  std::copy_n(page.begin() + 40, header.identity.size(), header.identity.begin());
  if (auto sound = check_header(header, size_bytes); !sound) return sound.error();
  const auto samples = load_le<std::uint32_t>(page, 12);
  if (samples > kMostSamples) return damaged(fmt::format("it has {} samples", samples));
  for (std::size_t i = 0; i < samples; ++i) {
    const Sample sample{load_le<std::uint64_t>(page, kListAt + 16 * i),
                        load_le<std::uint64_t>(page, kListAt + 16 * i + 8)};
    if (sample.offset >= header.base_bytes) return damaged("a sample lies past the device's end");
    header.samples.push_back(sample);
  }
  return header;
}

bool is_record(ByteView page, const Header& header) {
  return load_le<std::uint64_t>(page, 0) == kRecordMagic &&
         std::equal(header.identity.begin(), header.identity.end(), page.begin() + 16) &&
         load_le<std::uint32_t>(page, kRecordSum) == record_sum(page);
}

// REQUIRES: is_record().
Result<Record> get_record(ByteView page, const Header& header) {
  Record record;
  record.tail = (load_le<std::uint32_t>(page, 8) & kTailFlag) != 0;
  const auto count = load_le<std::uint32_t>(page, 12);
  record.number = load_le<std::uint64_t>(page, 32);
  record.reach = load_le<std::uint64_t>(page, 40);
  record.sealed = load_le<std::uint64_t>(page, 48);
  if (count > kMostRanges || record.reach > header.slots) {
    return damaged(fmt::format("record {} of its map has {} ranges", record.number, count));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Extent range{load_le<std::uint64_t>(page, kListAt + 16 * i),
                       load_le<std::uint64_t>(page, kListAt + 16 * i + 8)};
    const bool sound = range.length > 0 && (range.offset | range.length) % kMinBlockBytes == 0 &&
                       within(range.offset, range.length, header.base_bytes);
    if (!sound) {
      return damaged(fmt::format("record {} of its map names {} bytes at byte {} of {}",
                                 record.number, range.length, range.offset, header.base_bytes));
    }
    record.ranges.push_back(range);
  }
  return record;
}

Result<void> load_slots(Loaded& into, const Read& read) {
  std::array<std::byte, kPageBytes> page;
  into.reach = std::min(kReachAhead, into.header.slots);
  for (std::uint64_t slot = 0; slot < into.reach; ++slot) {
    if (auto got = read(into.header.map_at + slot * kPageBytes, page); !got) return got;
    if (!is_record(page, into.header)) {
      if (!all_zeros(page)) ++into.torn;
      continue;
    }
    auto record = get_record(page, into.header);
    if (!record) return record.error();
    into.reach = std::max(into.reach, record->reach);
    into.slots.push_back({slot, std::move(*record)});
  }
  return {};
}

// The newest record says how many there were before it that never change.
Result<void> check_complete(const Loaded& loaded) {
  if (loaded.slots.empty()) return {};
  const Record& newest = loaded.slots.back().record;
  const auto sealed = static_cast<std::uint64_t>(
      std::count_if(loaded.slots.begin(), std::prev(loaded.slots.end()),
                    [](const Loaded::Slot& each) { return !each.record.tail; }));
  if (sealed >= newest.sealed) return {};
  return damaged(
      fmt::format("its map has {} full records, and should have {}", sealed, newest.sealed));
}

}  // namespace

Result<Header> make_header(std::uint64_t base_bytes, const Identity& identity, const Read& read) {
  Header header;
  header.base_bytes = base_bytes;
  header.map_at = kDataAt + align_up(base_bytes, kPageBytes);
  header.slots = std::min(kFewestSlots + base_bytes / kBytesPerSlot, kMostSlots);
  header.identity = identity;
  for (const std::uint64_t offset : sample_offsets(base_bytes)) {
    auto hash = hash_at(read, offset, base_bytes);
    if (!hash) return hash.error();
    header.samples.push_back({offset, *hash});
  }
  return header;
}

void put_header(const Header& header, ByteSpan page) {
  ASHLAR_ASSERT(header.samples.size() <= kMostSamples);
  std::fill(page.begin(), page.end(), std::byte{});
  store_le(page, 0, kHeaderMagic);
  store_le(page, 8, kVersion);
  store_le(page, 12, static_cast<std::uint32_t>(header.samples.size()));
  store_le(page, 16, header.base_bytes);
  store_le(page, 24, header.map_at);
  store_le(page, 32, header.slots);
  std::copy(header.identity.begin(), header.identity.end(), page.begin() + 40);
  for (std::size_t i = 0; i < header.samples.size(); ++i) {
    store_le(page, kListAt + 16 * i, header.samples[i].offset);
    store_le(page, kListAt + 16 * i + 8, header.samples[i].hash);
  }
  store_le(page, kHeaderSum, header_sum(page));
}

void put_record(const Record& record, const Identity& identity, ByteSpan page) {
  ASHLAR_ASSERT(record.ranges.size() <= kMostRanges);
  std::fill(page.begin(), page.end(), std::byte{});
  store_le(page, 0, kRecordMagic);
  store_le(page, 8, record.tail ? kTailFlag : 0);
  store_le(page, 12, static_cast<std::uint32_t>(record.ranges.size()));
  std::copy(identity.begin(), identity.end(), page.begin() + 16);
  store_le(page, 32, record.number);
  store_le(page, 40, record.reach);
  store_le(page, 48, record.sealed);
  for (std::size_t i = 0; i < record.ranges.size(); ++i) {
    store_le(page, kListAt + 16 * i, record.ranges[i].offset);
    store_le(page, kListAt + 16 * i + 8, record.ranges[i].length);
  }
  store_le(page, kRecordSum, record_sum(page));
}

Result<Loaded> load(const Read& read, std::uint64_t size_bytes) {
  std::array<std::byte, kPageBytes> page;
  if (size_bytes < kDataAt) {
    return make_error(Errc::corrupt, "overlay: there is no overlay: {} bytes are too few",
                      size_bytes);
  }
  if (auto got = read(0, page); !got) return got.error();
  auto header = get_header(page, size_bytes);
  if (!header) return header.error();
  Loaded loaded;
  loaded.header = std::move(*header);
  if (auto got = read(kBegunAt, page); !got) return got.error();
  loaded.begun = !all_zeros(page);
  if (auto got = read(kAppliedAt, page); !got) return got.error();
  loaded.applied = !all_zeros(page);
  if (auto got = load_slots(loaded, read); !got) return got.error();
  std::sort(loaded.slots.begin(), loaded.slots.end(),
            [](const auto& a, const auto& b) { return a.record.number < b.record.number; });
  if (auto complete = check_complete(loaded); !complete) return complete.error();
  return loaded;
}

Result<void> check_base(const Loaded& loaded, std::uint64_t base_bytes, const std::string& device,
                        const Read& read) {
  const Header& header = loaded.header;
  if (header.base_bytes != base_bytes) {
    return make_error(Errc::invalid,
                      "overlay: the overlay is of another image: of one with {} bytes, {} has {}",
                      header.base_bytes, device, base_bytes);
  }
  const std::vector<Extent> changed = loaded.begun ? ranges_of(loaded) : std::vector<Extent>();
  for (const Sample& sample : header.samples) {
    const auto touches = [&](const Extent& range) {
      return range.offset < sample.offset + kPageBytes && sample.offset < range.end();
    };
    if (std::any_of(changed.begin(), changed.end(), touches)) continue;
    auto hash = hash_at(read, sample.offset, base_bytes);
    if (!hash) return hash.error();
    if (*hash == sample.hash) continue;
    return make_error(Errc::invalid,
                      "overlay: the overlay is of another image, or {} has changed since: it "
                      "differs at byte {}",
                      device, sample.offset);
  }
  return {};
}

std::vector<Extent> ranges_of(const Loaded& loaded) {
  std::vector<Extent> all;
  for (const Loaded::Slot& each : loaded.slots) {
    all.insert(all.end(), each.record.ranges.begin(), each.record.ranges.end());
  }
  join_ranges(all);
  return all;
}

void join_ranges(std::vector<Extent>& ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  std::size_t kept = 0;
  for (const Extent& each : ranges) {
    if (kept > 0 && each.offset <= ranges[kept - 1].end()) {
      Extent& last = ranges[kept - 1];
      last.length = std::max(last.end(), each.end()) - last.offset;
    } else {
      ranges[kept++] = each;
    }
  }
  ranges.resize(kept);
}

}  // namespace ashlar::overlay
