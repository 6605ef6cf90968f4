// What every benchmark needs: its arguments, clocks, medians, and a file for the results.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ashlar::bench {

struct Options {
  std::string self;         // the program, to be run again
  std::string json_path{};  // empty: none
  bool quick = false;       // a look, not a measurement
  std::string count{};      // --count WHAT N: only carry out N requests
  std::uint64_t requests = 0;
};

// NAME [--json FILE] [--quick], or NAME --count WHAT N. Ends the process, with how it is used, at
// anything else.
Options parse_options(int argc, char** argv);

// Ends the process where the file cannot be written. No path: does nothing.
void save_json(const std::string& path, const nlohmann::json& results);

// REQUIRES: at least one value.
double median(std::vector<double> values);

// Processor time of this thread, and the time of day, in nanoseconds. The first is what a request
// takes where nothing sleeps; the machine's other work is not in it.
double thread_ns();
double wall_ns();

}  // namespace ashlar::bench
