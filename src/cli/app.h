// The command line of `ashlar`: verbs and options, declared with CLI11; parsing, then the verb.
#pragma once

namespace ashlar::cli {

// What the shell gets.
inline constexpr int kFine = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;
inline constexpr int kInterrupted = 130;  // 128 + SIGINT

// Runs one command line; returns the exit status. Errors go to stderr, one sentence each.
// THREAD: the main thread.
int run(int argc, char** argv);

}  // namespace ashlar::cli
