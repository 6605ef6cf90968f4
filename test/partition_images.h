// Images for the tests of partition parsers: a sparse device of any size in memory, and writers
// for the structures on it. The writers know the formats from their specifications and share no
// code with the parsers, so that a wrong offset in one does not hide in the other.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "topology/partition_table.h"
#include "topology/taste.h"

namespace ashlar::test {

inline constexpr std::uint64_t kS = 512;  // bytes of a sector

// A device of `size_bytes`, zero where nothing was written. Counts what a parser reads, and fails
// reads that touch a broken byte or pass the budget.
class SparseImage final : public TasteReader {
 public:
  explicit SparseImage(std::uint64_t size_bytes, std::uint32_t block_size_bytes = 512)
      : size_bytes_(size_bytes), block_size_bytes_(block_size_bytes) {}

  Result<void> read(std::uint64_t offset, ByteSpan into) override {
    if (!within(offset, into.size(), size_bytes_)) return Error{Errc::out_of_range, "past the end"};
    bytes_read_ += into.size();
    if (bytes_read_ > kTasteBudgetBytes) return Error{Errc::invalid, "taste budget spent"};
    if (broken_ >= offset && broken_ - offset < into.size()) return Error{Errc::io, "I/O error"};
    peek(offset, into);
    return {};
  }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  std::uint32_t block_size_bytes() const override { return block_size_bytes_; }
  const std::string& name() const override { return name_; }

  std::uint64_t bytes_read() const { return bytes_read_; }
  void resize(std::uint64_t size_bytes) { size_bytes_ = size_bytes; }
  void break_byte(std::uint64_t offset) { broken_ = offset; }  // reads that touch it fail

  // Reads without rules, for the writers below.
  void peek(std::uint64_t offset, ByteSpan into) const {
    std::fill(into.begin(), into.end(), std::byte{0});
    auto piece = pieces_.lower_bound(offset / kPiece);
    for (; piece != pieces_.end() && piece->first * kPiece < offset + into.size(); ++piece) {
      const std::uint64_t start = std::max(offset, piece->first * kPiece);
      const std::uint64_t end = std::min(offset + into.size(), (piece->first + 1) * kPiece);
      std::copy_n(piece->second.begin() + (start - piece->first * kPiece), end - start,
                  into.begin() + (start - offset));
    }
  }
  std::vector<std::byte> peek(std::uint64_t offset, std::uint64_t length) const {
    std::vector<std::byte> bytes(length);
    peek(offset, bytes);
    return bytes;
  }

  std::byte& at(std::uint64_t offset) { return pieces_[offset / kPiece][offset % kPiece]; }
  void flip(std::uint64_t offset) { at(offset) ^= std::byte{0xff}; }
  void write(std::uint64_t offset, ByteView bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) at(offset + i) = bytes[i];
  }
  // Little-endian number of `bytes` bytes.
  void put(std::uint64_t offset, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) at(offset + i) = static_cast<std::byte>(value >> (8 * i));
  }
  void zero(std::uint64_t offset, std::uint64_t length) {
    for (std::uint64_t i = 0; i < length; ++i) at(offset + i) = std::byte{0};
  }

 private:
  static constexpr std::uint64_t kPiece = 512;
  std::map<std::uint64_t, std::array<std::byte, kPiece>> pieces_;
  std::uint64_t size_bytes_;
  std::uint32_t block_size_bytes_;
  std::uint64_t bytes_read_ = 0;
  std::uint64_t broken_ = UINT64_MAX;
  std::string name_ = "disk0";
};

struct MbrSlot {
  int slot;  // 1 to 4
  std::uint8_t type;
  std::uint32_t first;
  std::uint32_t sectors;
  std::uint8_t boot_flag = 0;
};

