// A class: a kind of layer. Stated once, as facts and a few functions; listed explicitly in
// class/list.cc, never registered by a global.
//
// The three ways of saying what a layer does:
//   map   provider plans with extents and no step: pure data, folded by the compiler
//   step  GeomBody::step() returns code that runs inline
//   leaf  a step over no consumer
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/extent.h"
#include "base/result.h"
#include "topology/limits.h"
#include "topology/parameters.h"
#include "topology/step.h"
#include "topology/taste.h"
#include "topology/upkeep.h"

namespace ashlar {

// The most consumers and providers a geom may have: a leg or a partition number fits 16 bits.
inline constexpr std::uint32_t kMaxConsumers = 4096;
inline constexpr std::uint32_t kMaxProviders = 65536;

// What a class does with the payload of a request.
enum class PayloadUse : std::uint8_t {
  bytes,  // Looks into it, or has the kernel do so: it must be mapped.
  moves,  // Passes it on, whole or in parts; it may be memory that nobody has mapped.
};

struct ClassFacts {
  std::string_view name{};
  std::string_view summary{};  // one phrase, for lists and manuals
  std::uint32_t min_consumers = 0;
  std::uint32_t max_consumers = 0;
  OpPolicies policies{};
  Placement placement = Placement::anywhere;
  PayloadUse payload = PayloadUse::bytes;
  std::span<const ParameterSpec> parameters{};
  // Takes an exclusive hold of its consumers while one of its providers is open, so that nobody
  // writes below an open partition, stripe or mirror.
  bool claims_consumers = true;
  // The first so many consumers are only ever read: who opens the geom's device for writing opens
  // them for reading, and they may be read-only.
  std::uint32_t only_read = 0;
  // Further consumers may join a running geom, and leave it: on_consumer_added,
  // on_consumer_removed.
  bool consumers_join = false;
};

// "The bytes [start, start + length) of this provider are those of `consumer` from `offset`."
struct MapExtent {
  std::uint64_t start = 0;
  std::uint64_t length = 0;
  std::uint32_t consumer = 0;
  std::uint64_t offset = 0;
};

// A provider that a geom is about to offer.
struct ProviderPlan {
  std::string name{};  // relative to the geom ("p1"); empty: the geom's own name
  std::uint64_t size_bytes = 0;
  std::vector<MapExtent> map{};        // not empty: a pure map, ascending and without gaps
  std::vector<std::string> aliases{};  // labels, UUIDs: "label:root", "uuid:..."
  std::string detail{};                // for people: "EFI System"
  bool read_only = false;
  std::optional<PartitionFacts> partition{};  // for whoever tastes it
};

// A byte of a geom's consumer.
struct ConsumerByte {
  std::uint32_t consumer = 0;
  std::uint64_t offset = 0;
};

// Bytes of a device that a layer keeps itself, or does not.
struct OwnRun {
  std::uint64_t length = 0;  // bytes that are alike
  bool own = false;          // they are not those below
  bool zeroes = false;       // and are zeros
};

// What a class may look at while a geom of it is made or changed.
struct ConsumerView {
  std::string name{};
  std::uint64_t size_bytes = 0;
  Limits limits;
  TasteReader* reader = nullptr;  // reads this consumer; valid during the call only
  bool force = false;             // what is on a device that joins may go, whatever it is
};

// How a consumer that has joined is filled while requests run: the bytes of the geom are copied to
// it, range by range, by whoever drives the copy (node/leg_copy.h). Offered by a body whose
// consumers join.
//
// THREAD: the copier's, but for `ready`, which is called on any thread, without a lock.
class CopyGate {
 public:
  virtual ~CopyGate() = default;

  // From now on every change goes to `consumer` too. Requests that began before may still miss it:
  // the copy starts when the last of them has ended.
  virtual void begin(std::uint32_t consumer) noexcept = 0;
  // False where the consumer has been dropped or taken out meanwhile: the copy is of no use.
  virtual bool wanted(std::uint32_t consumer) const noexcept = 0;

  // Keeps changes of `range` back. True: none is under way there. False: `ready` is called, once,
  // when the last one has ended; or never, when unlock() comes first. One range at a time.
  virtual bool lock(Extent range, std::function<void()> ready) = 0;
  virtual void unlock() noexcept = 0;

  // A range that was copied and may differ since, because a change of it ended midway.
  virtual std::optional<Extent> next_spoiled() = 0;

  virtual void progress(std::uint32_t consumer, std::uint64_t done_bytes,
                        std::uint64_t total_bytes) noexcept = 0;
  // All is copied: the consumer is read from now on. False where it is not wanted any more, or a
  // range was spoiled meanwhile.
  virtual bool finish(std::uint32_t consumer) noexcept = 0;
  // The copy failed: the consumer is dropped.
  virtual void fail(std::uint32_t consumer, Errc error) noexcept = 0;
};

// A running instance of a class: what the topology needs of it. Asked on the control thread.
class GeomBody {
 public:
  virtual ~GeomBody() = default;

  // The code for provider `provider`; unused for maps.
  virtual StepCode step(std::uint32_t /*provider*/) { return {}; }

  // Changes what stacking computed: a leaf states its limits here, a stripe its preferred size.
  // `limits.ops` is already cut down to the class's policies.
  virtual void adjust_limits(std::uint32_t /*provider*/, Limits& /*limits*/) const {}

  // The geom is about to be open for these uses (or no longer); a leaf reopens its file here.
  // An error refuses the whole access change, and nothing has changed.
  virtual Result<void> on_access(bool /*reading*/, bool /*writing*/) { return {}; }

  // Consumer k is gone. True: the geom goes on without it. False: it withers.
  virtual bool on_consumer_lost(std::uint32_t /*consumer*/) { return false; }

