// The operations and flags of a request, and sets of them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ashlar {

// `repair` makes what is kept twice, or as parity, right again in a range: for who looks after an
// array (topology/upkeep.h), not for its users.
enum class Op : std::uint8_t { read, write, flush, discard, write_zeroes, repair };
inline constexpr std::size_t kOpCount = 6;

constexpr std::string_view to_string(Op op) noexcept {
  constexpr std::array<std::string_view, kOpCount> kNames = {"read",    "write",        "flush",
                                                             "discard", "write_zeroes", "repair"};
  return kNames[static_cast<std::size_t>(op)];
}

// Only reads and writes carry a payload.
constexpr bool has_payload(Op op) noexcept { return op <= Op::write; }
constexpr bool changes_data(Op op) noexcept { return op != Op::read && op != Op::flush; }

// Flags of a bio.
inline constexpr std::uint8_t kFua = 1;       // write, write_zeroes: durable before completion
inline constexpr std::uint8_t kNoUnmap = 2;   // write_zeroes: leave no hole
inline constexpr std::uint8_t kUnmapped = 4;  // payload: may name memory of bio/unmapped.h
inline constexpr std::uint8_t kQuiet = 8;     // flush: nobody will write for some time
inline constexpr std::uint8_t kCheck = 16;    // repair: only count what is wrong
inline constexpr std::uint8_t kAllFlags = kFua | kNoUnmap | kUnmapped | kQuiet | kCheck;

// A set of operations and of the flag fua: bit i is operation i, bit 7 is fua. all() is all that a
// user may ask for.
class OpSet {
 public:
  constexpr OpSet() = default;
  constexpr OpSet with(Op op) const { return OpSet(bits_ | bit(op)); }
  constexpr OpSet without(Op op) const { return OpSet(bits_ & ~bit(op)); }
  constexpr OpSet with_fua(bool fua) const {
    return OpSet(fua ? bits_ | kFuaBit : bits_ & ~kFuaBit);
  }
  constexpr bool has(Op op) const { return (bits_ & bit(op)) != 0; }
  constexpr bool fua() const { return (bits_ & kFuaBit) != 0; }
  friend constexpr OpSet operator&(OpSet a, OpSet b) { return OpSet(a.bits_ & b.bits_); }
  friend bool operator==(OpSet, OpSet) = default;

  static constexpr OpSet all() { return OpSet(0x9fu); }
  static constexpr OpSet read_only() { return OpSet().with(Op::read).with(Op::flush); }
  // What may arrive at a device that is not to be written: a repair then is a check.
  static constexpr OpSet unwritten() { return read_only().with(Op::repair); }

 private:
  static constexpr unsigned kFuaBit = 0x80;
  static constexpr unsigned bit(Op op) { return 1u << static_cast<unsigned>(op); }
  constexpr explicit OpSet(unsigned bits) : bits_(static_cast<std::uint8_t>(bits)) {}
  std::uint8_t bits_ = 0;
};

}  // namespace ashlar
