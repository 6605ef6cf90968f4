// Requests are made in order into a ring of buffers, and handed out in the same order.
#include "cli/ordered_reader.h"

#include <algorithm>
#include <cstring>

namespace ashlar::cli {
namespace {

std::uint64_t aligned_end(const Device& device, ByteRange range) {
  if (range.length == 0) return 0;
  return align_up(range.offset + range.length, device.limits().block_bytes);
}

}  // namespace

OrderedReader::OrderedReader(const Device& device, Channel& channel, ByteRange range)
    : device_(device),
      channel_(channel),
      range_(range),
      end_(aligned_end(device, range)),
      submitted_(align_down(range.offset, device.limits().block_bytes)) {
  ASHLAR_ASSERT(within(range.offset, range.length, device.size_bytes()));
}

Result<void> OrderedReader::fill() {
  const std::uint64_t before = made_;
  while (submitted_ < end_ && made_ - taken_ < kDepth) {
    Transfer& slot = slots_[made_ % kDepth];
    const std::uint64_t length = std::min(kPieceBytes, end_ - submitted_);
    if (auto memory = slot.buffer(length); !memory) return memory.error();
    if (auto begun = slot.start(device_, channel_, Op::read, submitted_, length); !begun) {
      return begun;
    }
    submitted_ += length;
    ++made_;
  }
  if (made_ != before) channel_.lane().poll();  // to the kernel, while the caller uses its bytes
  return {};
}

Result<ByteView> OrderedReader::next() {
  if (auto filled = fill(); !filled) return filled.error();
  if (taken_ == made_) return ByteView{};
  Transfer& slot = slots_[taken_ % kDepth];
  ASHLAR_ASSERT(slot.under_way());  // nobody asks again after an error
  if (auto ended = slot.wait(); !ended) return ended.error();
  ++taken_;
  const ByteView bytes = slot.bytes();
  const std::uint64_t first = std::max(slot.offset(), range_.offset);
  const std::uint64_t last = std::min(slot.offset() + bytes.size(), range_.offset + range_.length);
  return bytes.subspan(first - slot.offset(), last - first);
}

Result<void> read_bytes(const Device& device, Channel& channel, std::uint64_t offset,
                        ByteSpan into) {
  OrderedReader reader(device, channel, {offset, into.size()});
  while (!into.empty()) {
    auto piece = reader.next();
    if (!piece) return piece.error();
    ASHLAR_ASSERT(!piece->empty() && piece->size() <= into.size());
    std::memcpy(into.data(), piece->data(), piece->size());
    into = into.subspan(piece->size());
  }
  return {};
}

}  // namespace ashlar::cli
