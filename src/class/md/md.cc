// md: arrays of Linux md. Which members make which array is decided by md/assembly.h; here the
// devices are looked at, and the body of the level is made.
#include <algorithm>
#include <array>
#include <cctype>

#include "class/md/array.h"
#include "class/md/member.h"
#include "class/md/metadata.h"
#include "class/md/planted.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

constexpr std::array kParameters = {
    ParameterSpec{.name = "insist",
                  .kind = ParameterKind::flag,
                  .default_text = "false",
                  .help = "start an array of which some data may be wrong: dirty and degraded"},
    ParameterSpec{.name = "writable_without_records",
                  .kind = ParameterKind::flag,
                  .default_text = "false",
                  .help = "for tests: may be written, and no superblock or bitmap will tell of it"},
};

constexpr OpPolicies kPolicies = [] {
  OpPolicies policies = OpPolicies::handle_all();
  policies.repair = OpPolicy::handle;
  return policies;
}();

constexpr ClassFacts kFacts = {
    .name = "md",
    .summary = "arrays of Linux md: linear, raid0, raid1, raid4, raid5, raid6, raid10",
    .min_consumers = 1,
    .max_consumers = kMaxConsumers,
    .policies = kPolicies,
    .payload = PayloadUse::bytes,
    .parameters = kParameters,
    .consumers_join = true,
};

// Devices as candidates, numbered as the consumers.
Result<std::vector<md::Candidate>> candidates_of(std::span<ConsumerView> consumers) {
  std::vector<md::Candidate> candidates;
  for (const ConsumerView& each : consumers) {
    auto superblock = find_md_superblock(*each.reader);
    if (!superblock) return superblock.error();
    if (!superblock->has_value()) {
      return make_error(Errc::not_found, "md: {}: it is no member of an array", each.name);
    }
    candidates.push_back({each.name, std::move(**superblock)});
  }
  return candidates;
}

// The one array that the candidates belong to, and that runs.
Result<md::Assembly> assembled(const std::vector<md::Candidate>& candidates, bool insist) {
  std::vector<md::Assembly> arrays = md::assemble(candidates);
  const auto title = [&](const md::Assembly& array) {
    return md_title(candidates[array.freshest].superblock);
  };
  if (arrays.size() != 1) {
    std::string all;
    for (const md::Assembly& each : arrays) all += (all.empty() ? "" : ", ") + title(each);
    return make_error(Errc::invalid, "md: the devices belong to {} arrays: {}", arrays.size(), all);
  }
  md::Assembly& array = arrays.front();
  if (!array.refusal.empty()) {
    return make_error(Errc::invalid, "md: {}: {}", title(array), array.refusal);
  }
  if (!array.needs_insistence.empty() && !insist) {
    return make_error(Errc::invalid, "md: {}: {}; `insist` starts it all the same", title(array),
                      array.needs_insistence);
  }
  return std::move(array);
}

// Requests go on to the members in whole blocks of theirs.
Result<void> check_blocks(const MdArray& array) {
  const std::uint64_t block = array.block_bytes;
  const std::uint64_t chunk = array.superblock().chunk_bytes;
  const bool chunks = array.layout().mirror() == nullptr && array.layout().linear() == nullptr;
  if (chunks && chunk % block != 0) {
    return make_error(Errc::invalid, "md: {}: chunks of {} bytes over devices with blocks of {}",
                      md_title(array.superblock()), chunk, block);
  }
  for (const MdPlace& each : array.places) {
    if (!each.there() || each.data_offset_bytes % block == 0) continue;
    return make_error(Errc::invalid, "md: {}: data begin at byte {}, within a block of {}",
                      array.names[each.consumer], each.data_offset_bytes, block);
  }
  return {};
}

Result<void> fill_place(MdArray& array, std::uint32_t role, std::span<ConsumerView> consumers) {
  const md::Member& member = *array.assembly.members[role];
  const md::Superblock& superblock = array.superblocks[member.candidate];
  auto bad_blocks = read_md_bad_blocks(*consumers[member.candidate].reader, superblock);
  if (!bad_blocks) return bad_blocks.error();
  array.places[role] = {static_cast<std::uint32_t>(member.candidate), superblock.data_offset_bytes,
                        md_bad_data(*bad_blocks, superblock)};
  if (role >= kMaxMdMembers) return {};
  if (member.in_sync()) {
    array.members.set_live(role);
  } else {
    array.members.set_filling(role, member.recovery_offset_bytes);
  }
  return {};
}

Result<std::unique_ptr<MdArray>> make_array(const CreateArguments& arguments) {
  auto candidates = candidates_of(arguments.consumers);
  if (!candidates) return candidates.error();
  auto assembly = assembled(*candidates, arguments.parameters.flag("insist"));
  if (!assembly) return assembly.error();
  const std::size_t count = assembly->members.size();
  const bool redundant =
      assembly->layout->linear() == nullptr && assembly->layout->raid0() == nullptr;
  if (redundant && count > kMaxMdMembers) {
    return make_error(Errc::unsupported, "md: {}: it has {} members; {} are supported",
                      md_title((*candidates)[assembly->freshest].superblock), count, kMaxMdMembers);
  }
  auto array = std::make_unique<MdArray>(static_cast<std::uint32_t>(count));
  array->assembly = std::move(*assembly);
  for (md::Candidate& each : *candidates) {
    array->names.push_back(std::move(each.name));
    array->superblocks.push_back(std::move(each.superblock));
  }
  for (const ConsumerView& each : arguments.consumers) {
    array->block_bytes = std::max(array->block_bytes, each.limits.block_bytes);
  }
  for (std::uint32_t role = 0; role < count; ++role) {
    if (!array->assembly.members[role]) continue;
    if (auto filled = fill_place(*array, role, arguments.consumers); !filled) return filled.error();
  }
  if (auto fits = check_blocks(*array); !fits) return fits.error();
  return array;
}

