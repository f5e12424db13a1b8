// The connection to the daemon: one request, one answer, and a reason for each way in which that can
// fail.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>

#include "common/channel.h"
#include "common/control_messages.h"

namespace portsentry::ctl {

// Beside kExitOk and kExitUsage of log.h: what scripts can tell apart.
inline constexpr int kExitNoMatch = 1;
inline constexpr int kExitRefused = 3;
inline constexpr int kExitUnreachable = 4;

// Why there is no answer.
struct Failure {
  int exit;
  std::string code;  // word, for JSON
  std::string text;
};

[[nodiscard]] Failure failure_of(const Refused& refused);

// To the socket at `path`.
std::variant<Channel, Failure> connect_to(const char* path);

class Client {
 public:
  using Answer = std::variant<ControlReply, Failure>;

  // The daemon says Working at least every five seconds.
  static constexpr std::chrono::milliseconds kPatience = std::chrono::seconds(15);

  explicit Client(Channel channel, std::chrono::milliseconds patience = kPatience)
      : channel_(std::move(channel)), patience_(patience) {}

  // The reply to `request`; never Refused and never Working. One that is no Reply is a Failure.
  template <class Reply>
  std::variant<Reply, Failure> ask(const ControlRequest& request) {
    Answer answer = ask_any(request);
    if (auto* failure = std::get_if<Failure>(&answer)) return std::move(*failure);
    if (auto* reply = std::get_if<Reply>(&std::get<ControlReply>(answer))) return std::move(*reply);
    return not_understood();
  }

  // The next message after WatchAsk, however long that takes.
  Answer next();

 private:
  Answer ask_any(const ControlRequest& request);
  Answer receive(std::optional<std::chrono::milliseconds> patience);
  static Failure not_understood();

  Channel channel_;
  std::chrono::milliseconds patience_;
  bool answered_ = false;  // the daemon has said something: it serves us
};

}  // namespace portsentry::ctl
