// What a control client may ask of a running server: one JSON object a line, one line back.
//
//   {"do": "insert", "under": "disk0", "class": "throttle", "name": "calm",
//    "parameters": {"iops": "200"}}                     ->  {"ok": true}
//   {"do": "remove", "name": "nothing"}                 ->  {"ok": false, "error": "there is no
//   ..."}
//
// docs/control.md lists the commands. Whatever comes is answered; nothing that comes is trusted.
// THREAD: any; the node guards itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "node/node.h"

namespace ashlar::cli {

// The longest request line, with its end: far more than any command needs.
inline constexpr std::size_t kMaxControlLine = 64 * 1024;

// The answer to one request line, without its end. Never throws.
std::string answer_control(Node& node, std::string_view line);

// A request line from words of a command line: "insert disk0 throttle calm iops=200".
// Errors: invalid, with what the command takes.
Result<std::string> control_request(const std::vector<std::string>& words);

// The commands and what they take, a line each, for `--help`.
std::string control_help();

}  // namespace ashlar::cli
