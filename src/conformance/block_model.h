// What each block of a device may hold, by what was done to it.
//
// Every write has a number, its version, and fills each block with bytes that follow from the
// version and the block's number; so a block that is stale, misplaced or damaged by one bit is told
// from a right one. Where a request failed, a block may hold the old or the new bytes, and later
// reads may see either (two legs of a mirror may differ): it has several versions until it is
// written anew.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/extent.h"
#include "base/random.h"

namespace ashlar::test {

using Version = std::uint32_t;
inline constexpr Version kZeros = 0;

class BlockModel {
 public:
  // A device of zeros. `forgets`: it stays one, whatever is written (null).
  BlockModel(std::uint64_t size_bytes, std::uint32_t block_bytes, bool forgets)
      : block_bytes_(block_bytes), forgets_(forgets), blocks_(size_bytes / block_bytes, {kZeros}) {}

  // The bytes of `version` for the blocks of `extent`.
  void fill(Extent extent, Version version, ByteSpan into) const {
    for (std::uint64_t at = 0; at < extent.length; at += block_bytes_) {
      fill_block((extent.offset + at) / block_bytes_, version, into.subspan(at, block_bytes_));
    }
  }

  void wrote(Extent extent, Version version, bool ok) { change(extent, version, ok); }
  void zeroed(Extent extent, bool ok) { change(extent, kZeros, ok); }
  // A discarded block may keep its bytes or read as zeros.
  void discarded(Extent extent) { change(extent, kZeros, false); }

  // Nothing when `bytes`, read from `extent`, are possible; else what is wrong.
  std::optional<std::string> check(Extent extent, ByteView bytes) const {
    for (std::uint64_t at = 0; at < extent.length; at += block_bytes_) {
      const std::uint64_t block = (extent.offset + at) / block_bytes_;
      const ByteView found = bytes.subspan(at, block_bytes_);
      if (fits(block, found)) continue;
      return fmt::format(
          "byte {} (block {}) holds none of its {} possible versions, the last {}; {}",
          block * block_bytes_, block, blocks_[block].size(), blocks_[block].back(),
          guess(block, found));
    }
    return std::nullopt;
  }

 private:
  void change(Extent extent, Version version, bool ok) {
    newest_ = std::max(newest_, version);
    if (forgets_) return;
    for (std::uint64_t at = extent.offset; at < extent.end(); at += block_bytes_) {
      std::vector<Version>& versions = blocks_[at / block_bytes_];
      if (ok) versions.clear();
      std::erase(versions, version);
      versions.push_back(version);
    }
  }

  void fill_block(std::uint64_t block, Version version, ByteSpan into) const {
    std::uint64_t word = version == kZeros ? 0 : random_at(version, block);
    const std::uint64_t step = version == kZeros ? 0 : 0x9e3779b97f4a7c15u;
    for (std::size_t i = 0; i < into.size(); i += 8, word += step) store_le(into, i, word);
  }

  bool fits(std::uint64_t block, ByteView found) const {
    std::vector<std::byte> wanted(block_bytes_);
    return std::any_of(blocks_[block].begin(), blocks_[block].end(), [&](Version version) {
      fill_block(block, version, wanted);
      return std::equal(found.begin(), found.end(), wanted.begin());
    });
  }

  // Which version of which block `found` is instead; of `here`, where it was wanted, older ones
  // too.
  std::string guess(std::uint64_t here, ByteView found) const {
    std::vector<std::byte> wanted(block_bytes_);
    for (Version version = kZeros; version <= newest_; ++version) {
      fill_block(here, version, wanted);
      if (std::equal(found.begin(), found.end(), wanted.begin())) {
        return fmt::format("what was found is version {} of it", version);
      }
    }
    for (std::uint64_t block = 0; block < blocks_.size(); ++block) {
      for (const Version version : blocks_[block]) {
        fill_block(block, version, wanted);
        if (std::equal(found.begin(), found.end(), wanted.begin())) {
          return fmt::format("what was found is version {} of block {}", version, block);
        }
      }
    }
    return "what was found is no block's version: torn, or damaged";
  }

  const std::uint32_t block_bytes_;
  const bool forgets_;
  std::vector<std::vector<Version>> blocks_;
  Version newest_ = kZeros;
};

}  // namespace ashlar::test
