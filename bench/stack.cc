// Stacks made of the real classes; the partition table of the mixed one is read by the real gpt,
// from an image that is not on its disks, because `null` keeps none.
#include "bench/stack.h"

#include <fmt/core.h>

#include <atomic>
#include <cstdlib>

#include "base/random.h"
#include "program/own_bio.h"
#include "test/partition_images.h"
#include "topology/step_class.h"

namespace ashlar::bench {
namespace {

constexpr std::uint32_t kOffsets = 4096;     // precomputed, so that the generator is not measured
constexpr std::size_t kOwnFrameBytes = 512;  // more than any stack here asks for
constexpr std::uint64_t kSectorBytes = 512;

class Atomic final : public StepClass<Atomic> {
 public:
  static constexpr ClassFacts kFacts = {.name = "atomic",
                                        .summary = "counts with a locked instruction",
                                        .min_consumers = 1,
                                        .max_consumers = 1,
                                        .policies = OpPolicies::handle_all()};
  static Result<GeomPlan> create(const CreateArguments& arguments) {
    GeomPlan plan;
    plan.body = std::make_unique<Atomic>();
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }
  Verdict on_request(Bio&, NoPad&, Context&) noexcept {
    count_.fetch_add(1, std::memory_order_relaxed);
    return Verdict::forward(0);
  }

 private:
  std::atomic<std::uint64_t> count_{0};
};

// A table of one partition, from 1 MiB to the table's copy at the end.
std::unique_ptr<TasteReader> partitioned_image(std::uint64_t size_bytes) {
  auto image = std::make_unique<test::SparseImage>(size_bytes);
  test::GptLayout layout;
  layout.partitions = {{1, kMiB / kSectorBytes, (size_bytes - kMiB) / kSectorBytes - 1, u"data"}};
  test::put_gpt(*image, layout);
  return image;
}

}  // namespace

const ClassInfo& atomic_class() {
  static constexpr ClassInfo kInfo = {&Atomic::kFacts, &Atomic::create, nullptr};
  return kInfo;
}

Stack::Stack(const StackShape& shape, Dispatch dispatch) {
  topology_.set_reader_factory(
      [](Provider& provider) { return partitioned_image(provider.size_bytes); });
  top_ = shape.layers == "mixed" ? mixed(shape) : tower(shape);
  program_ = compile(*top_, {.dispatch = dispatch}).value();
}

Provider* Stack::add(const ClassInfo& info, std::string name, std::vector<Provider*> over,
                     ParameterTexts parameters) {
  auto geom = topology_.create(info, {std::move(name), std::move(over), std::move(parameters)});
  if (!geom) {
    fmt::print(stderr, "{}\n", geom.error().message);
    std::exit(1);
  }
  return (*geom)->providers().front().get();
}

Provider* Stack::disk(const StackShape& shape, const std::string& name) {
  ParameterTexts parameters = {{"size", std::to_string(shape.disk_bytes)}};
  if (shape.disk == "null") parameters["zero"] = "false";
  return add(*find_builtin_class(shape.disk), name, {}, std::move(parameters));
}

Provider* Stack::tower(const StackShape& shape) {
  Provider* top = disk(shape, "disk");
  const ClassInfo& info =
      shape.layers == "atomic" ? atomic_class() : *find_builtin_class(shape.layers);
  for (int i = 0; i < shape.height; ++i) {
    ParameterTexts parameters;
    if (shape.layers == "linear") {
      parameters["offset"] = std::to_string(kMiB);
      parameters["length"] = std::to_string(top->size_bytes - kMiB);
    }
    top = add(info, shape.layers + std::to_string(i), {top}, std::move(parameters));
  }
  return top;
}

Provider* Stack::mixed(const StackShape& shape) {
  std::vector<Provider*> mirrors;
  for (int i = 0; i < 4; ++i) {
    Provider* const left = disk(shape, fmt::format("disk{}", 2 * i));
    Provider* const right = disk(shape, fmt::format("disk{}", 2 * i + 1));
    mirrors.push_back(
        add(*find_builtin_class("mirror"), fmt::format("mirror{}", i), {left, right}));
  }
  Provider* const stripe = add(*find_builtin_class("stripe"), "stripe", mirrors);
  Provider* const partition = add(*find_builtin_class("gpt"), "table", {stripe});
  return add(*find_builtin_class("stats"), "stats", {partition});
}

// --- requests -----------------------------------------------------------------------------------

struct Load::OwnMemory {
  OwnBio<kOwnFrameBytes> large[kMaxDepth];
  Bio bare[kMaxDepth];
};

Load::Load(const Stack& stack, Bios bios, std::uint64_t seed, bool writable)
    : bios_(bios),
      lane_(Lane::create({}).value()),
      channel_(Channel::open(*lane_, stack.program(), {.writable = writable}).value()),
      buffer_(kRequestBytes),
      segment_{buffer_.data(), buffer_.size()},
      own_(std::make_unique<OwnMemory>()),
      blocks_(stack.size_bytes() / kRequestBytes) {
  ASHLAR_ASSERT(bios != Bios::own || channel_->frame_bytes() <= kOwnFrameBytes);
  Random random(seed);
  for (std::uint32_t i = 0; i < kOffsets; ++i) {
    offsets_.push_back(random.below(blocks_) * kRequestBytes);
  }
}

Load::~Load() = default;

template <Bios kBios>
inline Bio* Load::bio_for(unsigned k) {
  if constexpr (kBios == Bios::pool) return channel_->allocate();
  if constexpr (kBios == Bios::own) return &own_->large[k].bio();
  return &own_->bare[k];
}

template <Bios kBios>
inline void Load::give_back(Bio* bio) {
  if (!bio->ok()) std::abort();
  if constexpr (kBios == Bios::pool) channel_->release(*bio);
}

inline void Load::start(Bio& bio, Op op, std::uint64_t offset) {
  bio.op = op;
  bio.flags = 0;
  bio.offset = offset;
  bio.length = kRequestBytes;
  bio.payload = Payload{&segment_, 1, 0};
  bio.user = this;
  bio.end_io = &ended;
  channel_->submit(bio);
}

void Load::run(std::uint64_t count, unsigned depth) {
  switch (bios_) {
    case Bios::pool:
      return run_with<Bios::pool>(count, depth);
    case Bios::own:
      return run_with<Bios::own>(count, depth);
    case Bios::too_small:
      return run_with<Bios::too_small>(count, depth);
  }
}

template <Bios kBios>
void Load::run_with(std::uint64_t count, unsigned depth) {
  ASHLAR_ASSERT(depth > 0 && depth <= kMaxDepth && count % depth == 0);
  Bio* batch[kMaxDepth];
  const std::uint64_t* const offsets = offsets_.data();
  for (std::uint64_t i = 0; i < count; i += depth) {
    left_ = depth;
    for (unsigned k = 0; k < depth; ++k) {
      batch[k] = bio_for<kBios>(k);
      start(*batch[k], Op::read, offsets[(i + k) % kOffsets]);
    }
    while (left_ > 0) lane_->wait(-1);
    for (unsigned k = 0; k < depth; ++k) give_back<kBios>(batch[k]);
  }
}

void Load::fill() {
  for (std::uint64_t block = 0; block < blocks_; ++block) {
    left_ = 1;
    Bio* const bio = bio_for<Bios::pool>(0);
    start(*bio, Op::write, block * kRequestBytes);
    while (left_ > 0) lane_->wait(-1);
    give_back<Bios::pool>(bio);
  }
}

}  // namespace ashlar::bench