// "data" of "host:data"; nothing where that would be no good name.
std::string wished_name(const md::Superblock& superblock) {
  const std::string& full = superblock.name;
  const std::size_t colon = full.rfind(':');
  const std::string name = colon == std::string::npos ? full : full.substr(colon + 1);
  const bool sane = std::all_of(name.begin(), name.end(), [](unsigned char each) {
    return std::isalnum(each) != 0 || each == '-' || each == '_' || each == '.';
  });
  if (!sane || name.empty() || name[0] == '-' || name[0] == '.') return {};
  // md/0 is md0 to everybody.
  const bool number = std::all_of(name.begin(), name.end(),
                                  [](unsigned char each) { return std::isdigit(each) != 0; });
  return number ? "md" + name : name;
}

std::vector<MapExtent> linear_map(const MdArray& array) {
  std::vector<MapExtent> map;
  const std::uint64_t size = array.size_bytes();
  for (std::uint64_t at = 0; at < size;) {
    const md::Place place = array.layout().place(at);
    const std::uint64_t length = std::min(place.run_bytes, size - at);
    map.push_back({at, length, array.places[place.role].consumer,
                   array.on_device(place.role, place.offset_bytes)});
    at += length;
  }
  return map;
}

void tell(const MdArray& array, GeomPlan& plan) {
  const md::Superblock& superblock = array.superblock();
  plan.evidence.push_back(fmt::format("{} {}, UUID {}, superblock {} with {} events",
                                      md::level_name(superblock.level), md_title(superblock),
                                      array.assembly.uuid, md::to_string(superblock.version),
                                      superblock.events));
  plan.doubts = array.assembly.doubts;
  if (array.assembly.degraded != 0) {
    plan.doubts.push_back(fmt::format("it runs with {} of {} members in sync",
                                      array.places.size() - array.assembly.degraded,
                                      array.places.size()));
  }
  for (const md::LeftOut& each : array.assembly.left_out) {
    plan.doubts.push_back(
        fmt::format("{} is left out: it {}", array.names[each.candidate], each.reason));
  }
  if (array.assembly.dirty()) {
    plan.doubts.push_back(
        fmt::format("it was not shut down cleanly: copies or parity may differ from byte {} on",
                    array.assembly.resync_offset_bytes));
  }
  if (!array.assembly.needs_insistence.empty()) {
    plan.doubts.push_back(array.assembly.needs_insistence);
  }
}

ProviderPlan provider_of(const MdArray& array) {
  ProviderPlan provider;
  provider.size_bytes = array.size_bytes();
  provider.aliases.push_back("uuid:" + array.assembly.uuid);
  provider.detail = md::level_name(array.superblock().level);
  if (array.layout().linear() != nullptr) provider.map = linear_map(array);
  return provider;
}

Result<std::unique_ptr<GeomBody>> body_of(std::unique_ptr<MdArray> array) {
  const md::Layout& layout = array->layout();
  if (layout.parity() != nullptr) return make_md_parity(std::move(array));
  if (layout.linear() != nullptr) return make_md_linear(std::move(array));
  if (layout.raid0() != nullptr) return make_md_raid0(std::move(array));
  return make_md_copies(std::move(array));
}

Result<GeomPlan> create(const CreateArguments& arguments) {
  return create_md(arguments, MdPlanted::none);
}

}  // namespace

Result<GeomPlan> create_md(const CreateArguments& arguments, MdPlanted planted) {
  auto array = make_array(arguments);
  if (!array) return array.error();
  (*array)->planted = planted;
  const md::Layout& layout = (*array)->layout();
  GeomPlan plan;
  plan.name = wished_name((*array)->superblock());
  tell(**array, plan);
  // What is written twice, or with parity, is recorded on the members.
  const bool plain = layout.linear() != nullptr || layout.raid0() != nullptr;
  const bool unrecorded = arguments.parameters.flag("writable_without_records");
  plan.providers.push_back(provider_of(**array));
  if (!plain && !unrecorded) {
    // What cannot be kept up can still be read.
    if (auto added = add_md_keeper(**array, arguments.consumers); !added) {
      if (added.error().code == Errc::no_memory) return added.error();
      plan.providers.back().read_only = true;
      plan.doubts.push_back("it can only be read: " + added.error().message);
    }
  }
  auto body = body_of(std::move(*array));
  if (!body) return body.error();
  plan.body = std::move(*body);
  return plan;
}

const ClassInfo& md_class() {
  static constexpr ClassInfo kInfo = {&kFacts, &create, nullptr, &md_membership};
  return kInfo;
}

}  // namespace ashlar