  // A provider of this geom was orphaned: what is under way must end, with Errc::gone, as soon as
  // it can, and whatever comes later too. Called once for each provider, while lanes may be running
  // the step: set an atomic flag, and have each context end what it holds (LocalSet, in
  // program/local.h). Layers above a leaf need not do anything.
  virtual void on_gone(std::uint32_t /*provider*/) noexcept {}

  // Consumer sizes changed: the provider's new size in bytes; nothing: it stays.
  virtual std::optional<std::uint64_t> on_resize(
      std::span<const std::uint64_t> /*consumer_sizes*/) {
    return std::nullopt;
  }

  // The same for a map: the whole map of provider `provider`; nothing: it stays. What the devices
  // below have no room for is cut off, from the first such byte on.
  virtual std::optional<std::vector<MapExtent>> on_remap(
      std::uint32_t /*provider*/, std::span<const std::uint64_t> /*consumer_sizes*/) {
    return std::nullopt;
  }

  // Where byte `offset` of provider `provider` lies: on which consumers, at which bytes there (all
  // of them, where copies are kept). Unused for maps. The default suits one-to-one layers and
  // mirrors: the same byte of every consumer.
  virtual std::vector<ConsumerByte> locate(std::uint32_t /*provider*/, std::uint64_t offset,
                                           std::uint32_t consumers) const {
    std::vector<ConsumerByte> all;
    for (std::uint32_t i = 0; i < consumers; ++i) all.push_back({i, offset});
    return all;
  }

  // For a layer that keeps changes of its consumer 0 beside it (`only_read`): from byte `offset` of
  // its provider on, at most to `end`. Nothing: it is no such layer. THREAD: any.
  virtual std::optional<OwnRun> own_run(std::uint64_t /*offset*/, std::uint64_t /*end*/) const {
    return std::nullopt;
  }

  // What was written and acknowledged would be lost if the process ended now, without any crash, or
  // what is below says that somebody is writing: whoever closes a device over it that was open for
  // writing flushes it, with kQuiet. THREAD: any.
  virtual bool wants_flush() const { return false; }

  // The consumer that has the same bytes at the same places as this geom's only provider, so that
  // the geom may be put in above a device that is in use, and taken out again. Nothing: none has.
  virtual std::optional<std::uint32_t> same_bytes() const { return std::nullopt; }

  // --- change while requests run; `consumers_join` classes
  // Consumer `index` is about to join; it is not to be used until copy_gate()->begin(), or where
  // there is none, on_consumer_reached(). Its place is new, or that of one that left before. Errors
  // refuse it, and nothing has changed.
  virtual Result<void> on_consumer_added(std::uint32_t /*index*/, const ConsumerView& /*view*/) {
    return make_error(Errc::unsupported, "takes no further device while it runs");
  }
  // Every request that is under way, or comes, may go to consumer `index`, which was added, and no
  // request from before that is left.
  virtual void on_consumer_reached(std::uint32_t /*index*/) {}
  // Consumer `index` is about to leave; it gets no request that begins from now on. Requests that
  // have begun end on it. Errors refuse it, and nothing has changed.
  virtual Result<void> on_consumer_removed(std::uint32_t /*index*/) {
    return make_error(Errc::unsupported, "gives up no device while it runs");
  }
  // Null: there is nothing to look after.
  virtual Upkeep* upkeep() { return nullptr; }

  // Null: consumers that join need no copy.
  virtual CopyGate* copy_gate() { return nullptr; }

  // Takes other values for its parameters; all of them are given, checked against the class's
  // facts. Errors: unsupported, and nothing has changed.
  virtual Result<void> on_set(const Parameters& /*parameters*/) {
    return make_error(Errc::unsupported, "its parameters stay as they are while it runs");
  }

  // For a leaf: the size of what is behind it, looked at again. Nothing: it cannot change.
  virtual Result<std::optional<std::uint64_t>> on_rescan() {
    return std::optional<std::uint64_t>();
  }

  // Key and value pairs for `tree` and status, such as {"legs", "2 of 2"}.
  virtual std::vector<std::pair<std::string, std::string>> status() const { return {}; }
};

// What create() and taste() deliver.
struct GeomPlan {
  std::unique_ptr<GeomBody> body;
  std::vector<ProviderPlan> providers;
  std::vector<std::string> evidence;  // why it was recognised, sentences
  std::vector<std::string> doubts;    // what does not fit
  int confidence = 0;                 // taste: 1 to 100; the highest offer wins
  std::string name;                   // of members: what the geom would like to be called
};

// A device that is a part of something over several devices: a member of an array.
struct Membership {
  std::string group;   // the same for all that belong together, and for nothing else: a UUID
  std::string detail;  // for people: "raid5 'data', place 2"
  int confidence = 0;  // 1 to 100; with as much as the best offer or more, it is a member
};

struct CreateArguments {
  std::string_view name{};  // the geom's; empty where members make it, and the plan has a wish
  const Parameters& parameters;
  std::span<ConsumerView> consumers;
};

struct ClassInfo {
  const ClassFacts* facts = nullptr;
  // Makes a geom over given consumers. The framework has checked their number.
  Result<GeomPlan> (*create)(const CreateArguments& arguments) = nullptr;
  // Looks for this class on a provider. Null: never found by tasting. Nothing: not there.
  // An error (corrupt): it is there, damaged beyond use; reported as a doubt.
  Result<std::optional<GeomPlan>> (*taste)(TasteReader& reader) = nullptr;
  // Looks whether a device is a member. Null: the class has none. Nothing, errors: as taste. When
  // all devices are there, the members of each group are given to create(), in any order, which
  // finds out what they make; what it refuses is reported as a doubt.
  Result<std::optional<Membership>> (*member)(TasteReader& reader) = nullptr;
};

}  // namespace ashlar
