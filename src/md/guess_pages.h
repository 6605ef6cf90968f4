// Pages of members, read once and kept in bounded memory. For guess.cc and its parts.
//
// THREAD: one.
#pragma once

#include <array>
#include <unordered_map>

#include "md/guess.h"

namespace ashlar::md {

inline constexpr std::uint64_t kGuessPage = 4096;
using Page = std::array<std::byte, kGuessPage>;

class Pages {
 public:
  explicit Pages(const GuessInput& input) : input_(input) {}

  std::size_t count() const { return input_.device_bytes.size(); }
  // Of the shortest device.
  std::uint64_t bytes() const;
  std::optional<std::size_t> missing() const;

  // The page at a multiple of kGuessPage; zeros beyond the end, past the bound and where reading
  // fails (error() tells). A missing device holds the sum of the others. Valid until the next call
  // but `count()`.
  const Page& at(std::size_t device, std::uint64_t offset);
  bool zero(std::size_t device, std::uint64_t offset);
  // 0 for zeros, else a number that equal pages share.
  std::uint64_t hash(std::size_t device, std::uint64_t offset);

  std::uint64_t read() const { return read_; }
  const Result<void>& error() const { return error_; }

 private:
  struct Kept {
    Page page;
    std::uint64_t hash = 0;
  };
  const Kept& kept(std::size_t device, std::uint64_t offset);
  void fill(std::size_t device, std::uint64_t offset, Page& page);

  const GuessInput& input_;
  std::unordered_map<std::uint64_t, Kept> kept_;
  std::uint64_t read_ = 0;
  Result<void> error_;
};

}  // namespace ashlar::md
