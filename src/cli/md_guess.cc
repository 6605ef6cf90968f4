// `ashlar md guess`: what array the files are of, where no superblock says so.
#include <unistd.h>

#include "cli/app.h"
#include "cli/disks.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "md/guess.h"
#include "md/names.h"

namespace ashlar::cli {
namespace {

// For a shell; names of usual letters stay as they are.
std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-+:,@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (const char each : word) text += each == '\'' ? std::string("'\\''") : std::string(1, each);
  return text + "'";
}

// What would write superblocks for it, where md can say so.
std::string command_of(const md::Guess& guess, const std::vector<std::string>& files) {
  const bool in_front = guess.data_offset_bytes >= 8 * kKiB;
  if (guess.data_offset_bytes != 0 && !in_front) return {};
  std::string text =
      fmt::format("ashlar md create --assume-clean --level {}", md::level_name(guess.level));
  const std::string layout = md::layout_name(guess.level, guess.layout);
  if (guess.level != 0 && !layout.empty()) text += " --layout " + layout;
  if (guess.chunk_bytes != 0) text += fmt::format(" --chunk {}", guess.chunk_bytes);
  text += fmt::format(" --metadata {}", in_front ? "1.2" : "1.0");
  if (in_front) text += fmt::format(" --data-offset {}", guess.data_offset_bytes);
  if (in_front && guess.level > 0) text += fmt::format(" --size {}", guess.component_bytes);
  for (const std::size_t device : guess.order) text += " " + quoted(files[device]);
  return text;
}

std::string guess_page(const md::Guess& guess, const std::string& command,
                       const std::vector<std::string>& files, const Paint& paint) {
  std::string what = md::level_name(guess.level);
  const std::string layout = md::layout_name(guess.level, guess.layout);
  if (guess.level != 0 && !layout.empty()) what += ", " + layout;
  if (guess.chunk_bytes != 0) what += ", chunk " + exact_bytes(guess.chunk_bytes);
  what += fmt::format(", data from byte {} on", grouped(guess.data_offset_bytes));
  std::string text = fmt::format("\n{:3.0f} %  {}\n", 100 * guess.confidence, paint.bold(what));
  std::string order;
  for (const std::size_t device : guess.order) order += " " + printable(files[device]);
  text += fmt::format("       order:{}\n", paint.name(order));
  for (const std::string& sentence : guess.evidence) text += "       " + sentence + "\n";
  if (!command.empty()) text += "       " + paint.dim(printable(command)) + "\n";
  return text;
}

std::string page(const md::Guesses& guesses, const std::vector<std::string>& files,
                 const std::vector<std::string>& commands, const Paint& paint) {
  std::string text = paint.bold(guesses.verdict) + "\n";
  for (const std::string& fact : guesses.facts) text += "  " + fact + "\n";
  for (std::size_t i = 0; i < guesses.ranked.size(); ++i) {
    text += guess_page(guesses.ranked[i], commands[i], files, paint);
  }
  if (guesses.ranked.empty()) return text;
  return text +
         "\nThe commands write superblocks: give them copies of the files, and look at what "
         "`ashlar tree` finds.\n";
}

}  // namespace

Result<int> run_md_guess(const MdGuessOptions& words) {
  constexpr std::string_view kMissing = "missing";
  leave_on_interrupt("stopped; nothing was changed");
  std::vector<std::string> there;
  for (const std::string& each : words.files) {
    if (each != kMissing) there.push_back(each);
  }
  const auto disks = Disks::open(there, false);
  if (!disks) return make_error(disks.error().code, "md guess: {}", disks.error().message);
  md::GuessInput input;
  std::vector<std::size_t> disk_of(words.files.size());
  std::size_t disk = 0;
  for (std::size_t i = 0; i < words.files.size(); ++i) {
    input.device_bytes.emplace_back();
    if (words.files[i] == kMissing) continue;
    disk_of[i] = disk++;
    input.device_bytes.back() = disks->bytes(disk_of[i]);
  }
  input.read = [&](std::size_t device, std::uint64_t offset, ByteSpan into) {
    return disks->read(disk_of[device], offset, into);
  };
  const auto guesses = md::guess_array(input);
  if (!guesses) return make_error(guesses.error().code, "md guess: {}", guesses.error().message);
  std::vector<std::string> commands;
  for (const md::Guess& each : guesses->ranked) commands.push_back(command_of(each, words.files));
  auto printed =
      print(words.json ? md_guess_json(*guesses, words.files, commands)
                       : page(*guesses, words.files, commands, Paint::for_output(STDOUT_FILENO)));
  if (!printed) return printed.error();
  return kFine;
}

}  // namespace ashlar::cli
