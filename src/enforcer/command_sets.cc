#include "enforcer/command_sets.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace portsentry::enforcer {

CommandSets::CommandSets(std::uint32_t generation, const CommandTexts& texts, UniqueFd editor)
    : texts_(texts), route_generation_(generation), current_(texts, std::move(editor)) {}

void CommandSets::use(std::uint32_t generation, const CommandTexts& texts) {
  if (texts.kill_route != texts_.kill_route ||
      texts.kill_route_remove != texts_.kill_route_remove) {
    if (!texts_.kill_route.empty()) {
      retired_.emplace_back(route_generation_,
                            CommandTexts{.kill_route = texts_.kill_route,
                                         .kill_route_remove = texts_.kill_route_remove,
                                         .kill_run_cmd = {},
                                         .external_command = {},
                                         .kill_hosts_deny = {}});
    }
    // One with a child is not let go: nobody would reap it by its name.
    const auto oldest = std::find_if(retired_.begin(), retired_.end(),
                                     [](const Retired& r) { return r.commands.running() == 0; });
    if (retired_.size() > kRetiredRoutes && oldest != retired_.end()) retired_.erase(oldest);
    route_generation_ = generation;
  }
  texts_ = texts;
  current_.use(texts);
}

void CommandSets::start(const CommandRequest& request, std::uint32_t stamp, TimePoint now) {
  if (request.kind != CommandKind::undo_route || stamp == 0 || stamp == route_generation_)
    return current_.start(request, now);
  const auto retired = std::find_if(retired_.begin(), retired_.end(),
                                    [stamp](const Retired& r) { return r.stamp == stamp; });
  if (retired != retired_.end()) return retired->commands.start(request, now);
  events_.finished.push_back({.id = request.id, .verdict = Verdict::no_command, .error = 0});
}

bool CommandSets::ended(pid_t pid, int status, TimePoint now) {
  if (current_.ended(pid, status, now)) return true;
  return std::any_of(retired_.begin(), retired_.end(),
                     [&](Retired& r) { return r.commands.ended(pid, status, now); });
}

std::optional<CommandSets::TimePoint> CommandSets::deadline() const {
  auto first = current_.deadline();
  for (const Retired& r : retired_) {
    const auto other = r.commands.deadline();
    if (other && (!first || *other < *first)) first = other;
  }
  return first;
}

void CommandSets::expire(TimePoint now) {
  current_.expire(now);
  for (Retired& r : retired_)
    r.commands.expire(now);
}

CommandEvents CommandSets::take() {
  CommandEvents all = std::exchange(events_, {});
  const auto add = [&all](CommandEvents events) {
    std::move(events.outputs.begin(), events.outputs.end(), std::back_inserter(all.outputs));
    std::move(events.finished.begin(), events.finished.end(), std::back_inserter(all.finished));
  };
  add(current_.take());
  for (Retired& r : retired_)
    add(r.commands.take());
  return all;
}

void CommandSets::drop_waiting_routes() {
  current_.drop_waiting_routes();
  for (Retired& r : retired_)
    r.commands.drop_waiting_routes();
}

void CommandSets::kill_all() {
  current_.kill_all();
  for (Retired& r : retired_)
    r.commands.kill_all();
}

std::size_t CommandSets::running() const {
  std::size_t all = current_.running();
  for (const Retired& r : retired_)
    all += r.commands.running();
  return all;
}

}  // namespace portsentry::enforcer
