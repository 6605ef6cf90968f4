// `ashlar tree`: what was found, and why.
#include <unistd.h>

#include "cli/app.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/tree_page.h"
#include "cli/verbs.h"

namespace ashlar::cli {

Result<int> run_tree(const TreeOptions& options) {
  leave_on_interrupt("stopped while looking at what is on the disks; nothing was changed");
  auto node = open_stack(options.stack);
  if (!node) return node.error();
  auto printed =
      print(options.json ? tree_json(**node) : tree_page(**node, Paint::for_output(STDOUT_FILENO)));
  if (!printed) return printed.error();
  return kFine;
}

}  // namespace ashlar::cli
