// SHA-256 of devices, several at once: one lane a thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/stack_options.h"

namespace ashlar::cli {

struct DeviceSum {
  Provider* provider = nullptr;
  std::string sha256;  // hexadecimal; empty: it could not be read
  std::string error;   // then: why, a sentence
};

// Sums every device of `sums`, filling them in; returns when all are done or failed.
// `on_progress` gets the bytes done so far, on the calling thread, several times a second.
// THREAD: any one; starts and ends threads of its own, at most one a processor.
void sum_devices(Node& node, const StackOptions& options, std::vector<DeviceSum>& sums,
                 const std::function<void(std::uint64_t)>& on_progress);

}  // namespace ashlar::cli
