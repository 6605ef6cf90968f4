// The C API's queues: a lane and a channel, and a slot for each request. See ashlar.h.
//
// Invariants: (1) a slot is in the list of free ones, or under way, or in the list of ended ones,
// or ashlar_run has it; (2) ids are slot and generation, and a generation ends when its completion
// is fetched, so a late cancel finds nothing.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "capi/handles.h"

using namespace ashlar;
using namespace ashlar::capi;

namespace ashlar::capi {
namespace {

constexpr std::uint32_t kMaxDepth = 65536;
constexpr std::int64_t kNsPerMs = 1'000'000;
// At a million requests a second, one time in a second.
constexpr std::uint64_t kMostSampled = 1 << 20;

// False: the queue is not to be used, and `*result` says why.
bool usable(const ashlar_queue* queue, int* result) noexcept {
  if (!is_handle(queue)) {
    *result = refuse(Errc::invalid, "this is no open queue");
    return false;
  }
  if (queue->owner == std::this_thread::get_id()) return true;
  *result = refuse_number(EPERM, "a queue belongs to the thread that opened it");
  return false;
}

Slot* take_free(ashlar_queue& queue) noexcept {
  Slot* const slot = queue.free;
  if (slot != nullptr) queue.free = slot->next;
  return slot;
}

// Its id is of the past from now on.
void give_back(Slot& slot) noexcept {
  if (++slot.generation == 0) slot.generation = 1;
  slot.next = slot.queue.free;
  slot.queue.free = &slot;
}

void ended(Operation& operation) noexcept {
  Slot& slot = *static_cast<Slot*>(operation.user());
  ashlar_queue& queue = slot.queue;
  --queue.in_flight;
  slot.next = nullptr;
  if (!slot.for_fetching) return;
  (queue.ended_first == nullptr ? queue.ended_first : queue.ended_last->next) = &slot;
  queue.ended_last = &slot;
}

int result_of(const Operation& operation) noexcept {
  return operation.error() == Errc::ok ? 0 : -errno_from_errc(operation.error());
}

int fetch(ashlar_queue& queue, ashlar_completion* completions, std::uint32_t most) noexcept {
  std::uint32_t count = 0;
  while (count < most && queue.ended_first != nullptr) {
    Slot& slot = *queue.ended_first;
    queue.ended_first = slot.next;
    completions[count++] = {slot.id(), slot.user, slot.operation.done_bytes(),
                            result_of(slot.operation)};
    give_back(slot);
  }
  return static_cast<int>(count);
}

// The sum of the vector, or nothing where no device could take it.
bool sum_vector(const ashlar_request& request, std::uint64_t& sum) noexcept {
  sum = 0;
  if (request.iov == nullptr && request.iov_count != 0) return false;
  if (request.iov_count > ASHLAR_MAX_IOV) return false;
  for (std::uint32_t i = 0; i < request.iov_count; ++i) {
    const iovec& each = request.iov[i];
    if (each.iov_base == nullptr && each.iov_len != 0) return false;
    if (each.iov_len > SIZE_MAX - sum) return false;
    sum += each.iov_len;
  }
  return request.length == 0 || request.length == sum;
}

// 0, or why no device could take it.
int check(const ashlar_request* request, std::uint64_t& length) noexcept {
  if (request == nullptr) return refuse(Errc::invalid, "there is no request");
  if (request->op > ASHLAR_WRITE_ZEROES) return refuse(Errc::invalid, "there is no such operation");
  if ((request->flags & ~std::uint32_t{kAllFlags}) != 0) {
    return refuse(Errc::invalid, "there are no such flags");
  }
  length = request->length;
  if (!has_payload(static_cast<Op>(request->op))) return 0;
  if (sum_vector(*request, length)) return 0;
  return refuse(Errc::invalid, "the vector of the request is none, or not of its length");
}

// Starts the request in `slot`. Throws std::bad_alloc, and nothing has happened.
void start(Slot& slot, const ashlar_request& request, std::uint64_t length) {
  slot.segments.clear();
  const Op op = static_cast<Op>(request.op);
  for (std::uint32_t i = 0; has_payload(op) && i < request.iov_count; ++i) {
    slot.segments.push_back(
        {static_cast<std::byte*>(request.iov[i].iov_base), request.iov[i].iov_len});
  }
  slot.user = request.user;
  ++slot.queue.in_flight;
  IoRequest what{op, static_cast<std::uint8_t>(request.flags), request.offset, length, {}, {}};
  what.vector = slot.segments;
  slot.operation.start(what, &ended, &slot);
}

Slot* slot_of(ashlar_queue& queue, std::uint64_t id) noexcept {
  const auto index = static_cast<std::uint32_t>(id);
  if (index >= queue.slots.size()) return nullptr;
  Slot& slot = queue.slots[index];
  return slot.id() == id && slot.operation.in_flight() ? &slot : nullptr;
}

void describe_failure(ashlar_queue& queue, Slot& slot, std::uint64_t offset) {
  refuse(slot.operation.error(),
         queue.device->device->describe_failure(slot.operation.bio(), offset).c_str());
}

int place_refused(const char* what) noexcept { return refuse(Errc::invalid, what); }

}  // namespace
}  // namespace ashlar::capi

