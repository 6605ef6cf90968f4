// stripe: chunks dealt out to the members in turn (RAID 0).
//
//   chunk      0  1  2  3  4  5 ...      over 3 members
//   member     0  1  2  0  1  2
//   row        0  0  0  1  1  1          its place there: row * chunk
//
// A request within a chunk goes on to its member as it is. A longer one with a payload becomes a
// child for each chunk that it touches; one without becomes a child for each member, because the
// rows of a range lie one behind the other there.
//
// Invariant: a request never needs more children than max_children(): the limits carve longer ones.
#include <algorithm>
#include <array>

#include "base/divisor.h"
#include "program/lookup.h"
#include "program/split.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

// Past this a chunk is no chunk; keeps a row of kMaxConsumers chunks far below 2^62 bytes.
constexpr std::uint64_t kMaxChunkBytes = kGiB;

constexpr std::array kParameters = {
    ParameterSpec{.name = "chunk",
                  .kind = ParameterKind::bytes,
                  .default_text = "64KiB",
                  .help = "bytes on one member before the next one's turn, a multiple of the block "
                          "size",
                  .min = kMinBlockBytes,
                  .max = kMaxChunkBytes},
};

constexpr OpPolicies kPolicies = [] {
  OpPolicies policies = OpPolicies::handle_all();
  policies.flush = OpPolicy::broadcast;
  return policies;
}();

class Stripe final : public StepClass<Stripe> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "stripe",
      .summary = "chunks dealt out to the members in turn",
      .min_consumers = 1,
      .max_consumers = kMaxConsumers,
      .policies = kPolicies,
      .payload = PayloadUse::moves,
      .parameters = kParameters,
  };

  Stripe(std::uint64_t chunk, std::uint64_t members) : chunk_(chunk), members_(members) {}

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    const std::uint64_t chunk = arguments.parameters.number("chunk");
    std::vector<std::uint64_t> sizes;
    for (const ConsumerView& each : arguments.consumers) {
      if (chunk % each.limits.block_bytes != 0) {
        return make_error(Errc::invalid,
                          "stripe: chunk = {} is not a multiple of the block size {} of {}", chunk,
                          each.limits.block_bytes, each.name);
      }
      if (each.size_bytes < chunk) {
        return make_error(Errc::invalid, "stripe: {} has {} bytes, less than one chunk of {}",
                          each.name, each.size_bytes, chunk);
      }
      sizes.push_back(each.size_bytes);
    }
    auto body = std::make_unique<Stripe>(chunk, sizes.size());
    const std::uint64_t rows = body->rows(sizes);
    if (rows > kMaxDeviceBytes / body->row_bytes()) {
      return make_error(Errc::invalid, "stripe: the device would have more than {} bytes",
                        kMaxDeviceBytes);
    }
    GeomPlan plan;
    plan.providers.push_back({.size_bytes = rows * body->row_bytes()});
    plan.body = std::move(body);
    return plan;
  }

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    // The worst case begins with the last block of a chunk.
    limits.max_request_bytes =
        std::min(limits.max_request_bytes, (kMaxPieces - 1) * chunk_.value());
    limits.preferred_bytes =
        std::min(std::max(limits.preferred_bytes, row_bytes()), limits.max_request_bytes);
  }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return std::min(rows(sizes), kMaxDeviceBytes / row_bytes()) * row_bytes();
  }

  std::vector<ConsumerByte> locate(std::uint32_t, std::uint64_t offset,
                                   std::uint32_t) const override {
    const Place place = place_of(offset);
    return {{place.member, place.offset}};
  }

  std::uint16_t max_children() const {
    const std::uint64_t pieces = kMaxRequestBytes / chunk_.value() + 2;
    return static_cast<std::uint16_t>(
        std::max(std::min<std::uint64_t>(pieces, kMaxPieces), members_.value()));
  }

  Verdict on_request(Bio& bio, NoPad&, Context& cx) noexcept {
    const Place place = place_of(bio.offset);
    if (bio.length <= place.left) [[likely]] {
      bio.offset = place.offset;
      return Verdict::forward(place.member);
    }
    Split split(cx, bio);
    if (has_payload(bio.op)) {
      split_by_chunk(split, bio, place);
    } else {
      split_by_member(split, bio);
    }
    return split.verdict();
  }

 private:
  // Where a byte lies.
  struct Place {
    std::uint32_t member;
    std::uint64_t offset;  // bytes, on the member
    std::uint64_t left;    // bytes to the end of its chunk
  };

  Place place_of(std::uint64_t offset) const noexcept {
    const std::uint64_t chunk = chunk_.quotient(offset);
    const std::uint64_t row = members_.quotient(chunk);
    const std::uint64_t inside = offset - chunk * chunk_.value();
    return {.member = static_cast<std::uint32_t>(chunk - row * members_.value()),
            .offset = row * chunk_.value() + inside,
            .left = chunk_.value() - inside};
  }

  // Where the chunk behind `place` begins.
  Place next(const Place& place) const noexcept {
    const std::uint64_t chunk = chunk_.value();
    const std::uint64_t begin = place.offset + place.left - chunk;
    if (place.member + 1 < members_.value()) return {place.member + 1, begin, chunk};
    return {0, begin + chunk, chunk};
  }

  void split_by_chunk(Split& split, const Bio& bio, Place place) const noexcept {
    for (std::uint64_t skip = 0; skip < bio.length;) {
      const std::uint64_t piece = std::min(bio.length - skip, place.left);
      split.add(place.member, place.offset, skip, piece);
      skip += piece;
      place = next(place);
    }
  }

  void split_by_member(Split& split, const Bio& bio) const noexcept {
    for (std::uint32_t member = 0; member < members_.value(); ++member) {
      const std::uint64_t begin = bytes_before(member, bio.offset);
      const std::uint64_t end = bytes_before(member, bio.end());
      if (begin < end) split.add(member, begin, 0, end - begin);
    }
  }

  // How many of the device's first `offset` bytes lie on `member`.
  std::uint64_t bytes_before(std::uint32_t member, std::uint64_t offset) const noexcept {
    const std::uint64_t chunk = chunk_.value();
    const std::uint64_t rest = offset % row_bytes();
    const std::uint64_t begin = member * chunk;
    const std::uint64_t in_last_row = rest > begin ? std::min(rest - begin, chunk) : 0;
    return offset / row_bytes() * chunk + in_last_row;
  }

  // Whole rows that fit on the smallest member.
  std::uint64_t rows(std::span<const std::uint64_t> sizes) const {
    return *std::min_element(sizes.begin(), sizes.end()) / chunk_.value();
  }

  std::uint64_t row_bytes() const noexcept { return chunk_.value() * members_.value(); }

  const Divisor chunk_;    // bytes
  const Divisor members_;  // how many
};

}  // namespace

const ClassInfo& stripe_class() {
  static constexpr ClassInfo kInfo = {&Stripe::kFacts, &Stripe::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
