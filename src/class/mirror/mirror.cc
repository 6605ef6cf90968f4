// mirror: every byte on every leg (RAID 1).
//
// A leg that fails what another leg did is dropped, for the rest of the run: it is no longer
// written, so it must never be read again. class/mirror/legs.h says why that is right with several
// lanes at once.
//
//   reads    go to one leg. If it fails, to the next one that has not been tried; the one that
//            delivers drops those that did not. If all fail, the read fails and nothing is dropped.
//   changes  (and flushes) go to all live legs. Done when one that is still live has carried it
//   out;
//            the others are dropped. If none has, the request fails and nothing is dropped.
//
// A leg that joins is written from when it begins, and read when it has been copied (leg_gate.h).
#include <algorithm>
#include <array>
#include <memory>
#include <new>

#include "class/balance.h"
#include "class/mirror/leg_gate.h"
#include "class/mirror/legs.h"
#include "program/split.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

constexpr std::array kParameters = {
    ParameterSpec{.name = "balance",
                  .kind = ParameterKind::text,
                  .default_text = "least_busy",
                  .help = "which leg is read: least_busy, round_robin, nearest or first"},
};

struct MirrorPad {
  LegSet good;       // of a change: legs that carried it out
  LegSet bad;        // legs that failed
  std::uint8_t leg;  // where a request that goes to one leg went
  Errc error;        // of a leg that failed
  bool counted;      // a read whose end Balance is to hear of
  bool split;        // a change that went to several legs
  bool cancelled;    // one of its children was, because the request was
  bool torn;         // a leg may hold a part of it
  bool tracked;      // `change` is made, and in the gate
  alignas(8) std::byte change[sizeof(Change)];

  Change& its_change() noexcept { return *std::launder(reinterpret_cast<Change*>(change)); }
};
static_assert(sizeof(MirrorPad) == 56);

// The leg refused the request as such, and no byte on it changed.
bool changed_nothing(Errc error) {
  return error == Errc::unsupported || error == Errc::invalid || error == Errc::out_of_range ||
         error == Errc::read_only || error == Errc::permission;
}

