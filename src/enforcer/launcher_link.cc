#include "enforcer/launcher_link.h"

#include <algorithm>

namespace portsentry::enforcer {
namespace {

std::optional<CommandKind> kind_of(LauncherCommand command) {
  switch (command) {
    case LauncherCommand::none:
      break;
    case LauncherCommand::kill_route:
      return CommandKind::kill_route;
    case LauncherCommand::restore_route:
      return CommandKind::restore_route;
    case LauncherCommand::kill_route_remove:
      return CommandKind::undo_route;
    case LauncherCommand::external:
      return CommandKind::external_command;
    case LauncherCommand::run_cmd:
      return CommandKind::kill_run_cmd;
    case LauncherCommand::hosts_deny_add:
      return CommandKind::hosts_deny_add;
    case LauncherCommand::hosts_deny_remove:
      return CommandKind::hosts_deny_remove;
  }
  return std::nullopt;
}

template <class Range>
bool all_zero(const Range& range) {
  using Value = typename Range::value_type;
  return std::all_of(range.begin(), range.end(), [](Value v) { return v == Value{}; });
}

}  // namespace

std::optional<CommandRequest> command_of(const LauncherRequest& request, const Modes& modes) {
  const auto kind = kind_of(request.command);
  if (request.v4 > 1 || !all_zero(request.padding)) return std::nullopt;
  if (request.port == 0 && request.protocol != 0) return std::nullopt;
  const std::size_t used = request.v4 != 0 ? 4 : 16;
  if (!all_zero(Bytes(request.address).subspan(used))) return std::nullopt;
  const auto address = Address::from_bytes(Bytes(request.address).first(used));
  if (!kind || !address || request.id == 0) return std::nullopt;
  const auto source = Source::from_prefix(*address, request.length);
  if (!source) return std::nullopt;
  CommandValues values{.source = *source, .port = Port::make(request.port), .mode = std::nullopt};
  if (values.port) {
    const bool tcp = request.protocol == static_cast<std::uint8_t>(Protocol::tcp);
    if (!tcp && request.protocol != static_cast<std::uint8_t>(Protocol::udp)) return std::nullopt;
    values.mode = modes(tcp ? Protocol::tcp : Protocol::udp);
  }
  return CommandRequest{.id = request.id, .kind = *kind, .values = values};
}

LauncherRequest run_request(std::uint64_t id, LauncherCommand command, const Source& source,
                            const std::optional<BanCause>& cause) {
  LauncherRequest request{};
  request.op = LauncherOp::run;
  request.command = command;
  request.id = id;
  if (cause) {
    request.port = cause->port.number();
    request.protocol = static_cast<std::uint8_t>(cause->protocol);
  }
  const Bytes address = source.prefix().address().bytes();
  std::copy(address.begin(), address.end(), request.address.begin());
  request.length = static_cast<std::uint8_t>(source.prefix().length());
  request.v4 = source.is_v4() ? 1 : 0;
  return request;
}

LauncherNetworks networks_event(const std::vector<Prefix>& networks) {
  LauncherNetworks event{};
  event.kind = LauncherEventKind::networks;
  for (const Prefix& network : networks) {
    if (event.count == event.networks.size()) break;
    LauncherNetworks::Network& to = event.networks.at(event.count++);
    const Bytes address = network.address().bytes();
    std::copy(address.begin(), address.end(), to.address.begin());
    to.length = static_cast<std::uint8_t>(network.length());
    to.v4 = network.address().is_v4() ? 1 : 0;
  }
  return event;
}

std::optional<std::vector<Prefix>> networks_of(const LauncherNetworks& event) {
  if (event.kind != LauncherEventKind::networks || event.count > event.networks.size())
    return std::nullopt;
  std::vector<Prefix> networks;
  for (const auto& from : std::span(event.networks).first(event.count)) {
    const std::size_t used = from.v4 != 0 ? 4 : 16;
    const auto address = Address::from_bytes(Bytes(from.address).first(used));
    const auto network = address ? Prefix::make(*address, from.length) : std::nullopt;
    if (!network) return std::nullopt;
    networks.push_back(*network);
  }
  return networks;
}

std::string_view backend_word(Backend backend) {
  switch (backend) {
    case Backend::none:
      return "none";
    case Backend::nftables:
      return "nftables";
    case Backend::command:
      return "command";
  }
  return {};
}

std::optional<Backend> backend_of_word(std::string_view word) {
  for (const Backend backend : {Backend::none, Backend::nftables, Backend::command}) {
    if (word == backend_word(backend)) return backend;
  }
  return std::nullopt;
}

std::optional<Verdict> verdict_of(std::uint32_t number) {
  for (const Verdict verdict :
       {Verdict::ok, Verdict::command_failed, Verdict::command_killed, Verdict::command_timed_out,
        Verdict::command_not_run, Verdict::no_command, Verdict::over_budget}) {
    if (number == static_cast<std::uint32_t>(verdict)) return verdict;
  }
  return std::nullopt;
}

}  // namespace portsentry::enforcer
