// `ashlar control`: one command to a running server, and its answer.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/control_commands.h"
#include "cli/control_server.h"
#include "cli/counters_page.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace ashlar::cli {

Result<int> run_control(const ControlOptions& options) {
  auto request = control_request(options.words);
  if (!request) return request.error();
  auto line = ask_control(options.path, *request);
  if (!line) return line.error();
  nlohmann::json answer = nlohmann::json::parse(*line, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object() || !answer["ok"].is_boolean()) {
    return make_error(Errc::corrupt, "{}: the answer is none of a control server's", options.path);
  }
  if (!answer["ok"].get<bool>()) {
    return make_error(Errc::invalid, "{}",
                      answer.value("error", std::string("refused, without a reason")));
  }
  answer.erase("ok");
  if (answer.empty()) return kFine;
  const bool table = !options.json && options.words.front() == "counters";
  const auto printed = print(table ? counters_page(answer, Paint::for_output(STDOUT_FILENO))
                                   : answer.dump(2) + "\n");
  if (!printed) return printed.error();
  return kFine;
}

}  // namespace ashlar::cli
