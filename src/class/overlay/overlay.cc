// overlay: a device that may be written although what is below never is: what is written stays in
// memory and on a second device, the store. See sector_map.h for what is where, ledger.h and
// store_format.h for a store that is kept.
//
//   read    untouched -> below; else in pieces, from wherever each lies
//   change  temporary: to where it lies already, else to memory, else to the store
//           kept: to the store; when it has ended there, the map says so, in memory
//   flush   temporary: to the store; kept: the same, then the map's new ranges, then the store
//   again
//
// Invariants: (1) the map says that a sector is in the store only after its bytes are there; (2) a
// record says so only after those bytes were flushed; (3) nothing but reads goes below.
#include <array>
#include <atomic>
#include <memory>

#include "class/overlay/ledger.h"
#include "class/overlay/own_memory.h"
#include "class/overlay/sector_map.h"
#include "class/overlay/store_format.h"
#include "program/split.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

using overlay::Ledger;
using overlay::Place;
using overlay::Round;
using overlay::Run;

constexpr std::uint32_t kBase = 0;
constexpr std::uint32_t kStore = 1;

// How many places a request is read from at once; more go in turns.
constexpr std::uint16_t kMostPieces = 16;

// A request without payload changes the map within one call of the step.
constexpr std::uint64_t kMaxRange = kGiB;

constexpr std::array kParameters = {
    ParameterSpec{.name = "memory",
                  .kind = ParameterKind::bytes,
                  .default_text = "256MiB",
                  .help = "how much of a temporary overlay is in memory; more goes to the store",
                  .max = std::uint64_t{1} << 46},
    ParameterSpec{.name = "keep",
                  .kind = ParameterKind::flag,
                  .default_text = "false",
                  .help = "the store has an overlay from before, and keeps what is written"},
};

enum class Stage : std::uint8_t {
  move,      // of the request's own bytes
  settle,    // flush, so that the map may speak of what was written
  record,    // the map's records are being written
  conclude,  // and flushed
};

struct OverlayPad {
  std::uint64_t position;  // bytes of the request that were sent to where they belong
  std::uint64_t target;    // how many ranges the map must say before the request ends
  Round* round;            // owned
  Stage stage;
};

struct Sizes {
  std::uint64_t base = 0;
  std::uint64_t store = 0;
  std::uint32_t block = kMinBlockBytes;
};

