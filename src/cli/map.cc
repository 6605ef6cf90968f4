// `ashlar map`: which bytes of a device are in an overlay.
#include <unistd.h>

#include "cli/app.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace ashlar::cli {
namespace {

std::string map_page(const DeviceMap& map, const Paint& paint) {
  std::string page = paint.dim(fmt::format("{:>20}  {:>20}  STATUS", "OFFSET", "LENGTH")) + "\n";
  for (const StatusRun& each : map.runs) {
    const bool below = each.status == BlockStatus::below;
    const std::string status(to_string(each.status));
    page += fmt::format("{:>20}  {:>20}  {}\n", each.range.offset, each.range.length,
                        below ? paint.dim(status) : paint.bold(status));
  }
  return page;
}

}  // namespace

Result<int> run_map(const MapOptions& options) {
  leave_on_interrupt("stopped while looking at what is on the disks; nothing was changed");
  auto node = open_stack(options.stack);
  if (!node) return node.error();
  auto device = open_device(**node, options.stack, options.device);
  if (!device) return device.error();
  const Provider& provider = (*device)->provider();
  const DeviceMap map{provider.name, provider.size_bytes,
                      block_status(provider, {0, provider.size_bytes}, kMostRuns)};
  auto printed =
      print(options.json ? map_json(map) : map_page(map, Paint::for_output(STDOUT_FILENO)));
  if (!printed) return printed.error();
  return kFine;
}

}  // namespace ashlar::cli
