// Devices as exports; see exports.h.
#include "export/nbd/exports.h"

#include <algorithm>
#include <bit>

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
  const auto add = [&](const Provider& provider) {
    const bool writable = options.write && !provider.read_only;
    exports->entries_.push_back(
        Entry{info_of(provider, writable), provider.aliases, is_top(provider)});
  };
  if (!options.only.empty()) {
    auto provider = node.topology().find(options.only);
    if (!provider) return provider.error();
    add(**provider);
    return exports;
  }
  for (const Provider* each : node.topology().providers()) add(*each);
  if (exports->entries_.empty()) return make_error(Errc::not_found, "there is no device to serve");
  return exports;
}

std::vector<std::string> Exports::names() const {
  std::vector<std::string> result;
  for (const Entry& each : entries_) result.push_back(each.info.name);
  return result;
}

std::optional<ExportInfo> Exports::find(std::string_view name) const {
  const Entry* entry = entry_of(name);
  if (entry == nullptr) return std::nullopt;
  return entry->info;
}

const Exports::Entry* Exports::default_entry() const {
  if (entries_.size() == 1) return &entries_.front();
  const auto is_top_entry = [](const Entry& each) { return each.top; };
  if (std::count_if(entries_.begin(), entries_.end(), is_top_entry) != 1) return nullptr;
  return &*std::find_if(entries_.begin(), entries_.end(), is_top_entry);
}

const Exports::Entry* Exports::entry_of(std::string_view name) const {
  if (name.empty()) return default_entry();
  const Entry* candidate = nullptr;
  bool unique = true;
  for (const Entry& each : entries_) {
    if (each.info.name == name) return &each;
    const bool fits =
        last_part(each.info.name) == name ||
        std::find(each.aliases.begin(), each.aliases.end(), name) != each.aliases.end();
    if (!fits) continue;
    unique = candidate == nullptr;
    candidate = &each;
  }
  return unique ? candidate : nullptr;
}

Result<Exports::Opened> Exports::open(std::string_view name) const {
  const Entry* entry = entry_of(name);
  if (entry == nullptr) return make_error(Errc::not_found, "there is no export '{}'", name);
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
  ExportInfo info = info_of((*device)->provider(), (*device)->writable());
  return Opened{*std::move(device), std::move(info)};
}

}  // namespace ashlar::nbd