class Overlay final : public StepClass<Overlay, OverlayPad> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "overlay",
      .summary = "keeps changes beside a device that is only read",
      .min_consumers = 1,
      .max_consumers = 2,
      .policies = OpPolicies::handle_all(),
      .parameters = kParameters,
      .only_read = 1,
  };

  Overlay(const Sizes& sizes, OpSet ops, bool has_store)
      : block_(sizes.block),
        size_(align_down(sizes.base, sizes.block)),
        ops_(ops),
        has_store_(has_store),
        store_bytes_(sizes.store) {}

  static Result<GeomPlan> create(const CreateArguments& arguments);

  std::uint16_t max_children() const { return kMostPieces; }

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    limits.ops = limits.ops.has(Op::read) ? ops_ : ops_.without(Op::read);
    limits.max_range_bytes = std::min(limits.max_range_bytes, kMaxRange);
  }

  // It does not grow: the map of what it has is as long as the device was.
  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    std::uint64_t size = std::min(size_, sizes[kBase]);
    if (has_store_) {
      store_bytes_.store(sizes[kStore], std::memory_order_relaxed);
      size = std::min(size, sizes[kStore] - std::min(sizes[kStore], data_at_));
    }
    return align_down(size, block_);
  }

  // What is in memory lies on no device.
  std::vector<ConsumerByte> locate(std::uint32_t, std::uint64_t offset,
                                   std::uint32_t) const override {
    switch (map_.run(align_down(offset, overlay::kSectorBytes), size_).place) {
      case Place::below:
        return {{kBase, offset}};
      case Place::store:
        return {{kStore, data_at_ + offset}};
      case Place::memory:
      case Place::zero:
        break;
    }
    return {};
  }

  void on_gone(std::uint32_t) noexcept override { gone_.store(true, std::memory_order_relaxed); }

  std::optional<OwnRun> own_run(std::uint64_t offset, std::uint64_t end) const override {
    const Run run = map_.run(offset, std::min(end, size_));
    return OwnRun{run.length, run.place != Place::below, run.place == Place::zero};
  }

  bool wants_flush() const override { return kept() && ledger_->has_open(); }

  std::vector<std::pair<std::string, std::string>> status() const override {
    std::vector<std::pair<std::string, std::string>> all;
    if (!kept()) all.emplace_back("in memory", format_bytes(memory_.used_bytes()));
    if (has_store_) {
      all.emplace_back("in store", format_bytes(stored_.load(std::memory_order_relaxed)));
    }
    return all;
  }

  Verdict on_request(Bio& bio, OverlayPad& pad, Context& cx) noexcept {
    pad = {};
    if (bio.op == Op::read && map_.untouched(bio.offset, bio.length)) [[likely]] {
      pad.position = bio.length;
      return Verdict::forward(kBase);
    }
    // What is in memory would be there still.
    if (gone_.load(std::memory_order_relaxed)) [[unlikely]] {
      return give_up(bio, Errc::gone);
    }
    switch (bio.op) {
      case Op::read:
        return read_on(bio, pad, cx);
      case Op::flush:
        return flush(bio, pad);
      case Op::write:
      case Op::discard:
      case Op::write_zeroes:
      case Op::repair:  // is refused
        break;
    }
    if (!kept()) return change_on(bio, pad, cx);
    pad.position = bio.length;
    if (bio.op == Op::discard && ops_.has(Op::write_zeroes)) return zero_store(bio, cx);
    bio.offset += data_at_;
    return Verdict::forward(kStore);
  }

  Verdict on_complete(Bio& bio, OverlayPad& pad, Context& cx) noexcept {
    if (!bio.ok()) {
      end_round(pad, false);
      return Verdict::done();
    }
    switch (pad.stage) {
      case Stage::move:
        if (pad.position == bio.length) return moved(bio, pad, cx);
        return bio.op == Op::read ? read_on(bio, pad, cx) : change_on(bio, pad, cx);
      case Stage::settle:
        return next_round(bio, pad, cx);
      case Stage::record:
        return flush_store(bio, pad, Stage::conclude, cx);
      case Stage::conclude:
        end_round(pad, true);
        return next_round(bio, pad, cx);
    }
    ASHLAR_ASSERT(false && "there are four stages");
  }

  // A temporary overlay's part of a change that is in the store. A kept one's ends in moved().
  void on_child(Bio& bio, Bio& child, OverlayPad&, Context&) noexcept {
    if (kept() || !changes_data(bio.op) || !child.ok()) return;
    const bool said = map_.set(Place::store, {child.tag, child.length},
                               [this](Extent fresh) { count_stored(fresh); });
    if (!said && bio.ok()) bio.fail(Errc::no_memory);
  }

 private:
  bool kept() const noexcept { return ledger_ != nullptr; }

  void count_stored(Extent fresh) noexcept {
    stored_.fetch_add(fresh.length, std::memory_order_relaxed);
  }

  Result<void> reopen(std::span<ConsumerView> consumers, GeomPlan& plan);

  // --- reads -----------------------------------------------------------------------------------

  Verdict read_on(Bio& bio, OverlayPad& pad, Context& cx) noexcept {
    Run run = map_.run(bio.offset + pad.position, bio.end());
    if (run.length == bio.length && (run.place == Place::below || run.place == Place::store)) {
      pad.position = bio.length;
      if (run.place == Place::below) return Verdict::forward(kBase);
      bio.offset += data_at_;
      return Verdict::forward(kStore);
    }
    Split split(cx, bio);
    for (unsigned pieces = 0;;) {
      const std::uint64_t at = bio.offset + pad.position;
      if (run.place == Place::memory) {
        memory_.read(at, bio.payload.from(pad.position), run.length);
      } else if (run.place == Place::zero) {
        bio.payload.from(pad.position).fill_zero(run.length);
      } else if (pieces == kMostPieces) {
        return split.verdict();
      } else {
        const bool below = run.place == Place::below;
        split.add(below ? kBase : kStore, below ? at : data_at_ + at, pad.position, run.length);
        ++pieces;
      }
      pad.position += run.length;
      if (pad.position == bio.length) return pieces > 0 ? split.verdict() : succeed(bio);
      run = map_.run(bio.offset + pad.position, bio.end());
    }
  }

  // --- changes of a temporary overlay ------------------------------------------------------------

  // Takes care of a part of the change here and now. False: it is the store's.
  bool change_here(const Bio& bio, std::uint64_t skip, const Run& run, Errc& error) noexcept {
    const Extent range{bio.offset + skip, run.length};
    if (run.place == Place::store) return false;
    if (bio.op != Op::write) {
      if (run.place == Place::memory) {
        memory_.zero(range.offset, range.length);
      } else if (!map_.set(Place::zero, range)) {
        error = Errc::no_memory;
      }
      return true;
    }
    if (run.place != Place::memory && !memory_.claim(map_, range)) {
      if (!has_store_) error = Errc::no_space;
      return !has_store_;
    }
    memory_.write(range.offset, bio.payload.from(skip), range.length);
    if (run.place != Place::memory && !map_.set(Place::memory, range)) error = Errc::no_memory;
    return true;
  }

  Verdict change_on(Bio& bio, OverlayPad& pad, Context& cx) noexcept {
    Split split(cx, bio);
    unsigned pieces = 0;
    Errc error = Errc::ok;
    while (pad.position < bio.length && pieces < kMostPieces) {
      const std::uint64_t at = bio.offset + pad.position;
      const Run run = map_.run(at, bio.end());
      if (!change_here(bio, pad.position, run, error)) {
        split.add(kStore, at, pad.position, run.length, at);
        ++pieces;
      }
      // What is under way ends first; then the same error comes again.
      if (error != Errc::ok && pieces > 0) break;
      if (error != Errc::ok) {
        bio.fail(error);
        return Verdict::done();
      }
      pad.position += run.length;
    }
    return pieces > 0 ? split.verdict() : succeed(bio);
  }

  // --- a kept overlay's map ----------------------------------------------------------------------

  Verdict flush(Bio& bio, OverlayPad& pad) noexcept {
    if (!has_store_) return succeed(bio);
    if (kept()) {
      pad.stage = Stage::settle;
      pad.target = ledger_->cut();
    }
    return Verdict::forward(kStore);
  }

  // What was discarded without having been in the store must not read as what a write left there
  // that was lost in a power cut.
  Verdict zero_store(Bio& bio, Context& cx) noexcept {
    Split split(cx, bio);
    split.add_own({.op = Op::write_zeroes,
                   .consumer = kStore,
                   .offset = data_at_ + bio.offset,
                   .length = bio.length});
    return split.verdict();
  }

  // The request's own bytes are where they belong.
  Verdict moved(Bio& bio, OverlayPad& pad, Context& cx) noexcept {
    if (!kept() || !changes_data(bio.op)) return succeed(bio);
    bool noted = true;
    const bool said = map_.set(Place::store, {bio.offset, bio.length}, [&](Extent fresh) {
      count_stored(fresh);
      noted = ledger_->add(fresh) && noted;
    });
    if (!said || !noted) {
      bio.fail(Errc::no_memory);
      return Verdict::done();
    }
    if (!bio.fua() && !ledger_->overfull()) return succeed(bio);
    pad.target = ledger_->cut();
    if (ledger_->durable() >= pad.target) return succeed(bio);
    return flush_store(bio, pad, Stage::settle, cx);
  }

  Verdict flush_store(Bio& bio, OverlayPad& pad, Stage stage, Context& cx) noexcept {
    pad.stage = stage;
    Split split(cx, bio);
    split.add_own({.op = Op::flush, .consumer = kStore});
    return split.verdict();
  }

  Verdict next_round(Bio& bio, OverlayPad& pad, Context& cx) noexcept {
    if (!kept() || ledger_->durable() >= pad.target) return succeed(bio);
    pad.round = ledger_->begin(pad.target).release();
    if (pad.round == nullptr) return give_up(bio, Errc::no_memory);
    // All slots that may be used are in other rounds: they end, or the map is full.
    if (pad.round->records == 0) {
      end_round(pad, false);
      return ledger_->is_full() ? give_up(bio, Errc::no_space)
                                : flush_store(bio, pad, Stage::settle, cx);
    }
    return write_round(bio, pad, cx);
  }

  Verdict write_round(Bio& bio, OverlayPad& pad, Context& cx) noexcept {
    Round& round = *pad.round;
    const auto place_of = [&](std::size_t i) {
      return map_at_ + round.slots[i] * overlay::kPageBytes;
    };
    const std::uint64_t room = store_bytes_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < round.records; ++i) {
      if (within(place_of(i), overlay::kPageBytes, room)) continue;
      end_round(pad, false);  // the store shrank
      return give_up(bio, Errc::no_space);
    }
    pad.stage = Stage::record;
    Split split(cx, bio);
    for (std::size_t i = 0; i < round.records; ++i) {
      split.add_own({.op = Op::write,
                     .consumer = kStore,
                     .offset = place_of(i),
                     .length = overlay::kPageBytes,
                     .payload = {&round.segments[i], 1, 0}});
    }
    return split.verdict();
  }

  static Verdict succeed(Bio& bio) noexcept {
    bio.succeed();
    return Verdict::done();
  }
  static Verdict give_up(Bio& bio, Errc error) noexcept {
    bio.fail(error);
    return Verdict::done();
  }

  void end_round(OverlayPad& pad, bool written) noexcept {
    if (pad.round == nullptr) return;
    const std::unique_ptr<Round> round(std::exchange(pad.round, nullptr));
    ledger_->end(*round, written);
  }

  const std::uint32_t block_;
  const std::uint64_t size_;
  const OpSet ops_;
  const bool has_store_;
  std::uint64_t data_at_ = 0;  // of the store
  std::uint64_t map_at_ = 0;
  std::atomic<std::uint64_t> store_bytes_;
  overlay::SectorMap map_;
  overlay::OwnMemory memory_;
  std::unique_ptr<Ledger> ledger_;  // null: a temporary overlay
  std::atomic<std::uint64_t> stored_{0};
  std::atomic<bool> gone_{false};
};

