// `ashlar serve`: devices over NBD, until a signal.
#include <signal.h>

#include "cli/app.h"
#include "cli/control_server.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "export/nbd/exports.h"
#include "export/nbd/server.h"

namespace ashlar::cli {
namespace {

// Signals that end the server. Blocked in every thread from before the first one starts, so that
// they wait for wait_for() and interrupt nothing.
class EndSignals {
 public:
  EndSignals() {
    sigemptyset(&set_);
    for (const int each : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, each);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  // From here on a second signal ends the process at once.
  ~EndSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  void wait_for() {
    int number = 0;
    while (sigwait(&set_, &number) != 0) {
    }
  }

 private:
  sigset_t set_;
  sigset_t before_;
};

std::string greeting(const nbd::Exports& exports, bool write) {
  const auto names = exports.names();
  const std::string what = names.size() == 1 ? names.front() : counted(names.size(), "device");
  return fmt::format("serving {}, {}; Ctrl-C stops", what, write ? "for writing" : "read-only");
}

}  // namespace

Result<int> run_serve(const ServeOptions& options) {
  std::optional<EndSignals> signals(std::in_place);
  auto node = open_stack(options.stack);
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
