// The layouts of raid4, raid5 and raid6 as choices of one rule.
#include "md/parity_layout.h"

#include "base/bytes.h"
#include "md/units.h"

namespace ashlar::md {
namespace {

// Numbers of the layout word. The ones below 8 are of raid5 and raid6, 8 to 10 are those of DDF,
// and 16 to 20 are a raid5 with Q on one member more.
constexpr std::uint32_t kLeftAsymmetric = 0;
constexpr std::uint32_t kRightAsymmetric = 1;
constexpr std::uint32_t kLeftSymmetric = 2;
constexpr std::uint32_t kRightSymmetric = 3;
constexpr std::uint32_t kParityFirst = 4;
constexpr std::uint32_t kParityLast = 5;
constexpr std::uint32_t kRotatingZeroRestart = 8;
constexpr std::uint32_t kRotatingNRestart = 9;
constexpr std::uint32_t kRotatingNContinue = 10;
constexpr std::uint32_t kWithQLast = 16;

// Powers of 2 in GF(256) repeat after this many.
constexpr std::uint32_t kMaxQTerms = 255;

Result<void> check(const Geometry& geometry, std::uint32_t parities) {
  const std::uint32_t fewest = parities == 2 ? 4 : 2;
  if (geometry.raid_disks < fewest) {
    return make_error(Errc::invalid, "raid{} needs at least {} members, not {}", geometry.level,
                      fewest, geometry.raid_disks);
  }
  if (!is_power_of_two(geometry.chunk_bytes) || geometry.chunk_bytes < kPage) {
    return make_error(Errc::invalid, "a chunk of {} bytes is no power of two of at least {}",
                      geometry.chunk_bytes, kPage);
  }
  if (geometry.component_bytes < geometry.chunk_bytes) {
    return make_error(Errc::invalid, "the members have no room for a chunk");
  }
  if (geometry.component_bytes > kMaxArrayBytes / geometry.raid_disks) {
    return make_error(Errc::invalid, "the array is too long");
  }
  return {};
}

}  // namespace

struct ParityLayout::Rule {
  Turn turn = Turn::none;
  Q q = Q::none;
  bool symmetric = true;
  bool ddf = false;
  std::uint32_t fixed_p = 0;
  std::uint32_t ahead = 0;
};

ParityLayout::ParityLayout(std::uint32_t disks, const Rule& rule)
    : disks_(disks),
      data_(disks - (rule.q == Q::none ? 1 : 2)),
      ring_(disks - (rule.q == Q::last ? 1 : 0)),
      turn_(rule.turn),
      q_(rule.q),
      symmetric_(rule.symmetric),
      ddf_(rule.ddf),
      fixed_p_(rule.fixed_p),
      skip_(rule.q == Q::after ? 2 : 1),
      ahead_(rule.ahead) {}

Result<ParityLayout::Rule> ParityLayout::rule_of(const Geometry& geometry) {
  const std::uint32_t disks = geometry.raid_disks;
  Rule rule;
  // raid4 is raid5 with the parity last, whatever its layout says.
  std::uint32_t layout = geometry.level == 4 ? kParityLast : geometry.layout;
  if (geometry.level == 6) {
    rule.q = layout >= kWithQLast ? Q::last : Q::after;
    // Parity last, and Q behind it: 21 would be the same as 5 and is not in use.
    if (layout >= kWithQLast && layout < kWithQLast + kParityLast) layout -= kWithQLast;
  }
  switch (layout) {
    case kLeftAsymmetric:
    case kLeftSymmetric:
      rule.turn = Turn::left;
      rule.symmetric = layout == kLeftSymmetric;
      return rule;
    case kRightAsymmetric:
    case kRightSymmetric:
      rule.turn = Turn::right;
      rule.symmetric = layout == kRightSymmetric;
      return rule;
    case kParityFirst:
      return rule;
    case kParityLast:
      rule.fixed_p = geometry.level == 6 ? disks - 2 : disks - 1;
      return rule;
    default:
      break;
  }
  const bool of_ddf = layout >= kRotatingZeroRestart && layout <= kRotatingNContinue;
  if (geometry.level != 6 || !of_ddf) {
    return make_error(Errc::invalid, "layout {} of raid{} is not known", geometry.layout,
                      geometry.level);
  }
  rule.ddf = true;
  rule.turn = layout == kRotatingZeroRestart ? Turn::right : Turn::left;
  rule.symmetric = layout == kRotatingNContinue;
  if (layout == kRotatingNContinue) rule.q = Q::before;
  if (layout == kRotatingNRestart) rule.ahead = 1;
  return rule;
}

Result<ParityLayout> ParityLayout::make(const Geometry& geometry) {
  if (auto checked = check(geometry, geometry.level == 6 ? 2 : 1); !checked) return checked.error();
  const Result<Rule> rule = rule_of(geometry);
  if (!rule) return rule.error();
  ParityLayout layout(geometry.raid_disks, *rule);
  if (geometry.level == 6 && layout.q_terms() > kMaxQTerms) {
    return make_error(Errc::invalid, "raid6 over {} members is more than Q can tell apart",
                      geometry.raid_disks);
  }
  layout.shift_ = static_cast<unsigned>(std::countr_zero(geometry.chunk_bytes));
  layout.stripes_ = geometry.component_bytes >> layout.shift_;
  return layout;
}

bool ParityLayout::only_parity(std::uint32_t role) const noexcept {
  if (q_ == Q::last && role == disks_ - 1) return true;
  const Stripe first = stripe(0);
  return turn_ == Turn::none && (role == first.p || role == first.q);
}

Content ParityLayout::content(std::uint32_t role, std::uint64_t offset) const noexcept {
  const std::uint64_t number = offset >> shift_;
  if (number >= stripes_) return {};
  const Stripe where = stripe(number);
  if (role == where.p) return {Content::Kind::parity, 0, 0};
  if (role == where.q) return {Content::Kind::syndrome, 0, 0};
  const std::uint64_t within = offset & (chunk_bytes() - 1);
  return {Content::Kind::data, array_offset(number, data_index(where, role)) + within, 0};
}

}  // namespace ashlar::md
