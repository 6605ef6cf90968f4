// The graph and the verbs' results as JSON.
#include "cli/json.h"

#include <nlohmann/json.hpp>

#include "cli/graph_facts.h"
#include "md/names.h"

namespace ashlar::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& page) {
  return page.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json member_json(const Provider& device) {
  if (!device.member) return nullptr;
  return {{"class", device.member->info->facts->name},
          {"group", device.member->group},
          {"detail", device.member->detail}};
}

Json device_json(const Provider& device) {
  return {{"name", device.name},
          {"aliases", device.aliases},
          {"detail", device.detail},
          {"member", member_json(device)},
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

Json edge_json(const EdgeFact& edge) { return {{"add", edge.add_bytes}, {"folded", edge.maps}}; }

Json step_json(const StepFact& step) {
  Json json = {{"index", step.index},
               {"kind", step.kind},
               {"device", step.device},
               {"parent", step.parent},
               {"edge", edge_json(step.from)},
               {"pad_offset", step.pad_offset},
               {"pad_bytes", step.pad_bytes},
               {"completion", step.completes},
               {"max_children", step.max_children},
               {"context", step.context},
               {"note", step.note}};
  if (step.extent_count == 0) return json;
  json["extent_count"] = step.extent_count;
  for (const ExtentFact& each : step.extents) {
    json["extents"].push_back({{"start", each.start},
                               {"length", each.length},
                               {"device", each.device},
                               {"offset", each.offset}});
  }
  return json;
}

Json operation_json(const OperationFact& operation) {
  Json json = {{"name", operation.name}, {"offered", operation.offered}};
  if (operation.offered) return json;
  json["stops_at"] = operation.stops_at;
  json["reason"] = operation.reason;
  return json;
}

Json parameter_json(const ParameterSpec& spec) {
  Json json = {{"name", spec.name},
               {"kind", kind_name(spec.kind)},
               {"required", spec.required},
               {"help", spec.help}};
  if (!spec.required) json["default"] = spec.default_text;
  return json;
}

Json class_json(const ClassInfo& info) {
  Json parameters = Json::array();
  for (const ParameterSpec& each : info.facts->parameters) {
    parameters.push_back(parameter_json(each));
  }
  return {{"name", info.facts->name},
          {"summary", info.facts->summary},
          {"consumers", {{"min", info.facts->min_consumers}, {"max", info.facts->max_consumers}}},
          {"tasted", info.taste != nullptr},
          {"parameters", parameters}};
}

}  // namespace

std::string_view kind_name(ParameterKind kind) {
  switch (kind) {
    case ParameterKind::bytes:
      return "bytes";
    case ParameterKind::integer:
      return "integer";
    case ParameterKind::ratio:
      return "ratio";
    case ParameterKind::flag:
      return "flag";
    case ParameterKind::text:
      return "text";
    case ParameterKind::duration:
      return "duration";
  }
  return {};
}

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

std::string explain_json(const Explanation& all) {
  Json page = {{"device", all.device},     {"class", all.kind},
               {"size", all.size_bytes},   {"block_size", all.block_bytes},
               {"dispatch", all.dispatch}, {"carve", all.carve_bytes},
               {"frame", all.frame_bytes}};
  for (const FrameFact& each : all.frame) page["frame_by_class"][each.what] = each.bytes;
  for (const StepFact& each : all.steps) page["steps"].push_back(step_json(each));
  for (const LimitFact& each : all.limits) {
    page["limits"].push_back({{"name", each.name}, {"bytes", each.bytes}, {"by", each.by}});
  }
  for (const OperationFact& each : all.operations) {
    page["operations"].push_back(operation_json(each));
  }
  for (const PlaceFact& each : all.places) {
    page["byte"].push_back(
        {{"device", each.device}, {"class", each.kind}, {"offset", each.offset}});
  }
  return text_of(page);
}

std::string md_create_json(const md::NewArray& array, const std::vector<std::string>& files) {
  const md::Superblock& any = array.any();
  Json shown = {{"uuid", md::uuid_text(any)},
                {"name", any.name},
                {"level", md::level_name(any.level)},
                {"layout", md::layout_name(any.level, any.layout)},
                {"chunk", any.chunk_bytes},
                {"metadata", md::to_string(any.version)},
                {"size", array.layout.array_bytes()},
                {"component_size", any.component_bytes},
                {"data_offset", any.data_offset_bytes},
                {"clean", any.clean()},
                {"bitmap_chunk", array.bitmap ? Json(array.bitmap->chunk_bytes) : Json()}};
  Json members = Json::array();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& each = array.superblocks[i];
    if (!each) continue;
    const std::uint16_t role = each->role();
    members.push_back({{"file", files[i]},
                       {"place", role == md::kRoleSpare ? Json() : Json(role)},
                       {"superblock_offset", each->superblock_offset_bytes},
                       {"data_size", each->data_bytes}});
  }
  return text_of({{"array", shown}, {"members", members}, {"notes", array.notes}});
}

std::string md_guess_json(const md::Guesses& guesses, const std::vector<std::string>& files,
                          const std::vector<std::string>& commands) {
  Json list = Json::array();
  for (std::size_t i = 0; i < guesses.ranked.size(); ++i) {
    const md::Guess& each = guesses.ranked[i];
    Json order = Json::array();
    for (const std::size_t device : each.order) order.push_back(files[device]);
    list.push_back({{"confidence", each.confidence},
                    {"level", md::level_name(each.level)},
                    {"layout", md::layout_name(each.level, each.layout)},
                    {"chunk", each.chunk_bytes},
                    {"data_offset", each.data_offset_bytes},
                    {"component_size", each.component_bytes},
                    {"order", order},
                    {"evidence", each.evidence},
                    {"command", commands[i]}});
  }
  return text_of({{"verdict", guesses.verdict}, {"facts", guesses.facts}, {"guesses", list}});
}

std::string map_json(const DeviceMap& map) {
  Json runs = Json::array();
  for (const StatusRun& each : map.runs) {
    runs.push_back({{"offset", each.range.offset},
                    {"length", each.range.length},
                    {"status", to_string(each.status)}});
  }
  return text_of({{"device", map.device}, {"size", map.size_bytes}, {"runs", std::move(runs)}});
}

std::string diff_json(const std::vector<DeviceDiff>& diffs) {
  Json devices = Json::array();
  for (const DeviceDiff& diff : diffs) {
    Json ranges = Json::array();
    for (const Extent& each : diff.ranges) {
      ranges.push_back({{"offset", each.offset}, {"length", each.length}});
    }
    devices.push_back({{"name", diff.device},
                       {"size", diff.size_bytes},
                       {"only_here", diff.only_here},
                       {"ranges", std::move(ranges)}});
  }
  return text_of({{"devices", std::move(devices)}});
}

std::string commit_json(const std::vector<CommitFact>& facts) {
  Json images = Json::array();
  for (const CommitFact& each : facts) {
    images.push_back({{"image", each.image},
                      {"overlay", each.overlay},
                      {"bytes", each.bytes},
                      {"before", each.before}});
  }
  return text_of({{"images", std::move(images)}});
}

std::string upkeep_json(const std::string& array, const UpkeepStatus& status) {
  return text_of({{"array", array},
                  {"work", status.work},
                  {"state", to_string(status.state)},
                  {"done", status.done_bytes},
                  {"total", status.total_bytes},
                  {"rate", status.bytes_per_second},
                  {"mismatches", status.mismatches},
                  {"unread", status.unread_bytes},
                  {"works", status.works},
                  {"problem", status.problem}});
}

std::string classes_json(const std::vector<const ClassInfo*>& classes) {
  Json list = Json::array();
  for (const ClassInfo* each : classes) list.push_back(class_json(*each));
  return text_of({{"classes", std::move(list)}});
}

}  // namespace ashlar::cli