// Writes 55 aa and the given slots to the sector at byte `offset`; an EBR is the same.
inline void put_mbr(SparseImage& image, const std::vector<MbrSlot>& slots,
                    std::uint64_t offset = 0) {
  image.put(offset + 510, 0xaa55, 2);
  for (const MbrSlot& slot : slots) {
    const std::uint64_t at = offset + 446 + 16 * (slot.slot - 1);
    image.put(at, slot.boot_flag, 1);
    image.put(at + 4, slot.type, 1);
    image.put(at + 8, slot.first, 4);
    image.put(at + 12, slot.sectors, 4);
  }
}

inline void put_protective_mbr(SparseImage& image) { put_mbr(image, {{1, 0xee, 1, 0xffffffff}}); }

// CRC-32 from its polynomial.
inline std::uint32_t slow_crc32(const SparseImage& image, std::uint64_t offset,
                                std::uint64_t length) {
  static const auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      table[i] = i;
      for (int bit = 0; bit < 8; ++bit) {
        table[i] = (table[i] >> 1) ^ ((table[i] & 1) != 0 ? 0xedb88320 : 0);
      }
    }
    return table;
  }();
  std::uint32_t crc = 0xffffffff;
  for (const std::byte byte : image.peek(offset, length)) {
    crc = (crc >> 8) ^ kTable[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xff];
  }
  return ~crc;
}

struct GptPartition {
  std::uint32_t number;
  std::uint64_t first;
  std::uint64_t last;
  std::u16string name = u"";
  std::uint64_t attributes = 0;
};

// A GPT as a tool would write it; change a field, write, damage.
struct GptLayout {
  std::uint32_t sector = 512;
  std::uint32_t count = 128;
  std::uint32_t entry_bytes = 128;
  std::vector<GptPartition> partitions;
  bool protective = true;

  std::uint64_t array_sectors() const {
    return (std::uint64_t{count} * entry_bytes + sector - 1) / sector;
  }
  std::uint64_t first_usable() const { return 2 + array_sectors(); }
  std::uint64_t last_usable(const SparseImage& image) const {
    return image.size_bytes() / sector - 2 - array_sectors();
  }
};

inline constexpr const char* kLinuxGuidText = "0fc63daf-8483-4772-8e79-3d69d8477de4";

inline void put_gpt_entry(SparseImage& image, const GptLayout& layout, std::uint64_t array,
                          const GptPartition& partition) {
  constexpr std::array<std::uint8_t, 16> kLinux = {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
                                                   0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};
  const std::uint64_t at =
      array * layout.sector + std::uint64_t{partition.number - 1} * layout.entry_bytes;
  for (int i = 0; i < 16; ++i) image.put(at + i, kLinux[i], 1);
  for (int i = 0; i < 16; ++i) image.put(at + 16 + i, 0x10 + i, 1);
  image.put(at + 16, partition.number, 4);
  image.put(at + 32, partition.first, 8);
  image.put(at + 40, partition.last, 8);
  image.put(at + 48, partition.attributes, 8);
  for (std::size_t i = 0; i < partition.name.size(); ++i) {
    image.put(at + 56 + 2 * i, partition.name[i], 2);
  }
}

// Recomputes both checksums of the header in sector `lba`.
inline void seal_gpt(SparseImage& image, std::uint64_t lba, const GptLayout& layout) {
  const std::uint64_t header = lba * layout.sector;
  const std::vector<std::byte> bytes = image.peek(header, 96);
  const auto array = load_le<std::uint64_t>(bytes, 72);
  const auto length =
      std::uint64_t{load_le<std::uint32_t>(bytes, 80)} * load_le<std::uint32_t>(bytes, 84);
  const std::uint64_t array_at = array * layout.sector;
  // A test that lies about the array's size has no array to checksum.
  if (length <= 32 * kMiB && array <= image.size_bytes() / layout.sector &&
      within(array_at, length, image.size_bytes())) {
    image.put(header + 88, slow_crc32(image, array_at, length), 4);
  }
  image.put(header + 16, 0, 4);
  image.put(header + 16, slow_crc32(image, header, load_le<std::uint32_t>(bytes, 12)), 4);
}

