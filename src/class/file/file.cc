// file: a device in a regular file or a block device of the host. The leaf that does real I/O, all
// of it through the lane's engine; see lane_file.h for the path of a request, open_file.h for
// opening and raising, direct_io.h for O_DIRECT, write_lock.h for locks.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "class/file/lane_file.h"
#include "class/file/open_file.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

// Zeros to write where a file system cannot make them: 16 MiB a request, from 64 KiB of memory.
constexpr std::size_t kZeroBytes = 64 * 1024;
constexpr std::size_t kZeroRepeats = 256;

constexpr std::array kParameters = {
    ParameterSpec{.name = "path",
                  .kind = ParameterKind::text,
                  .help = "a regular file or a block device",
                  .required = true},
    ParameterSpec{.name = "direct",
                  .kind = ParameterKind::text,
                  .default_text = "auto",
                  .help = "past the page cache: auto (where the file allows), on, off"},
    ParameterSpec{.name = "read_only",
                  .kind = ParameterKind::flag,
                  .default_text = "false",
                  .help = "never open it for writing"},
    ParameterSpec{
        .name = "block",
        .kind = ParameterKind::text,
        .default_text = "auto",
        .help = "the block size, a power of two; auto: 512 for a file, else the device's"},
};

Result<DirectWish> parse_wish(const std::string& text) {
  if (text == "auto") return DirectWish::automatic;
  if (text == "on") return DirectWish::on;
  if (text == "off") return DirectWish::off;
  return make_error(Errc::invalid, "file: direct = {} is none of auto, on, off", text);
}

Result<std::uint32_t> choose_block(const std::string& text, const OpenFile& file) {
  const std::uint32_t least = file.logical_block_bytes();
  if (text == "auto") return least;
  const auto bytes = parse_bytes(text);
  if (bytes && is_power_of_two(*bytes) && *bytes >= least && *bytes <= kMaxBlockBytes) {
    return static_cast<std::uint32_t>(*bytes);
  }
  return make_error(Errc::invalid, "file: {}: block = {} is not a power of two from {} to {}",
                    file.path(), text, least, kMaxBlockBytes);
}

// A piece of memory that is all zeros and takes a page table, no memory.
class Zeros {
 public:
  Zeros()
      : data_(mmap(nullptr, kZeroBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                   0)) {}
  Zeros(const Zeros&) = delete;
  Zeros& operator=(const Zeros&) = delete;
  ~Zeros() {
    if (there()) munmap(data_, kZeroBytes);
  }
  bool there() const { return data_ != MAP_FAILED; }
  void* data() const { return data_; }

 private:
  void* const data_;
};

class File final : public StepClass<File, FilePad> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "file",
      .summary = "a device in a regular file or a block device of the host",
      .policies = OpPolicies::handle_all(),
      .placement = Placement::lane,
      .parameters = kParameters,
  };
  using Local = LaneFile;

  File(std::unique_ptr<OpenFile> file, DirectRule rule, std::uint32_t block)
      : file_(std::move(file)),
        block_(block),
        discard_granularity_(file_->discard_granularity_bytes()) {
    target_.fd = file_->fd();
    target_.rule = std::move(rule);
    target_.zeroes.assign(kZeroRepeats, iovec{zeros_.data(), kZeroBytes});
    target_.lanes = &lanes_;
  }

  static Result<GeomPlan> create(const CreateArguments& arguments);

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    constexpr std::uint64_t kLeastPreferred = 4096;
    limits.block_bytes = block_;
    limits.memory_alignment = target_.rule.memory_alignment;
    limits.discard_granularity_bytes = std::max<std::uint64_t>(discard_granularity_, block_);
    limits.preferred_bytes = std::max<std::uint64_t>(kLeastPreferred, block_);
  }

  Result<void> on_access(bool, bool writing) override {
    if (writing) return file_->make_writable();
    file_->make_read_only();
    return {};
  }

  Result<std::optional<std::uint64_t>> on_rescan() override {
    const auto size = file_->look_again();
    if (!size) return size.error();
    return std::optional(align_down(*size, block_));
  }

  void on_gone(std::uint32_t) noexcept override {
    target_.gone.store(true, std::memory_order_relaxed);
    lanes_.request_attention();
  }

  std::vector<std::pair<std::string, std::string>> status() const override;

  // Direct I/O goes past the page cache, and a read through it would not.
  std::optional<FileRange> file_range(std::uint64_t offset, std::uint64_t length) noexcept {
    if (target_.rule.direct || target_.gone.load(std::memory_order_relaxed)) return std::nullopt;
    return FileRange{target_.fd, offset, length};
  }

  std::unique_ptr<LaneFile> make_local(Context& cx) {
    return std::make_unique<LaneFile>(target_, cx);
  }
  Verdict on_request(Bio& bio, FilePad& pad, Context& cx) noexcept {
    return local_of(*this, cx).begin(bio, pad);
  }
  void on_cancel(Bio&, FilePad& pad, Context& cx) noexcept { local_of(*this, cx).cancel(pad); }

 private:
  const std::unique_ptr<OpenFile> file_;
  const std::uint32_t block_;
  const std::uint64_t discard_granularity_;
  Zeros zeros_;
  FileTarget target_;
  mutable LocalSet<LaneFile> lanes_;
};

