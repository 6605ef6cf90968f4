// Parsing and printing of parameters: sizes, times, flags, numbers.
#include "topology/parameters.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

namespace ashlar {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

// Splits "64KiB" into 64 and "kib". Nothing when no digits lead.
std::optional<std::pair<std::uint64_t, std::string>> split_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  std::uint64_t value = 0;
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (problem != std::errc{}) return std::nullopt;
  return std::pair(value, lower(std::string_view(rest, text.data() + text.size())));
}

std::optional<std::uint64_t> scaled(std::uint64_t value, std::uint64_t factor) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(value, factor, &product)) return std::nullopt;
  return product;
}

std::optional<bool> parse_flag(std::string_view text) {
  const std::string word = lower(text);
  if (word == "true" || word == "yes" || word == "1" || word == "on") return true;
  if (word == "false" || word == "no" || word == "0" || word == "off") return false;
  return std::nullopt;
}

std::optional<double> parse_ratio(std::string_view text) {
  double value = 0;
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(value) || value < 0 || value > 1) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> parse_number(ParameterKind kind, std::string_view text) {
  if (kind == ParameterKind::bytes) return parse_bytes(text);
  if (kind == ParameterKind::duration) return parse_duration(text);
  if (kind == ParameterKind::flag) return parse_flag(text);
  const auto parts = split_number(text);
  if (!parts || !parts->second.empty()) return std::nullopt;
  return parts->first;
}

std::string_view what_it_takes(ParameterKind kind) {
  switch (kind) {
    case ParameterKind::bytes:
      return "a size such as 64KiB";
    case ParameterKind::integer:
      return "a whole number";
    case ParameterKind::ratio:
      return "a number from 0 to 1";
    case ParameterKind::flag:
      return "true or false";
    case ParameterKind::text:
      return "a text";
    case ParameterKind::duration:
      return "a time such as 10ms";
  }
  return "";
}

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto parts = split_number(text);
  if (!parts) return std::nullopt;
  std::string_view unit = parts->second;
  if (unit.empty() || unit == "b") return parts->first;
  constexpr std::string_view kPrefixes = "kmgtp";
  const std::size_t power = kPrefixes.find(unit.front());
  if (power == std::string_view::npos) return std::nullopt;
  unit.remove_prefix(1);
  if (!unit.empty() && unit != "b" && unit != "ib") return std::nullopt;
  return scaled(parts->first, std::uint64_t{1} << (10 * (power + 1)));
}

std::optional<std::uint64_t> parse_duration(std::string_view text) {
  const auto parts = split_number(text);
  if (!parts) return std::nullopt;
  const std::string& unit = parts->second;
  if (unit == "ns" || (unit.empty() && parts->first == 0)) return parts->first;
  if (unit == "us") return scaled(parts->first, 1'000);
  if (unit == "ms") return scaled(parts->first, 1'000'000);
  if (unit == "s") return scaled(parts->first, 1'000'000'000);
  return std::nullopt;
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  std::uint64_t factor = 1;
  while (unit + 1 < kUnits.size() && bytes / factor >= 1024) {
    factor *= 1024;
    ++unit;
  }
  if (bytes % factor == 0) return fmt::format("{} {}", bytes / factor, kUnits[unit]);
  return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(factor),
                     kUnits[unit]);
}

Result<Parameters> Parameters::parse(std::string_view class_name,
                                     std::span<const ParameterSpec> specs,
                                     const ParameterTexts& texts) {
  for (const auto& [name, text] : texts) {
    bool known = false;
    for (const ParameterSpec& spec : specs) known = known || spec.name == name;
    if (!known)
      return make_error(Errc::invalid, "{}: there is no parameter '{}'", class_name, name);
  }
  Parameters result;
  for (const ParameterSpec& spec : specs) {
    const auto given = texts.find(spec.name);
    if (given == texts.end() && spec.required) {
      return make_error(Errc::invalid, "{}: the parameter '{}' ({}) is required", class_name,
                        spec.name, spec.help);
    }
    const std::string text = given == texts.end() ? std::string(spec.default_text) : given->second;
    const std::string name(spec.name);
    result.texts_[name] = text;
    if (spec.kind == ParameterKind::text) continue;
    if (spec.kind == ParameterKind::ratio) {
      const auto value = parse_ratio(text);
      if (!value) {
        return make_error(Errc::invalid, "{}: {} = '{}' is not {}", class_name, name, text,
                          what_it_takes(spec.kind));
      }
      result.ratios_[name] = *value;
      continue;
    }
    const auto value = parse_number(spec.kind, text);
    if (!value) {
      return make_error(Errc::invalid, "{}: {} = '{}' is not {}", class_name, name, text,
                        what_it_takes(spec.kind));
    }
    if (*value < spec.min || *value > spec.max) {
      return make_error(Errc::invalid, "{}: {} = '{}' is outside {} to {}", class_name, name, text,
                        spec.min, spec.max);
    }
    result.numbers_[name] = *value;
  }
  return result;
}

std::uint64_t Parameters::number(std::string_view name) const {
  const auto found = numbers_.find(name);
  ASHLAR_ASSERT(found != numbers_.end());
  return found->second;
}

double Parameters::ratio(std::string_view name) const {
  const auto found = ratios_.find(name);
  ASHLAR_ASSERT(found != ratios_.end());
  return found->second;
}

bool Parameters::flag(std::string_view name) const { return number(name) != 0; }

const std::string& Parameters::text(std::string_view name) const {
  const auto found = texts_.find(name);
  ASHLAR_ASSERT(found != texts_.end());
  return found->second;
}

}  // namespace ashlar
