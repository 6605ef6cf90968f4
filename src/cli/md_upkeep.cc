// `ashlar md check`, `repair`, `resync`, `add` and `fail`: what arrays want done, while somebody
// watches.
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "cli/app.h"
#include "cli/end_signals.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace ashlar::cli {
namespace {

using State = UpkeepStatus::State;

constexpr unsigned kLookMs = 100;

// What has become of it, a line each.
std::string page(const std::string& array, const UpkeepStatus& status) {
  if (status.work.empty()) return fmt::format("{}: nothing is due\n", printable(array));
  std::string text =
      fmt::format("{}: {} is {}", printable(array), status.work,
                  status.state == State::failed ? "not done" : to_string(status.state));
  if (status.state == State::stopped) {
    text += fmt::format(" after {} of {}", format_bytes(status.done_bytes),
                        format_bytes(status.total_bytes));
  }
  text += fmt::format("; {} did not fit\n", counted(status.mismatches, "sector"));
  if (status.unread_bytes > 0) {
    text += fmt::format("{} could not be read\n", counted(status.unread_bytes, "byte"));
  }
  return text;
}

// Waits for the end, with a bar where that is wanted. Answers the signal that stopped it, or 0.
Result<int> watch(Node& node, const std::string& array, EndSignals& signals) {
  std::optional<Progress> progress;
  std::string work;
  int stopped_by = 0;
  for (;;) {
    auto status = node.wait_upkeep(array, kLookMs);
    if (!status) return status.error();
    if (status->state != State::running) return stopped_by;
    if (!progress || status->work != work) {
      work = status->work;
      progress.emplace(status->total_bytes, true);
    }
    progress->show(status->done_bytes);
    const int signal = stopped_by == 0 ? signals.look() : 0;
    if (signal == 0) continue;
    stopped_by = signal;
    if (auto stopped = node.stop_upkeep(array); !stopped) return stopped.error();
  }
}

// Prints how it ended; the exit status.
Result<int> conclude(Node& node, const std::string& array, int stopped_by, bool checks, bool json) {
  const auto status = node.upkeep(array);
  if (!status) return status.error();
  auto printed = print(json ? upkeep_json(array, *status) : page(array, *status));
  if (!printed) return printed.error();
  if (status->state == State::failed) {
    return make_error(Errc::io, "{}: {}", array, status->problem);
  }
  if (status->state == State::stopped && stopped_by != 0) return 128 + stopped_by;
  const bool found = status->mismatches > 0 || status->unread_bytes > 0;
  return checks && found ? kFailed : kFine;
}

}  // namespace

Result<int> run_md_upkeep(const MdUpkeepOptions& options) {
  EndSignals signals;
  auto node = open_stack(options.stack);
  if (!node) return node.error();
  // Nobody else is here to be given way to.
  auto started = (*node)->start_upkeep(options.array, {.work = options.work, .share_percent = 100});
  if (!started) return started.error();
  auto stopped_by = watch(**node, options.array, signals);
  if (!stopped_by) return stopped_by.error();
  return conclude(**node, options.array, *stopped_by, options.work == UpkeepOptions::Work::check,
                  options.json);
}

Result<int> run_md_add(const MdMemberOptions& options) {
  EndSignals signals;
  StackOptions stack = options.stack;
  stack.upkeep_share = 100;
  auto node = open_stack(stack);
  if (!node) return node.error();
  auto disk = (*node)->add_image({.path = options.member});
  if (!disk) return disk.error();
  const std::size_t doubts = (*node)->doubts().size();
  auto place = (*node)->add_leg(options.array, (*disk)->name, options.force);
  if (!place) return place.error();
  while (!(*node)->settled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto stopped_by = watch(**node, options.array, signals);
  if (!stopped_by) return stopped_by.error();
  const std::vector<Doubt> after = (*node)->doubts();
  for (std::size_t i = doubts; i < after.size(); ++i) {
    return make_error(Errc::io, "{}: {}", after[i].device, after[i].sentence);
  }
  return conclude(**node, options.array, *stopped_by, false, options.json);
}

// The device is closed at the end, and what has changed is put on the others then.
Result<int> run_md_fail(const MdMemberOptions& options) {
  auto node = open_stack(options.stack);
  if (!node) return node.error();
  auto device = open_device(**node, options.stack, options.array, true);
  if (!device) return device.error();
  auto removed = (*node)->remove_leg(options.array, options.member);
  if (!removed) return removed.error();
  return kFine;
}

}  // namespace ashlar::cli
