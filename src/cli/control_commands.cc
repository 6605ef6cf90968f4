// The commands of the control socket: a table, from words to JSON and from JSON to the node.
#include "cli/control_commands.h"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "cli/counters_page.h"
#include "cli/json.h"

namespace ashlar::cli {
namespace {

using nlohmann::json;

// A request whose fields were looked at. Getters answer what is there, and note what is wrong.
class Request {
 public:
  explicit Request(const json& fields) : fields_(fields) {}

  std::string text(const char* key) {
    const auto found = fields_.find(key);
    if (found != fields_.end() && found->is_string()) return found->get<std::string>();
    complain(fmt::format("'{}' is missing, or no text", key));
    return {};
  }
  std::string text_or(const char* key, std::string otherwise) {
    return fields_.contains(key) ? text(key) : otherwise;
  }
  bool flag(const char* key) {
    const auto found = fields_.find(key);
    if (found == fields_.end()) return false;
    if (!found->is_boolean()) complain(fmt::format("'{}' is neither true nor false", key));
    return found->is_boolean() && found->get<bool>();
  }
  ParameterTexts parameters() {
    ParameterTexts texts;
    const auto found = fields_.find("parameters");
    if (found == fields_.end()) return texts;
    if (!found->is_object()) complain("'parameters' is no object");
    if (!found->is_object()) return texts;
    for (const auto& [name, value] : found->items()) {
      if (!value.is_string()) complain(fmt::format("parameter '{}' is no text", name));
      if (value.is_string()) texts[name] = value.get<std::string>();
    }
    return texts;
  }
  std::vector<std::string> texts(const char* key) {
    std::vector<std::string> all;
    const auto found = fields_.find(key);
    if (found == fields_.end()) return all;
    if (!found->is_array()) complain(fmt::format("'{}' is no list", key));
    for (const json& each : *found) {
      if (!each.is_string()) complain(fmt::format("'{}' is no list of texts", key));
      if (each.is_string()) all.push_back(each.get<std::string>());
    }
    return all;
  }

  // What was wrong first.
  Result<void> check() const {
    return problem_.empty() ? Result<void>() : make_error(Errc::invalid, "{}", problem_);
  }

