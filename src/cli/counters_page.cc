// Counters as JSON, and from there as a page of tables.
#include "cli/counters_page.h"

#include "cli/table.h"

namespace ashlar::cli {
namespace {

using nlohmann::json;

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

void put_requests(json& into, std::uint64_t requests, std::uint64_t short_frames,
                  std::uint64_t shortages) {
  into["requests"] = requests;
  into["short_frames"] = short_frames;
  into["short_frame_share"] = share(short_frames, requests);
  into["shortages"] = shortages;
}

json layer_json(const LayerCounters& layer) {
  json operations = json::object();
  for (std::size_t i = 0; i < kOpCount; ++i) {
    const OpCounters& each = layer.ops[i];
    if (each.requests == 0 && each.errors == 0) continue;
    operations[std::string(to_string(static_cast<Op>(i)))] = {
        {"requests", each.requests}, {"bytes", each.bytes}, {"errors", each.errors}};
  }
  return {{"device", layer.device}, {"class", layer.class_name}, {"operations", operations}};
}

json caller_json(const ChannelCounters& caller) {
  json page = {{"user", caller.user}, {"silent", caller.silent}};
  if (caller.silent) return page;
  put_requests(page, caller.requests, caller.short_frames, caller.shortages);
  page["frame"] = caller.frame_bytes;
  for (const LayerCounters& each : caller.layers) page["layers"].push_back(layer_json(each));
  if (caller.latency) {
    const LatencyFigures& times = *caller.latency;
    page["latency"] = {{"every", times.every},
                       {"count", times.count},
                       {"p50_ns", times.p50_ns},
                       {"p99_ns", times.p99_ns},
                       {"max_ns", times.max_ns}};
  }
  return page;
}

// What a page has under `key`, where it is of the kind that is wanted; the rest is left out.
std::uint64_t number(const json& page, const char* key) {
  const auto found = page.is_object() ? page.find(key) : page.end();
  return found != page.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string text(const json& page, const char* key) {
  const auto found = page.is_object() ? page.find(key) : page.end();
  return found != page.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const json& part(const json& page, const char* key) {
  static const json kNothing = json::array();
  const auto found = page.is_object() ? page.find(key) : page.end();
  return found != page.end() && found->is_structured() ? *found : kNothing;
}

std::string percent(const json& page) {
  return fmt::format("{:.1f} %",
                     100 * share(number(page, "short_frames"), number(page, "requests")));
}

std::string micros(const json& page, const char* key) {
  return fmt::format("{:.1f} us", static_cast<double>(number(page, key)) / 1000);
}

std::vector<std::string> request_cells(std::string name, const json& page) {
  return {std::move(name), grouped(number(page, "requests")), grouped(number(page, "short_frames")),
          percent(page), grouped(number(page, "shortages"))};
}

std::string requests_table(const json& devices, const Paint& paint) {
  Table table({{&Paint::name}, {nullptr, true}, {nullptr, true}, {nullptr, true}, {nullptr, true}});
  table.add({"DEVICE, CALLER", "REQUESTS", "SHORT FRAMES", "SHARE", "SHORTAGES"});
  for (const json& device : devices) {
    table.add(request_cells(text(device, "device"), device));
    for (const json& caller : part(device, "callers")) {
      const std::string name = "  " + text(caller, "user");
      const bool silent = caller.is_object() && caller.value("silent", json(false)) == json(true);
      if (silent) table.add({name, "silent", "", "", ""});
      if (!silent) table.add(request_cells(name, caller));
    }
  }
  return table.text(paint);
}

std::string layers_table(const json& caller, const Paint& paint) {
  Table table({{&Paint::name}, {}, {}, {nullptr, true}, {nullptr, true}, {nullptr, true}});
  table.add({"LAYER", "CLASS", "OPERATION", "REQUESTS", "BYTES", "ERRORS"});
  for (const json& layer : part(caller, "layers")) {
    std::string name = text(layer, "device"), kind = text(layer, "class");
    for (const auto& [op, counts] : part(layer, "operations").items()) {
      table.add({std::exchange(name, ""), std::exchange(kind, ""), op,
                 grouped(number(counts, "requests")), grouped(number(counts, "bytes")),
                 grouped(number(counts, "errors"))});
    }
    if (!name.empty()) table.add({name, kind, "-", "", "", ""});
  }
  return table.text(paint);
}

std::string details(const json& device, const json& caller, const Paint& paint) {
  const bool layers = !part(caller, "layers").empty();
  const json& times = part(caller, "latency");
  if (!layers && times.empty()) return {};
  std::string all = fmt::format("\n{}, {}\n", paint.bold(printable(text(device, "device"))),
                                printable(text(caller, "user")));
  if (!times.empty()) {
    all += fmt::format("  times of {} requests, one in {}: p50 {}, p99 {}, max {}\n",
                       grouped(number(times, "count")), number(times, "every"),
                       micros(times, "p50_ns"), micros(times, "p99_ns"), micros(times, "max_ns"));
  }
  if (layers) all += layers_table(caller, paint);
  return all;
}

}  // namespace

json counters_json(const std::vector<DeviceCounters>& devices) {
  json all = json::array();
  for (const DeviceCounters& device : devices) {
    std::uint64_t requests = 0, short_frames = 0, shortages = 0, silent = 0;
    json page = {{"device", device.device}, {"callers", json::array()}};
    for (const ChannelCounters& each : device.channels) {
      requests += each.requests;
      short_frames += each.short_frames;
      shortages += each.shortages;
      silent += each.silent ? 1 : 0;
      page["callers"].push_back(caller_json(each));
    }
    put_requests(page, requests, short_frames, shortages);
    page["silent"] = silent;
    all.push_back(std::move(page));
  }
  return {{"devices", std::move(all)}};
}

std::string counters_page(const json& page, const Paint& paint) {
  const json& devices = part(page, "devices");
  if (devices.empty()) return "nobody has a device open\n";
  std::string all = requests_table(devices, paint);
  for (const json& device : devices) {
    for (const json& caller : part(device, "callers")) all += details(device, caller, paint);
  }
  return all;
}

}  // namespace ashlar::cli
