// Memory that ends: for tests of what happens when pools cannot grow.
#pragma once

#include <atomic>
#include <memory_resource>
#include <new>

namespace ashlar::conformance {

// Gives out up to `bytes` at any time, then throws std::bad_alloc. THREAD: any.
class BoundedMemory final : public std::pmr::memory_resource {
 public:
  explicit BoundedMemory(std::size_t bytes) : left_(static_cast<std::ptrdiff_t>(bytes)) {}

  std::ptrdiff_t left_bytes() const { return left_; }
  // From now on there are `bytes` left. REQUIRES: nobody allocates at this moment.
  void set_left(std::size_t bytes) { left_ = static_cast<std::ptrdiff_t>(bytes); }
  // How often somebody asked for more than was left.
  unsigned refusals() const { return refusals_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    const auto wanted = static_cast<std::ptrdiff_t>(bytes);
    if (left_.fetch_sub(wanted) < wanted) {
      left_ += wanted;
      ++refusals_;
      throw std::bad_alloc();
    }
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
    left_ += static_cast<std::ptrdiff_t>(bytes);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::atomic<std::ptrdiff_t> left_;
  std::atomic<unsigned> refusals_{0};
};

}  // namespace ashlar::conformance
