// The control socket of `ashlar serve`: a unix socket for its owner alone, a thread, several
// clients, a line of JSON each way (control_commands.h).
//
// A client that sends a line without end, or does not take its answers, is closed; the others go
// on.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "node/node.h"

namespace ashlar::cli {

class ControlServer {
 public:
  // More are closed at once: each may hold two lines of memory.
  static constexpr std::size_t kMaxClients = 16;

  // Listens at `path`, with mode 0600; a socket that nobody listens at any more is replaced.
  // `node` must outlive the server. Errors: exists, what the system says.
  static Result<std::unique_ptr<ControlServer>> start(Node& node, const std::string& path);
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  // Ends the thread, and removes the socket. A command that is being carried out is finished.
  ~ControlServer();

 private:
  struct Client {
    int fd = -1;
    std::string input;
    std::string output;
  };

  ControlServer(Node& node, std::string path) : node_(node), path_(std::move(path)) {}
  Result<void> listen();
  void run();
  void accept_one();
  bool serve(Client& client, short events);
  bool receive(Client& client);
  bool send(Client& client);

  Node& node_;
  const std::string path_;
  int listen_fd_ = -1;
  int stop_fd_ = -1;
  std::vector<Client> clients_;
  std::thread thread_;
};

// Sends one request line to the server at `path`; its answer line. Errors: what the system says,
// disconnected when no answer came.
Result<std::string> ask_control(const std::string& path, const std::string& line);

}  // namespace ashlar::cli
