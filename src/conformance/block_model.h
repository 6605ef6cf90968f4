// What each block of a device may hold, by what was done to it.
//
// Every write has a number, its version, and fills each block with bytes that follow from the
// version and the block's number; so a block that is stale, misplaced or damaged by one bit is told
// from a right one. Where a request failed, a block may hold the old or the new bytes, and later
// reads may see either (two legs of a mirror may differ): it has several versions until it is
// written anew.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/extent.h"

namespace ashlar::conformance {

using Version = std::uint32_t;
inline constexpr Version kZeros = 0;

class BlockModel {
 public:
  // A device of zeros. `forgets`: it stays one, whatever is written (null).
  BlockModel(std::uint64_t size_bytes, std::uint32_t block_bytes, bool forgets)
      : block_bytes_(block_bytes), forgets_(forgets), blocks_(size_bytes / block_bytes, {kZeros}) {}

  // The bytes of `version` for the blocks of `extent`.
  void fill(Extent extent, Version version, ByteSpan into) const;

  void wrote(Extent extent, Version version, bool ok) { change(extent, version, ok); }
  void zeroed(Extent extent, bool ok) { change(extent, kZeros, ok); }
  // A discarded block may keep its bytes or read as zeros.
  void discarded(Extent extent) { change(extent, kZeros, false); }
  // Nothing is known of these blocks until they are written anew.
  void forget(Extent extent);
  // The device has another size. Of blocks that are new nothing is known.
  void resize(std::uint64_t size_bytes);

  // Nothing when `bytes`, read from `extent`, are possible; else what is wrong.
  std::optional<std::string> check(Extent extent, ByteView bytes) const;

 private:
  using Versions = std::vector<Version>;  // none: unknown

  void change(Extent extent, Version version, bool ok);
  void fill_block(std::uint64_t block, Version version, ByteSpan into) const;
  bool fits(std::uint64_t block, ByteView found) const;
  std::string guess(std::uint64_t here, ByteView found) const;

  const std::uint32_t block_bytes_;
  const bool forgets_;
  std::vector<Versions> blocks_;
  Version newest_ = kZeros;
};

}  // namespace ashlar::conformance
