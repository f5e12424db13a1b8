// The commands of every generation that may still have something to undo. A ban that KILL_ROUTE made
// is taken back by what that generation calls its inverse, whatever a reload has written since; else
// a rule would stay for ever, or another one go.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>

#include "common/unique_fd.h"
#include "enforcer/commands.h"

namespace portsentry::enforcer {

// How many earlier KILL_ROUTEs are remembered. Beyond that the undo is "none known".
inline constexpr std::size_t kRetiredRoutes = 8;

class CommandSets {
 public:
  using TimePoint = Commands::TimePoint;

  CommandSets(std::uint32_t generation, const CommandTexts& texts, UniqueFd editor);

  // A committed reload. Where it changes KILL_ROUTE or what undoes it, the old ones retire.
  void use(std::uint32_t generation, const CommandTexts& texts);
  // The generation since which KILL_ROUTE and its undo are what they are: the stamp of a ban.
  [[nodiscard]] std::uint32_t route_generation() const { return route_generation_; }

  // `stamp`: which undo is meant; 0 and anything but an undo: the one in force.
  void start(const CommandRequest& request, std::uint32_t stamp, TimePoint now);
  void recover_hosts_deny(TimePoint now) { current_.recover_hosts_deny(now); }

  // As those of Commands, for all of them.
  bool ended(pid_t pid, int status, TimePoint now);
  [[nodiscard]] std::optional<TimePoint> deadline() const;
  void expire(TimePoint now);
  [[nodiscard]] CommandEvents take();
  void drop_waiting_routes();
  void kill_all();
  [[nodiscard]] std::size_t running() const;

 private:
  struct Retired {
    Retired(std::uint32_t since, const CommandTexts& texts)
        : stamp(since), commands(texts, UniqueFd()) {}
    std::uint32_t stamp;
    Commands commands;
  };

  CommandTexts texts_;
  std::uint32_t route_generation_;
  Commands current_;
  std::list<Retired> retired_;
  CommandEvents events_;
};

}  // namespace portsentry::enforcer
