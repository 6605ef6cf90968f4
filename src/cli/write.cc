// `ashlar write`: bytes from standard input to a device.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/app.h"
#include "cli/ordered_reader.h"
#include "cli/ordered_writer.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace ashlar::cli {
namespace {

// Bytes still in standard input, where it is a file.
std::optional<std::uint64_t> input_size() {
  struct stat status = {};
  if (fstat(STDIN_FILENO, &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const off_t position = lseek(STDIN_FILENO, 0, SEEK_CUR);
  if (position < 0) return std::nullopt;
  return static_cast<std::uint64_t>(std::max<off_t>(status.st_size - position, 0));
}

// Fills `into` as far as there is input; returns how far.
Result<std::uint64_t> take_input(ByteSpan into) {
  std::uint64_t taken = 0;
  while (taken < into.size()) {
    const ssize_t count = ::read(STDIN_FILENO, into.data() + taken, into.size() - taken);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return make_error(errc_from_errno(errno), "standard input: {}", std::strerror(errno));
    }
    if (count == 0) break;
    taken += static_cast<std::uint64_t>(count);
  }
  return taken;
}

// One run of `ashlar write`. The first and the last block may be covered in part; what is around
// the input there is read first and written back.
class Copy {
 public:
  Copy(const Device& device, Channel& channel, std::uint64_t offset)
      : device_(device),
        channel_(channel),
        block_(device.limits().block_bytes),
        room_(device.size_bytes() - offset),
        head_(offset - align_down(offset, block_)),
        writer_(device, channel, offset - head_) {}

  Result<void> run(Progress& progress) {
    while (true) {
      auto more = one_piece();
      if (!more) return more.error();
      progress.show(taken_);
      if (!*more) break;
    }
    if (auto finished = writer_.finish(); !finished) return finished;
    return taken_ == room_ ? check_no_more() : Result<void>();
  }

  // Bytes of the input that are on the device.
  std::uint64_t written() const {
    const std::uint64_t safe = writer_.safe_offset() - (device_.size_bytes() - room_ - head_);
    return std::min(safe - std::min(safe, head_), taken_);
  }

 private:
  // False at the end of the input or of the device.
  Result<bool> one_piece() {
    auto room = writer_.room();
    if (!room) return room.error();
    const std::uint64_t head = taken_ == 0 ? head_ : 0;
    const std::uint64_t wanted = std::min<std::uint64_t>(room->size() - head, room_ - taken_);
    auto taken = take_input(room->subspan(head, wanted));
    if (!taken) return taken.error();
    if (*taken == 0) return false;
    const std::uint64_t length = align_up(head + *taken, block_);
    if (auto kept = keep(room->first(head), writer_.offset()); !kept) return kept.error();
    const ByteSpan tail = room->subspan(head + *taken, length - head - *taken);
    if (auto kept = keep(tail, writer_.offset() + head + *taken); !kept) return kept.error();
    taken_ += *taken;
    if (auto sent = writer_.commit(length); !sent) return sent.error();
    return *taken == wanted && taken_ < room_;
  }

  // The bytes that are on the device now.
  Result<void> keep(ByteSpan bytes, std::uint64_t offset) {
    return bytes.empty() ? Result<void>() : read_bytes(device_, channel_, offset, bytes);
  }

  Result<void> check_no_more() {
    std::byte one;
    auto more = take_input(ByteSpan(&one, 1));
    if (!more) return more.error();
    if (*more == 0) return {};
    return make_error(Errc::no_space, "the input is longer than {}, which is full now",
                      device_.provider().name);
  }

  const Device& device_;
  Channel& channel_;
  const std::uint64_t block_;
  const std::uint64_t room_;  // bytes of the device behind the offset
  const std::uint64_t head_;  // bytes of the first block before the offset
  std::uint64_t taken_ = 0;   // bytes of the input
  OrderedWriter writer_;
};

Result<void> check_room(const WriteOptions& options, const Device& device,
                        std::optional<std::uint64_t> input) {
  const std::string& name = device.provider().name;
  const std::uint64_t size = device.size_bytes();
  if (options.offset > size) {
    return make_error(Errc::out_of_range, "{} has {} bytes; there is no byte {}", name, size,
                      options.offset);
  }
  if (!input || *input <= size - options.offset) return {};
  return make_error(Errc::no_space,
                    "the input has {} bytes, {} has room for {} from byte {} on; nothing was "
                    "written",
                    *input, name, size - options.offset, options.offset);
}

}  // namespace

Result<int> run_write(const WriteOptions& options) {
  leave_on_interrupt("stopped while looking at what is on the disks; nothing was changed");
  auto node = open_stack(options.stack);
  if (!node) return node.error();
  auto device = open_device(**node, options.stack, options.device, true);
  if (!device) return device.error();
  const std::optional<std::uint64_t> input = input_size();
  if (auto fits = check_room(options, **device, input); !fits) return fits.error();
  auto lane = Lane::create({.engine = options.stack.engine_options()});
  if (!lane) return lane.error();
  auto channel = (*device)->channel(**lane);
  if (!channel) return channel.error();
  leave_on_interrupt(fmt::format("stopped; {} has some of the new bytes and some of the old",
                                 (*device)->provider().name));
  Copy copy(**device, **channel, options.offset);
  Progress progress(input.value_or((*device)->size_bytes() - options.offset), input.has_value());
  if (auto copied = copy.run(progress); !copied) {
    return make_error(copied.error().code, "{}; {} of the input were written",
                      copied.error().message, counted(copy.written(), "byte"));
  }
  return kFine;
}

}  // namespace ashlar::cli
