// A part of a device as a device of its own, for a parser that looks inside a partition before
// there is a provider for it.
#pragma once

#include "base/extent.h"
#include "topology/taste.h"

namespace ashlar {

// THREAD: as the reader below, which it borrows.
class SliceReader final : public TasteReader {
 public:
  // REQUIRES: extent lies within the device.
  SliceReader(TasteReader& below, Extent extent) : below_(below), extent_(extent) {
    ASHLAR_ASSERT(within(extent.offset, extent.length, below.size_bytes()));
  }

  Result<void> read(std::uint64_t offset, ByteSpan into) override {
    if (!within(offset, into.size(), extent_.length)) {
      return make_error(Errc::out_of_range, "{}: past the end of a partition at byte {}", name(),
                        extent_.end());
    }
    return below_.read(extent_.offset + offset, into);
  }
  std::uint64_t size_bytes() const override { return extent_.length; }
  std::uint32_t block_size_bytes() const override { return below_.block_size_bytes(); }
  const std::string& name() const override { return below_.name(); }

 private:
  TasteReader& below_;
  const Extent extent_;
};

}  // namespace ashlar