int ashlar_queue_open(ashlar_device* device, uint32_t depth, ashlar_queue** queue) {
  if (queue == nullptr) return place_refused("there is no place for the queue");
  *queue = nullptr;
  if (!is_handle(device)) return refuse(Errc::invalid, "this is no open device");
  if (depth == 0 || depth > kMaxDepth) return refuse(Errc::invalid, "a depth is 1 to 65536");
  return guarded([&] {
    EngineOptions engine;
    engine.choice = device->set->engine;
    auto lane = Lane::create({.engine = engine});
    if (!lane) return refuse(lane.error());
    auto channel = device->device->channel(**lane);
    if (!channel) return refuse(channel.error());
    auto handle = std::make_unique<ashlar_queue>();
    handle->owner = std::this_thread::get_id();
    handle->lane = *std::move(lane);
    handle->channel = *std::move(channel);
    for (std::uint32_t i = 0; i < depth; ++i) {
      handle->slots.emplace_back(*handle->channel, *handle, i);
    }
    for (std::uint32_t i = depth; i-- > 0;) {
      handle->slots[i].next = handle->free;
      handle->free = &handle->slots[i];
    }
    handle->device = device;
    ++device->queues;
    *queue = handle.release();
    return 0;
  });
}

int ashlar_submit(ashlar_queue* queue, const ashlar_request* request, uint64_t* id) {
  int result = 0;
  if (id != nullptr) *id = 0;
  if (!usable(queue, &result)) return result;
  std::uint64_t length = 0;
  if ((result = check(request, length)) != 0) return result;
  Slot* const slot = take_free(*queue);
  if (slot == nullptr) return refuse_number(EAGAIN, "the queue is full");
  slot->for_fetching = true;
  const std::uint64_t number = slot->id();
  result = guarded([&] {
    start(*slot, *request, length);
    return 0;
  });
  if (result != 0) {
    give_back(*slot);
  } else if (id != nullptr) {
    *id = number;
  }
  return result;
}

int ashlar_poll(ashlar_queue* queue, ashlar_completion* completions, uint32_t most) {
  int result = 0;
  if (!usable(queue, &result)) return result;
  if (completions == nullptr && most != 0) return place_refused("no place for the completions");
  // The descriptors are looked at when there is nothing else: that is a system call.
  queue->lane->poll();
  if (queue->ended_first == nullptr) queue->lane->wait(0);
  return fetch(*queue, completions, std::min<std::uint32_t>(most, kMaxDepth));
}