std::string describe_tail(std::uint64_t tail, std::uint32_t block) {
  if (tail == 0) return {};
  const std::string what = tail == 1 ? "byte is" : fmt::format("{} bytes are", tail);
  return fmt::format("the last {} left out, less than a block of {}", what, block);
}

Result<GeomPlan> File::create(const CreateArguments& arguments) {
  const Parameters& parameters = arguments.parameters;
  const auto wish = parse_wish(parameters.text("direct"));
  if (!wish) return wish.error();
  auto opened = OpenFile::open(parameters.text("path"));
  if (!opened) return opened.error();
  OpenFile& file = **opened;
  const auto block = choose_block(parameters.text("block"), file);
  if (!block) return block.error();
  auto rule = choose_direct(file.fd(), file.status(), *block, *wish, file.path());
  if (!rule) return rule.error();

  const std::uint64_t size = align_down(file.size_bytes(), *block);
  const std::string tail = describe_tail(file.size_bytes() - size, *block);
  const bool read_only = parameters.flag("read_only") || file.device_is_read_only();
  GeomPlan plan;
  plan.evidence.push_back(fmt::format("{}: {} of {} bytes", file.path(),
                                      file.is_block_device() ? "a block device" : "a regular file",
                                      file.size_bytes()));
  plan.evidence.push_back(rule->reason);
  if (!tail.empty()) plan.evidence.push_back(tail);
  plan.providers.push_back({.size_bytes = size, .detail = tail, .read_only = read_only});
  auto body = std::make_unique<File>(std::move(*opened), std::move(*rule), *block);
  if (!body->zeros_.there()) {
    return make_error(Errc::no_memory, "file: no memory: {}", std::strerror(errno));
  }
  plan.body = std::move(body);
  return plan;
}

std::vector<std::pair<std::string, std::string>> File::status() const {
  std::uint64_t bounced = target_.past_bounced.load(std::memory_order_relaxed);
  std::uint64_t zeroed = target_.past_zeroed.load(std::memory_order_relaxed);
  std::string engines;
  lanes_.for_each([&](const LaneFile& each) {
    bounced += each.bounced();
    zeroed += each.zeroed_by_writing();
    if (engines.find(each.engine_name()) != std::string::npos) return;
    engines += engines.empty() ? "" : ", ";
    engines += each.engine_name();
  });
  std::vector<std::pair<std::string, std::string>> all = {
      {"path", file_->path()},
      {"io", target_.rule.reason},
      {"open", file_->writable() ? "read-write" : "read-only"},
  };
  if (!engines.empty()) all.emplace_back("engine", engines);
  if (bounced > 0) all.emplace_back("bounced", std::to_string(bounced));
  if (zeroed > 0) all.emplace_back("zeroes written", std::to_string(zeroed));
  if (target_.discard_refused.load(std::memory_order_relaxed)) {
    all.emplace_back("discard", "does nothing: the file system has no holes");
  }
  if (file_->writable() && !file_->lock_note().empty()) {
    all.emplace_back("locks", file_->lock_note());
  }
  return all;
}

}  // namespace

const ClassInfo& file_class() {
  static constexpr ClassInfo kInfo = {&File::kFacts, &File::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
