// `ashlar explain`: the compiled program of a device, and where a byte of it lies.
#include <unistd.h>

#include "cli/app.h"
#include "cli/explain_page.h"
#include "cli/explanation.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace ashlar::cli {

Result<int> run_explain(const ExplainOptions& options) {
  leave_on_interrupt("stopped while looking at what is on the disks; nothing was changed");
  auto node = open_stack(options.stack);
  if (!node) return node.error();
  auto device = open_device(**node, options.stack, options.device);
  if (!device) return device.error();
  if (options.offset && *options.offset >= (*device)->size_bytes()) {
    return make_error(Errc::out_of_range, "{} has {} bytes; there is no byte {}",
                      (*device)->provider().name, (*device)->size_bytes(), *options.offset);
  }
  const Explanation all = explain(**device, options.offset);
  auto printed =
      print(options.json ? explain_json(all) : explain_page(all, Paint::for_output(STDOUT_FILENO)));
  if (!printed) return printed.error();
  return kFine;
}

}  // namespace ashlar::cli
