// A yardstick for path_bench: the least that a tower of layers can cost when each is called both
// ways, a loop over steps with a pad each and no check at all. On a machine whose clock is shared
// with others, a figure beside this one says more than the figure alone.
#pragma once

#include <cstdint>
#include <vector>

namespace ashlar::bench {

class NaivePath {
 public:
  // `height` layers over a device that answers at once.
  explicit NaivePath(int height);

  // Runs `count` requests, one after the other; returns the nanoseconds of one.
  double time_ns(std::uint64_t count);

  struct Request;
  struct Step {
    void (*down)(Request&, std::uint64_t& pad);
    void (*up)(Request&, std::uint64_t& pad);
  };

 private:
  std::vector<Step> steps_;
};

}  // namespace ashlar::bench
