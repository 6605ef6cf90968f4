// What happened in a simulated run, boiled down to one number: two runs are the same when their
// hashes are. With a sink, each event is also a line to read.
//
// THREAD: one.
#pragma once

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string_view>

namespace ashlar::sim {

class Trace {
 public:
  // `sink`: where lines go, null for none. Printing changes nothing in the run.
  explicit Trace(std::FILE* sink = nullptr) : sink_(sink) {}
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // `what` is a short word; the numbers are the event's own.
  void event(std::uint64_t now_ns, std::string_view what,
             std::initializer_list<std::uint64_t> numbers);

  std::uint64_t hash() const { return hash_; }
  std::uint64_t events() const { return events_; }

 private:
  void mix(std::uint64_t word) noexcept;

  std::FILE* const sink_;
  std::uint64_t hash_ = 0xcbf29ce484222325u;
  std::uint64_t events_ = 0;
};

}  // namespace ashlar::sim
