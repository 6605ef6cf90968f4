// raid1 and raid10: every byte on several members.
//
// A read goes to one copy, which the lane balances; one that crosses chunks of raid10 becomes a
// child for each. Where a copy fails, or no single one may be read as a whole (bad blocks, a member
// that is being filled), the request goes on in small pieces, each read from one copy after another
// until one delivers.
//
// While the array is open for writing, a piece that another copy had is then written to the members
// that failed it, as the kernel does: disks put another sector in the place of one that they cannot
// read. Who fails that too is dropped. correction_gate.h keeps changes out meanwhile.
//
//   whole/chunks --a copy fails--> pieces --from another copy--> locking --> reading again
//                                    ^                                            |
//                                    +---------- next piece <---- correcting <----+
//
// Changes go to every member in use. Who fails one is dropped, where the others have all data
// between them; otherwise the change fails, and nobody is dropped (class/mirror/legs.h has the
// reasoning for several lanes at once). As with a mirror, changes of one range that are under way
// at the same time may end in another order on each copy: who wants one or the other waits for the
// first before the second.
//
// Copies that may differ, because the array was not shut down cleanly or a change ended midway, are
// read from the first one alone, so that what was read once is read again.
#include <algorithm>
#include <atomic>
#include <memory>

#include "class/md/copies_base.h"
#include "program/lookup.h"

namespace ashlar {
namespace {

using Phase = CopiesPhase;
using Choice = CopyChoice;

template <typename Layout>
class CopiesArray final : public RedundantStep<CopiesArray<Layout>, CopiesPad, CopiesBase> {
  using Step = RedundantStep<CopiesArray<Layout>, CopiesPad, CopiesBase>;
  using CopiesBase::array_;
  using CopiesBase::begin_repair;
  using CopiesBase::drop;
  using CopiesBase::end_repair;
  using CopiesBase::gate_;
  using CopiesBase::go_on_repair;
  using CopiesBase::leave_gate;
  using CopiesBase::looked_after;
  using CopiesBase::readable;
  using CopiesBase::recorder_;
  using CopiesBase::repair_child_ended;
  using CopiesBase::set_torn;
  using CopiesBase::uneven_from;
  using CopiesBase::writable;

 public:
  using Local = CorrectionGate::Local;

  CopiesArray(std::unique_ptr<MdArray> array, const Layout& layout)
      : Step(std::move(array)), layout_(layout), balance_(BalanceKind::least_busy) {
    for (std::uint32_t role = 0; role < array_->places.size(); ++role) {
      const MdPlace& place = array_->places[role];
      if (place.there() && array_->superblocks[place.consumer].write_mostly) {
        write_mostly_ |= member_bit(role);
      }
    }
  }

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    limits.ops = limits.ops.with(Op::repair);
    if (array_->layout().mirror() != nullptr) return;
    const std::uint64_t chunk = array_->superblock().chunk_bytes;
    const std::uint64_t chunks = std::max<std::uint64_t>(kMaxPieces / layout_.copies(), 2) - 1;
    limits.max_request_bytes = std::min(limits.max_request_bytes, chunks * chunk);
    limits.max_range_bytes = std::min(limits.max_range_bytes, chunks * chunk);
    limits.preferred_bytes = std::min(
        std::max(limits.preferred_bytes, chunk * array_->places.size()), limits.max_request_bytes);
  }

  std::uint16_t max_children() const {
    const std::uint32_t copies = layout_.copies();
    const std::uint32_t most = array_->layout().mirror() != nullptr
                                   ? copies
                                   : std::max<std::uint32_t>(kMaxPieces, 2 * copies);
    // And of a record: a flush of each device, spares and all.
    const auto devices = static_cast<std::uint32_t>(array_->superblocks.size());
    return static_cast<std::uint16_t>(
        std::max<std::uint32_t>({most, array_->members.count(), MdRecorder::kMostPuts, devices}));
  }

  std::unique_ptr<Local> make_local(Context& cx) { return std::make_unique<Local>(gate_, cx); }

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
    auto lines = md_status(*array_);
    const std::uint64_t from = uneven_from();
    if (from != md::kAll) {
      lines.emplace_back("uneven", fmt::format("copies may differ from byte {} on", from));
    }
    const std::uint64_t corrected = corrected_.load(std::memory_order_relaxed);
    if (corrected != 0) {
      lines.emplace_back("corrected",
                         fmt::format("{} bytes that a member could not read", corrected));
    }
    return lines;
  }

