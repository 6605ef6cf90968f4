// What lies below goes away, or has another size; what is found on a disk becomes a geom.
#include <algorithm>

#include "conformance/aspects.h"
#include "conformance/layout.h"
#include "program/explain.h"

namespace ashlar::conformance {
namespace {

constexpr std::uint64_t kGrowthBytes = 64 * kKiB;

// --- orphans
// --------------------------------------------------------------------------------------

// Two requests that are under way when a disk goes.
std::vector<Request*> submit_pair(Subject& subject) {
  const Extent extent = crossing_extent(subject);
  std::vector<Request*> pair = {&subject.submit(Op::read, extent)};
  if (!subject.offers(Op::write)) return pair;
  const std::uint64_t block = subject.block();
  const std::uint64_t at = extent.offset >= block ? 0 : subject.size() - block;
  pair.push_back(&subject.submit(Op::write, {at, block}));
  return pair;
}

void settle_pair(Subject& subject, const std::vector<Request*>& pair) {
  for (Request* each : pair) {
    const Errc error = subject.settle(*each);
    if (error == Errc::ok || error == Errc::gone) continue;
    subject.complain(fmt::format("a disk went away under the {}, which ended with '{}'",
                                 each->text(), to_string(error)));
  }
}

// A device that is gone answers with nothing else; what it still delivers is right.
void expect_gone(Subject& subject) {
  const std::uint64_t piece = std::min<std::uint64_t>(subject.size(), 64 * kKiB);
  bool any = false;
  for (std::uint64_t at = 0; at < subject.size() && !subject.failed(); at += piece) {
    const Errc error = subject.run(Op::read, {at, std::min(piece, subject.size() - at)});
    any = any || error == Errc::gone;
    if (error == Errc::ok || error == Errc::gone) continue;
    subject.complain(
        fmt::format("after a disk went away a read ended with '{}'", to_string(error)));
  }
  if (!any) subject.complain("it withered with a disk, and all of it can still be read");
}

void expect_survival(Subject& subject) {
  subject.check_all();
  subject.expect_works();
  subject.recompile();
  subject.expect_works();
}

void lose_disk(const Trial& trial, std::uint32_t disk) {
  Subject subject(trial);
  if (subject.failed()) return;
  subject.fill();
  subject.shelf().hold(Numbers::all());
  const std::vector<Request*> pair = submit_pair(subject);
  subject.wait_until([&] { return subject.shelf().held() > 0; }, *pair[0]);
  subject.topology().orphan(subject.shelf().provider(disk), Errc::gone);
  subject.shelf().hold({});
  subject.shelf().release_held();
  settle_pair(subject, pair);
  if (subject.failed()) return;
  const bool withered = subject.top().orphaned != Errc::ok;
  withered ? expect_gone(subject) : expect_survival(subject);
}

void lose_leaf(const Trial& trial) {
  Subject subject(trial);
  if (subject.failed()) return;
  subject.fill();
  const std::vector<Request*> pair = submit_pair(subject);
  subject.topology().orphan(subject.top(), Errc::gone);
  settle_pair(subject, pair);
  expect_gone(subject);
}

// --- sizes
// ----------------------------------------------------------------------------------------

// The last byte, and those at the borders, lie on the disks.
bool lies_within(Subject& subject) {
  const std::uint64_t size = subject.size();
  if (size % subject.block() != 0) {
    subject.complain(fmt::format("resized to {} bytes, not whole blocks", size));
  }
  for (std::uint64_t at = 0; at < size && !subject.failed(); at += subject.block()) {
    for (const ByteLocation& each : locate_byte(subject.top(), at)) {
      if (each.provider == nullptr || each.offset < each.provider->size_bytes) continue;
      subject.complain(fmt::format("resized to {} bytes, of which byte {} lies past the end of {}",
                                   size, at, each.provider->name));
      break;
    }
  }
  return !subject.failed();
}

// A disk changes its size under one request; what both sizes have stays where it is.
void resize_disk(const Trial& trial, std::uint32_t disk, std::uint64_t size_bytes) {
  Subject subject(trial);
  if (subject.failed()) return;
  subject.fill();
  const std::uint64_t before = subject.size();
  const bool grows = size_bytes > subject.shelf().provider(disk).size_bytes;
  subject.shelf().hold(Numbers::all());
  Request& request = subject.submit(Op::read, {0, subject.block()});
  subject.wait_until([&] { return subject.shelf().held() > 0; }, request);
  subject.shelf().resize(subject.topology(), disk, size_bytes);
  subject.shelf().hold({});
  subject.shelf().release_held();
  subject.settle(request);
  if (subject.failed()) return;
  if (grows ? subject.size() < before : subject.size() > before) {
    return subject.complain("a disk changed its size, and the device changed the other way");
  }
  if (!lies_within(subject)) return;
  subject.recompile();
  subject.resize_model();
  subject.check_all();
  subject.expect_works();
}

// --- tasting
// --------------------------------------------------------------------------------------

void expect_offer(const Trial& trial, TasteReader& reader) {
  const auto offer = trial.info.taste(reader);
  if (!offer) return trial.complain("it did not recognise its own: " + offer.error().message);
  if (!offer->has_value()) return trial.complain("it did not recognise its own");
  const GeomPlan& plan = **offer;
  if (plan.confidence < 1 || plan.confidence > 100)
    trial.complain("its confidence is no percentage");
  if (plan.providers.empty()) trial.complain("it recognised its own, and offers no device");
  if (plan.evidence.empty()) trial.complain("it recognised its own, and does not say by what");
}

void expect_no_offer(const Trial& trial, std::vector<std::byte> bytes, const char* what) {
  Topology topology;
  Shelf shelf;
  Provider& disk = shelf.add(topology, std::move(bytes), trial.ground.limits);
  const auto offer = trial.info.taste(*shelf.reader(disk));
  if (!offer || !offer->has_value()) return;
  if ((*offer)->doubts.empty()) trial.complain(fmt::format("it recognised {}", what));
}

std::vector<std::byte> prepared(const Trial& trial) {
  std::vector<std::byte> bytes(disk_size(trial.options, 0));
  trial.options.prepare({0, trial.ground.limits.block_bytes, bytes});
  return bytes;
}

// Bytes that were right, and cut off or damaged: an offer with doubts, an error, or nothing.
void taste_damaged(const Trial& trial) {
  Random random(trial.options.seed);
  for (int i = 0; i < 64; ++i) {
    std::vector<std::byte> bytes = prepared(trial);
    const std::uint64_t reach = i % 2 == 0 ? 4096 : bytes.size();
    for (int flips = 0; flips < 8; ++flips) {
      bytes[random.below(reach)] ^= static_cast<std::byte>(1 + random.below(255));
    }
    if (i % 4 == 3) bytes.resize(align_down(random.below(bytes.size()), 4096) + 4096);
    Topology topology;
    Shelf shelf;
    Provider& disk = shelf.add(topology, std::move(bytes), trial.ground.limits);
    const auto offer = trial.info.taste(*shelf.reader(disk));
    if (offer && offer->has_value() && (*offer)->confidence > 100) {
      return trial.complain("its confidence in a damaged disk is no percentage");
    }
  }
}

}  // namespace

void check_orphan(const Trial& trial) {
  if (!trial.ground.plain) return;
  if (trial.ground.disks == 0) return lose_leaf(trial);
  for (std::uint32_t disk = 0; disk < trial.ground.disks && !trial.failed(); ++disk) {
    lose_disk(trial, disk);
  }
}

void check_resize(const Trial& trial) {
  for (std::uint32_t disk = 0; disk < trial.ground.disks; ++disk) {
    const std::uint64_t size = disk_size(trial.options, disk);
    for (const std::uint64_t fresh : {size + kGrowthBytes, size - kGrowthBytes}) {
      if (!trial.failed()) resize_disk(trial, disk, fresh);
    }
  }
}

void check_taste(const Trial& trial) {
  if (trial.info.taste == nullptr || !trial.ground.plain) return;
  if (!trial.options.prepare) return trial.complain("it tastes; say in Options what it finds");
  Topology topology;
  Shelf shelf;
  Provider& disk = shelf.add(topology, prepared(trial), trial.ground.limits);
  expect_offer(trial, *shelf.reader(disk));
  const std::uint64_t size = disk_size(trial.options, 0);
  expect_no_offer(trial, std::vector<std::byte>(size), "an empty disk");
  expect_no_offer(trial, std::vector<std::byte>(trial.ground.limits.block_bytes), "an empty block");
  expect_no_offer(trial, std::vector<std::byte>(size, std::byte{0xff}), "a disk of ones");
  taste_damaged(trial);
}

}  // namespace ashlar::conformance
