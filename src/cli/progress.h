// A progress bar: how far, how fast, how long still. On stderr, only when that is a terminal.
//
//   ██████████████▌                 43 %   1.2 GiB of 2.8 GiB   812 MiB/s   2 s left
//
// THREAD: one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace ashlar::cli {

// The line, without its colours. `columns`: of the terminal. `seconds`: since the start.
std::string progress_line(std::uint64_t done_bytes, std::uint64_t total_bytes, double seconds,
                          std::size_t columns);

class Progress {
 public:
  // `wanted`: false keeps it silent, for instance where the data itself goes to the terminal.
  explicit Progress(std::uint64_t total_bytes, bool wanted = true);
  ~Progress();  // wipes the bar away
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Bytes done so far. Cheap: draws ten times a second at the most.
  void show(std::uint64_t done_bytes);

  bool visible() const { return visible_; }

 private:
  using Clock = std::chrono::steady_clock;

  const std::uint64_t total_bytes_;
  const bool visible_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_ = start_;
};

}  // namespace ashlar::cli
