// raid4, 5 and 6 over any disks, without superblocks: a class for tests.
//
//   level = 5, chunk = 4KiB, layout = 2 (left-symmetric), missing = bits of roles that are not
//   there
#pragma once

#include <algorithm>
#include <array>

#include "class/md/array.h"

namespace ashlar::test {

inline constexpr std::array kParityTestParameters = {
    ParameterSpec{.name = "level",
                  .kind = ParameterKind::integer,
                  .default_text = "5",
                  .help = "4, 5 or 6",
                  .min = 4,
                  .max = 6},
    ParameterSpec{.name = "layout",
                  .kind = ParameterKind::integer,
                  .default_text = "2",
                  .help = "as mdadm numbers it",
                  .min = 0,
                  .max = 255},
    ParameterSpec{.name = "chunk",
                  .kind = ParameterKind::bytes,
                  .default_text = "4KiB",
                  .help = "of a member",
                  .min = 4096,
                  .max = kGiB},
    ParameterSpec{.name = "missing",
                  .kind = ParameterKind::integer,
                  .default_text = "0",
                  .help = "bits of roles that are not there",
                  .min = 0,
                  .max = ~0u},
};

constexpr OpPolicies kParityTestPolicies = {.read = OpPolicy::handle,
                                            .write = OpPolicy::handle,
                                            .flush = OpPolicy::handle,
                                            .fua = true,
                                            .repair = OpPolicy::handle};

// Not all the same, as on real members.
inline std::uint64_t parity_test_data_offset(std::uint32_t role) { return 4096 * (role % 2); }

// Consumer k is the member with role k, missing or not.
inline Result<GeomPlan> create_parity_test(const CreateArguments& arguments) {
  md::Geometry geometry;
  geometry.level = static_cast<std::int32_t>(arguments.parameters.number("level"));
  geometry.layout = static_cast<std::uint32_t>(arguments.parameters.number("layout"));
  geometry.chunk_bytes = arguments.parameters.number("chunk");
  geometry.raid_disks = static_cast<std::uint32_t>(arguments.consumers.size());
  geometry.component_bytes = kMaxDeviceBytes;
  auto array = std::make_unique<MdArray>(geometry.raid_disks);
  for (std::uint32_t i = 0; i < geometry.raid_disks; ++i) {
    const ConsumerView& view = arguments.consumers[i];
    array->places[i].consumer = i;
    array->places[i].data_offset_bytes = parity_test_data_offset(i);
    const std::uint64_t data = view.size_bytes - array->places[i].data_offset_bytes;
    geometry.component_bytes = std::min(geometry.component_bytes, data);
    array->block_bytes = std::max(array->block_bytes, view.limits.block_bytes);
    const bool missing = (arguments.parameters.number("missing") >> i & 1) != 0;
    if (!missing) array->members.set_live(i);
  }
  geometry.component_bytes -= geometry.component_bytes % geometry.chunk_bytes;
  auto layout = md::Layout::make(geometry);
  if (!layout) return layout.error();
  array->assembly.layout = *layout;
  GeomPlan plan;
  plan.providers.push_back({.size_bytes = layout->array_bytes()});
  auto body = make_md_parity(std::move(array));
  if (!body) return body.error();
  plan.body = std::move(*body);
  return plan;
}

inline const ClassInfo& parity_test_class() {
  static constexpr ClassFacts kFacts = {.name = "parity_test",
                                        .summary = "parity without superblocks",
                                        .min_consumers = 2,
                                        .max_consumers = kMaxMdMembers,
                                        .policies = kParityTestPolicies,
                                        .parameters = kParityTestParameters};
  static constexpr ClassInfo kInfo = {&kFacts, &create_parity_test, nullptr};
  return kInfo;
}

}  // namespace ashlar::test
