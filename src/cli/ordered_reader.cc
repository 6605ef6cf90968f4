// Requests are made in order into a ring of buffers, and handed out in the same order.
#include "cli/ordered_reader.h"

#include <algorithm>
#include <cstring>

namespace ashlar::cli {
namespace {

std::uint64_t aligned_end(const Device& device, ByteRange range) {
  return align_up(range.offset + range.length, device.limits().block_bytes);
}

}  // namespace

Buffer make_buffer(std::uint64_t bytes) {
  void* memory = std::aligned_alloc(kBufferAlignment, align_up(bytes, kBufferAlignment));
  return Buffer(static_cast<std::byte*>(memory));
}

OrderedReader::OrderedReader(const Device& device, Channel& channel, ByteRange range)
    : device_(device),
      channel_(channel),
      range_(range),
      end_(range.length == 0 ? 0 : aligned_end(device, range)),
      submitted_(align_down(range.offset, device.limits().block_bytes)) {
  ASHLAR_ASSERT(within(range.offset, range.length, device.size_bytes()));
}

OrderedReader::~OrderedReader() {
  Lane& lane = channel_.lane();
  for (Slot& slot : slots_) {
    if (slot.bio != nullptr && !slot.ended) lane.cancel(*slot.bio);
  }
  for (Slot& slot : slots_) {
    if (slot.bio == nullptr) continue;
    while (!slot.ended) lane.wait(-1);
    channel_.release(*slot.bio);
  }
}

Result<void> OrderedReader::submit(Slot& slot) {
  if (slot.memory == nullptr) slot.memory = make_buffer(std::min(kPieceBytes, end_ - submitted_));
  slot.bio = slot.memory != nullptr ? channel_.allocate() : nullptr;
  if (slot.bio == nullptr) {
    return make_error(Errc::no_memory, "{}: no memory to read it", device_.provider().name);
  }
  Bio& bio = *slot.bio;
  slot.ended = false;
  slot.offset = submitted_;
  bio.op = Op::read;
  bio.flags = 0;
  bio.offset = submitted_;
  bio.length = std::min(kPieceBytes, end_ - submitted_);
  slot.segment = {slot.memory.get(), bio.length};
  bio.payload = Payload{&slot.segment, 1, 0};
  bio.user = &slot.ended;
  bio.end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
  submitted_ += bio.length;
  ++made_;
  channel_.submit(bio);
  return {};
}

Result<void> OrderedReader::fill() {
  const std::uint64_t before = made_;
  while (submitted_ < end_ && made_ - taken_ < kDepth) {
    if (auto made = submit(slots_[made_ % kDepth]); !made) return made;
  }
  if (made_ != before) channel_.lane().poll();  // to the kernel, while the caller uses its bytes
  return {};
}

Result<ByteView> OrderedReader::next() {
  if (auto filled = fill(); !filled) return filled.error();
  if (taken_ == made_) return ByteView{};
  Slot& slot = slots_[taken_ % kDepth];
  while (!slot.ended) channel_.lane().wait(-1);
  const Errc error = slot.bio->error;
  const std::uint64_t length = slot.segment.length;
  std::string sentence;
  if (error != Errc::ok) sentence = device_.describe_failure(*slot.bio, slot.offset);
  channel_.release(*slot.bio);
  slot.bio = nullptr;
  if (error != Errc::ok) return Error{error, std::move(sentence)};
  ++taken_;
  const std::uint64_t first = std::max(slot.offset, range_.offset);
  const std::uint64_t last = std::min(slot.offset + length, range_.offset + range_.length);
  return ByteView(slot.memory.get() + (first - slot.offset), last - first);
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
