// What goes to people: colours where they are wanted, text from disks made harmless, and output
// whose errors are noticed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace ashlar::cli {

// True where `fd` is a terminal that understands more than lines: not TERM=dumb.
bool is_terminal(int fd);

// Columns of the terminal `fd`; 80 where it does not say.
std::size_t columns_of(int fd);

// Columns that `text` takes: its code points. Ashlar's own texts have no wide ones.
std::size_t width_of(std::string_view text);

// `text`, filled up with spaces to `width` columns: behind it, or before it.
std::string pad_right(std::string_view text, std::size_t width);
std::string pad_left(std::string_view text, std::size_t width);

// Text that came from a disk or a file name, with control characters written as \x1b: a label must
// not be able to move a terminal's cursor.
std::string printable(std::string_view text);

// A number of bytes that loses nothing: "1 MiB" where a unit divides it, else "1048577".
std::string exact_bytes(std::uint64_t bytes);

// "1,048,577": for people who compare long numbers.
std::string grouped(std::uint64_t number);

// "disk", "2 disks".
std::string counted(std::uint64_t count, std::string_view noun);

// Colours, or the bare text where the output is no terminal or NO_COLOR is set.
class Paint {
 public:
  explicit Paint(bool on) : on_(on) {}
  // For the file descriptor `fd`, as https://no-color.org asks.
  static Paint for_output(int fd);

  std::string bold(std::string_view text) const { return wrap("1", text); }
  std::string dim(std::string_view text) const { return wrap("2", text); }
  std::string name(std::string_view text) const { return wrap("1;36", text); }
  std::string good(std::string_view text) const { return wrap("32", text); }
  std::string doubt(std::string_view text) const { return wrap("33", text); }
  std::string bad(std::string_view text) const { return wrap("31", text); }

 private:
  std::string wrap(const char* code, std::string_view text) const;
  const bool on_;
};

// Where standard input, output or error is closed, takes its number, so that no disk gets it and is
// written to as if it were a terminal; using it is an error then. First of all in a process.
void fill_standard_descriptors();

// Writes all of it. Errors: what the system says, "standard output: No space left on device";
// `disconnected` when nobody reads the pipe any more.
Result<void> write_all(int fd, ByteView bytes, std::string_view what);

// Text for standard output, all at once.
Result<void> print(std::string_view text);

// One sentence on stderr: "ashlar: ...". Whatever comes from outside is made printable.
void complain(std::string_view sentence);

// From now on Ctrl-C and SIGTERM end the process at once, with 128 + the signal and `sentence` on
// stderr. REQUIRES: nothing to clean up that the sentence does not tell of.
void leave_on_interrupt(std::string_view sentence);

}  // namespace ashlar::cli
