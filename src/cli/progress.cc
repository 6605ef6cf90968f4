// The bar is one line that is drawn over itself.
#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cli/terminal.h"
#include "topology/parameters.h"

namespace ashlar::cli {
namespace {

constexpr auto kBetweenDrawings = std::chrono::milliseconds(100);
constexpr std::size_t kMaxBarColumns = 40;
constexpr const char* kWipe = "\r\x1b[K";

// A bar of `columns` character cells, filled to eighths of one.
std::string bar(double part, std::size_t columns) {
  constexpr std::array<const char*, 8> kEighths = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths =
      static_cast<std::size_t>(std::lround(part * 8 * static_cast<double>(columns)));
  std::string drawn;
  for (std::size_t cell = 0; cell < columns; ++cell) {
    const std::size_t left = eighths > cell * 8 ? eighths - cell * 8 : 0;
    drawn += left >= 8 ? "█" : kEighths[left];
  }
  return drawn;
}

std::string duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::ceil(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace

std::string progress_line(std::uint64_t done_bytes, std::uint64_t total_bytes, double seconds,
                          std::size_t columns) {
  const double total = static_cast<double>(std::max<std::uint64_t>(total_bytes, 1));
  const double part = std::min(1.0, static_cast<double>(done_bytes) / total);
  std::string text = fmt::format(" {:3.0f} %   {} of {}", std::floor(part * 100),
                                 format_bytes(done_bytes), format_bytes(total_bytes));
  if (seconds > 0 && done_bytes > 0) {
    const double rate = static_cast<double>(done_bytes) / seconds;
    text += fmt::format("   {}/s   {} left", format_bytes(static_cast<std::uint64_t>(rate)),
                        duration(total * (1 - part) / rate));
  }
  const std::size_t used = width_of(text) + 1;
  const std::size_t room = columns > used ? columns - used : 0;
  return bar(part, std::min(room, kMaxBarColumns)) + text;
}

Progress::Progress(std::uint64_t total_bytes, bool wanted)
    : total_bytes_(total_bytes), visible_(wanted && is_terminal(STDERR_FILENO)) {}

Progress::~Progress() {
  if (drawn_ == start_) return;
  const auto unseen = write_all(STDERR_FILENO, as_bytes(kWipe), "standard error");
  static_cast<void>(unseen);
}

void Progress::show(std::uint64_t done_bytes) {
  if (!visible_) return;
  const auto now = Clock::now();
  if (now - drawn_ < kBetweenDrawings) return;
  drawn_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const std::string line =
      kWipe + progress_line(done_bytes, total_bytes_, seconds, columns_of(STDERR_FILENO));
  const auto unseen = write_all(STDERR_FILENO, as_bytes(line), "standard error");
  static_cast<void>(unseen);
}

}  // namespace ashlar::cli
