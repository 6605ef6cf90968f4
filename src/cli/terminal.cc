// Terminals: colours, widths, and writing that notices when it fails.
#include "cli/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace ashlar::cli {
namespace {

constexpr int kSignalStatus = 128;  // the shells' convention
constexpr std::size_t kSentenceBytes = 512;

// What the signal handler says; written before the handler is installed.
std::array<char, kSentenceBytes> g_sentence;
std::size_t g_sentence_length = 0;

void leave(int signal_number) {
  const auto ignored = ::write(STDERR_FILENO, g_sentence.data(), g_sentence_length);
  static_cast<void>(ignored);
  _exit(kSignalStatus + signal_number);
}

bool starts_code_point(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }

bool is_control(unsigned char byte) { return byte < 0x20 || byte == 0x7f; }

// U+0080 to U+009f, the other control characters, are c2 80 to c2 9f in UTF-8.
bool is_control_pair(std::string_view text, std::size_t at) {
  if (static_cast<unsigned char>(text[at]) != 0xc2 || at + 1 >= text.size()) return false;
  return static_cast<unsigned char>(text[at + 1]) < 0xa0;
}

}  // namespace

bool is_terminal(int fd) {
  if (isatty(fd) == 0) return false;
  const char* kind = std::getenv("TERM");
  return kind == nullptr || std::string_view(kind) != "dumb";
}

std::size_t columns_of(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_code_point));
}

std::string pad_right(std::string_view text, std::size_t width) {
  std::string padded(text);
  const std::size_t used = width_of(text);
  return used < width ? padded.append(width - used, ' ') : padded;
}

std::string pad_left(std::string_view text, std::size_t width) {
  const std::size_t used = width_of(text);
  return std::string(used < width ? width - used : 0, ' ').append(text);
}

std::string printable(std::string_view text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (is_control(byte)) {
      shown += fmt::format("\\x{:02x}", byte);
    } else if (is_control_pair(text, i)) {
      shown += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[++i]));
    } else {
      shown += text[i];
    }
  }
  return shown;
}

std::string exact_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes == 0 || bytes % kKiB != 0) return fmt::format("{} B", bytes);
  std::size_t unit = 0;
  std::uint64_t count = bytes / kKiB;
  for (; count % kKiB == 0 && unit + 1 < kUnits.size(); ++unit) count /= kKiB;
  return fmt::format("{} {}", count, kUnits[unit]);
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

Paint Paint::for_output(int fd) {
  const char* refused = std::getenv("NO_COLOR");
  return Paint(is_terminal(fd) && (refused == nullptr || *refused == '\0'));
}

std::string Paint::wrap(const char* code, std::string_view text) const {
  if (!on_ || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

void fill_standard_descriptors() {
  // The lowest free number is what open() gives; input that only writes, and the other way round.
  constexpr std::array<int, 3> kUseless = {O_WRONLY, O_RDONLY, O_RDWR};
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    const int taken = open("/dev/null", kUseless[static_cast<std::size_t>(fd)]);
    if (taken != fd && taken >= 0) close(taken);
  }
}

Result<void> write_all(int fd, ByteView bytes, std::string_view what) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const Errc code = errno == EPIPE ? Errc::disconnected : errc_from_errno(errno);
      return make_error(code, "{}: {}", what, std::strerror(errno));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> print(std::string_view text) {
  return write_all(STDOUT_FILENO, as_bytes(text), "standard output");
}

void complain(std::string_view sentence) {
  const std::string line = fmt::format("ashlar: {}\n", printable(sentence));
  const auto unheard = write_all(STDERR_FILENO, as_bytes(line), "standard error");
  static_cast<void>(unheard);
}

void leave_on_interrupt(std::string_view sentence) {
  const std::string line = fmt::format("\nashlar: {}\n", printable(sentence));
  g_sentence_length = std::min(line.size(), kSentenceBytes);
  std::memcpy(g_sentence.data(), line.data(), g_sentence_length);
  struct sigaction action = {};
  action.sa_handler = &leave;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace ashlar::cli
