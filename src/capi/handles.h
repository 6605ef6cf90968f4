// What is behind the handles of the C API (capi/ashlar.h), and what all its functions share:
// handles are checked, exceptions end here, errors become numbers and a sentence.
#pragma once

#include <atomic>
#include <cerrno>
#include <deque>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "bio/unmapped.h"
#include "capi/ashlar.h"
#include "io/operation.h"
#include "node/node.h"

// First in each handle, so that one of another kind is seen.
enum class AshlarKind : std::uint32_t {
  set = 0x41534554,
  device = 0x41444556,
  queue = 0x41515545,
  memory = 0x414d454d,
};

struct ashlar_set {
  static constexpr AshlarKind kKind = AshlarKind::set;
  AshlarKind kind = kKind;
  std::unique_ptr<ashlar::Node> node;
  ashlar::EngineChoice engine = ashlar::EngineChoice::automatic;  // of its queues
  std::atomic<std::uint32_t> devices{0};                          // open
};

struct ashlar_device {
  static constexpr AshlarKind kKind = AshlarKind::device;
  AshlarKind kind = kKind;
  ashlar_set* set = nullptr;
  std::unique_ptr<ashlar::Device> device;
  std::atomic<std::uint32_t> queues{0};  // open
};

struct ashlar_memory {
  static constexpr AshlarKind kKind = AshlarKind::memory;
  AshlarKind kind = kKind;
  std::unique_ptr<ashlar::UnmappedMemory> memory;
};

namespace ashlar::capi {

// A request of a queue: free, under way, or ended and not yet fetched.
struct Slot {
  Slot(Channel& channel, ashlar_queue& its_queue, std::uint32_t its_index)
      : operation(channel), queue(its_queue), index(its_index) {}
  std::uint64_t id() const noexcept { return std::uint64_t{generation} << 32 | index; }

  Operation operation;
  ashlar_queue& queue;
  const std::uint32_t index;
  std::uint32_t generation = 1;   // never 0
  std::vector<Segment> segments;  // keeps its room from request to request
  void* user = nullptr;
  Slot* next = nullptr;      // in the list of free or of ended ones
  bool for_fetching = true;  // by ashlar_poll; false: ashlar_run waits for it
};

// Sets the thread's sentence; returns the negative number.
int refuse(Errc code, const char* sentence) noexcept;
int refuse_number(int error_number, const char* sentence) noexcept;
int refuse(const Error& error) noexcept;

// The handle, where it is one of this kind.
template <typename Handle>
bool is_handle(const Handle* handle) noexcept {
  return handle != nullptr && handle->kind == Handle::kKind;
}

// Calls `work`, which returns a result; what it throws becomes one.
template <typename Work>
int guarded(Work&& work) noexcept {
  try {
    return std::forward<Work>(work)();
  } catch (const std::bad_alloc&) {
    return refuse(Errc::no_memory, "out of memory");
  } catch (...) {
    return refuse(Errc::io, "an unexpected failure");
  }
}

}  // namespace ashlar::capi

struct ashlar_queue {
  static constexpr AshlarKind kKind = AshlarKind::queue;
  AshlarKind kind = kKind;
  ashlar_device* device = nullptr;
  std::thread::id owner;
  std::unique_ptr<ashlar::Lane> lane;
  std::unique_ptr<ashlar::Channel> channel;
  std::deque<ashlar::capi::Slot> slots;
  ashlar::capi::Slot* free = nullptr;
  ashlar::capi::Slot* ended_first = nullptr;
  ashlar::capi::Slot* ended_last = nullptr;
  std::uint32_t in_flight = 0;
};
