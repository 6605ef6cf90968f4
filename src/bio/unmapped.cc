// One byte of state for each window of the whole address space, in a table that takes memory only
// where ranges are reserved: the question "is this mapped" is one load, without a lock.
//
// Invariants: (1) a window's state changes under the lock only, and is read without it; (2) a state
// of `mapped` is published after the mapping is there; (3) ranges of two memories share no window.
#include "bio/unmapped.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/mutex.h"

namespace ashlar {
namespace {

enum Window : std::uint8_t {
  kOrdinary = 0,  // not ours
  kReserved = 1,
  kReadable = 2,  // mapped; bytes may be taken from it
  kFillable = 3,  // mapped; bytes may be put there too
};

// User space on all machines that we know of ends below this.
constexpr unsigned kAddressBits = 48;
constexpr std::uint64_t kWindows = (std::uint64_t{1} << kAddressBits) / kMapWindowBytes;

std::uint64_t address_of(const std::byte* at) noexcept {
  return reinterpret_cast<std::uint64_t>(at);
}

// Address space for `length` bytes that begins on a window; null: there is none.
std::byte* reserve(std::uint64_t length) noexcept {
  if (length > (std::uint64_t{1} << kAddressBits)) return nullptr;
  const std::uint64_t room = align_up(length, kMapWindowBytes) + kMapWindowBytes;
  void* const found =
      mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (found == MAP_FAILED) return nullptr;
  auto* const start = static_cast<std::byte*>(found);
  // What is too much goes back, at both ends.
  const std::uint64_t before = align_up(address_of(start), kMapWindowBytes) - address_of(start);
  const std::uint64_t behind = kMapWindowBytes - before;
  if (before > 0) munmap(start, before);
  if (behind > 0) munmap(start + room - behind, behind);
  return start + before;
}

}  // namespace

// All memories of the process: the address space is the process's, so this is, too.
class UnmappedTable {
 public:
  static UnmappedTable& instance() {
    static UnmappedTable table;
    return table;
  }

  // False: there is no room for the table itself.
  bool add(UnmappedMemory& memory) ASHLAR_EXCLUDES(mutex_);
  void remove(UnmappedMemory& memory) noexcept ASHLAR_EXCLUDES(mutex_);
  Errc map(std::uint64_t window, bool fills) noexcept ASHLAR_EXCLUDES(mutex_);
  std::optional<UnmappedPlace> locate(std::uint64_t address) noexcept ASHLAR_EXCLUDES(mutex_);

  std::uint8_t state(std::uint64_t window) const noexcept {
    const auto* states = states_.load(std::memory_order_acquire);
    if (states == nullptr || window >= kWindows) return kOrdinary;
    return states[window].load(std::memory_order_acquire);
  }

 private:
  UnmappedTable() = default;
  UnmappedMemory* find(std::uint64_t address) noexcept ASHLAR_REQUIRES(mutex_);
  void set(std::uint64_t window, Window state) noexcept {
    states_.load(std::memory_order_relaxed)[window].store(state, std::memory_order_release);
  }

