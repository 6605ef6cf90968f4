// cache: keeps blocks of a device in memory, and writes through or back. What it is made from.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "class/cache/layer.h"

namespace ashlar {
namespace cache_layer {
namespace {

// Requests that are not hits, at once; past it they wait their turn.
constexpr std::uint64_t kMostJobs = 128;
// Pins for hits, one for each context; a context without one is served by jobs.
constexpr std::uint64_t kHitPins = 16;
constexpr std::uint32_t kShards = 16;
constexpr std::uint64_t kMostBlock = kMiB;
// No device refuses so much at once (class/write_log/journal.h counts on it).
constexpr std::uint64_t kLeastRequest = 16 * kKiB;
// Room for two such requests in the shortest blocks, with half of it dirty.
constexpr std::uint64_t kLeastMemory = 8 * kLeastRequest;

constexpr std::array kParameters = {
    ParameterSpec{.name = "mode",
                  .kind = ParameterKind::text,
                  .default_text = "write_through",
                  .help = "write_through, or write_back: a write is done when it is in memory"},
    ParameterSpec{.name = "memory",
                  .kind = ParameterKind::bytes,
                  .default_text = "64MiB",
                  .help = "for blocks; 32 of them at the least",
                  .min = kLeastMemory,
                  .max = std::uint64_t{1} << 40},
    ParameterSpec{.name = "block",
                  .kind = ParameterKind::bytes,
                  .default_text = "4KiB",
                  .help = "what is kept or not; a power of two, at least the device's block",
                  .min = kMinBlockBytes,
                  .max = kMostBlock},
    ParameterSpec{
        .name = "dirty",
        .kind = ParameterKind::bytes,
        .default_text = "0",
        .help = "write_back: how much may be dirty, up to half of the memory; 0: a quarter",
        .max = std::uint64_t{1} << 39},
    ParameterSpec{.name = "read_ahead",
                  .kind = ParameterKind::bytes,
                  .default_text = "128KiB",
                  .help = "the most that is read ahead for who reads in sequence; 0: nothing",
                  .max = kMostBlock * kMostSpan},
};

// Blocks of the longest request. A job has pins for it, amid blocks, and as many again to read
// ahead; there is room for one job and a pin for hits at the least.
std::uint32_t span_of(std::uint64_t room, std::uint64_t block) {
  const std::uint64_t least = std::max<std::uint64_t>(1, kLeastRequest / block);
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(room / 8, least, kMostSpan));
}

std::uint32_t jobs_of(std::uint64_t room, std::uint64_t pins) {
  const std::uint64_t hits = std::min<std::uint64_t>(kHitPins, room / 8);
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>((room - hits) / pins, 1, kMostJobs));
}

Result<std::uint64_t> dirty_bytes(const Parameters& parameters, std::uint64_t memory) {
  const std::string& mode = parameters.text("mode");
  if (mode == "write_through") return std::uint64_t{0};
  if (mode != "write_back") {
    return make_error(Errc::invalid, "cache: mode is write_through or write_back, not '{}'", mode);
  }
  const std::uint64_t wanted = parameters.number("dirty");
  if (wanted > memory / 2) {
    return make_error(Errc::invalid, "cache: {} may be dirty, more than half of the memory",
                      format_bytes(wanted));
  }
  return wanted == 0 ? memory / 4 : wanted;
}

}  // namespace

constinit const ClassFacts Layer::kFacts = {
    .name = "cache",
    .summary = "keeps blocks of a device in memory, and writes through or back",
    .min_consumers = 1,
    .max_consumers = 1,
    .policies = OpPolicies::handle_all(),
    .parameters = kParameters,
};