class Mirror final : public StepClass<Mirror, MirrorPad> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "mirror",
      .summary = "every byte on every leg",
      .min_consumers = 1,
      .max_consumers = kMaxLegs,
      .policies = OpPolicies::handle_all(),
      .payload = PayloadUse::moves,
      .parameters = kParameters,
      .consumers_join = true,
  };
  using Local = LegGate::Local;

  Mirror(std::uint32_t legs, BalanceKind balance, std::uint32_t block)
      : legs_(legs), balance_(balance), block_(block), gate_(legs_) {}

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    const std::string& balance = arguments.parameters.text("balance");
    const auto kind = parse_balance(balance);
    if (!kind) {
      return make_error(Errc::invalid,
                        "mirror: balance = '{}' is none of least_busy, round_robin, nearest, first",
                        balance);
    }
    std::uint32_t block = kMinBlockBytes;
    std::vector<std::uint64_t> sizes;
    for (const ConsumerView& each : arguments.consumers) {
      block = std::max(block, each.limits.block_bytes);
      sizes.push_back(each.size_bytes);
    }
    for (const ConsumerView& each : arguments.consumers) {
      if (each.size_bytes >= block) continue;
      return make_error(Errc::invalid, "mirror: {} has {} bytes, less than one block of {}",
                        each.name, each.size_bytes, block);
    }
    auto body = std::make_unique<Mirror>(static_cast<std::uint32_t>(sizes.size()), *kind, block);
    GeomPlan plan;
    body->size_ = body->smallest(sizes);
    plan.providers.push_back({.size_bytes = body->size_});
    plan.body = std::move(body);
    return plan;
  }

  std::uint16_t max_children() const { return static_cast<std::uint16_t>(legs_.count()); }

  bool on_consumer_lost(std::uint32_t leg) override { return legs_.lose(leg); }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    size_ = smallest(sizes);
    return size_;
  }

  std::optional<std::uint32_t> same_bytes() const override {
    const LegSets sets = legs_.sets();
    const bool one = std::has_single_bit(sets.live) && (sets.joining | legs_.waiting()) == 0;
    return one ? std::optional(first_leg(sets.live)) : std::nullopt;
  }

  Result<void> on_consumer_added(std::uint32_t leg, const ConsumerView& view) override {
    if (view.size_bytes < size_ || view.limits.block_bytes > block_) {
      return make_error(Errc::invalid, "{} has {} bytes in blocks of {}, a leg needs {} in {}",
                        view.name, view.size_bytes, view.limits.block_bytes, size_, block_);
    }
    if (gate_.busy()) {
      return make_error(Errc::busy, "another leg is being copied; one joins at a time");
    }
    legs_.add(leg);
    return {};
  }

  Result<void> on_consumer_removed(std::uint32_t leg) override {
    if (legs_.leave(leg)) return {};
    return make_error(Errc::busy, "leg {} is the only one that has all the bytes", leg);
  }

  CopyGate* copy_gate() override { return &gate_; }

  std::unique_ptr<Local> make_local(Context& cx) { return std::make_unique<Local>(gate_, cx); }

  std::vector<ConsumerByte> locate(std::uint32_t, std::uint64_t offset,
                                   std::uint32_t) const override {
    std::vector<ConsumerByte> all;
    for (LegSet live = legs_.live(); live != 0; live &= live - 1) {
      all.push_back({first_leg(live), offset});
    }
    return all;
  }

  std::vector<std::pair<std::string, std::string>> status() const override {
    return legs_.report();
  }

  Verdict on_request(Bio& bio, MirrorPad& pad, Context& cx) noexcept {
    pad.good = pad.bad = 0;
    pad.counted = pad.split = pad.cancelled = pad.torn = pad.tracked = false;
    const LegSets sets = legs_.sets();
    const LegSet live = sets.live;
    if (bio.op == Op::read) {
      pad.counted = !legs_.uneven();
      return to_leg(pad.counted ? balance_.begin(live, bio, cx) : first_leg(live), pad);
    }
    if (sets.joining != 0) {
      if (!track(bio, pad, cx)) return Verdict::held();
    } else if (std::has_single_bit(live)) {
      return to_leg(first_leg(live), pad);
    }
    pad.split = true;
    Split split(cx, bio);
    for (LegSet left = sets.all(); left != 0; left &= left - 1) {
      split.add(first_leg(left), bio.offset, 0, bio.length, first_leg(left));
    }
    return split.verdict();
  }

  void on_child(Bio& bio, Bio& child, MirrorPad& pad, Context&) noexcept {
    const LegSet leg = leg_bit(static_cast<std::uint32_t>(child.tag));
    if (child.ok()) {
      pad.good |= leg;
    } else if (child.error == Errc::cancelled && bio.cancel_requested()) {
      // The owner's wish, and no fault of the leg's.
      pad.cancelled = true;
      pad.torn = pad.torn || bio.op != Op::flush;
    } else {
      pad.bad |= leg;
      pad.error = child.error;
      pad.torn = pad.torn || !changed_nothing(child.error);
    }
  }

  Verdict on_complete(Bio& bio, MirrorPad& pad, Context& cx) noexcept {
    if (bio.op == Op::read) return end_read(bio, pad, cx);
    if (pad.split) end_change(bio, pad);
    if (pad.tracked) {
      gate_.leave(pad.its_change());
      std::destroy_at(&pad.its_change());
    }
    return Verdict::done();
  }

  // It waits at the gate.
  void on_cancel(Bio& bio, MirrorPad& pad, Context& cx) noexcept {
    pad.its_change().link.unlink();
    std::destroy_at(&pad.its_change());
    bio.fail(Errc::cancelled);
    cx.resume(bio, Verdict::done());
  }

 private:
  // True: the change is in the gate's book. False: its range is being copied, and it waits.
  bool track(Bio& bio, MirrorPad& pad, Context& cx) noexcept {
    const Extent range = bio.op == Op::flush ? Extent{} : Extent{bio.offset, bio.length};
    Change& change = *new (pad.change) Change(bio, range);
    pad.tracked = gate_.enter(change);
    if (!pad.tracked) local_of(*this, cx).wait(change);
    return pad.tracked;
  }

  static Verdict to_leg(std::uint32_t leg, MirrorPad& pad) noexcept {
    pad.leg = static_cast<std::uint8_t>(leg);
    return Verdict::forward(leg);
  }

  Verdict end_read(Bio& bio, MirrorPad& pad, Context& cx) noexcept {
    if (pad.counted) balance_.end(pad.leg, cx);
    pad.counted = false;
    if (bio.ok()) {
      if (pad.bad != 0) legs_.settle(leg_bit(pad.leg), pad.bad, Op::read, pad.error);
      return Verdict::done();
    }
    if (bio.cancel_requested()) return Verdict::done();
    pad.bad |= leg_bit(pad.leg);
    pad.error = bio.error;
    const LegSet untried = legs_.live() & ~pad.bad;
    return untried == 0 ? Verdict::done() : to_leg(first_leg(untried), pad);
  }

  void end_change(Bio& bio, MirrorPad& pad) noexcept {
    // Where every leg succeeded, so did every one that is live now.
    if (bio.ok() || (!pad.cancelled && legs_.settle(pad.good, pad.bad, bio.op, pad.error))) {
      bio.succeed();
      return;
    }
    if (pad.torn) {
      legs_.set_uneven();
      if (pad.tracked) gate_.spoil(pad.its_change().range);
    }
    bio.fail(pad.cancelled ? Errc::cancelled : pad.error);
  }

  // Of the legs that are in use, in whole blocks.
  std::uint64_t smallest(std::span<const std::uint64_t> sizes) const {
    std::uint64_t size = kMaxDeviceBytes;
    const LegSet used = legs_.sets().all() | legs_.waiting();
    for (LegSet left = used; left != 0; left &= left - 1) {
      size = std::min(size, sizes[first_leg(left)]);
    }
    return align_down(size, block_);
  }

  Legs legs_;
  Balance balance_;
  const std::uint32_t block_;
  std::uint64_t size_ = 0;  // the control thread's
  LegGate gate_;
};

}  // namespace

const ClassInfo& mirror_class() {
  static constexpr ClassInfo kInfo = {&Mirror::kFacts, &Mirror::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
