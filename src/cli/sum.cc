// `ashlar sum`: SHA-256 of each device.
#include <unistd.h>

#include "cli/app.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/sums.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace ashlar::cli {
namespace {

Result<std::vector<DeviceSum>> devices_of(const Node& node, const std::string& name) {
  std::vector<DeviceSum> sums;
  if (name.empty()) {
    for (Provider* each : node.topology().providers()) sums.push_back({each, {}, {}});
    return sums;
  }
  auto one = node.find(name);
  if (!one) return one.error();
  sums.push_back({*one, {}, {}});
  return sums;
}

std::string page(const std::vector<DeviceSum>& sums, const Paint& paint) {
  std::size_t size_columns = 0;
  for (const DeviceSum& each : sums) {
    size_columns = std::max(size_columns, grouped(each.provider->size_bytes).size());
  }
  std::string text;
  for (const DeviceSum& each : sums) {
    if (each.sha256.empty()) continue;
    text += fmt::format("{}  {}  {}\n", each.sha256,
                        paint.dim(pad_left(grouped(each.provider->size_bytes), size_columns)),
                        paint.name(printable(each.provider->name)));
  }
  return text;
}

}  // namespace

Result<int> run_sum(const SumOptions& options) {
  leave_on_interrupt("stopped while looking at what is on the disks; nothing was changed");
  auto node = open_stack(options.stack);
  if (!node) return node.error();
  auto sums = devices_of(**node, options.device);
  if (!sums) return sums.error();
  leave_on_interrupt("stopped before every sum was there");
  std::uint64_t total = 0;
  for (const DeviceSum& each : *sums) total += each.provider->size_bytes;
  {
    Progress progress(total);
    sum_devices(**node, options.stack, *sums, [&](std::uint64_t done) { progress.show(done); });
  }
  auto printed =
      print(options.json ? sum_json(*sums) : page(*sums, Paint::for_output(STDOUT_FILENO)));
  if (!printed) return printed.error();
  int status = kFine;
  for (const DeviceSum& each : *sums) {
    if (each.error.empty()) continue;
    complain(each.error);
    status = kFailed;
  }
  return status;
}

}  // namespace ashlar::cli
