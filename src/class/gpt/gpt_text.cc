// Text of a GPT; everything here is hostile until it has passed through.
#include "class/gpt/gpt_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace ashlar {
namespace {

constexpr char32_t kReplacement = 0xfffd;

struct Row {
  std::string_view guid;
  std::string_view name;
};

// The types that are met in practice, from the Discoverable Partitions Specification, the UEFI
// specification and what sgdisk writes.
constexpr Row kRows[] = {
    {"c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI system"},
    {"21686148-6449-6e6f-744e-656564454649", "BIOS boot"},
    {"024dee41-33e7-11d3-9d69-0008c781f39f", "MBR"},
    {"0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux filesystem"},
    {"0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap"},
    {"a19d880f-05fc-4d3b-a006-743f0f84911e", "Linux RAID"},
    {"e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM"},
    {"ca7d7ccb-63ed-4c53-861c-1742536059cc", "Linux LUKS"},
    {"8da63339-0007-60c0-c436-083ac8230908", "Linux reserved"},
    {"bc13c2ff-59e6-4262-a352-b275fd6f7172", "Linux extended boot"},
    {"44479540-f297-41b2-9af7-d131d5f0458a", "Linux root (x86)"},
    {"4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "Linux root (x86-64)"},
    {"b921b045-1df0-41c3-af44-4c6f280d3fae", "Linux root (ARM-64)"},
    {"933ac7e1-2eb4-4f13-b844-0e14e2aef915", "Linux home"},
    {"3b8f8425-20e0-4f3b-907f-1a25a76f98e8", "Linux server data"},
    {"ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "Microsoft basic data"},
    {"e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved"},
    {"de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery"},
    {"5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "Microsoft LDM metadata"},
    {"af9b60a0-1431-4f62-bc68-3311714a69ad", "Microsoft LDM data"},
    {"516e7cb4-6ecf-11d6-8ff8-00022d09712b", "FreeBSD"},
    {"83bd6b9d-7f41-11dc-be0b-001560b84f0f", "FreeBSD boot"},
    {"516e7cb5-6ecf-11d6-8ff8-00022d09712b", "FreeBSD swap"},
    {"516e7cb6-6ecf-11d6-8ff8-00022d09712b", "FreeBSD UFS"},
    {"516e7cba-6ecf-11d6-8ff8-00022d09712b", "FreeBSD ZFS"},
    {"824cc7a0-36a8-11e3-890a-952519ad3f61", "OpenBSD"},
    {"48465300-0000-11aa-aa11-00306543ecac", "Apple HFS+"},
    {"7c3457ef-0000-11aa-aa11-00306543ecac", "Apple APFS"},
    {"fe3a2a5d-4f32-41a7-b725-accc3285a309", "ChromeOS kernel"},
    {"3cb8e202-3b7e-47dd-8a3c-7ff2a13cfcec", "ChromeOS root"},
};

void append_utf8(std::string& out, char32_t point) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((point >> shift) & 0x3f)); };
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xc0 | (point >> 6));
    tail(0);
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | (point >> 12));
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xf0 | (point >> 18));
    tail(12), tail(6), tail(0);
  }
}

bool is_high_surrogate(char32_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool is_low_surrogate(char32_t unit) { return unit >= 0xdc00 && unit < 0xe000; }

bool is_printable(char32_t point) {
  return point >= 0x20 && !(point >= 0x7f && point < 0xa0) && !is_high_surrogate(point) &&
         !is_low_surrogate(point);
}

}  // namespace

std::string guid_text(ByteView guid) {
  std::string text = fmt::format("{:08x}-{:04x}-{:04x}-", load_le<std::uint32_t>(guid, 0),
                                 load_le<std::uint16_t>(guid, 4), load_le<std::uint16_t>(guid, 6));
  for (std::size_t i = 8; i < kGuidBytes; ++i) {
    if (i == 10) text += '-';
    text += fmt::format("{:02x}", load_le<std::uint8_t>(guid, i));
  }
  return text;
}

std::string utf8_from_utf16le(ByteView units) {
  ASHLAR_ASSERT(units.size() % 2 == 0);
  std::string text;
  for (std::size_t at = 0; at < units.size(); at += 2) {
    char32_t point = load_le<std::uint16_t>(units, at);
    if (point == 0) break;
    if (is_high_surrogate(point) && at + 2 < units.size()) {
      const char32_t low = load_le<std::uint16_t>(units, at + 2);
      if (is_low_surrogate(low)) {
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        at += 2;
      }
    }
    append_utf8(text, is_printable(point) ? point : kReplacement);
  }
  return text;
}

std::string_view gpt_type_name(std::string_view guid) noexcept {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [&](const Row& candidate) { return candidate.guid == guid; });
  return row == std::end(kRows) ? std::string_view() : row->name;
}

}  // namespace ashlar
