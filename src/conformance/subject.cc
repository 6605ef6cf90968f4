// A class under test is made, opened, asked and closed.
#include "conformance/subject.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "program/explain.h"

namespace ashlar::conformance {
namespace {

// A device of which a part is enough: the suite fills and reads what it looks at many times.
constexpr std::uint64_t kPieceBytes = 64 * kKiB;

// What a request that never ended still uses: it can be neither ended nor freed.
std::vector<const void*>& left_behind() {
  static auto* const all = new std::vector<const void*>;
  return *all;
}

}  // namespace

void Trial::complain(const std::string& sentence) const {
  if (failed()) return;
  const char* const mode = dispatch == Dispatch::direct ? "direct" : "queued";
  wrong.push_back(fmt::format("{} ({}, {}): {}", info.facts->name, ground.name, mode, sentence));
}

std::uint64_t disk_size(const Options& options, std::uint32_t number) {
  return options.disk_bytes + number * 16 * kKiB;
}

Subject::Subject(const Trial& trial, std::pmr::memory_resource* memory)
    : trial_(trial), parts_(std::make_unique<Parts>()), random_(trial.options.seed) {
  // A trial that has failed asks no more; what it made must be there all the same.
  if (!make() || !open(memory)) ASHLAR_ASSERT(failed());
}

Subject::~Subject() {
  if (parts_->channel != nullptr) end_requests();
  if (hung_) {
    left_behind().push_back(parts_.release());
    return;
  }
  if (parts_->channel != nullptr) take_stock();
  parts_->channel.reset();
  parts_->programs.clear();
  if (parts_->user != nullptr) parts_->topology.detach(parts_->user);
}

// A trial that failed has left some under way.
void Subject::end_requests() {
  shelf().hold({});
  shelf().release_held();
  for (const auto& each : parts_->requests) {
    if (each->bio == nullptr || !wait(*each)) continue;
    channel().release(*std::exchange(each->bio, nullptr));
  }
}

void Subject::take_stock() {
  for (const auto& each : parts_->requests) {
    if (each->ends != 1) complain(fmt::format("{} ended {} times", each->text(), each->ends));
  }
  if (channel().in_flight() != 0) complain("requests are still under way");
  if (shelf().held() != 0) complain("a disk still has a request that nobody waits for");
  if (const auto complaint = shelf().complaint()) complain(*complaint);
}

// --- making and opening
// ---------------------------------------------------------------------------

Provider& Subject::make_disk(std::uint32_t number) {
  const Options& options = trial_.options;
  std::vector<std::byte> bytes(disk_size(options, number));
  if (options.prepare) {
    options.prepare({number, trial_.ground.limits.block_bytes, bytes});
  } else {
    for (std::size_t i = 0; i < bytes.size(); i += 8) store_le(ByteSpan(bytes), i, random_.next());
  }
  return shelf().add(topology(), std::move(bytes), trial_.ground.limits);
}

ParameterTexts Subject::parameters() const {
  ParameterTexts all = trial_.options.parameters;
  for (const ParameterSpec& each : trial_.info.facts->parameters) {
    if (!each.required || each.kind != ParameterKind::bytes) continue;
    all.try_emplace(std::string(each.name), std::to_string(trial_.options.disk_bytes));
  }
  return all;
}

bool Subject::make() {
  auto lane = Lane::create({});
  if (!lane) {
    complain(lane.error().message);
    return false;
  }
  parts_->lane = std::move(*lane);
  topology().set_reader_factory([this](Provider& provider) { return shelf().reader(provider); });
  CreateRequest request{"subject", {}, parameters()};
  for (std::uint32_t i = 0; i < trial_.ground.disks; ++i) request.over.push_back(&make_disk(i));
  auto geom = topology().create(trial_.info, std::move(request));
  if (!geom) {
    complain("it could not be made, perhaps for want of conformance::Options: " +
             geom.error().message);
    return false;
  }
  parts_->geom = *geom;
  if (geom.value()->providers().empty()) complain("it was made, and offers no device");
  return !failed();
}

bool Subject::open(std::pmr::memory_resource* memory) {
  parts_->user = topology().attach(top(), "conformance");
  writable_ = !top().read_only && limits().ops.has(Op::write);
  if (auto set = topology().set_access(*parts_->user, {1, writable_ ? 1 : 0, 0}); !set) {
    complain(set.error().message);
    return false;
  }
  auto program = compile(top(), {.dispatch = trial_.dispatch});
  if (!program) {
    complain(program.error().message);
    return false;
  }
  parts_->program = program->get();
  parts_->programs.push_back(std::move(*program));
  auto channel = Channel::open(lane(), *parts_->program, {.writable = writable_, .memory = memory});
  if (!channel) {
    complain(channel.error().message);
    return false;
  }
  parts_->channel = std::move(*channel);
  resize_model();
  return true;
}

void Subject::recompile() {
  if (failed()) return;
  auto program = compile(top(), {.dispatch = trial_.dispatch});
  if (!program) return complain(program.error().message);
  parts_->program = program->get();
  parts_->programs.push_back(std::move(*program));
  const auto replaced = channel().replace(*parts_->program);
  if (!replaced) complain(replaced.error().message);
}

void Subject::resize_model() {
  borders_.clear();
  if (model_) {
    model_->resize(size());
    return;
  }
  model_.emplace(size(), block(), trial_.options.forgets);
  model_->forget({0, size()});
}

// --- requests
// -------------------------------------------------------------------------------------

Request& Subject::submit(Op op, Extent extent, std::uint8_t flags) {
  Request& request = *parts_->requests.emplace_back(std::make_unique<Request>());
  request.op = op;
  request.flags = flags;
  request.extent = extent;
  if (has_payload(op)) scatter(request, random_);
  if (op == Op::write && fits(extent)) {
    request.version = ++last_version_;
    std::vector<std::byte> bytes(extent.length);
    model_->fill(extent, request.version, bytes);
    request.payload().copy_from(bytes.data(), bytes.size());
  }
  start(request);
  return request;
}

bool Subject::fits(Extent extent) {
  return within(extent.offset, extent.length, size()) &&
         ((extent.offset | extent.length) & (block() - 1)) == 0;
}

void Subject::start(Request& request) {
  while ((request.bio = channel().allocate()) == nullptr) lane().wait(10);
  Bio& bio = *request.bio;
  bio.op = request.op;
  bio.flags = request.flags;
  bio.offset = request.extent.offset;
  bio.length = request.extent.length;
  bio.payload = has_payload(request.op) ? request.payload() : Payload{};
  bio.user = &request;
  bio.end_io = [](Bio& done) noexcept { ++static_cast<Request*>(done.user)->ends; };
  channel().submit(bio);
}

bool Subject::wait_until(const std::function<bool()>& reached, const Request& request) {
  if (hung_) return false;
  const std::uint64_t deadline =
      lane().now_ns() + trial_.options.patience_ms * std::uint64_t{1'000'000};
  while (!reached()) {
    if (request.ended()) return false;
    if (lane().now_ns() > deadline) {
      hang(request);
      return false;
    }
    lane().wait(10);
  }
  return true;
}

void Subject::hang(const Request& request) {
  complain(fmt::format("the {} never ended", request.text()));
  hung_ = true;
}

bool Subject::wait(Request& request) {
  wait_until([&] { return request.ended(); }, request);
  return request.ended();
}

void Subject::cancel(Request& request) {
  request.cancelled = true;
  if (!request.ended()) lane().cancel(*request.bio);
}

Errc Subject::settle(Request& request) {
  if (!wait(request)) return Errc::timed_out;
  Bio& bio = *std::exchange(request.bio, nullptr);
  request.error = bio.error;
  judge(request, bio);
  compare(request, bio.ok());
  channel().release(bio);
  request.memory.clear();
  if (const auto complaint = shelf().complaint()) complain(*complaint);
  return request.error;
}

void Subject::judge(const Request& request, const Bio& bio) {
  if (bio.ok() && bio.done != request.extent.length) {
    complain(fmt::format("the {} reports {} bytes", request.text(), bio.done));
  }
  if (bio.error == Errc::no_memory) complain("the class saw a shortage of memory");
  if (has_payload(request.op) && !request.guards_hold()) {
    complain(fmt::format("the {} wrote past its memory", request.text()));
  }
}

void Subject::compare(const Request& request, bool ok) {
  if (!fits(request.extent) || request.extent.length == 0) return;
  if (request.op == Op::write) {
    std::vector<std::byte> sent(request.extent.length);
    model_->fill(request.extent, request.version, sent);
    if (std::memcmp(request.bytes().data(), sent.data(), sent.size()) != 0) {
      complain(fmt::format("the {} changed the caller's memory", request.text()));
    }
    model_->wrote(request.extent, request.version, ok);
  } else if (request.op == Op::discard) {
    model_->forget(request.extent);
  } else if (request.op == Op::write_zeroes) {
    model_->zeroed(request.extent, ok);
  } else if (request.op == Op::read && ok) {
    if (const auto wrong = model_->check(request.extent, request.bytes())) {
      complain(fmt::format("{}: {}", request.text(), *wrong));
    }
    compare_with_reference(request);
  }
}

void Subject::compare_with_reference(const Request& request) {
  if (reference_.empty() || request.extent.end() > reference_.size()) return;
  const auto wanted = ByteView(reference_).subspan(request.extent.offset, request.extent.length);
  const std::vector<std::byte> found = request.bytes();
  if (std::memcmp(found.data(), wanted.data(), found.size()) == 0) return;
  complain(fmt::format("the {} gave other bytes than a read before it", request.text()));
}

Errc Subject::run(Op op, Extent extent, std::uint8_t flags) {
  if (failed()) return Errc::cancelled;
  return settle(submit(op, extent, flags));
}

void Subject::expect_ok(Op op, Extent extent, std::uint8_t flags) {
  if (failed()) return;
  Request& request = submit(op, extent, flags);
  const Errc error = settle(request);
  if (error != Errc::ok) {
    complain(fmt::format("the {} failed: {}", request.text(), to_string(error)));
  }
}

// --- the whole device
// -----------------------------------------------------------------------------

void Subject::fill() {
  if (writable_) {
    for (std::uint64_t at = 0; at < size() && !failed(); at += kPieceBytes) {
      expect_ok(Op::write, {at, std::min(kPieceBytes, size() - at)});
    }
    return;
  }
  std::vector<std::byte> all;
  for (std::uint64_t at = 0; at < size() && !failed(); at += kPieceBytes) {
    Request& request = submit(Op::read, {at, std::min(kPieceBytes, size() - at)});
    if (!wait(request)) return;
    const std::vector<std::byte> piece = request.bytes();
    if (settle(request) != Errc::ok) return complain("a device that cannot be written fails reads");
    all.insert(all.end(), piece.begin(), piece.end());
  }
  reference_ = std::move(all);
}

void Subject::check_all() {
  for (std::uint64_t at = 0; at < size() && !failed(); at += kPieceBytes) {
    expect_ok(Op::read, {at, std::min(kPieceBytes, size() - at)});
  }
}

void Subject::expect_works() {
  fill();
  if (offers(Op::flush)) expect_ok(Op::flush, {});
  check_all();
}

}  // namespace ashlar::conformance
