// Where `ashlar read` puts bytes: a pipe or terminal as they come; a file with holes where the
// bytes are zeros.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace ashlar::cli {

class Sink {
 public:
  // Standard output; with holes too, where it is a file with nothing behind its position.
  static std::unique_ptr<Sink> standard_output();

  // A new file. An existing one is replaced only with `force`; a pipe or character device is
  // simply written to. Errors: exists; what the system says.
  static Result<std::unique_ptr<Sink>> create(const std::string& path, bool force);

  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // Errors: what the system says; `disconnected` when nobody reads the pipe any more.
  Result<void> put(ByteView bytes);

  // Gives a file its whole length, last hole included, and reports what was put off until close.
  Result<void> finish();

  // True where the bytes go to a terminal.
  bool terminal() const;
  // True where the sink is the file or device `path`.
  bool is_same_file(const std::string& path) const;
  const std::string& name() const { return name_; }

 private:
  Sink(int fd, std::string name, bool owned, bool sparse);
  Result<void> put_sparse(ByteView bytes);
  Error system_error() const;

  const int fd_;
  const std::string name_;  // for messages
  bool owned_;
  const bool sparse_;
  std::uint64_t position_ = 0;  // sparse: of the file
};

}  // namespace ashlar::cli
