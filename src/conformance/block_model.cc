// Blocks are made and recognised by their version and number.
#include "conformance/block_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/random.h"

namespace ashlar::conformance {

void BlockModel::fill(Extent extent, Version version, ByteSpan into) const {
  for (std::uint64_t at = 0; at < extent.length; at += block_bytes_) {
    fill_block((extent.offset + at) / block_bytes_, version, into.subspan(at, block_bytes_));
  }
}

void BlockModel::forget(Extent extent) {
  if (forgets_) return;
  for (std::uint64_t at = extent.offset; at < extent.end(); at += block_bytes_) {
    blocks_[at / block_bytes_].clear();
  }
}

void BlockModel::resize(std::uint64_t size_bytes) {
  blocks_.resize(size_bytes / block_bytes_, forgets_ ? Versions{kZeros} : Versions{});
}

std::optional<std::string> BlockModel::check(Extent extent, ByteView bytes) const {
  for (std::uint64_t at = 0; at < extent.length; at += block_bytes_) {
    const std::uint64_t block = (extent.offset + at) / block_bytes_;
    const ByteView found = bytes.subspan(at, block_bytes_);
    if (fits(block, found)) continue;
    return fmt::format("byte {} (block {}) holds none of its {} possible versions, the last {}; {}",
                       block * block_bytes_, block, blocks_[block].size(), blocks_[block].back(),
                       guess(block, found));
  }
  return std::nullopt;
}

void BlockModel::change(Extent extent, Version version, bool ok) {
  newest_ = std::max(newest_, version);
  if (forgets_) return;
  for (std::uint64_t at = extent.offset; at < extent.end(); at += block_bytes_) {
    Versions& versions = blocks_[at / block_bytes_];
    if (!ok && versions.empty()) continue;  // unknown, and now no better
    if (ok) versions.clear();
    std::erase(versions, version);
    versions.push_back(version);
  }
}

void BlockModel::fill_block(std::uint64_t block, Version version, ByteSpan into) const {
  std::uint64_t word = version == kZeros ? 0 : random_at(version, block);
  const std::uint64_t step = version == kZeros ? 0 : 0x9e3779b97f4a7c15u;
  for (std::size_t i = 0; i < into.size(); i += 8, word += step) store_le(into, i, word);
}

bool BlockModel::fits(std::uint64_t block, ByteView found) const {
  const Versions& versions = blocks_[block];
  std::vector<std::byte> wanted(block_bytes_);
  const auto same = [&](Version version) {
    fill_block(block, version, wanted);
    return std::memcmp(found.data(), wanted.data(), found.size()) == 0;
  };
  return versions.empty() || std::any_of(versions.begin(), versions.end(), same);
}

// Which version of which block `found` is instead; of `here`, where it was wanted, older ones too.
std::string BlockModel::guess(std::uint64_t here, ByteView found) const {
  std::vector<std::byte> wanted(block_bytes_);
  const auto is = [&](std::uint64_t block, Version version) {
    fill_block(block, version, wanted);
    return std::memcmp(found.data(), wanted.data(), found.size()) == 0;
  };
  for (Version version = kZeros; version <= newest_; ++version) {
    if (is(here, version)) return fmt::format("what was found is version {} of it", version);
  }
  for (std::uint64_t block = 0; block < blocks_.size(); ++block) {
    for (const Version version : blocks_[block]) {
      if (version == kZeros || !is(block, version)) continue;
      return fmt::format("what was found is version {} of block {}", version, block);
    }
  }
  return "what was found is no block's version: torn, or damaged";
}

}  // namespace ashlar::conformance
