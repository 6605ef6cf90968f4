// Instructions of a program, counted by valgrind's callgrind where it is installed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace ashlar::bench {

// Instructions that one more request costs: `command(n)` is a shell command that carries out n of
// them and nothing else that depends on n; two runs of different length are compared. 0 where
// valgrind is not installed, or does not know this machine's instructions.
double instructions_per_request(const std::function<std::string(std::uint64_t requests)>& command);

}  // namespace ashlar::bench