  Verdict on_request(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    pad.entered = pad.cancelled = pad.torn = false;
    pad.bad = 0;
    if (bio.op == Op::repair) [[unlikely]]
      return begin_repair(bio, pad, cx, local_of(*this, cx));
    if (looked_after()) local_of(*this, cx).count();
    return bio.op == Op::read ? begin_read(bio, pad, cx) : begin_change(bio, pad, cx);
  }

  void on_child(Bio& bio, Bio& child, CopiesPad& pad, Context& cx) noexcept {
    if (pad.phase == Phase::opening || pad.phase == Phase::closing) {
      return recorder_.child_ended(child);
    }
    if (bio.op == Op::repair) return repair_child_ended(child, pad);
    const auto role = static_cast<std::uint32_t>(child.tag & 0xff);
    if ((child.tag & kCounted) != 0) balance_.end(role, cx);
    if (child.ok()) return;
    if (child.error == Errc::cancelled && bio.cancel_requested()) {
      // The owner's wish, and no fault of the member's.
      pad.cancelled = true;
      pad.torn = pad.torn || bio.op != Op::flush;
      return;
    }
    pad.error = child.error;
    pad.bad |= member_bit(role);
    pad.torn = pad.torn || !changed_nothing(child.error);
  }

  Verdict on_complete(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    if (bio.op == Op::repair) return go_on_repair(bio, pad, cx, local_of(*this, cx));
    if (bio.op != Op::read) return go_on(bio, pad, cx);
    if (pad.phase == Phase::whole && pad.counted) balance_.end(pad.role, cx);
    if (bio.cancel_requested() && !(pad.phase == Phase::whole && bio.ok())) {
      leave_gate(bio, pad);
      bio.fail(Errc::cancelled);
      return Verdict::done();
    }
    return end_read(bio, pad, cx);
  }

  // It waits at the gate, or for a record; one before its end is waited for.
  void on_cancel(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    if (pad.phase == Phase::closing) return;
    if (pad.phase == Phase::opening) {
      if (!recorder_.forget(pad.record)) return;
    } else {
      pad.its_entry().waiting_link.unlink();
    }
    if (bio.op == Op::repair) return cx.resume(bio, end_repair(bio, pad, Errc::cancelled));
    leave_gate(bio, pad);
    bio.fail(Errc::cancelled);
    cx.resume(bio, Verdict::done());
  }

 private:
  // In a child's tag, beside its member's role.
  static constexpr std::uint64_t kCounted = 0x100;

