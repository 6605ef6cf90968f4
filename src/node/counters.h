// The counters of every open channel, gathered from the lanes that they belong to.
//
//   for (const DeviceCounters& device : node->counters()) {
//     for (const ChannelCounters& each : device.channels) ... each.requests, each.short_frames
//   }
//   node->count("disk0", {.layers = true, .latency_every = 64});     // and more from now on
//
// A channel is its lane's own, so the lane is asked, by a task as for a change of program: it
// answers when it next polls. One that does not in time is reported as silent.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "bio/op.h"
#include "program/channel.h"

namespace ashlar {

inline constexpr LockClass kSurveyLock{"node.survey"};

// What the channels of a device count beside requests. THREAD of what it costs: the lanes.
struct Counting {
  bool layers = false;              // requests, bytes and errors of each layer, by operation
  std::uint64_t latency_every = 0;  // times of one request in so many, a power of two; 0: none
  friend bool operator==(const Counting&, const Counting&) = default;
};

// Some of the counts may be switched, the others stay.
struct CountingChange {
  std::optional<bool> layers{};
  std::optional<std::uint64_t> latency_every{};
};

// Of one layer and one operation, since counting began or the stack was last changed.
struct OpCounters {
  std::uint64_t requests = 0;  // that came down to it, parts of split ones too
  std::uint64_t bytes = 0;     // of these
  std::uint64_t errors = 0;    // that it made itself
};

struct LayerCounters {
  std::string device;
  std::string class_name;
  std::array<OpCounters, kOpCount> ops{};
};

// Since sampling began; nanoseconds, at most 25 % too long.
struct LatencyFigures {
  std::uint64_t every = 0;  // one request in so many is measured
  std::uint64_t count = 0;  // that were
  std::uint64_t p50_ns = 0;
  std::uint64_t p99_ns = 0;
  std::uint64_t max_ns = 0;
};

// One caller: an open channel.
struct ChannelCounters {
  std::string user;     // as it was named when the device was opened
  bool silent = false;  // its lane did not answer; nothing below is known
  std::uint64_t requests = 0;
  std::uint64_t short_frames = 0;     // of these, served by a clone for want of room in the frame
  std::uint64_t shortages = 0;        // of these, had to wait for memory
  std::uint32_t frame_bytes = 0;      // the room that a bio of a caller's own needs now
  std::vector<LayerCounters> layers;  // from the top, where they are counted
  std::optional<LatencyFigures> latency;
};

// All callers of one device.
struct DeviceCounters {
  std::string device;
  std::vector<ChannelCounters> channels;
};

// What `channel` has counted. THREAD: its lane's.
ChannelCounters counters_of(const Channel& channel);

// Questions to several lanes, and their answers. Shared by who asks and those who are asked.
// THREAD: any.
class Survey {
 public:
  // One more is asked: `user` of `device`. The answer is the number of the question.
  std::size_t ask(const std::string& device, const std::string& user);
  void answer(std::size_t question, ChannelCounters counters);
  // The channel was closed before it could answer.
  void withdraw(std::size_t question);

  // Waits for all answers, `timeout_ms` at the most; what came, by device.
  std::vector<DeviceCounters> wait(unsigned timeout_ms);

 private:
  struct Question {
    std::string device;
    ChannelCounters counters;
    bool open;
    bool withdrawn;
  };
  void close(std::size_t question) ASHLAR_REQUIRES(mutex_);

  Mutex mutex_{kSurveyLock};
  CondVar answered_;
  std::size_t open_ ASHLAR_GUARDED_BY(mutex_) = 0;
  std::vector<Question> questions_ ASHLAR_GUARDED_BY(mutex_);
};

}  // namespace ashlar
