// Byte spans and unaligned, endian-explicit loads and stores for on-disk and on-wire formats.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/assert.h"

namespace ashlar {

using ByteView = std::span<const std::byte>;
using ByteSpan = std::span<std::byte>;

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;

namespace detail {

template <typename T>
constexpr T swap_bytes(T value) noexcept {
  if constexpr (sizeof(T) == 1) return value;
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(value));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(value));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(value));
}

template <typename T, std::endian kOrder>
T load(ByteView bytes, std::size_t at) {
  static_assert(std::is_unsigned_v<T>);
  ASHLAR_ASSERT(at <= bytes.size() && sizeof(T) <= bytes.size() - at);
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return kOrder == std::endian::native ? value : swap_bytes(value);
}

template <typename T, std::endian kOrder>
void store(ByteSpan bytes, std::size_t at, T value) {
  static_assert(std::is_unsigned_v<T>);
  ASHLAR_ASSERT(at <= bytes.size() && sizeof(T) <= bytes.size() - at);
  if (kOrder != std::endian::native) value = swap_bytes(value);
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}

}  // namespace detail

// Little-endian load of T at byte `at`. REQUIRES: the value lies within `bytes`: callers check
// the length of hostile input first.
template <typename T>
T load_le(ByteView bytes, std::size_t at) {
  return detail::load<T, std::endian::little>(bytes, at);
}

// Big-endian load; the same contract as load_le.
template <typename T>
T load_be(ByteView bytes, std::size_t at) {
  return detail::load<T, std::endian::big>(bytes, at);
}

template <typename T>
void store_le(ByteSpan bytes, std::size_t at, T value) {
  detail::store<T, std::endian::little>(bytes, at, value);
}

template <typename T>
void store_be(ByteSpan bytes, std::size_t at, T value) {
  detail::store<T, std::endian::big>(bytes, at, value);
}

inline ByteView as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// True where `value` is a power of two; zero is not.
constexpr bool is_power_of_two(std::uint64_t value) noexcept {
  return value != 0 && (value & (value - 1)) == 0;
}

// REQUIRES: `alignment` is a power of two.
constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t alignment) noexcept {
  return value & ~(alignment - 1);
}
constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) noexcept {
  return align_down(value + alignment - 1, alignment);
}

// True where [offset, offset + length) lies within [0, size), without overflow.
constexpr bool within(std::uint64_t offset, std::uint64_t length, std::uint64_t size) noexcept {
  return offset <= size && length <= size - offset;
}

}  // namespace ashlar
