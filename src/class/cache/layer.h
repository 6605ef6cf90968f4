// The body of the class `cache`: a layer over one device, whose blocks it keeps.
//
// THREAD: any context, but for what a GeomBody's functions say.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "class/cache/job.h"
#include "program/split.h"
#include "topology/step_class.h"

namespace ashlar::cache_layer {

struct LayerOptions {
  cache::CacheOptions cache{};       // dirty_bytes: 0 writes through
  std::uint32_t device_block = 512;  // the device's own
  std::uint64_t size_bytes = 0;      // of the device
  std::uint64_t read_ahead_bytes = 0;
};

class Layer final : public StepClass<Layer, CachePad> {
 public:
  using Local = cache_layer::Local;
  // The least number of blocks that a cache has: half of them dirty, and a job of a few pins.
  static constexpr std::uint64_t kLeastBlocks = 32;

  static const ClassFacts kFacts;
  static Result<GeomPlan> create(const CreateArguments& arguments);
  // REQUIRES: the cache has kLeastBlocks blocks.
  Layer(const LayerOptions& options, std::unique_ptr<cache::BufferCache> cache);

  std::uint16_t max_children() const { return kMaxChildren; }
  std::unique_ptr<Local> make_local(Context& cx) {
    return std::make_unique<Local>(*cache_, jobs_, cx);
  }

  Verdict on_request(Bio& bio, CachePad& pad, Context& cx) noexcept;
  Verdict on_complete(Bio& bio, CachePad& pad, Context& cx) noexcept;
  void on_child(Bio& bio, Bio& child, CachePad& pad, Context& cx) noexcept;
  void on_cancel(Bio& bio, CachePad& pad, Context& cx) noexcept;

  void adjust_limits(std::uint32_t provider, Limits& limits) const override;
  Result<void> on_access(bool reading, bool writing) override;
  void on_gone(std::uint32_t) noexcept override { gone_.store(true, std::memory_order_relaxed); }
  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override;
  std::vector<std::pair<std::string, std::string>> status() const override;
  bool wants_flush() const override { return cache_->dirty() != 0; }

 private:
  // Of a child: which of Job::errors are its.
  static std::uint64_t tag_of(std::uint32_t first, std::uint32_t count) noexcept {
    return std::uint64_t{count} << 32 | first;
  }
  std::uint64_t block_of(std::uint64_t byte) const noexcept { return byte >> shift_; }
  std::uint64_t byte_of(std::uint64_t block) const noexcept { return block << shift_; }
  std::uint64_t bytes_there(std::uint64_t block, std::uint64_t size) const noexcept;
  bool covers(const Bio& bio, std::uint64_t block, std::uint64_t size) const noexcept;
  bool goes_through(const Bio& bio) const noexcept;
  void copy_out(const Bio& bio, const cache::Pin& pin) const noexcept;
  void copy_in(const Bio& bio, cache::Pin& pin) const noexcept;
  Extent common(const Bio& bio, std::uint64_t block) const noexcept;
  std::uint32_t most_blocks() const noexcept;

  // rides.cc: reads and changes
  std::uint64_t serve_hits(Bio& bio, Local& local) noexcept;
  Verdict begin(Job& job, Bio& bio, Context& cx) noexcept;
  Verdict gather(Job& job, Bio& bio, Context& cx) noexcept;
  Verdict gathered(Job& job, Bio& bio, Context& cx) noexcept;
  void read_ahead(Job& job) noexcept;
  bool needs_fill(const Job& job, const Bio& bio, std::uint32_t pin) const noexcept;
  Verdict fill(Job& job, Bio& bio, Context& cx) noexcept;
  Verdict end_fill(Job& job, Bio& bio, Context& cx) noexcept;
  Verdict end_read(Job& job, Bio& bio, Context& cx) noexcept;
  static Errc first_error(const Job& job) noexcept;
  Verdict read_past(Job& job, Bio& bio, Context& cx) noexcept;
  Verdict put(Job& job, Bio& bio, Context& cx) noexcept;
  Verdict write_through(Job& job, Bio& bio, Context& cx) noexcept;
  Verdict end_through(Job& job, Bio& bio) noexcept;
  void change(Job& job, const Bio& bio, cache::Pin& pin, bool ok) noexcept;
  Verdict end(Job& job, Bio& bio, Errc error) noexcept;

  // cleaning.cc: what is dirty goes below
  bool take_runs(Job& job, std::uint32_t most) noexcept;
  Verdict write_runs(Job& job, Bio& bio, Context& cx) noexcept;
  Errc end_runs(Job& job) noexcept;
  Verdict clean_first(Job& job, Bio& bio, Context& cx) noexcept;
  Verdict sync(Job& job, Bio& bio, Context& cx) noexcept;
  Verdict flush_below(Bio& bio) noexcept;

  const std::uint32_t shift_;  // of a block
  const std::uint32_t span_;   // blocks of the longest request
  const std::uint32_t device_block_;
  const std::uint32_t ahead_;       // blocks
  const std::uint64_t dirty_mark_;  // from here on who writes cleans; 0: all is written through
  const std::unique_ptr<cache::BufferCache> cache_;
  Jobs jobs_;
  std::atomic<std::uint64_t> size_;
  std::atomic<bool> gone_{false};
  // Of the device below, as limits were last stacked.
  mutable std::atomic<std::uint64_t> most_bytes_;  // of one child
  mutable std::atomic<bool> flushes_{true};
};

}  // namespace ashlar::cache_layer
