// Running the command: output goes to files, so that nothing can block on a full pipe.
#include "test/command.h"

#include <fmt/core.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <array>
#include <fstream>
#include <iterator>

#include "test/paths.h"

namespace ashlar::test {
namespace {

// Beside the folder's own files, and not among them.
constexpr const char* kOut = "../out";
constexpr const char* kErr = "../err";

}  // namespace

CommandFolder::CommandFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "ashlar-XXXXXX").string();
  ASHLAR_ASSERT(mkdtemp(name.data()) != nullptr);
  path_ = std::filesystem::path(name) / "in";
  std::filesystem::create_directory(path_);
}

CommandFolder::~CommandFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_.parent_path(), ignored);
}

void CommandFolder::write(const std::string& name, ByteView bytes) const {
  std::ofstream file(path_ / name, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  ASHLAR_ASSERT(file.good());
}

std::string CommandFolder::read(const std::string& name) const {
  std::ifstream file(path_ / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

CommandRun CommandFolder::sh(const std::string& command) const {
  setenv("ASHLAR", command_path().c_str(), 1);
  const std::string whole =
      fmt::format("cd '{}' && {{ {} ; }} >{} 2>{}", path_.string(), command, kOut, kErr);
  const int ended = std::system(whole.c_str());
  const int status = WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
  return {status, read(kOut), read(kErr)};
}

std::string sha256_of(ByteView bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned length = 0;
  const int good =
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr);
  ASHLAR_ASSERT(good == 1);
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace ashlar::test
