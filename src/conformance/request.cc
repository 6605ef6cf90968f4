// A request's memory: laid out with gaps, looked over when it has ended.
#include "conformance/request.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace ashlar::conformance {
namespace {

constexpr std::byte kGuard{0xa5};
constexpr std::size_t kGap = 16;  // guard bytes behind every piece

}  // namespace

std::vector<std::byte> Request::bytes() const {
  std::vector<std::byte> flat(extent.length);
  payload().copy_to(flat.data(), flat.size());
  return flat;
}

bool Request::guards_hold() const {
  const std::byte* at = memory.data();
  const auto untouched = [&](const std::byte* end) {
    return std::all_of(at, end, [](std::byte each) { return each == kGuard; });
  };
  for (const Segment& each : segments) {
    if (!untouched(each.data)) return false;
    at = each.data + each.length;
  }
  return untouched(memory.data() + memory.size());
}

std::string Request::text() const {
  std::string flag_text;
  if ((flags & kFua) != 0) flag_text += ", with FUA";
  if ((flags & kNoUnmap) != 0) flag_text += ", without holes";
  if (op == Op::flush) return "flush" + flag_text;
  return fmt::format("{} of {} bytes at byte {}{}", to_string(op), extent.length, extent.offset,
                     flag_text);
}

// Two to five pieces, one of them possibly empty, at addresses that are not aligned.
void scatter(Request& request, Random& random) {
  std::vector<std::size_t> lengths;
  std::uint64_t left = request.extent.length;
  while (left > 0 && lengths.size() < 4) {
    lengths.push_back(random.one_in(8) ? 0 : 1 + random.below(left));
    left -= lengths.back();
  }
  if (left > 0) lengths.push_back(left);
  request.memory.assign(1 + request.extent.length + (lengths.size() + 1) * kGap, kGuard);
  std::size_t at = 1;
  for (const std::size_t length : lengths) {
    request.segments.push_back({request.memory.data() + at, length});
    at += length + kGap;
  }
}

}  // namespace ashlar::conformance
