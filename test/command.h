// Runs the command `ashlar` as a user would: through a shell, in a folder of its own.
//
//   CommandFolder folder;
//   folder.write("disk.img", bytes);
//   auto run = folder.sh("$ASHLAR sum -a disk.img p1");
//   EXPECT_EQ(run.status, 0) << run.err;
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace ashlar::test {

struct CommandRun {
  int status = -1;  // 128 + n where a signal n ended it
  std::string out;
  std::string err;
};

// A folder that is removed at the end.
class CommandFolder {
 public:
  CommandFolder();
  ~CommandFolder();
  CommandFolder(const CommandFolder&) = delete;
  CommandFolder& operator=(const CommandFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  void write(const std::string& name, ByteView bytes) const;
  void write(const std::string& name, std::string_view text) const { write(name, as_bytes(text)); }
  std::string read(const std::string& name) const;

  // Runs a command of /bin/sh in the folder, $ASHLAR being the command under test.
  CommandRun sh(const std::string& command) const;

 private:
  std::filesystem::path path_;
};

// Hexadecimal, by OpenSSL.
std::string sha256_of(ByteView bytes);

}  // namespace ashlar::test
