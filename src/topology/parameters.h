// A class states its parameters once; parsing, messages, `--help`, JSON and the manual's table come
// from that statement.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ashlar {

enum class ParameterKind : std::uint8_t {
  bytes,    // "64KiB", "1M", "4096": binary units, K = KiB
  integer,  // "42", "0x2a"
  ratio,    // "0.25"
  flag,     // "true", "false", "yes", "no", "1", "0"
  text,
  duration,  // "10ms", "5us", "2s": kept in nanoseconds
};

struct ParameterSpec {
  std::string_view name{};
  ParameterKind kind = ParameterKind::text;
  std::string_view default_text{};  // in the notation of `kind`; unused when required
  std::string_view help{};          // one phrase
  bool required = false;
  std::uint64_t min = 0;  // bytes, integer and duration
  std::uint64_t max = ~std::uint64_t{0};
};

// What a user wrote: names and texts.
using ParameterTexts = std::map<std::string, std::string, std::less<>>;

// Checked values of one geom. Getters REQUIRE a name that the class stated, with the right kind.
class Parameters {
 public:
  // Errors: invalid, with a sentence that names the class, the parameter and what it takes.
  static Result<Parameters> parse(std::string_view class_name, std::span<const ParameterSpec> specs,
                                  const ParameterTexts& texts);

  std::uint64_t number(std::string_view name) const;  // bytes, integer, duration
  double ratio(std::string_view name) const;
  bool flag(std::string_view name) const;
  const std::string& text(std::string_view name) const;

  // Every parameter in text form, as given or by default: for status and JSON.
  const ParameterTexts& texts() const { return texts_; }

 private:
  ParameterTexts texts_;
  std::map<std::string, std::uint64_t, std::less<>> numbers_;
  std::map<std::string, double, std::less<>> ratios_;
};

// "64KiB" -> 65536. Takes B, K/KB/KiB, M, G, T, P (all binary), in any case, and plain numbers in
// decimal or 0x hexadecimal. Nothing on overflow or nonsense.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

// "10ms" -> 10'000'000 (nanoseconds). Units ns, us, ms, s; a unit is required unless the value is
// 0.
std::optional<std::uint64_t> parse_duration(std::string_view text);

// 65536 -> "64 KiB"; 1000 -> "1000 B"; whole binary multiples stay whole, others get one decimal.
std::string format_bytes(std::uint64_t bytes);

}  // namespace ashlar
