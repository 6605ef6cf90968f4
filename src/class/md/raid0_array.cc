// Levels without redundancy. linear is a map; raid0 deals out chunks.
//
// A request within a chunk goes on to its member as it is; a longer one becomes a child for each
// chunk that it touches.
//
// Invariant: a request never needs more children than max_children(): the limits carve longer ones.
#include <algorithm>

#include "class/md/array.h"
#include "program/lookup.h"
#include "program/split.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

// The code for the map is the compiler's.
class LinearArray final : public GeomBody {
 public:
  explicit LinearArray(std::unique_ptr<MdArray> array) : array_(std::move(array)) {}

  bool on_consumer_lost(std::uint32_t consumer) override {
    return array_->role_of(consumer) == MdPlace::kNobody;
  }
  std::vector<std::pair<std::string, std::string>> status() const override {
    return md_status(*array_);
  }

 private:
  const std::unique_ptr<MdArray> array_;
};

class Raid0Array final : public StepClass<Raid0Array> {
 public:
  explicit Raid0Array(std::unique_ptr<MdArray> array)
      : array_(std::move(array)), layout_(*array_->layout().raid0()) {}

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    const std::uint64_t chunk = array_->superblock().chunk_bytes;
    // The worst case begins with the last block of a chunk.
    const std::uint64_t longest = (kMaxPieces - 1) * chunk;
    limits.max_request_bytes = std::min(limits.max_request_bytes, longest);
    // TODO(perf): a discard could be one child for each member and zone, however long.
    limits.max_range_bytes = std::min(limits.max_range_bytes, longest);
    limits.preferred_bytes = std::min(
        std::max(limits.preferred_bytes, chunk * array_->places.size()), limits.max_request_bytes);
  }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return md_resized(*array_, sizes);
  }

  bool on_consumer_lost(std::uint32_t consumer) override {
    return array_->role_of(consumer) == MdPlace::kNobody;
  }

  std::vector<ConsumerByte> locate(std::uint32_t, std::uint64_t offset,
                                   std::uint32_t) const override {
    return md_locate(*array_, offset);
  }

  std::vector<std::pair<std::string, std::string>> status() const override {
    return md_status(*array_);
  }

  std::uint16_t max_children() const {
    return static_cast<std::uint16_t>(std::max<std::size_t>(kMaxPieces, array_->places.size()));
  }

  Verdict on_request(Bio& bio, NoPad&, Context& cx) noexcept {
    if (bio.op == Op::flush) return flush(bio, cx);
    const md::Place place = layout_.place(bio.offset);
    if (bio.length <= place.run_bytes) [[likely]] {
      bio.offset = array_->on_device(place.role, place.offset_bytes);
      return Verdict::forward(array_->places[place.role].consumer);
    }
    Split split(cx, bio);
    for (std::uint64_t skip = 0; skip < bio.length;) {
      const md::Place piece = layout_.place(bio.offset + skip);
      const std::uint64_t length = std::min(bio.length - skip, piece.run_bytes);
      split.add(array_->places[piece.role].consumer,
                array_->on_device(piece.role, piece.offset_bytes), skip, length);
      skip += length;
    }
    return split.verdict();
  }

 private:
  // Not to devices that are attached and not in use.
  Verdict flush(Bio& bio, Context& cx) const noexcept {
    Split split(cx, bio);
    for (const MdPlace& each : array_->places) split.add(each.consumer, 0, 0, 0);
    return split.verdict();
  }

  const std::unique_ptr<MdArray> array_;
  const md::Raid0Layout& layout_;
};

}  // namespace

std::unique_ptr<GeomBody> make_md_linear(std::unique_ptr<MdArray> array) {
  return std::make_unique<LinearArray>(std::move(array));
}

std::unique_ptr<GeomBody> make_md_raid0(std::unique_ptr<MdArray> array) {
  return std::make_unique<Raid0Array>(std::move(array));
}

}  // namespace ashlar
