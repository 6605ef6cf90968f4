// Reading a channel's counters, and waiting for those of others.
#include "node/counters.h"

#include <algorithm>
#include <utility>

namespace ashlar {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

LayerCounters layer_of(const StepInfo& info, const LayerCount& count) {
  LayerCounters layer{info.provider->name, std::string(info.provider->geom->facts().name), {}};
  for (std::size_t i = 0; i < kOpCount; ++i) {
    const OpCount& each = count.ops[i];
    layer.ops[i] = {each.requests.get(), each.bytes.get(), each.errors.get()};
  }
  return layer;
}

}  // namespace

ChannelCounters counters_of(const Channel& channel) {
  ChannelCounters all;
  all.requests = channel.requests();
  all.short_frames = channel.short_frames();
  all.shortages = channel.shortages();
  all.frame_bytes = channel.frame_bytes();
  if (channel.counts_layers()) {
    const auto counts = channel.layer_counts();
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const StepInfo& info = channel.program().infos[i];
      if (info.kind == StepKind::geom) all.layers.push_back(layer_of(info, counts[i]));
    }
  }
  if (const LatencySampler* sampler = channel.sampler()) {
    const auto [p50, p99, longest] = sampler->nanoseconds({50, 99, 100});
    all.latency = {sampler->every(), sampler->count(), p50, p99, longest};
  }
  return all;
}

std::size_t Survey::ask(const std::string& device, const std::string& user) {
  const MutexLock lock(mutex_);
  ChannelCounters nothing;
  nothing.user = user;
  nothing.silent = true;
  questions_.push_back({device, std::move(nothing), true, false});
  ++open_;
  return questions_.size() - 1;
}

void Survey::close(std::size_t question) {
  questions_[question].open = false;
  if (--open_ == 0) answered_.notify_all();
}

void Survey::answer(std::size_t question, ChannelCounters counters) {
  const MutexLock lock(mutex_);
  Question& mine = questions_[question];
  if (!mine.open) return;
  counters.user = std::move(mine.counters.user);
  mine.counters = std::move(counters);
  close(question);
}

void Survey::withdraw(std::size_t question) {
  const MutexLock lock(mutex_);
  if (!questions_[question].open) return;
  questions_[question].withdrawn = true;
  close(question);
}

std::vector<DeviceCounters> Survey::wait(unsigned timeout_ms) {
  const auto until = static_cast<long long>(system_clock().now_ns() + timeout_ms * kNsPerMs);
  const MutexLock lock(mutex_);
  while (open_ != 0) {
    if (!answered_.wait_until(mutex_, until)) break;
  }
  std::vector<DeviceCounters> devices;
  for (Question& each : questions_) {
    if (each.withdrawn) continue;
    // Who answers late is not waited for any more, and changes nothing.
    each.open = false;
    const auto found =
        std::find_if(devices.begin(), devices.end(),
                     [&](const DeviceCounters& known) { return known.device == each.device; });
    DeviceCounters& device =
        found != devices.end() ? *found : devices.emplace_back(DeviceCounters{each.device, {}});
    device.channels.push_back(std::move(each.counters));
  }
  return devices;
}

}  // namespace ashlar