overlay::Read reader_of(ConsumerView& consumer) {
  return [&consumer](std::uint64_t offset, ByteSpan into) {
    return consumer.reader->read(offset, into);
  };
}

Result<void> check_blocks(const overlay::Loaded& loaded, std::uint32_t block) {
  for (const Extent& each : ranges_of(loaded)) {
    if ((each.offset | each.length) % block == 0) continue;
    return make_error(Errc::invalid,
                      "overlay: it has {} bytes at byte {}, which are no blocks of {} bytes",
                      each.length, each.offset, block);
  }
  return {};
}

// Takes over what an overlay from before has.
Result<void> Overlay::reopen(std::span<ConsumerView> consumers, GeomPlan& plan) {
  ConsumerView& store = consumers[kStore];
  if (store.reader == nullptr || consumers[kBase].reader == nullptr) {
    return make_error(Errc::unsupported, "overlay: {} cannot be read here", store.name);
  }
  store.reader->allow(store.size_bytes);
  auto loaded = overlay::load(reader_of(store), store.size_bytes);
  if (!loaded) return make_error(loaded.error().code, "{}: {}", store.name, loaded.error().message);
  if (loaded->applied) {
    return make_error(Errc::invalid,
                      "overlay: {}: it was committed: all that is in it is in the image below",
                      store.name);
  }
  auto same = check_base(*loaded, consumers[kBase].size_bytes, consumers[kBase].name,
                         reader_of(consumers[kBase]));
  if (!same) return make_error(same.error().code, "{}: {}", store.name, same.error().message);
  if (auto fits = check_blocks(*loaded, block_); !fits) return fits;
  data_at_ = overlay::kDataAt;
  map_at_ = loaded->header.map_at;
  for (const Extent& each : ranges_of(*loaded)) {
    if (!map_.set(Place::store, each)) return make_error(Errc::no_memory, "overlay: no memory");
    count_stored(each);
  }
  if (loaded->torn > 0) {
    plan.doubts.push_back(fmt::format(
        "{} of its map is torn: it was being written when it ended, and belongs to no flush",
        loaded->torn == 1 ? "a record" : fmt::format("{} records", loaded->torn)));
  }
  if (loaded->begun) {
    plan.doubts.emplace_back("a commit was begun and did not end; it is to be done again");
  }
  ledger_ = std::make_unique<Ledger>(*loaded);
  return {};
}

