// raid1 and raid10: every byte on several members.
//
// A read goes to one copy, which the lane balances; one that crosses chunks of raid10 becomes a
// child for each. Where a copy fails, or no single one may be read as a whole (bad blocks, a member
// that is being filled), the request goes on in small pieces, each read from one copy after another
// until one delivers.
//
// Copies that may differ, because the array was not shut down cleanly, are read from the first
// one alone, so that what was read once is read again.
#include <algorithm>
#include <atomic>

#include "class/balance.h"
#include "class/md/array.h"
#include "program/lookup.h"
#include "program/split.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

static_assert(kMaxMdMembers <= kMaxChoices);

// What is read at once where a copy has failed. Disks fail in sectors of this size at most.
constexpr std::uint64_t kPieceBytes = 4096;

enum class Phase : std::uint8_t {
  whole,   // a read of one copy
  chunks,  // a read with a child for each chunk
  pieces,  // a read, piece by piece
};

struct CopiesPad {
  std::uint64_t at;     // pieces: bytes of the request that are there
  std::uint32_t piece;  // pieces: the bytes under way
  MemberSet tried;      // pieces: members that did not deliver the present one
  Phase phase;
  std::uint8_t role;  // whole: the member
  bool counted;       // whole: Balance is to hear of the end
  bool lacking;       // chunks: one of them had no copy to be read as a whole
  bool narrow;        // pieces: in single blocks
  Errc error;         // pieces: of the last copy that failed
};
static_assert(sizeof(CopiesPad) == 24);

// Where a range of the array is read.
struct Choice {
  std::uint32_t role = MdPlace::kNobody;
  std::uint64_t offset = 0;  // bytes, of the member's data
  bool counted = false;

  bool any() const noexcept { return role != MdPlace::kNobody; }
};

bool overlaps(const std::vector<Extent>& ranges, std::uint64_t offset, std::uint64_t end) {
  const auto first =
      std::upper_bound(ranges.begin(), ranges.end(), offset,
                       [](std::uint64_t at, const Extent& each) { return at < each.end(); });
  return first != ranges.end() && first->offset < end;
}