Result<GeomPlan> Layer::create(const CreateArguments& arguments) {
  const ConsumerView& device = arguments.consumers[0];
  const Parameters& parameters = arguments.parameters;
  const std::uint64_t memory = parameters.number("memory");
  std::uint64_t block = parameters.number("block");
  if (!std::has_single_bit(block)) {
    return make_error(Errc::invalid, "cache: a block of {} bytes is no power of two", block);
  }
  // Between the device's block and its longest request.
  block = std::min(block, std::bit_floor(device.limits.max_request_bytes));
  block = std::max<std::uint64_t>(block, device.limits.block_bytes);
  if (memory / block < kLeastBlocks) {
    return make_error(Errc::invalid, "cache: {} are fewer than {} blocks of {}",
                      format_bytes(memory), kLeastBlocks, format_bytes(block));
  }
  if (device.size_bytes < device.limits.block_bytes) {
    return make_error(Errc::invalid, "cache: {} has {} bytes, less than one block of {}",
                      device.name, device.size_bytes, device.limits.block_bytes);
  }
  auto dirty = dirty_bytes(parameters, memory);
  if (!dirty) return dirty.error();
  LayerOptions options;
  options.cache = {static_cast<std::uint32_t>(block), memory, *dirty, kShards};
  options.device_block = device.limits.block_bytes;
  options.size_bytes = align_down(device.size_bytes, device.limits.block_bytes);
  options.read_ahead_bytes = parameters.number("read_ahead");
  auto buffers = cache::BufferCache::create(options.cache);
  if (!buffers) return buffers.error();
  GeomPlan plan;
  plan.providers.push_back({.size_bytes = options.size_bytes});
  plan.body = std::make_unique<Layer>(options, std::move(*buffers));
  return plan;
}

Layer::Layer(const LayerOptions& options, std::unique_ptr<cache::BufferCache> cache)
    : shift_(static_cast<std::uint32_t>(std::countr_zero(options.cache.block_bytes))),
      span_(span_of(cache->most_pins(), options.cache.block_bytes)),
      device_block_(options.device_block),
      ahead_(static_cast<std::uint32_t>(
          std::min<std::uint64_t>(span_, options.read_ahead_bytes >> shift_))),
      dirty_mark_(cache->most_dirty() - cache->most_dirty() / 4),
      cache_(std::move(cache)),
      jobs_(*cache_, jobs_of(cache_->most_pins(), 2 * span_ + 1), 2 * span_ + 1),
      size_(options.size_bytes),
      most_bytes_(byte_of(span_)) {}

void Layer::adjust_limits(std::uint32_t, Limits& limits) const {
  flushes_.store(limits.ops.has(Op::flush), std::memory_order_relaxed);
  // What is dirty must have a way down.
  if (dirty_mark_ != 0) limits.ops = limits.ops.with(Op::flush);
  limits.max_request_bytes = std::min(limits.max_request_bytes, byte_of(span_));
  limits.max_range_bytes = std::min(limits.max_range_bytes, byte_of(span_));
  limits.preferred_bytes = std::max(limits.preferred_bytes, byte_of(1));
  most_bytes_.store(limits.max_request_bytes, std::memory_order_relaxed);
}

// Others may write to the device while nobody has this one open.
Result<void> Layer::on_access(bool reading, bool writing) {
  if (!reading && !writing) cache_->drop_clean();
  return {};
}

// It does not grow: requests that have begun may still run on the device's old size.
std::optional<std::uint64_t> Layer::on_resize(std::span<const std::uint64_t> sizes) {
  const std::uint64_t fresh = align_down(sizes[0], device_block_);
  if (fresh >= size_.load(std::memory_order_relaxed)) return std::nullopt;
  size_.store(fresh, std::memory_order_release);
  const std::uint64_t behind = block_of(fresh + byte_of(1) - 1);
  static_cast<void>(cache_->invalidate({behind, ~behind}));  // what is in use is not written
  return fresh;
}

std::vector<std::pair<std::string, std::string>> Layer::status() const {
  const cache::CacheCounts counts = cache_->counts();
  return {{"mode", dirty_mark_ == 0 ? "write_through" : "write_back"},
          {"hits", std::to_string(counts.hits)},
          {"misses", std::to_string(counts.misses)},
          {"held", format_bytes(byte_of(counts.held))},
          {"dirty", format_bytes(byte_of(counts.dirty))},
          {"written", format_bytes(byte_of(counts.written))},
          {"failed", std::to_string(counts.failed)}};
}

}  // namespace cache_layer

const ClassInfo& cache_class() {
  static constexpr ClassInfo kInfo = {&cache_layer::Layer::kFacts, &cache_layer::Layer::create,
                                      nullptr};
  return kInfo;
}

}  // namespace ashlar
