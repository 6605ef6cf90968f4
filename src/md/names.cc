// The tables of names, and raid10's numbers.
#include "md/names.h"

#include <charconv>
#include <span>

#include "md/raid0_layout.h"
#include "md/units.h"

namespace ashlar::md {
namespace {

struct Named {
  std::string_view name;
  std::string_view brief;
  std::uint32_t layout;
};

constexpr Named kRaid0[] = {{"original", "", Raid0Layout::kOriginal},
                            {"alternate", "", Raid0Layout::kAlternate}};
constexpr Named kParity[] = {{"left-asymmetric", "la", 0}, {"right-asymmetric", "ra", 1},
                             {"left-symmetric", "ls", 2},  {"right-symmetric", "rs", 3},
                             {"parity-first", "", 4},      {"parity-last", "", 5}};
constexpr Named kParity6[] = {
    {"left-asymmetric", "la", 0},  {"right-asymmetric", "ra", 1},  {"left-symmetric", "ls", 2},
    {"right-symmetric", "rs", 3},  {"parity-first", "", 4},        {"parity-last", "", 5},
    {"ddf-zero-restart", "", 8},   {"ddf-N-restart", "", 9},       {"ddf-N-continue", "", 10},
    {"left-asymmetric-6", "", 16}, {"right-asymmetric-6", "", 17}, {"left-symmetric-6", "", 18},
    {"right-symmetric-6", "", 19}, {"parity-first-6", "", 20}};

std::span<const Named> table_of(std::int32_t level) {
  if (level == 0) return kRaid0;
  if (level == 5) return kParity;
  if (level == 6) return kParity6;
  return {};
}

constexpr std::uint32_t kDefaultParityLayout = 2;  // left-symmetric
constexpr std::uint32_t kNear2 = 0x102;

Result<std::uint32_t> raid10_layout(std::string_view word) {
  std::uint32_t copies = 0;
  const char kind = word.empty() ? ' ' : word[0];
  const char* end = word.data() + word.size();
  const auto read = std::from_chars(word.data() + (word.empty() ? 0 : 1), end, copies);
  const bool good = read.ec == std::errc() && read.ptr == end && copies >= 1 && copies <= 255;
  if (good && kind == 'n') return 1u << 8 | copies;
  if (good && kind == 'f') return copies << 8 | 1u;
  if (good && kind == 'o') return kOffsetBit | copies << 8 | 1u;
  return make_error(Errc::invalid,
                    "raid10 has no layout '{}'; known are n2, f2, o2 and the like (near, far and "
                    "offset copies)",
                    word);
}

}  // namespace

Result<Version> version_of(std::string_view word) {
  for (const Version version : kVersions) {
    if (word == to_string(version)) return version;
  }
  if (word == "0.9" || word == "0") return Version::v0_90;
  if (word == "1") return Version::v1_2;
  return make_error(Errc::invalid, "md knows no superblock '{}'; known are 0.90, 1.0, 1.1, 1.2",
                    word);
}

Result<std::int32_t> level_of(std::string_view word) {
  if (word == "mirror") return 1;
  if (word == "stripe") return 0;
  for (const std::int32_t level : {kLevelLinear, 0, 1, 4, 5, 6, 10}) {
    if (word == level_name(level)) return level;
    if (level >= 0 && word == std::to_string(level)) return level;
  }
  return make_error(Errc::invalid, "md knows no level '{}'; known are linear, 0, 1, 4, 5, 6, 10",
                    word);
}

Result<std::uint32_t> layout_of(std::int32_t level, std::string_view word) {
  if (level == 10) return raid10_layout(word);
  std::string known;
  for (const Named& each : table_of(level)) {
    if (word == each.name || (!each.brief.empty() && word == each.brief)) return each.layout;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", each.name);
  }
  if (known.empty()) return make_error(Errc::invalid, "{} has no layouts", level_name(level));
  return make_error(Errc::invalid, "{} has no layout '{}'; known are {}", level_name(level), word,
                    known);
}

std::uint32_t default_layout(std::int32_t level) {
  switch (level) {
    case 0:
      return Raid0Layout::kOriginal;
    case 5:
    case 6:
      return kDefaultParityLayout;
    case 10:
      return kNear2;
    default:
      return 0;
  }
}

std::string layout_name(std::int32_t level, std::uint32_t layout) {
  for (const Named& each : table_of(level)) {
    if (each.layout == layout) return std::string(each.name);
  }
  if (level == kLevelLinear || level == 1 || level == 4) return {};
  const std::uint32_t near = layout & 255, far = layout >> 8 & 255;
  const std::uint32_t rest = layout >> 16;
  if (level == 10 && rest == 0 && far == 1) return fmt::format("n{}", near);
  if (level == 10 && rest == 0 && near == 1) return fmt::format("f{}", far);
  if (level == 10 && rest == 1 && near == 1) return fmt::format("o{}", far);
  return fmt::format("{:#x}", layout);
}

Result<Uuid> uuid_of(std::string_view text, Version version) {
  Uuid uuid{};
  std::size_t digits = 0;
  bool odd = false;
  for (const char each : text) {
    if (each == ':' || each == '-' || each == '.') continue;
    unsigned value = 0;
    const auto read = std::from_chars(&each, &each + 1, value, 16);
    odd = odd || read.ec != std::errc() || digits >= 2 * uuid.size();
    if (odd) break;
    // As uuid_text() takes them apart.
    const std::size_t byte = digits / 2;
    std::byte& into = uuid[version == Version::v0_90 ? byte ^ 3 : byte];
    into = into << 4 | static_cast<std::byte>(value);
    ++digits;
  }
  if (odd || digits != 2 * uuid.size()) {
    return make_error(Errc::invalid, "'{}' is no UUID: 32 digits in base 16 are", text);
  }
  return uuid;
}

}  // namespace ashlar::md