  static constexpr LockClass kLock{"bio.unmapped"};
  Mutex mutex_{kLock};
  std::vector<UnmappedMemory*> memories_ ASHLAR_GUARDED_BY(mutex_);  // by address
  std::atomic<std::atomic<std::uint8_t>*> states_{nullptr};
};

bool UnmappedTable::add(UnmappedMemory& memory) {
  const MutexLock lock(mutex_);
  if (states_.load(std::memory_order_relaxed) == nullptr) {
    void* const table = mmap(nullptr, kWindows, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED) return false;
    states_.store(static_cast<std::atomic<std::uint8_t>*>(table), std::memory_order_release);
  }
  const auto after = [](const UnmappedMemory* a, const UnmappedMemory* b) {
    return a->base_ < b->base_;
  };
  memories_.insert(std::upper_bound(memories_.begin(), memories_.end(), &memory, after), &memory);
  const std::uint64_t first = address_of(memory.base_) / kMapWindowBytes;
  const std::uint64_t count = align_up(memory.length_, kMapWindowBytes) / kMapWindowBytes;
  for (std::uint64_t i = 0; i < count; ++i) set(first + i, kReserved);
  return true;
}

void UnmappedTable::remove(UnmappedMemory& memory) noexcept {
  const MutexLock lock(mutex_);
  if (std::erase(memories_, &memory) == 0) return;
  const std::uint64_t first = address_of(memory.base_) / kMapWindowBytes;
  const std::uint64_t count = align_up(memory.length_, kMapWindowBytes) / kMapWindowBytes;
  for (std::uint64_t i = 0; i < count; ++i) set(first + i, kOrdinary);
}

UnmappedMemory* UnmappedTable::find(std::uint64_t address) noexcept {
  const auto above = std::upper_bound(
      memories_.begin(), memories_.end(), address,
      [](std::uint64_t at, const UnmappedMemory* each) { return at < address_of(each->base_); });
  if (above == memories_.begin()) return nullptr;
  UnmappedMemory* const below = *std::prev(above);
  return address - address_of(below->base_) < below->length_ ? below : nullptr;
}

// Ranges of one file that lie side by side become one mapping of the kernel's.
Errc UnmappedTable::map(std::uint64_t window, bool fills) noexcept {
  const MutexLock lock(mutex_);
  if (state(window) == kReserved) {
    UnmappedMemory* const memory = find(window * kMapWindowBytes);
    ASHLAR_ASSERT(memory != nullptr);
    const std::uint64_t start = window * kMapWindowBytes - address_of(memory->base_);
    const std::uint64_t length = std::min(kMapWindowBytes, memory->length_ - start);
    const int rights = memory->writable_ ? PROT_READ | PROT_WRITE : PROT_READ;
    if (mmap(memory->base_ + start, length, rights, MAP_SHARED | MAP_FIXED, memory->fd_,
             static_cast<off_t>(memory->offset_ + start)) == MAP_FAILED) {
      return Errc::io;
    }
    set(window, memory->writable_ ? kFillable : kReadable);
  }
  return fills && state(window) == kReadable ? Errc::permission : Errc::ok;
}

std::optional<UnmappedPlace> UnmappedTable::locate(std::uint64_t address) noexcept {
  if (state(address / kMapWindowBytes) == kOrdinary) return std::nullopt;
  const MutexLock lock(mutex_);
  const UnmappedMemory* const memory = find(address);
  if (memory == nullptr) return std::nullopt;
  return UnmappedPlace{memory->fd_, memory->offset_ + (address - address_of(memory->base_))};
}

Result<std::unique_ptr<UnmappedMemory>> UnmappedMemory::create(int fd, std::uint64_t offset,
                                                               std::uint64_t length,
                                                               bool writable) {
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (length == 0 || offset % page != 0) {
    return make_error(Errc::invalid, "memory of a file begins on a page and has a length");
  }
  const int mine = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (mine < 0) {
    return make_error(errc_from_errno(errno), "memory of a file: {}", std::strerror(errno));
  }
  std::unique_ptr<UnmappedMemory> memory(new UnmappedMemory(mine, offset, length, writable));
  memory->base_ = reserve(length);
  if (memory->base_ == nullptr) {
    return make_error(Errc::no_memory, "memory of a file: {} bytes of address space", length);
  }
  if (!UnmappedTable::instance().add(*memory)) {
    return make_error(Errc::no_memory, "memory of a file: no room for its table");
  }
  return memory;
}

UnmappedMemory::~UnmappedMemory() {
  if (base_ != nullptr) {
    UnmappedTable::instance().remove(*this);
    munmap(base_, align_up(length_, kMapWindowBytes));
  }
  close(fd_);
}

std::uint64_t UnmappedMemory::mapped_bytes() const noexcept {
  const UnmappedTable& table = UnmappedTable::instance();
  std::uint64_t bytes = 0;
  for (std::uint64_t at = 0; at < length_; at += kMapWindowBytes) {
    if (table.state((address_of(base_) + at) / kMapWindowBytes) >= kReadable) {
      bytes += std::min(kMapWindowBytes, length_ - at);
    }
  }
  return bytes;
}

Errc map_payload(const Payload& payload, std::uint64_t length, bool fills) noexcept {
  UnmappedTable& table = UnmappedTable::instance();
  Errc result = Errc::ok;
  payload.for_each(length, [&](ByteSpan piece) {
    const std::uint64_t last = (address_of(piece.data()) + piece.size() - 1) / kMapWindowBytes;
    for (auto at = address_of(piece.data()) / kMapWindowBytes; at <= last; ++at) {
      const std::uint8_t state = table.state(at);
      if (state == kOrdinary || state == kFillable || (state == kReadable && !fills)) continue;
      const Errc mapped = table.map(at, fills);
      if (result == Errc::ok) result = mapped;
    }
  });
  return result;
}

std::optional<UnmappedPlace> locate_unmapped(const std::byte* address) noexcept {
  return UnmappedTable::instance().locate(address_of(address));
}

}  // namespace ashlar