Result<OpSet> check_store(const ConsumerView& base, const ConsumerView& store, bool keep) {
  if (!keep && store.size_bytes < base.size_bytes) {
    return make_error(Errc::invalid, "overlay: {} has {} bytes, less than {} with {}", store.name,
                      store.size_bytes, base.name, base.size_bytes);
  }
  const OpSet ops = store.limits.ops;
  const bool able = ops.has(Op::read) && ops.has(Op::write) && (!keep || ops.has(Op::flush));
  if (!able) {
    return make_error(Errc::unsupported, "overlay: {} cannot be written to, or not flushed",
                      store.name);
  }
  const std::uint32_t block = stack_limits(base.limits, store.limits).block_bytes;
  if (keep && block > overlay::kPageBytes) {
    return make_error(Errc::unsupported, "overlay: blocks of {} bytes, the most is {}", block,
                      overlay::kPageBytes);
  }
  return ops;
}

Result<GeomPlan> Overlay::create(const CreateArguments& arguments) {
  const std::span<ConsumerView> consumers = arguments.consumers;
  const bool keep = arguments.parameters.flag("keep");
  Sizes sizes{.base = consumers[kBase].size_bytes, .block = consumers[kBase].limits.block_bytes};
  OpSet ops = kFacts.policies.ops();
  const bool has_store = consumers.size() > 1;
  if (keep && !has_store) {
    return make_error(Errc::invalid, "overlay: what is kept needs a second device to be kept on");
  }
  if (has_store) {
    auto able = check_store(consumers[kBase], consumers[kStore], keep);
    if (!able) return able.error();
    ops = ops & *able;
    sizes.store = consumers[kStore].size_bytes;
    sizes.block = std::max(sizes.block, consumers[kStore].limits.block_bytes);
  }
  GeomPlan plan;
  auto body = std::make_unique<Overlay>(sizes, ops, has_store);
  if (body->size_ == 0) {
    return make_error(Errc::invalid, "overlay: {} has {} bytes, less than one block of {}",
                      consumers[kBase].name, sizes.base, sizes.block);
  }
  if (auto made = body->map_.open(body->size_); !made) return made.error();
  const std::uint64_t memory = keep ? 0 : arguments.parameters.number("memory");
  if (auto made = body->memory_.open(body->size_, memory); !made) return made.error();
  if (keep) {
    if (auto there = body->reopen(consumers, plan); !there) return there.error();
  }
  plan.providers.push_back({.size_bytes = body->size_});
  plan.body = std::move(body);
  return plan;
}

}  // namespace

const ClassInfo& overlay_class() {
  static constexpr ClassInfo kInfo = {&Overlay::kFacts, &Overlay::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
