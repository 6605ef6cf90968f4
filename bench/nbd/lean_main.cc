// nbd_lean: measures an NBD server on a unix socket, or on a TCP port of this machine, with the
// lean client; prints JSON.
//
//   nbd_lean --socket PATH | --tcp PORT [--export NAME] [--write] [--structured] [--depth N]
//   [--seconds S]
//            [--count N] [--block BYTES]
//
// Exit status: 0 fine, 1 failed (a wrong reply, a lost connection), 2 wrong usage.

#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "bench/nbd/lean_client.h"

namespace {

using ashlar::bench::LeanClient;
using ashlar::bench::LeanOptions;
using ashlar::bench::LeanResult;

template <typename Number>
bool parse(std::string_view text, Number& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size();
}

// True where `name` is a switch without a value.
bool take_switch(std::string_view name, LeanOptions& options) {
  if (name == "--write") return options.write = true;
  if (name == "--structured") return options.structured_replies = true;
  return false;
}

bool take_value(std::string_view name, std::string_view value, LeanOptions& options) {
  if (name == "--socket") return options.socket_path = value, true;
  if (name == "--tcp") return parse(value, options.tcp_port);
  if (name == "--export") return options.export_name = value, true;
  if (name == "--depth") return parse(value, options.depth);
  if (name == "--seconds") return parse(value, options.seconds);
  if (name == "--count") return parse(value, options.count);
  if (name == "--block") return parse(value, options.block_bytes);
  return false;
}

bool parse_arguments(int argc, char** argv, LeanOptions& options) {
  for (int i = 1; i < argc; ++i) {
    if (take_switch(argv[i], options)) continue;
    if (i + 1 == argc || !take_value(argv[i], argv[i + 1], options)) return false;
    ++i;
  }
  return (!options.socket_path.empty() || options.tcp_port != 0) && options.depth > 0 &&
         options.depth <= LeanClient::kMaxDepth && options.block_bytes > 0 &&
         options.block_bytes <= ashlar::nbd::kMaxPayloadBytes;
}

void print(const LeanOptions& options, const LeanResult& result) {
  const auto requests = static_cast<double>(result.requests);
  fmt::print(
      "{{\"op\": \"{}\", \"depth\": {}, \"block_bytes\": {}, \"structured\": {}, "
      "\"requests\": {}, \"seconds\": {:.6f}, \"requests_per_second\": {:.1f}, "
      "\"client_cpu_ns\": {:.1f}, \"replies_per_receive\": {:.2f}}}\n",
      options.write ? "write" : "read", options.depth, options.block_bytes,
      options.structured_replies, result.requests, result.seconds, requests / result.seconds,
      result.client_cpu_seconds * 1e9 / requests, requests / static_cast<double>(result.receives));
}

}  // namespace

int main(int argc, char** argv) {
  LeanOptions options;
  if (!parse_arguments(argc, argv, options)) {
    fmt::print(stderr,
               "usage: nbd_lean --socket PATH | --tcp PORT [--export NAME] [--write] "
               "[--structured] [--depth N] "
               "[--seconds S] [--count N] [--block BYTES]\n");
    return 2;
  }
  LeanClient client(options);
  ashlar::Result<LeanResult> result = client.run();
  if (!result) {
    fmt::print(stderr, "nbd_lean: {}\n", result.error().message);
    return 1;
  }
  print(options, *result);
  return 0;
}
