// The yardstick's loop. Its calls go through pointers that the compiler cannot see through.
#include "bench/naive_path.h"

#include <chrono>

namespace ashlar::bench {

struct NaivePath::Request {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t done = 0;
  std::uint64_t pads[32] = {};
};

namespace {

using Request = NaivePath::Request;

[[gnu::noinline]] void layer_down(Request& request, std::uint64_t& pad) { pad = request.offset; }
[[gnu::noinline]] void layer_up(Request& request, std::uint64_t& pad) { request.offset = pad; }
[[gnu::noinline]] void leaf_down(Request& request, std::uint64_t&) {
  request.done = request.length;
}

[[gnu::noinline]] void run_one(const std::vector<NaivePath::Step>& steps, Request& request) {
  std::uint64_t* pad = request.pads;
  for (const NaivePath::Step& each : steps) each.down(request, *pad++);
  for (auto each = steps.rbegin(); each != steps.rend(); ++each) {
    --pad;
    if (each->up != nullptr) each->up(request, *pad);
  }
}

}  // namespace

NaivePath::NaivePath(int height) {
  for (int i = 0; i < height; ++i) steps_.push_back({&layer_down, &layer_up});
  steps_.push_back({&leaf_down, nullptr});
}

double NaivePath::time_ns(std::uint64_t count) {
  Request request;
  std::uint64_t moved = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < count; ++i) {
    request.offset = i * 4096;
    request.length = 4096;
    run_one(steps_, request);
    moved += request.done;
  }
  const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - begin;
  return moved == count * 4096 ? spent.count() / static_cast<double>(count) : 0;
}

}  // namespace ashlar::bench