 private:
  void complain(std::string sentence) {
    if (problem_.empty()) problem_ = std::move(sentence);
  }
  const json& fields_;
  std::string problem_;
};

using Answer = Result<json>;

Answer plain(Result<void> result) {
  if (!result) return result.error();
  return json::object();
}

Answer tree(Node& node, Request&) {
  const std::string page = node.inspect([&](const Topology&) { return tree_json(node); });
  return json{{"tree", json::parse(page)}};
}

Answer status(Node& node, Request&) {
  return node.inspect([&](const Topology& all) {
    json geoms = json::array();
    for (const auto& geom : all.geoms()) {
      json each = {{"name", geom->name()}, {"class", geom->facts().name}};
      for (const auto& [key, value] : geom->body().status()) each["status"][key] = value;
      geoms.push_back(std::move(each));
    }
    return json{{"settled", node.settled()}, {"geoms", std::move(geoms)}};
  });
}

Answer insert(Node& node, Request& request) {
  const std::string under = request.text("under");
  const std::string class_name = request.text("class");
  std::string name = request.text("name");
  ParameterTexts parameters = request.parameters();
  const auto further = request.texts("further");
  if (auto fine = request.check(); !fine) return fine.error();
  auto geom = node.insert(under, class_name, std::move(name), std::move(parameters), further);
  return geom ? Answer(json::object()) : Answer(geom.error());
}

Answer remove(Node& node, Request& request) {
  const std::string name = request.text("name");
  if (auto fine = request.check(); !fine) return fine.error();
  return plain(node.remove(name));
}

Answer replace(Node& node, Request& request) {
  const std::string geom = request.text("geom");
  const std::string from = request.text("from");
  const std::string to = request.text("to");
  if (auto fine = request.check(); !fine) return fine.error();
  return plain(node.replace(geom, from, to));
}

Answer add_leg(Node& node, Request& request) {
  const std::string geom = request.text("geom");
  const std::string device = request.text("device");
  const ParameterTexts parameters = request.parameters();
  if (auto fine = request.check(); !fine) return fine.error();
  const auto force = parameters.find("force");
  auto place = node.add_leg(geom, device, force != parameters.end() && force->second == "true");
  if (!place) return place.error();
  return json{{"leg", *place}};
}

Answer remove_leg(Node& node, Request& request) {
  const std::string geom = request.text("geom");
  const std::string device = request.text("device");
  if (auto fine = request.check(); !fine) return fine.error();
  return plain(node.remove_leg(geom, device));
}

Answer set(Node& node, Request& request) {
  const std::string geom = request.text("geom");
  const ParameterTexts parameters = request.parameters();
  if (auto fine = request.check(); !fine) return fine.error();
  return plain(node.set(geom, parameters));
}

Answer rescan(Node& node, Request& request) {
  const std::string device = request.text("device");
  if (auto fine = request.check(); !fine) return fine.error();
  return plain(node.rescan(device));
}

Answer add(Node& node, Request& request) {
  ImageOptions image{.path = request.text("path"),
                     .name = request.text_or("name", ""),
                     .read_only = request.flag("read_only"),
                     .taste = !request.flag("no_taste")};
  if (auto fine = request.check(); !fine) return fine.error();
  auto disk = node.add_image(image);
  if (!disk) return disk.error();
  json answer{{"name", (*disk)->name}};
  node.settle_members();
  return answer;
}

Answer close(Node& node, Request& request) {
  const std::string device = request.text("device");
  if (auto fine = request.check(); !fine) return fine.error();
  return plain(node.destroy(device));
}

Answer counters(Node& node, Request&) { return counters_json(node.counters()); }

Answer count(Node& node, Request& request) {
  const std::string device = request.text("device");
  const std::string wish = request.text("switch");
  if (auto fine = request.check(); !fine) return fine.error();
  if (wish != "on" && wish != "off") {
    return make_error(Errc::invalid, "'switch' is 'on' or 'off', not '{}'", wish);
  }
  return plain(node.count(device, {.layers = wish == "on"}));
}

Answer upkeep(Node& node, Request& request) {
  const std::string geom = request.text("geom");
  if (auto fine = request.check(); !fine) return fine.error();
  auto status = node.upkeep(geom);
  if (!status) return status.error();
  return json::parse(upkeep_json(geom, *status));
}

Answer start_upkeep(Node& node, Request& request) {
  const std::string geom = request.text("geom");
  const std::string work = request.text("work");
  const ParameterTexts parameters = request.parameters();
  if (auto fine = request.check(); !fine) return fine.error();
  UpkeepOptions options;
  if (work == "check") options.work = UpkeepOptions::Work::check;
  if (work == "repair") options.work = UpkeepOptions::Work::repair;
  if (options.work == UpkeepOptions::Work::due && work != "due") {
    return make_error(Errc::invalid, "'work' is 'due', 'check' or 'repair', not '{}'", work);
  }
  if (const auto share = parameters.find("share"); share != parameters.end()) {
    const char* const end = share->second.data() + share->second.size();
    const auto read = std::from_chars(share->second.data(), end, options.share_percent);
    if (read.ec != std::errc() || read.ptr != end) {
      return make_error(Errc::invalid, "'share' is a number of percent, not '{}'", share->second);
    }
  }
  return plain(node.start_upkeep(geom, options));
}

Answer stop_upkeep(Node& node, Request& request) {
  const std::string geom = request.text("geom");
  if (auto fine = request.check(); !fine) return fine.error();
  return plain(node.stop_upkeep(geom));
}

// The most that makes sense: at a million requests a second, one time in a second.
constexpr std::uint64_t kMostSampled = 1 << 20;

Answer sample(Node& node, Request& request) {
  const std::string device = request.text("device");
  const std::string every = request.text("every");
  if (auto fine = request.check(); !fine) return fine.error();
  std::uint64_t number = 0;
  const char* const end = every.data() + every.size();
  const auto [stopped, problem] = std::from_chars(every.data(), end, number);
  const bool digits = problem == std::errc() && stopped == end && number <= kMostSampled;
  if (!digits && every != "off") {
    return make_error(Errc::invalid, "'every' is 'off' or a number up to {}, not '{}'",
                      kMostSampled, every);
  }
  return plain(node.count(device, {.latency_every = number}));
}

struct Command {
  std::string_view name;
  std::string_view words;  // the fields that its words fill, in order; "..." ends them
  std::string_view help;
  Answer (*act)(Node& node, Request& request);
};

constexpr std::array kCommands = {
    Command{"tree", "", "every device and geom", &tree},
    Command{"status", "", "what geoms say of themselves, and whether changes are over", &status},
    Command{"insert", "under class name ...", "put a geom in above a device, under its users",
            &insert},
    Command{"remove", "name", "take a geom out; its users go to what is below", &remove},
    Command{"replace", "geom from to", "attach a geom to another device with the same bytes",
            &replace},
    Command{"set", "geom ...", "give parameters of a geom other values", &set},
    Command{"add", "path ...", "open an image; a second word names it", &add},
    Command{"close", "device", "close an image or another geom that nobody uses", &close},
    Command{"rescan", "device", "look at the size of a file again", &rescan},
    Command{"add-leg", "geom device ...", "a device joins a mirror or an array, and is filled",
            &add_leg},
    Command{"remove-leg", "geom device", "a device leaves a mirror or an array", &remove_leg},
    Command{"upkeep", "geom", "what is done on an array beside requests, and how far it is",
            &upkeep},
    Command{"start-upkeep", "geom work ...", "due, check or repair; share=PERCENT", &start_upkeep},
    Command{"stop-upkeep", "geom", "stop that; what is due goes on when it is started again",
            &stop_upkeep},
    Command{"counters", "", "requests of every device and caller, and what more is counted",
            &counters},
    Command{"count", "device switch", "counts by layer and operation: on or off", &count},
    Command{"sample", "device every", "times of one request in EVERY; 0 or off: of none", &sample},
};

const Command* find_command(std::string_view name) {
  for (const Command& each : kCommands) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

std::string known_commands() {
  std::string known;
  for (const Command& each : kCommands) {
    known += (known.empty() ? "" : ", ") + std::string(each.name);
  }
  return known;
}

std::string dump(const json& page) {
  return page.dump(-1, ' ', false, json::error_handler_t::replace);
}

Answer act_on(Node& node, std::string_view line) {
  const json request = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!request.is_object()) {
    return make_error(Errc::invalid, "a request is one JSON object on one line");
  }
  const auto verb = request.find("do");
  if (verb == request.end() || !verb->is_string()) {
    return make_error(Errc::invalid, "'do' says which command; known are: {}", known_commands());
  }
  const Command* command = find_command(verb->get<std::string>());
  if (command == nullptr) {
    return make_error(Errc::not_found, "there is no command '{}'; known are: {}",
                      verb->get<std::string>(), known_commands());
  }
  Request fields(request);
  return command->act(node, fields);
}

Error wrong_words(const Command& command) {
  return make_error(Errc::invalid, "control {} takes: {}", command.name,
                    command.words.empty() ? "nothing" : command.words);
}

}  // namespace

std::string answer_control(Node& node, std::string_view line) {
  Answer answer = act_on(node, line);
  if (!answer) return dump(json{{"ok", false}, {"error", answer.error().message}});
  json page = std::move(*answer);
  page["ok"] = true;
  return dump(page);
}

Result<std::string> control_request(const std::vector<std::string>& words) {
  if (words.empty()) {
    return make_error(Errc::invalid, "control takes a command: {}", known_commands());
  }
  const Command* command = find_command(words.front());
  if (command == nullptr) {
    return make_error(Errc::invalid, "control knows no '{}'; known are: {}", words.front(),
                      known_commands());
  }
  json request = {{"do", command->name}};
  std::size_t next = 1;
  std::string_view fields = command->words;
  bool rest = false;
  while (!fields.empty()) {
    const std::size_t space = fields.find(' ');
    const std::string_view field = fields.substr(0, space);
    fields = space == std::string_view::npos ? "" : fields.substr(space + 1);
    rest = field == "...";
    if (rest) break;
    if (next == words.size()) return wrong_words(*command);
    request[std::string(field)] = words[next++];
  }
  for (; next < words.size(); ++next) {
    if (!rest) return wrong_words(*command);
    const std::string& word = words[next];
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos) {
      request["parameters"][word.substr(0, equals)] = word.substr(equals + 1);
    } else if (command->name == "add") {
      request["name"] = word;
    } else {
      request["further"].push_back(word);
    }
  }
  return dump(request);
}

std::string control_help() {
  std::string all;
  for (const Command& each : kCommands) {
    std::string words(each.words);
    for (char& letter : words) {
      if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    }
    all += fmt::format("  {:<34}{}\n", fmt::format("{} {}", each.name, words), each.help);
  }
  return all;
}

}  // namespace ashlar::cli
