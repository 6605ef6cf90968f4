// The verbs: one function and one file each, with what the command line says to it.
//
// A verb answers the exit status, or an Error whose sentence app.cc prints before it answers
// kFailed. What a user gets is in the README; `ashlar VERB --help` has every option.
// THREAD: the main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/stack_options.h"

namespace ashlar::cli {

struct TreeOptions {
  StackOptions stack;
  bool json = false;
};
Result<int> run_tree(const TreeOptions& options);

struct SumOptions {
  StackOptions stack;
  std::string device;  // empty: all
  bool json = false;
};
// A device that cannot be read is reported, the others go on; kFailed then.
Result<int> run_sum(const SumOptions& options);

}  // namespace ashlar::cli
