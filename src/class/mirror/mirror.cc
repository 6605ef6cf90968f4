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
#include <algorithm>
#include <array>

#include "class/mirror/balance.h"
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
};
static_assert(sizeof(MirrorPad) == 16);

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
      .parameters = kParameters,
  };

  Mirror(std::uint32_t legs, BalanceKind balance, std::uint32_t block)
      : legs_(legs), balance_(balance), block_(block) {}

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
    plan.providers.push_back({.size_bytes = body->smallest(sizes)});
    plan.body = std::move(body);
    return plan;
  }

  std::uint16_t max_children() const { return static_cast<std::uint16_t>(legs_.count()); }

  bool on_consumer_lost(std::uint32_t leg) override { return legs_.lose(leg); }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return smallest(sizes);
  }

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
    pad = {};
    const LegSet live = legs_.live();
    if (bio.op == Op::read) {
      pad.counted = !legs_.uneven();
      return to_leg(pad.counted ? balance_.begin(live, bio, cx) : first_leg(live), pad);
    }
    if (std::has_single_bit(live)) return to_leg(first_leg(live), pad);
    pad.split = true;
    Split split(cx, bio);
    for (LegSet left = live; left != 0; left &= left - 1) {
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
    return Verdict::done();
  }

 private:
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

  void end_change(Bio& bio, const MirrorPad& pad) noexcept {
    // Where every leg succeeded, so did every one that is live now.
    if (bio.ok() || (!pad.cancelled && legs_.settle(pad.good, pad.bad, bio.op, pad.error))) {
      bio.succeed();
      return;
    }
    if (pad.torn) legs_.set_uneven();
    bio.fail(pad.cancelled ? Errc::cancelled : pad.error);
  }

  // Of the live legs, in whole blocks.
  std::uint64_t smallest(std::span<const std::uint64_t> sizes) const {
    std::uint64_t size = kMaxDeviceBytes;
    for (LegSet live = legs_.live(); live != 0; live &= live - 1) {
      size = std::min(size, sizes[first_leg(live)]);
    }
    return align_down(size, block_);
  }

  Legs legs_;
  Balance balance_;
  const std::uint32_t block_;
};

}  // namespace

const ClassInfo& mirror_class() {
  static constexpr ClassInfo kInfo = {&Mirror::kFacts, &Mirror::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