int ashlar_wait(ashlar_queue* queue, ashlar_completion* completions, uint32_t most,
                int timeout_ms) {
  int result = ashlar_poll(queue, completions, most);
  if (result != 0 || most == 0) return result;
  const Lane& lane = *queue->lane;
  const std::uint64_t end =
      timeout_ms < 0 ? ~std::uint64_t{0} : lane.now_ns() + std::uint64_t(timeout_ms) * kNsPerMs;
  while (queue->ended_first == nullptr && queue->in_flight != 0) {
    int nap_ms = -1;
    if (timeout_ms >= 0) {
      const std::uint64_t now = lane.now_ns();
      if (now >= end) return 0;
      nap_ms = static_cast<int>((end - now + kNsPerMs - 1) / kNsPerMs);
    }
    queue->lane->wait(nap_ms);
  }
  return fetch(*queue, completions, std::min<std::uint32_t>(most, kMaxDepth));
}

int ashlar_queue_fd(ashlar_queue* queue) {
  int result = 0;
  return usable(queue, &result) ? queue->lane->poll_fd() : result;
}

int ashlar_prepare_to_sleep(ashlar_queue* queue) {
  int result = 0;
  if (!usable(queue, &result)) return result;
  queue->lane->prepare_to_sleep();
  return queue->ended_first != nullptr ? 1 : 0;
}

int ashlar_cancel(ashlar_queue* queue, uint64_t id) {
  int result = 0;
  if (!usable(queue, &result)) return result;
  Slot* const slot = slot_of(*queue, id);
  if (slot == nullptr) return refuse(Errc::not_found, "no such request is under way");
  slot->operation.cancel();
  return 0;
}

int ashlar_run(ashlar_queue* queue, const ashlar_request* request) {
  int result = 0;
  if (!usable(queue, &result)) return result;
  std::uint64_t length = 0;
  if ((result = check(request, length)) != 0) return result;
  Slot* const slot = take_free(*queue);
  if (slot == nullptr) return refuse_number(EAGAIN, "the queue is full");
  slot->for_fetching = false;
  result = guarded([&] {
    start(*slot, *request, length);
    while (slot->operation.in_flight()) queue->lane->wait(-1);
    if (!slot->operation.bio().ok()) describe_failure(*queue, *slot, request->offset);
    return result_of(slot->operation);
  });
  give_back(*slot);
  return result;
}

int ashlar_queue_counters(ashlar_queue* queue, ashlar_counters* counters) {
  int result = 0;
  if (!usable(queue, &result)) return result;
  if (counters == nullptr) return place_refused("there is no place for the counters");
  const std::size_t size = counters->size;
  if (size < offsetof(ashlar_counters, short_frames)) {
    return place_refused("'size' of the counters is less than any");
  }
  const Channel& channel = *queue->channel;
  ashlar_counters known{};
  known.size = counters->size;
  known.frame_bytes = channel.frame_bytes();
  known.requests = channel.requests();
  known.short_frames = channel.short_frames();
  known.shortages = channel.shortages();
  if (const LatencySampler* sampler = channel.sampler()) {
    known.latency_every = sampler->every();
    known.latency_count = sampler->count();
    const auto [p50, p99, longest] = sampler->nanoseconds({50, 99, 100});
    known.latency_p50_ns = p50;
    known.latency_p99_ns = p99;
    known.latency_max_ns = longest;
  }
  std::memset(counters, 0, size);
  std::memcpy(counters, &known, std::min(size, sizeof(known)));
  return 0;
}

int ashlar_queue_measure(ashlar_queue* queue, uint64_t every) {
  int result = 0;
  if (!usable(queue, &result)) return result;
  if (every > kMostSampled) return refuse(Errc::invalid, "one request in 2^20 is the fewest");
  const auto measuring = queue->channel->measure_latency(every);
  return measuring ? 0 : refuse(measuring.error());
}

int ashlar_queue_close(ashlar_queue* queue) {
  if (queue == nullptr) return 0;
  int result = 0;
  if (!usable(queue, &result)) return result;
  for (Slot& each : queue->slots) each.operation.cancel();
  while (queue->in_flight != 0) queue->lane->wait(-1);
  return guarded([&] {
    ashlar_device& device = *queue->device;
    queue->kind = AshlarKind{};
    delete queue;
    --device.queues;
    return 0;
  });
}
