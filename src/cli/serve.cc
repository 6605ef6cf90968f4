// `ashlar serve`: devices over NBD, until a signal.
#include "cli/app.h"
#include "cli/control_server.h"
#include "cli/end_signals.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "export/nbd/exports.h"
#include "export/nbd/server.h"

namespace ashlar::cli {
namespace {

std::string greeting(const nbd::Exports& exports, bool write) {
  const auto names = exports.names();
  const std::string what = names.size() == 1 ? names.front() : counted(names.size(), "device");
  return fmt::format("serving {}, {}; Ctrl-C stops", what, write ? "for writing" : "read-only");
}

}  // namespace

Result<int> run_serve(const ServeOptions& options) {
  std::optional<EndSignals> signals(std::in_place);
  StackOptions stack = options.stack;
  stack.look_after = stack.write && options.upkeep;
  auto node = open_stack(stack);
  if (!node) return node.error();
  auto exports = nbd::Exports::create(
      **node,
      {.write = options.stack.write, .only = options.device, .dispatch = options.stack.dispatch});
  if (!exports) return exports.error();
  auto server = nbd::Server::start(
      **exports, {.addresses = options.addresses,
                  .lanes = options.lanes,
                  .engine = options.stack.engine_options(),
                  .log = [](const std::string& sentence) { complain(sentence); }});
  if (!server) return server.error();
  std::unique_ptr<ControlServer> control;
  if (!options.control.empty()) {
    auto started = ControlServer::start(**node, options.control);
    if (!started) return started.error();
    control = std::move(*started);
  }
  // What a script needs goes to standard output; nobody has to read it.
  for (const std::string& uri : (*server)->uris()) {
    const auto unread = print(uri + "\n");
    static_cast<void>(unread);
  }
  complain(greeting(**exports, options.stack.write));
  signals->wait_for();
  signals.reset();
  control.reset();
  (*server)->stop();
  return kFine;
}

}  // namespace ashlar::cli
