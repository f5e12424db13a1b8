// Who waits for the daemon to be ready: the foreground that started it, a service manager, or
// nobody. A daemon that goes to the background does so from its first line: what it says until it is
// ready reaches the terminal by way of the waiting foreground process, and the exit status is that
// of the daemon if it does not come up.
#pragma once

#include <string>

#include "common/unique_fd.h"
#include "enforcer/options.h"

namespace portsentry::enforcer {

class Background {
 public:
  // Forks where the daemon shall go to the background, and returns only in the process that goes
  // on; the other one waits and ends. Call before anything is opened. Standard output of a
  // background process is /dev/null, and nothing of the terminal is left to it once it is ready.
  static Background begin(Options::Ground ground);

  // Everything stands. Once; later calls do nothing.
  void ready();
  // For the service manager (sd_notify(3)), also where there is none: "STATUS=...", "RELOADING=1".
  void tell_manager(const std::string& state) const;

  [[nodiscard]] bool away() const { return away_; }

 private:
  bool away_ = false;
  bool told_ = false;
  UniqueFd waiting_;           // the foreground's end of the wait
  std::string notify_socket_;  // NOTIFY_SOCKET, empty without one
};

// Whether `ground` is the background here: pure.
bool goes_away(Options::Ground ground, bool terminal, bool service_manager);

}  // namespace portsentry::enforcer