template <typename Layout>
class CopiesArray final : public StepClass<CopiesArray<Layout>, CopiesPad> {
 public:
  CopiesArray(std::unique_ptr<MdArray> array, const Layout& layout)
      : array_(std::move(array)),
        layout_(layout),
        balance_(BalanceKind::least_busy),
        uneven_from_(array_->assembly.resync_offset_bytes) {
    for (std::uint32_t role = 0; role < array_->places.size(); ++role) {
      const MdPlace& place = array_->places[role];
      if (!place.bad_blocks.empty()) with_bad_blocks_ |= member_bit(role);
      if (place.there() && array_->superblocks[place.consumer].write_mostly) {
        write_mostly_ |= member_bit(role);
      }
    }
    find_copy_sets();
  }

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    if (array_->layout().mirror() != nullptr) return;
    const std::uint64_t chunk = array_->superblock().chunk_bytes;
    const std::uint64_t chunks = std::max<std::uint64_t>(kMaxPieces / layout_.copies(), 2) - 1;
    limits.max_request_bytes = std::min(limits.max_request_bytes, chunks * chunk);
    limits.max_range_bytes = std::min(limits.max_range_bytes, chunks * chunk);
    limits.preferred_bytes = std::min(
        std::max(limits.preferred_bytes, chunk * array_->places.size()), limits.max_request_bytes);
  }

  std::uint16_t max_children() const {
    return static_cast<std::uint16_t>(std::max<std::uint32_t>(kMaxPieces, 2 * layout_.copies()));
  }

  bool on_consumer_lost(std::uint32_t consumer) override {
    const std::uint32_t role = array_->role_of(consumer);
    return role == MdPlace::kNobody || drop(member_bit(role), {}, Errc::gone);
  }

  // A member that has lost some of its data is dropped, where the others have them.
  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    for (MemberSet left = array_->members.sets().written(); left != 0; left &= left - 1) {
      const std::uint32_t role = first_member(left);
      const MdPlace& place = array_->places[role];
      const std::uint64_t data =
          sizes[place.consumer] - std::min(sizes[place.consumer], place.data_offset_bytes);
      if (data >= array_->superblock().component_bytes) continue;
      if (drop(member_bit(role), Op::read, Errc::out_of_range)) continue;
      lost_ = std::min(lost_, md_bytes_within(*array_, role, data));
    }
    return std::min(array_->size_bytes(), lost_);
  }

  std::vector<ConsumerByte> locate(std::uint32_t, std::uint64_t offset,
                                   std::uint32_t) const override {
    return md_locate(*array_, offset);
  }

  std::vector<std::pair<std::string, std::string>> status() const override {
    return md_status(*array_);
  }

  Verdict on_request(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    if (bio.op == Op::read) return begin_read(bio, pad, cx);
    Split split(cx, bio);
    for (MemberSet left = array_->members.sets().written(); left != 0; left &= left - 1) {
      split.add(array_->places[first_member(left)].consumer, 0, 0, 0);
    }
    return split.verdict();
  }

  void on_child(Bio&, Bio& child, CopiesPad& pad, Context& cx) noexcept {
    const auto role = static_cast<std::uint32_t>(child.tag & 0xff);
    if ((child.tag & kCounted) != 0) balance_.end(role, cx);
    if (pad.phase == Phase::pieces && !child.ok()) pad.error = child.error;
  }

  Verdict on_complete(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    return bio.op == Op::read ? end_read(bio, pad, cx) : Verdict::done();
  }

 private:
  // In a child's tag, beside its member's role.
  static constexpr std::uint64_t kCounted = 0x100;

  // --- which members
  bool enough(MemberSet live) const noexcept {
    return std::all_of(copy_sets_.begin(), copy_sets_.end(),
                       [&](MemberSet copies) { return (copies & live) != 0; });
  }
  bool drop(MemberSet bad, Op op, Errc error) noexcept {
    return array_->members.drop(bad, op, error, [this](MemberSet live) { return enough(live); });
  }
  // The sets of members that hold the copies of a chunk: as many as there are places to begin in.
  void find_copy_sets() {
    const std::uint64_t chunk = array_->superblock().chunk_bytes;
    const std::uint64_t chunks = array_->layout().mirror() != nullptr ? 1 : array_->places.size();
    for (std::uint64_t each = 0; each < chunks && each * chunk < layout_.array_bytes(); ++each) {
      MemberSet roles = 0;
      for (std::uint32_t copy = 0; copy < layout_.copies(); ++copy) {
        roles |= member_bit(layout_.place(each * chunk, copy).role);
      }
      copy_sets_.push_back(roles);
    }
  }

  // Whether [offset, end) of a member's data may be read.
  bool readable(std::uint32_t role, std::uint64_t offset, std::uint64_t end) const noexcept {
    if ((array_->members.readable(end) & member_bit(role)) == 0) return false;
    if ((with_bad_blocks_ & member_bit(role)) == 0) [[likely]]
      return true;
    return !overlaps(array_->places[role].bad_blocks, offset, end);
  }

  // The copy that a range is read from. REQUIRES: the range lies in one chunk.
  Choice choose(std::uint64_t offset, std::uint64_t length, MemberSet tried, const Bio& bio,
                Context& cx) noexcept {
    MemberSet roles = 0;
    Choice first;
    for (std::uint32_t copy = 0; copy < layout_.copies(); ++copy) {
      const md::Place place = layout_.place(offset, copy);
      if ((tried & member_bit(place.role)) != 0) continue;
      if (!readable(place.role, place.offset_bytes, place.offset_bytes + length)) continue;
      if (roles == 0) first = {place.role, place.offset_bytes};
      roles |= member_bit(place.role);
    }
    const bool even = offset + length <= uneven_from_.load(std::memory_order_relaxed);
    if (roles == 0 || tried != 0 || !even) return first;
    const MemberSet quick = roles & ~write_mostly_;
    return choice_of(balance_.begin(quick != 0 ? quick : roles, bio, cx), offset);
  }
  Choice choice_of(std::uint32_t role, std::uint64_t offset) const noexcept {
    std::uint32_t copy = 0;
    while (layout_.place(offset, copy).role != role) ++copy;
    return {role, layout_.place(offset, copy).offset_bytes, true};
  }

  void add_child(Split& split, const Choice& choice, std::uint64_t skip,
                 std::uint64_t length) const noexcept {
    split.add(array_->places[choice.role].consumer, array_->on_device(choice.role, choice.offset),
              skip, length, choice.role | (choice.counted ? kCounted : 0));
  }

  // --- reads
  Verdict begin_read(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    pad.at = 0;
    pad.tried = 0;
    pad.narrow = false;
    pad.error = Errc::io;
    if (bio.length > layout_.place(bio.offset).run_bytes) return read_chunks(bio, pad, cx);
    const Choice choice = choose(bio.offset, bio.length, 0, bio, cx);
    if (!choice.any()) return read_piece(bio, pad, cx);
    pad.phase = Phase::whole;
    pad.role = static_cast<std::uint8_t>(choice.role);
    pad.counted = choice.counted;
    bio.offset = array_->on_device(choice.role, choice.offset);
    return Verdict::forward(array_->places[choice.role].consumer);
  }

  Verdict read_chunks(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    pad.phase = Phase::chunks;
    pad.lacking = false;
    Split split(cx, bio);
    for (std::uint64_t skip = 0; skip < bio.length;) {
      const std::uint64_t at = bio.offset + skip;
      const std::uint64_t length = std::min(bio.length - skip, layout_.place(at).run_bytes);
      const Choice choice = choose(at, length, 0, bio, cx);
      if (choice.any()) add_child(split, choice, skip, length);
      pad.lacking = pad.lacking || !choice.any();
      skip += length;
    }
    return bio.children != nullptr ? split.verdict() : read_piece(bio, pad, cx);
  }

  // The next piece that is not there yet, from a copy that was not tried.
  Verdict read_piece(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    pad.phase = Phase::pieces;
    for (;;) {
      if (pad.at == bio.length) {
        bio.succeed();
        return Verdict::done();
      }
      const std::uint64_t at = bio.offset + pad.at;
      const std::uint64_t unit = pad.narrow ? array_->block_bytes : kPieceBytes;
      const std::uint64_t length =
          std::min({bio.length - pad.at, unit - at % unit, layout_.place(at).run_bytes});
      pad.piece = static_cast<std::uint32_t>(length);
      const Choice choice = choose(at, length, pad.tried, bio, cx);
      if (choice.any()) {
        pad.role = static_cast<std::uint8_t>(choice.role);
        Split split(cx, bio);
        add_child(split, choice, pad.at, length);
        return split.verdict();
      }
      // What no copy has as a whole, several may have between them.
      if (pad.narrow || length <= array_->block_bytes) {
        bio.fail(pad.error);
        return Verdict::done();
      }
      pad.narrow = true;
      pad.tried = 0;
    }
  }

  Verdict end_read(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    if (pad.phase == Phase::whole && pad.counted) balance_.end(pad.role, cx);
    if (pad.phase != Phase::pieces && bio.ok() && !(pad.phase == Phase::chunks && pad.lacking)) {
      return Verdict::done();
    }
    if (bio.cancel_requested()) {
      bio.fail(Errc::cancelled);
      return Verdict::done();
    }
    if (pad.phase != Phase::pieces) return read_piece(bio, pad, cx);
    if (!bio.ok()) {
      pad.tried |= member_bit(pad.role);
      return read_piece(bio, pad, cx);
    }
    pad.at += pad.piece;
    pad.tried = 0;
    if ((bio.offset + pad.at) % kPieceBytes == 0) pad.narrow = false;
    return read_piece(bio, pad, cx);
  }

  const std::unique_ptr<MdArray> array_;
  const Layout& layout_;
  std::vector<MemberSet> copy_sets_;
  MemberSet with_bad_blocks_ = 0;
  MemberSet write_mostly_ = 0;
  Balance balance_;
  // Copies may differ from this byte of the array on.
  std::atomic<std::uint64_t> uneven_from_;
  std::uint64_t lost_ = ~std::uint64_t{0};  // the control thread's
};

}  // namespace

std::unique_ptr<GeomBody> make_md_copies(std::unique_ptr<MdArray> array) {
  const md::Layout& layout = array->layout();
  if (const auto* mirror = layout.mirror()) {
    return std::make_unique<CopiesArray<md::MirrorLayout>>(std::move(array), *mirror);
  }
  return std::make_unique<CopiesArray<md::Raid10Layout>>(std::move(array), *layout.raid10());
}

}  // namespace ashlar
