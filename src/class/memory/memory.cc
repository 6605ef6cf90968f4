// memory: a device in this process's memory, sparse: untouched pages take no room and read as
// zeros.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "topology/step_class.h"

namespace ashlar {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

constexpr std::array kParameters = {
    ParameterSpec{.name = "size",
                  .kind = ParameterKind::bytes,
                  .help = "the device's size, rounded down to its block size",
                  .required = true,
                  .min = kMinBlockBytes,
                  .max = std::uint64_t{1} << 46},
    ParameterSpec{.name = "block",
                  .kind = ParameterKind::bytes,
                  .default_text = "512",
                  .help = "the block size, a power of two",
                  .min = kMinBlockBytes,
                  .max = kMaxBlockBytes},
};

// THREAD: any number of contexts at once. Two requests for the same bytes at the same time give
// either's bytes in any mixture, as on a disk.
class Memory final : public StepClass<Memory> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "memory",
      .summary = "a device in this process's memory",
      .policies = OpPolicies::handle_all(),
      .parameters = kParameters,
  };

  explicit Memory(std::uint32_t block) : block_(block) {}
  ~Memory() override {
    for (std::uint32_t i = 0; i < count_; ++i) munmap(stretches_[i].data, stretches_[i].length);
  }

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    const std::uint64_t block = arguments.parameters.number("block");
    if (!is_power_of_two(block)) {
      return make_error(Errc::invalid, "memory: block = {} is not a power of two", block);
    }
    const std::uint64_t size = align_down(arguments.parameters.number("size"), block);
    if (size == 0) return make_error(Errc::invalid, "memory: the size is less than one block");
    auto body = std::make_unique<Memory>(static_cast<std::uint32_t>(block));
    if (auto room = body->add(size); !room) return room.error();
    GeomPlan plan;
    plan.body = std::move(body);
    plan.providers.push_back({.size_bytes = size});
    return plan;
  }

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    limits.block_bytes = block_;
    limits.discard_granularity_bytes = kPageBytes;
  }

  // It grows; what is there stays where it is, for lanes that are at work on it.
  Result<void> on_set(const Parameters& parameters) override {
    const std::uint64_t size = align_down(parameters.number("size"), block_);
    if (parameters.number("block") != block_ || size < size_) {
      return make_error(Errc::unsupported,
                        "while it runs it only grows: size = {} or more, block = {}", size_,
                        block_);
    }
    return size == size_ ? Result<void>() : add(size - size_);
  }
  Result<std::optional<std::uint64_t>> on_rescan() override { return std::optional(size_); }

  void on_gone(std::uint32_t) noexcept override { gone_.store(true, std::memory_order_relaxed); }

  Verdict on_request(Bio& bio, NoPad&, Context&) noexcept {
    if (gone_.load(std::memory_order_relaxed)) [[unlikely]] {
      bio.fail(Errc::gone);
      return Verdict::done();
    }
    const Stretch& first = stretches_.front();
    if (bio.end() <= first.length) [[likely]] {
      act(bio, first.data + bio.offset, 0, bio.length);
    } else {
      act_across(bio);
    }
    bio.succeed();
    return Verdict::done();
  }

 private:
  // Pieces of memory that lie one behind the other on the device: one, and one for each time that
  // it has grown.
  static constexpr std::uint32_t kMostStretches = 64;
  struct Stretch {
    std::byte* data = nullptr;
    std::uint64_t start = 0;
    std::uint64_t length = 0;
  };

  // THREAD: the control thread. Requests to the new bytes come with a program of the new size.
  Result<void> add(std::uint64_t length) {
    if (count_ == kMostStretches) {
      return make_error(Errc::unsupported, "it has grown {} times, and does not once more",
                        kMostStretches - 1);
    }
    void* data = mmap(nullptr, length, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
      return make_error(Errc::no_memory, "memory: no room for {}: {}", format_bytes(length),
                        std::strerror(errno));
    }
    stretches_[count_++] = {static_cast<std::byte*>(data), size_, length};
    size_ += length;
    return {};
  }

  // `length` bytes of the request, from `skip` on, which lie at `at`.
  static void act(Bio& bio, std::byte* at, std::uint64_t skip, std::uint64_t length) noexcept {
    switch (bio.op) {
      case Op::read:
        bio.payload.from(skip).copy_from(at, length);
        break;
      case Op::write:
        bio.payload.from(skip).copy_to(at, length);
        break;
      case Op::flush:
      case Op::repair:  // is refused
        break;
      case Op::discard:
      case Op::write_zeroes:
        zero(at, length);
        break;
    }
  }

  void act_across(Bio& bio) noexcept {
    std::uint64_t skip = 0;
    for (const Stretch* each = stretches_.data(); skip < bio.length; ++each) {
      const std::uint64_t offset = bio.offset + skip;
      if (offset >= each->start + each->length) continue;
      const std::uint64_t within_it = offset - each->start;
      const std::uint64_t length = std::min(bio.length - skip, each->length - within_it);
      act(bio, each->data + within_it, skip, length);
      skip += length;
    }
  }

  // Whole pages go back to the system, the rest is overwritten.
  static void zero(std::byte* at, std::uint64_t length) noexcept {
    const auto offset = reinterpret_cast<std::uintptr_t>(at);
    const std::uint64_t end = offset + length;
    const std::uint64_t first = align_up(offset, kPageBytes);
    const std::uint64_t last = align_down(end, kPageBytes);
    if (first >= last || madvise(at + (first - offset), last - first, MADV_DONTNEED) != 0) {
      std::memset(at, 0, length);
      return;
    }
    std::memset(at, 0, first - offset);
    std::memset(at + (last - offset), 0, end - last);
  }

  const std::uint32_t block_;
  std::array<Stretch, kMostStretches> stretches_;
  std::uint32_t count_ = 0;  // the control thread's
  std::uint64_t size_ = 0;   // the control thread's
  std::atomic<bool> gone_{false};
};

}  // namespace

const ClassInfo& memory_class() {
  static constexpr ClassInfo kInfo = {&Memory::kFacts, &Memory::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