inline void put_gpt_copy(SparseImage& image, const GptLayout& layout, std::uint64_t lba,
                         std::uint64_t other, std::uint64_t array) {
  const std::uint64_t at = lba * layout.sector;
  image.write(at, as_bytes("EFI PART"));
  image.put(at + 8, 0x10000, 4);
  image.put(at + 12, 92, 4);
  image.put(at + 24, lba, 8);
  image.put(at + 32, other, 8);
  image.put(at + 40, layout.first_usable(), 8);
  image.put(at + 48, layout.last_usable(image), 8);
  for (int i = 0; i < 16; ++i) image.put(at + 56 + i, i, 1);
  image.put(at + 72, array, 8);
  image.put(at + 80, layout.count, 4);
  image.put(at + 84, layout.entry_bytes, 4);
  for (const GptPartition& partition : layout.partitions) {
    put_gpt_entry(image, layout, array, partition);
  }
  seal_gpt(image, lba, layout);
}

inline std::uint64_t last_lba(const SparseImage& image, const GptLayout& layout) {
  return image.size_bytes() / layout.sector - 1;
}

inline void put_gpt(SparseImage& image, const GptLayout& layout) {
  const std::uint64_t last = last_lba(image, layout);
  if (layout.protective) put_protective_mbr(image);
  put_gpt_copy(image, layout, 1, last, 2);
  put_gpt_copy(image, layout, last, 1, last - layout.array_sectors());
}

struct BsdPartition {
  int letter;  // 'a' and on, past 'z' too
  std::uint32_t first;
  std::uint32_t sectors;
  std::uint8_t type = 7;
};

struct BsdLayout {
  std::uint64_t offset = 512;  // of the label, in bytes
  std::uint32_t sector = 512;
  std::uint16_t count = 8;
  std::vector<BsdPartition> partitions;
};

// Recomputes the checksum of a label with `count` partitions.
inline void seal_bsdlabel(SparseImage& image, const BsdLayout& layout) {
  image.put(layout.offset + 136, 0, 2);
  const auto bytes = image.peek(layout.offset, 148 + 16 * std::size_t{layout.count});
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    sum ^= std::to_integer<std::uint32_t>(bytes[i]) |
           (std::to_integer<std::uint32_t>(bytes[i + 1]) << 8);
  }
  image.put(layout.offset + 136, sum, 2);
}

inline void put_bsdlabel(SparseImage& image, const BsdLayout& layout) {
  image.put(layout.offset, 0x82564557, 4);
  image.put(layout.offset + 40, layout.sector, 4);
  image.put(layout.offset + 132, 0x82564557, 4);
  image.put(layout.offset + 138, layout.count, 2);
  for (const BsdPartition& partition : layout.partitions) {
    const std::uint64_t at = layout.offset + 148 + 16 * std::uint64_t(partition.letter - 'a');
    image.put(at, partition.sectors, 4);
    image.put(at + 4, partition.first, 4);
    image.put(at + 12, partition.type, 1);
  }
  seal_bsdlabel(image, layout);
}

// "1@1048576+4096 5@...": what a table says, short enough to compare at a glance.
inline std::string extents_text(const PartitionTable& table) {
  std::string text;
  for (const PartitionEntry& entry : table.entries) {
    if (!text.empty()) text += ' ';
    text += fmt::format("{}@{}+{}", entry.number, entry.extent.offset, entry.extent.length);
    if (entry.container) text += "c";
  }
  return text;
}

// True where one of the sentences contains `words`.
inline bool mentions(const std::vector<std::string>& sentences, std::string_view words) {
  return std::any_of(sentences.begin(), sentences.end(), [&](const std::string& sentence) {
    return sentence.find(words) != std::string::npos;
  });
}

}  // namespace ashlar::test
