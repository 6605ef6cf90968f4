// Questions to the graph.
#include "cli/graph_facts.h"

#include <algorithm>

namespace ashlar::cli {

bool is_top(const Provider& provider) { return geoms_above(provider).empty(); }

std::vector<std::string> names_below(const Geom& geom) {
  std::vector<std::string> names;
  for (const auto& consumer : geom.consumers()) {
    names.push_back(consumer->provider != nullptr ? consumer->provider->name : "(gone)");
  }
  return names;
}

std::vector<const Geom*> geoms_above(const Provider& provider) {
  std::vector<const Geom*> geoms;
  for (const Consumer* consumer : provider.consumers) {
    if (consumer->geom == nullptr) continue;
    const bool known = std::find(geoms.begin(), geoms.end(), consumer->geom) != geoms.end();
    if (!known) geoms.push_back(consumer->geom);
  }
  return geoms;
}

std::vector<std::pair<std::string, std::string>> chosen_parameters(const Geom& geom) {
  std::vector<std::pair<std::string, std::string>> chosen;
  for (const ParameterSpec& spec : geom.facts().parameters) {
    const auto text = geom.parameters().find(spec.name);
    if (text == geom.parameters().end()) continue;
    if (spec.required || text->second != spec.default_text) chosen.push_back(*text);
  }
  return chosen;
}

std::vector<Doubt> all_doubts(const Node& node) {
  std::vector<Doubt> all = node.doubts();
  for (const auto& geom : node.topology().geoms()) {
    for (const std::string& sentence : geom->doubts()) all.push_back({geom->name(), sentence});
  }
  return all;
}

}  // namespace ashlar::cli
