// Devices as exports; see exports.h.
#include "export/nbd/exports.h"

#include <algorithm>
#include <bit>
#include <set>

namespace ashlar::nbd {
namespace {

// The protocol wants a power of two between 512 and the longest payload.
std::uint32_t preferred_bytes(const Limits& limits) {
  const std::uint64_t least = std::max<std::uint64_t>(limits.block_bytes, 512);
  const std::uint64_t wish = std::clamp<std::uint64_t>(limits.preferred_bytes, least, 1 * kMiB);
  return static_cast<std::uint32_t>(std::bit_floor(wish));
}

std::string describe(const Provider& provider) {
  const std::string_view class_name = provider.geom->facts().name;
  if (provider.detail.empty()) return std::string(class_name);
  return fmt::format("{}: {}", class_name, provider.detail);
}

ExportInfo info_of(const Provider& provider, bool writable) {
  const Limits& limits = provider.limits;
  return ExportInfo{.name = provider.name,
                    .description = describe(provider),
                    .size_bytes = provider.size_bytes,
                    .minimum_block_bytes = limits.block_bytes,
                    .preferred_block_bytes = preferred_bytes(limits),
                    .read_only = !writable,
                    .can_flush = limits.ops.has(Op::flush),
                    .can_fua = limits.ops.fua(),
                    .can_trim = limits.ops.has(Op::discard),
                    .can_write_zeroes = limits.ops.has(Op::write_zeroes),
                    .can_multi_conn = true};
}

bool is_top(const Provider& provider) {
  return std::none_of(provider.consumers.begin(), provider.consumers.end(),
                      [](const Consumer* each) { return each->geom != nullptr; });
}

std::string_view last_part(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

}  // namespace

Result<std::unique_ptr<Exports>> Exports::create(Node& node, const ExportsOptions& options) {
  std::unique_ptr<Exports> exports(new Exports(node, options));
  if (!options.only.empty()) {
    const auto known = node.find(options.only);
    if (!known) return known.error();
  }
  if (exports->entries().empty()) return make_error(Errc::not_found, "there is no device to serve");
  return exports;
}

std::vector<Exports::Entry> Exports::entries() const {
  return node_.inspect([&](const Topology& all) {
    std::vector<Entry> result;
    // What was put in above a device answers to that one's name: it is no top of its own.
    std::set<const Provider*> put_in;
    for (const Provider* each : all.providers()) put_in.insert(each->stand_in);
    const auto add = [&](Provider& provider) {
      Provider& face = provider.face();
      const bool writable = options_.write && !face.read_only;
      ExportInfo info = info_of(face, writable);
      info.name = provider.name;
      result.push_back(
          Entry{std::move(info), provider.aliases, is_top(face) && !put_in.contains(&provider)});
    };
    if (options_.only.empty()) {
      for (Provider* each : all.providers()) add(*each);
    } else if (auto provider = all.find(options_.only)) {
      add(**provider);
    }
    return result;
  });
}

std::vector<std::string> Exports::names() const {
  std::vector<std::string> result;
  for (Entry& each : entries()) result.push_back(std::move(each.info.name));
  return result;
}

std::optional<ExportInfo> Exports::find(std::string_view name) const {
  auto entry = entry_of(name);
  if (!entry) return std::nullopt;
  return std::move(entry->info);
}

std::optional<Exports::Entry> Exports::entry_of(std::string_view name) const {
  std::vector<Entry> all = entries();
  if (name.empty() && all.size() == 1) return std::move(all.front());
  Entry* candidate = nullptr;
  bool unique = true;
  for (Entry& each : all) {
    if (!name.empty() && each.info.name == name) return std::move(each);
    const bool fits = name.empty() ? each.top
                                   : last_part(each.info.name) == name ||
                                         std::find(each.aliases.begin(), each.aliases.end(),
                                                   name) != each.aliases.end();
    if (!fits) continue;
    unique = candidate == nullptr;
    candidate = &each;
  }
  if (!unique || candidate == nullptr) return std::nullopt;
  return std::move(*candidate);
}

Result<Exports::Opened> Exports::open(std::string_view name) const {
  const auto entry = entry_of(name);
  if (!entry) return make_error(Errc::not_found, "there is no export '{}'", name);
  OpenOptions wish{.write = !entry->info.read_only,
                   .exclusive = false,
                   .dispatch = options_.dispatch,
                   .user = fmt::format("NBD export {}", entry->info.name)};
  auto device = node_.open(entry->info.name, wish);
  if (!device && wish.write && device.error().code != Errc::gone) {
    wish.write = false;
    device = node_.open(entry->info.name, wish);
  }
  if (!device) return device.error();
  ExportInfo info = node_.inspect(
      [&](const Topology&) { return info_of((*device)->provider(), (*device)->writable()); });
  info.name = entry->info.name;
  return Opened{*std::move(device), std::move(info)};
}

}  // namespace ashlar::nbd
