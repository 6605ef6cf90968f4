// A ring of buffers: the oldest write must have ended before its buffer is filled again.
#include "cli/ordered_writer.h"

namespace ashlar::cli {

Result<void> OrderedWriter::collect(Transfer& slot) {
  if (!slot.under_way()) return {};
  const std::uint64_t end = slot.offset() + slot.bytes().size();
  if (auto ended = slot.wait(); !ended) return ended;
  ended_ = end;
  return {};
}

Result<ByteSpan> OrderedWriter::room() {
  if (auto collected = collect(slot()); !collected) return collected.error();
  return slot().buffer(kPieceBytes);
}

Result<void> OrderedWriter::commit(std::uint64_t length) {
  auto begun = slot().start(device_, channel_, Op::write, offset_, length);
  if (!begun) return begun;
  offset_ += length;
  ++made_;
  channel_.lane().poll();  // to the kernel, while the caller fills the next buffer
  return {};
}

Result<void> OrderedWriter::finish() {
  // The oldest write's slot is the one that would be used next.
  for (std::size_t i = 0; i < kDepth; ++i) {
    if (auto collected = collect(slots_[(made_ + i) % kDepth]); !collected) return collected;
  }
  if (!device_.limits().ops.has(Op::flush)) return {};
  if (auto begun = slot().start(device_, channel_, Op::flush, 0, 0); !begun) return begun;
  return slot().wait();
}

}  // namespace ashlar::cli
