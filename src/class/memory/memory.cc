// memory: a device in this process's memory, sparse: untouched pages take no room and read as
// zeros.
#include <sys/mman.h>

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

  Memory(std::byte* data, std::uint64_t size, std::uint32_t block)
      : data_(data), size_(size), block_(block) {}
  ~Memory() override { munmap(data_, size_); }

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    const std::uint64_t block = arguments.parameters.number("block");
    if (!is_power_of_two(block)) {
      return make_error(Errc::invalid, "memory: block = {} is not a power of two", block);
    }
    const std::uint64_t size = align_down(arguments.parameters.number("size"), block);
    if (size == 0) return make_error(Errc::invalid, "memory: the size is less than one block");
    void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
      return make_error(Errc::no_memory, "memory: no room for {}: {}", format_bytes(size),
                        std::strerror(errno));
    }
    GeomPlan plan;
    plan.body = std::make_unique<Memory>(static_cast<std::byte*>(data), size,
                                         static_cast<std::uint32_t>(block));
    plan.providers.push_back({.size_bytes = size});
    return plan;
  }

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    limits.block_bytes = block_;
    limits.discard_granularity_bytes = kPageBytes;
  }

  void on_gone(std::uint32_t) noexcept override { gone_.store(true, std::memory_order_relaxed); }

  Verdict on_request(Bio& bio, NoPad&, Context&) noexcept {
    if (gone_.load(std::memory_order_relaxed)) [[unlikely]] {
      bio.fail(Errc::gone);
      return Verdict::done();
    }
    std::byte* const at = data_ + bio.offset;
    switch (bio.op) {
      case Op::read:
        bio.payload.copy_from(at, bio.length);
        break;
      case Op::write:
        bio.payload.copy_to(at, bio.length);
        break;
      case Op::flush:
        break;
      case Op::discard:
      case Op::write_zeroes:
        zero(bio.offset, bio.length);
        break;
    }
    bio.succeed();
    return Verdict::done();
  }

 private:
  // Whole pages go back to the system, the rest is overwritten.
  void zero(std::uint64_t offset, std::uint64_t length) noexcept {
    const std::uint64_t end = offset + length;
    const std::uint64_t first = align_up(offset, kPageBytes);
    const std::uint64_t last = align_down(end, kPageBytes);
    if (first >= last || madvise(data_ + first, last - first, MADV_DONTNEED) != 0) {
      std::memset(data_ + offset, 0, length);
      return;
    }
    std::memset(data_ + offset, 0, first - offset);
    std::memset(data_ + last, 0, end - last);
  }

  std::byte* const data_;
  const std::uint64_t size_;
  const std::uint32_t block_;
  std::atomic<bool> gone_{false};
};

}  // namespace

const ClassInfo& memory_class() {
  static constexpr ClassInfo kInfo = {&Memory::kFacts, &Memory::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
