// Payloads in memory that nobody has mapped: a class that says that it only moves them never has
// them mapped for it, and touches none; any other finds them mapped.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

#include "bio/unmapped.h"
#include "conformance/aspects.h"
#include "conformance/layout.h"

namespace ashlar::conformance {
namespace {

constexpr std::uint64_t kMemoryBytes = 2 * kMapWindowBytes;

// A memfd twice: as unmapped memory for requests, and mapped, for the trial.
class FarMemory {
 public:
  FarMemory() = default;
  FarMemory(const FarMemory&) = delete;
  FarMemory& operator=(const FarMemory&) = delete;
  ~FarMemory() {
    if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
    if (fd_ >= 0) close(fd_);
  }

  // In words, what the host system refuses; empty: nothing.
  std::string make() {
    fd_ = memfd_create("ashlar conformance", MFD_CLOEXEC);
    if (fd_ < 0 || ftruncate(fd_, kMemoryBytes) != 0) return "no memfd is to be had";
    void* const mapped = mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (mapped == MAP_FAILED) return "a memfd cannot be mapped";
    bytes_ = {static_cast<std::byte*>(mapped), kMemoryBytes};
    auto memory = UnmappedMemory::create(fd_, 0, kMemoryBytes, /*writable=*/true);
    if (!memory) return memory.error().message;
    memory_ = std::move(*memory);
    return {};
  }

  UnmappedMemory& unmapped() { return *memory_; }
  ByteSpan bytes() { return bytes_; }

 private:
  int fd_ = -1;
  ByteSpan bytes_;
  std::unique_ptr<UnmappedMemory> memory_;
};

// Requests whose payload lies in far memory: three pieces, around the border of two windows.
class FarUser {
 public:
  FarUser(Subject& subject, FarMemory& memory, Channel& channel)
      : subject_(subject), memory_(memory), channel_(channel) {}

  void check(Extent extent) {
    const std::uint64_t most = kMemoryBytes / 2;
    if (extent.length > most) extent.length = most / subject_.block() * subject_.block();
    place(extent.length);
    if (subject_.writable()) {
      fill(0x35);
      expect(Op::write, extent);
      fill(0xca);
      expect(Op::read, extent);
      if (!subject_.trial().options.forgets) compare(extent, 0x35);
    } else {
      expect(Op::read, extent);
      compare_with_ordinary(extent);
    }
  }

 private:
  // The first half of the request before the border of two windows, the rest behind it.
  void place(std::uint64_t length) {
    const std::uint64_t half = length / 1024 * 512;
    at_ = kMapWindowBytes - half;
    const std::uint64_t piece = length > 512 ? 512 : length;
    segments_[0] = memory_.unmapped().segment(at_, piece);
    segments_[1] = memory_.unmapped().segment(at_ + piece, length - piece);
    length_ = length;
  }

  void fill(unsigned seed) {
    for (std::uint64_t i = 0; i < length_; ++i) memory_.bytes()[at_ + i] = expected(i, seed);
  }

  static std::byte expected(std::uint64_t i, unsigned seed) {
    return static_cast<std::byte>((i + i / 251 + seed) & 0xff);
  }

  void expect(Op op, Extent extent) {
    Bio* bio = nullptr;
    while ((bio = channel_.allocate()) == nullptr) subject_.lane().wait(10);
    bool ended = false;
    bio->op = op;
    bio->flags = kUnmapped;
    bio->offset = extent.offset;
    bio->length = extent.length;
    bio->payload = Payload{segments_.data(), 2, 0};
    bio->user = &ended;
    bio->end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
    channel_.submit(*bio);
    const std::uint64_t deadline =
        subject_.lane().now_ns() + subject_.trial().options.patience_ms * std::uint64_t{1'000'000};
    while (!ended && subject_.lane().now_ns() < deadline) subject_.lane().wait(10);
    ASHLAR_ASSERT(ended && "a request with unmapped memory never ended");
    const Errc error = bio->error;
    channel_.release(*bio);
    if (error != Errc::ok)
      complain(op, extent, std::string("failed: ") + std::string(to_string(error)));
  }

  void compare(Extent extent, unsigned seed) {
    for (std::uint64_t i = 0; i < length_; ++i) {
      if (memory_.bytes()[at_ + i] == expected(i, seed)) continue;
      return complain(Op::read, extent, fmt::format("has a wrong byte {}", i));
    }
  }

  void compare_with_ordinary(Extent extent) {
    Request& request = subject_.submit(Op::read, extent);
    if (!subject_.wait(request)) return;
    const std::vector<std::byte> bytes = request.bytes();
    if (std::memcmp(bytes.data(), memory_.bytes().data() + at_, bytes.size()) != 0) {
      complain(Op::read, extent, "differs from one into ordinary memory");
    }
    subject_.settle(request);
  }

  void complain(Op op, Extent extent, const std::string& what) {
    subject_.complain(fmt::format("the {} of {} bytes at byte {} with unmapped memory {}",
                                  to_string(op), extent.length, extent.offset, what));
  }

  Subject& subject_;
  FarMemory& memory_;
  Channel& channel_;
  std::array<Segment, 2> segments_{};
  std::uint64_t at_ = 0;
  std::uint64_t length_ = 0;
};

}  // namespace

void check_unmapped(const Trial& trial) {
  FarMemory memory;
  if (const std::string refused = memory.make(); !refused.empty()) return trial.complain(refused);
  Subject subject(trial);
  if (subject.failed()) return;
  subject.shelf().see_unmapped_in(memory.bytes());
  auto program = compile(subject.top(), {.dispatch = trial.dispatch, .unmapped = true});
  if (!program) return subject.complain(program.error().message);
  auto channel = Channel::open(subject.lane(), **program, {.writable = subject.writable()});
  if (!channel) return subject.complain(channel.error().message);
  FarUser user(subject, memory, **channel);
  for (const Extent extent : border_extents(subject)) {
    user.check(extent);
    if (subject.failed()) return;
  }
  const std::uint64_t mapped = memory.unmapped().mapped_bytes();
  const bool moves = trial.info.facts->payload == PayloadUse::moves || subject.top().is_map();
  if (moves && mapped > 0) subject.complain("it moves payloads, and had them mapped");
}

}  // namespace ashlar::conformance