  // --- which members
  void took_place(std::uint32_t role) noexcept override { write_mostly_ &= ~member_bit(role); }

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
    const bool even = offset + length <= uneven_from();
    if (roles == 0 || tried != 0 || !even) return first;
    const MemberSet quick = roles & ~write_mostly_.load(std::memory_order_relaxed);
    Choice balanced = choice_of(balance_.begin(quick != 0 ? quick : roles, bio, cx), offset);
    balanced.counted = true;
    return balanced;
  }
  Choice choice_of(std::uint32_t role, std::uint64_t offset) const noexcept {
    std::uint32_t copy = 0;
    while (layout_.place(offset, copy).role != role) ++copy;
    return {role, layout_.place(offset, copy).offset_bytes};
  }
  // A copy for a piece. A member that is to be corrected is asked for each, to see which it fails.
  Choice choose_piece(std::uint64_t at, const Bio& bio, const CopiesPad& pad,
                      Context& cx) noexcept {
    for (std::uint32_t copy = 0; pad.suspects != 0 && copy < layout_.copies(); ++copy) {
      const md::Place place = layout_.place(at, copy);
      const bool asked = (pad.suspects & ~pad.tried & member_bit(place.role)) != 0;
      if (asked && readable(place.role, place.offset_bytes, place.offset_bytes + pad.piece)) {
        return {place.role, place.offset_bytes};
      }
    }
    return choose(at, pad.piece, pad.tried, bio, cx);
  }

  void add_child(Split& split, const Choice& choice, std::uint64_t skip,
                 std::uint64_t length) const noexcept {
    split.add(array_->places[choice.role].consumer, array_->on_device(choice.role, choice.offset),
              skip, length, choice.role | (choice.counted ? kCounted : 0));
  }

  // --- reads
  Verdict begin_read(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    pad.at = 0;
    pad.tried = pad.suspects = 0;
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
      const std::uint64_t unit = pad.narrow ? array_->block_bytes : kCopiesPieceBytes;
      const std::uint64_t length =
          std::min({bio.length - pad.at, unit - at % unit, layout_.place(at).run_bytes});
      pad.piece = static_cast<std::uint32_t>(length);
      const Choice choice = choose_piece(at, bio, pad, cx);
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
    switch (pad.phase) {
      case Phase::whole:
        pad.bad = member_bit(pad.role);
        return bio.ok() ? Verdict::done() : begin_pieces(bio, pad, cx);
      case Phase::chunks:
        return bio.ok() && !pad.lacking ? Verdict::done() : begin_pieces(bio, pad, cx);
      case Phase::locking:
        return lock_piece(bio, pad, cx);
      case Phase::rereading:
        return bio.ok() ? correct_piece(bio, pad, cx) : try_another(bio, pad, cx);
      case Phase::correcting:
        end_correction(bio, pad);
        return next_piece(bio, pad, cx);
      default:
        break;
    }
    if (!bio.ok()) return try_another(bio, pad, cx);
    const bool corrects = pad.tried != 0 && writable();
    return corrects ? lock_piece(bio, pad, cx) : next_piece(bio, pad, cx);
  }

  Verdict begin_pieces(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    const bool even = uneven_from() == md::kAll;
    if (even && writable()) pad.suspects = pad.bad;
    return read_piece(bio, pad, cx);
  }

  Verdict try_another(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    leave_gate(bio, pad);
    pad.tried |= member_bit(pad.role);
    return read_piece(bio, pad, cx);
  }

  Verdict next_piece(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    leave_gate(bio, pad);
    pad.at += pad.piece;
    pad.tried = 0;
    if ((bio.offset + pad.at) % kCopiesPieceBytes == 0) pad.narrow = false;
    return read_piece(bio, pad, cx);
  }

  // --- corrections
  Verdict lock_piece(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    pad.phase = Phase::locking;
    if (!pad.entered) {
      new (pad.entry) CorrectionGate::Entry(bio, {bio.offset + pad.at, pad.piece});
      pad.entered = true;
    }
    if (!gate_.lock(pad.its_entry())) {
      local_of(*this, cx).wait_to_correct(pad.its_entry());
      return Verdict::held();
    }
    pad.phase = Phase::rereading;
    const Choice choice = choose(bio.offset + pad.at, pad.piece, pad.tried, bio, cx);
    if (!choice.any()) return next_piece(bio, pad, cx);
    pad.role = static_cast<std::uint8_t>(choice.role);
    Split split(cx, bio);
    add_child(split, choice, pad.at, pad.piece);
    return split.verdict();
  }

  Verdict correct_piece(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    const std::uint64_t at = bio.offset + pad.at;
    const MemberSet failed = pad.tried & array_->members.sets().written();
    if (failed == 0) return next_piece(bio, pad, cx);
    pad.phase = Phase::correcting;
    pad.bad = 0;
    Split split(cx, bio);
    for (MemberSet left = failed; left != 0; left &= left - 1) {
      const std::uint32_t role = first_member(left);
      split.add_own({.op = Op::write,
                     .consumer = array_->places[role].consumer,
                     .offset = array_->on_device(role, choice_of(role, at).offset),
                     .length = pad.piece,
                     .payload = bio.payload.from(pad.at),
                     .tag = role});
    }
    return split.verdict();
  }

  void end_correction(Bio& bio, CopiesPad& pad) noexcept {
    if (pad.bad != 0) drop(pad.bad, Op::write, pad.error);
    if (bio.ok()) corrected_.fetch_add(pad.piece, std::memory_order_relaxed);
    bio.error = Errc::ok;
    pad.bad = 0;
  }

  // --- changes
  Verdict begin_change(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    pad.phase = Phase::entering;
    if (bio.op == Op::flush) return begin_data(bio, pad, cx);
    new (pad.entry) CorrectionGate::Entry(bio, {bio.offset, bio.length});
    pad.entered = true;
    if (!gate_.enter(pad.its_entry())) {
      local_of(*this, cx).wait_to_change(pad.its_entry());
      return Verdict::held();
    }
    pad.phase = Phase::opening;
    pad.everyone = array_->members.complete();
    // Of members (raid1), or of the array (raid10): the same numbers.
    const Extent range{bio.offset, bio.length};
    return opened(bio, pad, cx, recorder_.enter(bio, pad.record, range, local_of(*this, cx), cx));
  }

  // A verdict: the record is not there yet, or never will be.
  Verdict opened(Bio& bio, CopiesPad& pad, Context& cx, std::optional<Verdict> verdict) noexcept {
    if (!verdict && bio.cancel_requested()) {
      const bool all = pad.everyone && array_->members.complete();
      return close(bio, pad, cx, all ? md::Written::all : md::Written::live, Errc::cancelled);
    }
    if (!verdict) return begin_data(bio, pad, cx);
    if (*verdict == Verdict::done()) leave_gate(bio, pad);
    return *verdict;
  }

  Verdict go_on(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    if (pad.phase == Phase::opening) {
      return opened(bio, pad, cx, recorder_.go_on(bio, pad.record, local_of(*this, cx), cx));
    }
    if (pad.phase == Phase::closing) {
      const auto more = recorder_.go_on(bio, pad.record, local_of(*this, cx), cx);
      return more ? *more : end(bio, pad.error);
    }
    return end_change(bio, pad, cx);
  }

  Verdict begin_data(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    pad.phase = Phase::data;
    const MemberSet targets = array_->members.sets().written();
    Split split(cx, bio);
    if (bio.op == Op::flush) {
      for (MemberSet left = targets; left != 0; left &= left - 1) {
        const std::uint32_t role = first_member(left);
        split.add(array_->places[role].consumer, 0, 0, 0, role);
      }
      return split.verdict();
    }
    for (std::uint64_t skip = 0; skip < bio.length;) {
      const std::uint64_t at = bio.offset + skip;
      const std::uint64_t length = std::min(bio.length - skip, layout_.place(at).run_bytes);
      for (std::uint32_t copy = 0; copy < layout_.copies(); ++copy) {
        const md::Place place = layout_.place(at, copy);
        if ((targets & member_bit(place.role)) == 0) continue;
        split.add(array_->places[place.role].consumer,
                  array_->on_device(place.role, place.offset_bytes), skip, length, place.role);
      }
      skip += length;
    }
    return split.verdict();
  }

  // Where every member carried it out, so did every one that is in use now.
  Verdict end_change(Bio& bio, CopiesPad& pad, Context& cx) noexcept {
    leave_gate(bio, pad);
    Errc error = Errc::ok;
    if (!bio.ok() && (pad.cancelled || !drop(pad.bad, bio.op, pad.error))) {
      error = pad.cancelled ? Errc::cancelled : pad.error;
    }
    if (bio.op == Op::flush) return end_flush(bio, pad, cx, error);
    const bool torn = error != Errc::ok && pad.torn;
    const bool everyone = pad.everyone && array_->members.complete();
    const md::Written written = torn       ? md::Written::some
                                : everyone ? md::Written::all
                                           : md::Written::live;
    return close(bio, pad, cx, written, error);
  }

  Verdict close(Bio& bio, CopiesPad& pad, Context& cx, md::Written written, Errc error) noexcept {
    leave_gate(bio, pad);
    pad.phase = Phase::closing;
    pad.error = error;
    bio.error = Errc::ok;
    bio.done = 0;
    const auto last = recorder_.leave(bio, pad.record, written, local_of(*this, cx), cx);
    if (written == md::Written::some) set_torn(bio.offset);
    return last ? *last : end(bio, error);
  }

  // What was flushed counts without those that failed only when the others say that they have.
  Verdict end_flush(Bio& bio, CopiesPad& pad, Context& cx, Errc error) noexcept {
    if (error != Errc::ok || !writable()) return end(bio, error);
    pad.phase = Phase::closing;
    pad.error = Errc::ok;
    bio.error = Errc::ok;
    const auto last = recorder_.settle(bio, pad.record, local_of(*this, cx), cx);
    return last ? *last : end(bio, Errc::ok);
  }

  static Verdict end(Bio& bio, Errc error) noexcept {
    if (error == Errc::ok) {
      bio.succeed();
    } else {
      bio.fail(error);
    }
    return Verdict::done();
  }

  const Layout& layout_;
  std::atomic<MemberSet> write_mostly_{0};
  Balance balance_;
  std::atomic<std::uint64_t> corrected_{0};  // bytes
  std::uint64_t lost_ = ~std::uint64_t{0};   // the control thread's
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
