// The graph and the verbs' results as JSON.
#include "cli/json.h"

#include <nlohmann/json.hpp>

#include "cli/graph_facts.h"

namespace ashlar::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& page) {
  return page.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json device_json(const Provider& device) {
  return {{"name", device.name},
          {"aliases", device.aliases},
          {"detail", device.detail},
          {"class", device.geom->facts().name},
          {"geom", device.geom->name()},
          {"size", device.size_bytes},
          {"block_size", device.limits.block_bytes},
          {"read_only", device.read_only},
          {"top", is_top(device)}};
}

Json geom_json(const Geom& geom) {
  Json providers = Json::array();
  for (const auto& each : geom.providers()) providers.push_back(each->name);
  Json status = Json::object();
  for (const auto& [key, value] : geom.body().status()) status[key] = value;
  return {{"name", geom.name()},
          {"class", geom.facts().name},
          {"parameters", geom.parameters()},
          {"consumers", names_below(geom)},
          {"providers", providers},
          {"tasted", geom.tasted()},
          {"evidence", geom.evidence()},
          {"status", status}};
}

}  // namespace

std::string tree_json(const Node& node) {
  Json page = {{"devices", Json::array()}, {"geoms", Json::array()}, {"doubts", Json::array()}};
  for (const Provider* each : node.topology().providers()) {
    page["devices"].push_back(device_json(*each));
  }
  for (const auto& each : node.topology().geoms()) page["geoms"].push_back(geom_json(*each));
  for (const Doubt& each : all_doubts(node)) {
    page["doubts"].push_back({{"device", each.device}, {"sentence", each.sentence}});
  }
  return text_of(page);
}

std::string sum_json(const std::vector<DeviceSum>& sums) {
  Json devices = Json::array();
  for (const DeviceSum& each : sums) {
    Json device = {{"name", each.provider->name}, {"size", each.provider->size_bytes}};
    const bool good = each.error.empty();
    device[good ? "sha256" : "error"] = good ? each.sha256 : each.error;
    devices.push_back(std::move(device));
  }
  return text_of({{"devices", std::move(devices)}});
}

}  // namespace ashlar::cli
