#include "common/wire.h"

#include <algorithm>
#include <string>

#include "common/channel.h"
#include "common/counters.h"
#include "common/wire_values.h"
#include "enforcer.pb.h"
#include "resolver.pb.h"
#include "scout.pb.h"
#include "sensor.pb.h"

namespace portsentry {
namespace {

constexpr std::uint32_t kMaxErrno = 4095;  // MAX_ERRNO of the kernel
constexpr std::uint32_t kMaxRetryMs = 60'000;

using wire::count;
using wire::exactly;
using wire::get;
using wire::get_ban_time;
using wire::get_duration;
using wire::overloaded;
using wire::parse;
using wire::put;
using wire::serialise;

std::optional<Verdict> get(pb::Verdict from) {
  switch (static_cast<int>(from)) {
    case pb::OK:
      return Verdict::ok;
    case pb::KERNEL_REFUSED:
      return Verdict::kernel_refused;
    case pb::NO_FIREWALL:
      return Verdict::no_firewall;
    case pb::COMMAND_FAILED:
      return Verdict::command_failed;
    case pb::COMMAND_KILLED:
      return Verdict::command_killed;
    case pb::COMMAND_TIMED_OUT:
      return Verdict::command_timed_out;
    case pb::COMMAND_NOT_RUN:
      return Verdict::command_not_run;
    case pb::NO_COMMAND:
      return Verdict::no_command;
    case pb::NOT_UNICAST:
      return Verdict::not_unicast;
    case pb::OWN_ADDRESS:
      return Verdict::own_address;
    case pb::NEXT_HOP:
      return Verdict::next_hop;
    case pb::SHARED_PREFIX:
      return Verdict::shared_prefix;
    case pb::BAD_DURATION:
      return Verdict::bad_duration;
    case pb::OVER_BUDGET:
      return Verdict::over_budget;
    case pb::VIEW_UNKNOWN:
      return Verdict::view_unknown;
    case pb::PROTECTED_NETWORK:
      return Verdict::protected_network;
    case pb::CONTAINER_NETWORK:
      return Verdict::container_network;
    case pb::NOT_READ_BACK:
      return Verdict::not_read_back;
  }
  return std::nullopt;
}

std::optional<ScanKind> get(pb::ScanKind from) {
  switch (static_cast<int>(from)) {
    case pb::SYN_SCAN:
      return ScanKind::syn;
    case pb::FIN_SCAN:
      return ScanKind::fin;
    case pb::NULL_SCAN:
      return ScanKind::null;
    case pb::XMAS_SCAN:
      return ScanKind::xmas;
    case pb::ODD_FLAGS:
      return ScanKind::odd_flags;
    case pb::UDP_SCAN:
      return ScanKind::udp;
    case pb::CONNECT:
      return ScanKind::connect;
    case pb::ACK_SCAN:
      return ScanKind::ack;
    case pb::MAIMON_SCAN:
      return ScanKind::maimon;
  }
  return std::nullopt;
}

std::optional<Command> get(pb::Command from) {
  switch (static_cast<int>(from)) {
    case pb::EXTERNAL:
      return Command::external;
    case pb::RUN_CMD:
      return Command::run_cmd;
    case pb::HOSTS_DENY_ADD:
      return Command::hosts_deny_add;
    case pb::HOSTS_DENY_REMOVE:
      return Command::hosts_deny_remove;
  }
  return std::nullopt;
}

std::optional<Backend> get(pb::Backend from) {
  switch (static_cast<int>(from)) {
    case pb::NO_BACKEND:
      return Backend::none;
    case pb::NFTABLES:
      return Backend::nftables;
    case pb::COMMAND:
      return Backend::command;
  }
  return std::nullopt;
}

std::optional<ReloadedFile> get(pb::ReloadedFile from) {
  switch (static_cast<int>(from)) {
    case pb::CONFIG:
      return ReloadedFile::config;
    case pb::IGNORE:
      return ReloadedFile::ignore;
    case pb::HISTORY:
      return ReloadedFile::history;
    case pb::BLOCKED:
      return ReloadedFile::blocked;
    case pb::LOG_FILE:
      return ReloadedFile::log_file;
  }
  return std::nullopt;
}

static_assert(static_cast<int>(Verdict::no_command) == pb::NO_COMMAND &&
              static_cast<int>(Command::hosts_deny_remove) == pb::HOSTS_DENY_REMOVE &&
              static_cast<int>(Backend::command) == pb::COMMAND &&
              static_cast<int>(ReloadedFile::log_file) == pb::LOG_FILE);

static_assert(static_cast<int>(Verdict::not_read_back) == pb::NOT_READ_BACK &&
              static_cast<int>(Verdict::not_unicast) == pb::NOT_UNICAST);
static_assert(static_cast<int>(ScanKind::maimon) == pb::MAIMON_SCAN &&
              static_cast<int>(ScanKind::syn) == pb::SYN_SCAN);

void put(const Touch& from, pb::Touch* to) {
  to->set_protocol(put(from.protocol));
  to->set_port(from.port.number());
  to->set_age_seconds(count(from.age));
}

std::optional<Touch> get(const pb::Touch& from) {
  const auto protocol = get(from.protocol());
  const auto port = Port::make(from.port());
  if (!protocol || !port || from.age_seconds() > static_cast<std::uint64_t>(kMaxBan.count()))
    return std::nullopt;
  return Touch{*protocol, *port, std::chrono::seconds(from.age_seconds())};
}

void put(const Evidence& from, pb::Evidence* to) {
  put(from.source, to->mutable_source());
  for (const Touch& touch : from.touches)
    put(touch, to->add_touches());
  to->set_reported(from.reported);
}

std::optional<Evidence> get(const pb::Evidence& from) {
  const auto source = get(from.source());
  if (!source || from.touches_size() < 1 || from.touches_size() > static_cast<int>(kMaxTouches))
    return std::nullopt;
  Evidence evidence{*source, {}, from.reported()};
  for (const pb::Touch& touch : from.touches()) {
    const auto known = get(touch);
    if (!known) return std::nullopt;
    evidence.touches.push_back(*known);
  }
  return evidence;
}

std::optional<Proof> get(pb::Proof from) {
  switch (static_cast<int>(from)) {
    case pb::FORGEABLE:
      return Proof::forgeable;
    case pb::HANDSHAKE:
      return Proof::handshake;
    case pb::ESTABLISHED:
      return Proof::established;
  }
  return std::nullopt;
}
static_assert(static_cast<int>(Proof::established) == pb::ESTABLISHED &&
              static_cast<int>(TestHop::tracked) == pb::TRACKED);

// The four answers to a ReloadOffer have one shape.
template <class Answer, class Message>
std::optional<MonitorToEnforcer> get_generation(const Message& from) {
  if (from.generation() == 0) return std::nullopt;
  return Answer{from.generation()};
}

}  // namespace

// ---- channel A ----------------------------------------------------------------------------------

std::vector<std::byte> encode(const MonitorToEnforcer& message) {
  pb::ToEnforcer out;
  std::visit(
      overloaded{
          [&](const Accept& m) { out.mutable_accept()->set_armed(m.armed); },
          [&](const Ban& m) {
            auto* ban = out.mutable_ban();
            ban->set_id(m.id);
            put(m.source, ban->mutable_source());
            ban->set_seconds(count(m.duration));
            ban->set_protocol(put(m.cause.protocol));
            ban->set_port(m.cause.port.number());
            ban->set_keep_sessions(m.keep_sessions);
          },
          [&](const Unban& m) {
            out.mutable_unban()->set_id(m.id);
            put(m.source, out.mutable_unban()->mutable_source());
          },
          [&](const Restore& m) {
            auto* restore = out.mutable_restore();
            restore->set_id(m.id);
            put(m.source, restore->mutable_source());
            restore->set_seconds(count(m.remaining));
            restore->set_keep_sessions(m.keep_sessions);
          },
          [&](const RestoreDone&) { out.mutable_restore_done(); },
          [&](const DropSensor&) { out.mutable_drop_sensor(); },
          [&](const RunCommand& m) {
            auto* run = out.mutable_run_command();
            run->set_id(m.id);
            run->set_command(static_cast<pb::Command>(m.command));
            put(m.source, run->mutable_source());
            run->set_protocol(put(m.cause.protocol));
            run->set_port(m.cause.port.number());
          },
          [&](const Ready&) { out.mutable_ready(); },
          [&](const ReloadAccept& m) { out.mutable_reload_accept()->set_generation(m.generation); },
          [&](const ReloadRefuse& m) { out.mutable_reload_refuse()->set_generation(m.generation); },
          [&](const ReloadCommit& m) { out.mutable_reload_commit()->set_generation(m.generation); },
          [&](const ReloadAbandon& m) {
            out.mutable_reload_abandon()->set_generation(m.generation);
          },
          [&](const Arm& m) { out.mutable_arm()->set_armed(m.armed); },
          [&](const Audit& m) { out.mutable_audit()->set_id(m.id); },
          [&](const ListHeld&) { out.mutable_list_held(); },
          [&](const TestFirewall& m) { out.mutable_test_firewall()->set_id(m.id); },
          [&](const RequestReload&) { out.mutable_request_reload(); },
          [&](const Exempt& m) {
            for (const Prefix& network : m.networks)
              put(network, out.mutable_exempt()->add_networks());
            out.mutable_exempt()->set_more(m.more);
          },
          [&](const Release& m) {
            out.mutable_release()->set_id(m.id);
            put(m.source, out.mutable_release()->mutable_source());
          },
      },
      message);
  return serialise(out);
}

static std::optional<MonitorToEnforcer> understand_monitor_to_enforcer(Bytes bytes,
                                                                       unsigned descriptors) {
  const auto in = parse<pb::ToEnforcer>(bytes);
  if (!in || descriptors != 0) return std::nullopt;
  switch (in->verb_case()) {
    case pb::ToEnforcer::kAccept:
      return Accept{in->accept().armed()};
    case pb::ToEnforcer::kBan: {
      const auto& m = in->ban();
      const auto source = get(m.source());
      const auto duration = get_ban_time(m.seconds());
      const auto protocol = get(m.protocol());
      const auto port = Port::make(m.port());
      if (m.id() == 0 || !source || !duration || !protocol || !port) return std::nullopt;
      return Ban{m.id(), *source, *duration, {*protocol, *port}, m.keep_sessions()};
    }
    case pb::ToEnforcer::kUnban: {
      const auto source = get(in->unban().source());
      if (in->unban().id() == 0 || !source) return std::nullopt;
      return Unban{in->unban().id(), *source};
    }
    case pb::ToEnforcer::kRestore: {
      const auto& m = in->restore();
      const auto source = get(m.source());
      const auto remaining = get_ban_time(m.seconds());
      if (m.id() == 0 || !source || !remaining) return std::nullopt;
      return Restore{m.id(), *source, *remaining, m.keep_sessions()};
    }
    case pb::ToEnforcer::kRestoreDone:
      return RestoreDone{};
    case pb::ToEnforcer::kDropSensor:
      return DropSensor{};
    case pb::ToEnforcer::kRunCommand: {
      const auto& m = in->run_command();
      const auto command = get(m.command());
      const auto source = get(m.source());
      const auto protocol = get(m.protocol());
      const auto port = Port::make(m.port());
      if (m.id() == 0 || !command || !source || !protocol || !port) return std::nullopt;
      return RunCommand{m.id(), *command, *source, {*protocol, *port}};
    }
    case pb::ToEnforcer::kReady:
      return Ready{};
    case pb::ToEnforcer::kReloadAccept:
      return get_generation<ReloadAccept>(in->reload_accept());
    case pb::ToEnforcer::kReloadRefuse:
      return get_generation<ReloadRefuse>(in->reload_refuse());
    case pb::ToEnforcer::kReloadCommit:
      return get_generation<ReloadCommit>(in->reload_commit());
    case pb::ToEnforcer::kReloadAbandon:
      return get_generation<ReloadAbandon>(in->reload_abandon());
    case pb::ToEnforcer::kArm:
      return Arm{in->arm().armed()};
    case pb::ToEnforcer::kAudit:
      if (in->audit().id() == 0) return std::nullopt;
      return Audit{in->audit().id()};
    case pb::ToEnforcer::kListHeld:
      return ListHeld{};
    case pb::ToEnforcer::kTestFirewall:
      if (in->test_firewall().id() == 0) return std::nullopt;
      return TestFirewall{in->test_firewall().id()};
    case pb::ToEnforcer::kRequestReload:
      return RequestReload{};
    case pb::ToEnforcer::kExempt: {
      const auto& m = in->exempt();
      if (m.networks_size() > static_cast<int>(kMaxExempt)) return std::nullopt;
      Exempt exempt{.networks = {}, .more = m.more()};
      for (const pb::Prefix& network : m.networks()) {
        const auto known = get(network);
        if (!known) return std::nullopt;
        exempt.networks.push_back(*known);
      }
      return exempt;
    }
    case pb::ToEnforcer::kRelease: {
      const auto source = get(in->release().source());
      if (in->release().id() == 0 || !source) return std::nullopt;
      return Release{in->release().id(), *source};
    }
    case pb::ToEnforcer::VERB_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<MonitorToEnforcer> decode_monitor_to_enforcer(Bytes bytes, unsigned descriptors) {
  return exactly(understand_monitor_to_enforcer(bytes, descriptors), bytes);
}

std::vector<std::byte> encode(const EnforcerToMonitor& message) {
  pb::FromEnforcer out;
  std::visit(
      overloaded{
          [&](const Outcome& m) {
            auto* outcome = out.mutable_outcome();
            outcome->set_id(m.id);
            outcome->set_verdict(static_cast<pb::Verdict>(m.verdict));
            outcome->set_error(static_cast<std::uint32_t>(m.error));
          },
          [&](const TableCreated& m) {
            out.mutable_table_created()->set_backend(static_cast<pb::Backend>(m.backend));
            out.mutable_table_created()->set_again(m.again);
            out.mutable_table_created()->set_traps(m.traps);
          },
          [&](const Adopted& m) {
            put(m.source, out.mutable_adopted()->mutable_source());
            out.mutable_adopted()->set_seconds(count(m.remaining));
          },
          [&](const AdoptedDone&) { out.mutable_adopted_done(); },
          [&](const SensorChannel& m) { out.mutable_sensor_channel()->set_successor(m.successor); },
          [&](const SensorLost& m) {
            auto* lost = out.mutable_sensor_lost();
            lost->set_by_signal(m.by_signal);
            lost->set_code(static_cast<std::uint32_t>(m.code));
            lost->set_retry_in_ms(static_cast<std::uint32_t>(m.retry_in.count()));
            lost->set_successor(m.successor);
          },
          [&](const TableLost& m) {
            out.mutable_table_lost()->set_error(static_cast<std::uint32_t>(m.error));
          },
          [&](const Lifted& m) { put(m.source, out.mutable_lifted()->mutable_source()); },
          [&](const CommandOutput& m) { out.mutable_command_output()->set_id(m.id); },
          [&](const ReloadFile& m) {
            out.mutable_reload_file()->set_generation(m.generation);
            out.mutable_reload_file()->set_which(static_cast<pb::ReloadedFile>(m.which));
          },
          [&](const ReloadOffer& m) {
            out.mutable_reload_offer()->set_generation(m.generation);
            out.mutable_reload_offer()->set_new_watch(m.new_watch);
          },
          [&](const ReloadFailed& m) {
            auto* failed = out.mutable_reload_failed();
            failed->set_problem(static_cast<std::uint32_t>(m.problem));
            failed->set_error(static_cast<std::uint32_t>(m.error));
            failed->set_generation(m.generation);
          },
          [&](const ResolverChannel&) { out.mutable_resolver_channel(); },
          [&](const ResolverLost&) { out.mutable_resolver_lost(); },
          [&](const Audited& m) {
            out.mutable_audited()->set_id(m.id);
            out.mutable_audited()->set_elements(m.elements);
            out.mutable_audited()->set_digest(m.digest);
          },
          [&](const ScoutChannel&) { out.mutable_scout_channel(); },
          [&](const ScoutLost&) { out.mutable_scout_lost(); },
          [&](const ReloadFollowed& m) {
            out.mutable_reload_followed()->set_generation(m.generation);
          },
      },
      message);
  return serialise(out);
}

static std::optional<EnforcerToMonitor> understand_enforcer_to_monitor(Bytes bytes,
                                                                       unsigned descriptors) {
  const auto in = parse<pb::FromEnforcer>(bytes);
  if (!in || descriptors > 1) return std::nullopt;
  switch (in->verb_case()) {
    case pb::FromEnforcer::kOutcome: {
      const auto& m = in->outcome();
      const auto verdict = get(m.verdict());
      if (m.id() == 0 || !verdict || m.error() > kMaxErrno) return std::nullopt;
      return Outcome{m.id(), *verdict, static_cast<std::int32_t>(m.error())};
    }
    case pb::FromEnforcer::kTableCreated: {
      const auto backend = get(in->table_created().backend());
      const bool traps = in->table_created().traps();
      if (!backend) return std::nullopt;
      return TableCreated{*backend, in->table_created().again(), traps};
    }
    case pb::FromEnforcer::kAdopted: {
      const auto& m = in->adopted();
      const auto source = get(m.source());
      if (!source || m.seconds() > static_cast<std::uint64_t>(kMaxBan.count())) return std::nullopt;
      return Adopted{*source, std::chrono::seconds(m.seconds())};
    }
    case pb::FromEnforcer::kAdoptedDone:
      return AdoptedDone{};
    case pb::FromEnforcer::kSensorChannel:
      return SensorChannel{in->sensor_channel().successor()};
    case pb::FromEnforcer::kSensorLost: {
      const auto& m = in->sensor_lost();
      if (m.code() > 255 || m.retry_in_ms() > kMaxRetryMs) return std::nullopt;
      return SensorLost{m.by_signal(), static_cast<std::int32_t>(m.code()),
                        std::chrono::milliseconds(m.retry_in_ms()), m.successor()};
    }
    case pb::FromEnforcer::kTableLost:
      if (in->table_lost().error() > kMaxErrno) return std::nullopt;
      return TableLost{static_cast<std::int32_t>(in->table_lost().error())};
    case pb::FromEnforcer::kLifted: {
      const auto source = get(in->lifted().source());
      if (!source) return std::nullopt;
      return Lifted{*source};
    }
    case pb::FromEnforcer::kCommandOutput:
      if (in->command_output().id() == 0) return std::nullopt;
      return CommandOutput{in->command_output().id()};
    case pb::FromEnforcer::kReloadFile: {
      const auto which = get(in->reload_file().which());
      if (!which || in->reload_file().generation() == 0) return std::nullopt;
      return ReloadFile{in->reload_file().generation(), *which};
    }
    case pb::FromEnforcer::kReloadOffer:
      if (in->reload_offer().generation() == 0) return std::nullopt;
      return ReloadOffer{in->reload_offer().generation(), in->reload_offer().new_watch()};
    case pb::FromEnforcer::kReloadFailed: {
      const auto& m = in->reload_failed();
      if (m.problem() < 1 || m.problem() > static_cast<std::uint32_t>(ReloadProblem::other) ||
          m.error() > kMaxErrno) {
        return std::nullopt;
      }
      return ReloadFailed{static_cast<ReloadProblem>(m.problem()),
                          static_cast<std::int32_t>(m.error()), m.generation()};
    }
    case pb::FromEnforcer::kResolverChannel:
      return ResolverChannel{};
    case pb::FromEnforcer::kResolverLost:
      return ResolverLost{};
    case pb::FromEnforcer::kAudited:
      if (in->audited().id() == 0) return std::nullopt;
      return Audited{in->audited().id(), in->audited().elements(), in->audited().digest()};
    case pb::FromEnforcer::kScoutChannel:
      return ScoutChannel{};
    case pb::FromEnforcer::kScoutLost:
      return ScoutLost{};
    case pb::FromEnforcer::kReloadFollowed:
      if (in->reload_followed().generation() == 0) return std::nullopt;
      return ReloadFollowed{in->reload_followed().generation()};
    case pb::FromEnforcer::VERB_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<EnforcerToMonitor> decode_enforcer_to_monitor(Bytes bytes, unsigned descriptors) {
  const auto message = exactly(understand_enforcer_to_monitor(bytes, descriptors), bytes);
  if (message && descriptors != (carries_descriptor(*message) ? 1U : 0U)) return std::nullopt;
  return message;
}

// ---- channel B ----------------------------------------------------------------------------------

std::vector<std::byte> encode(const MonitorToSensor& message) {
  pb::ToSensor out;
  std::visit(overloaded{
                 [&](const SensorConfig& m) {
                   auto* config = out.mutable_config();
                   config->set_scan_trigger(m.scan_trigger);
                   config->set_scan_window_seconds(count(m.scan_window));
                   config->set_max_sources(m.max_sources);
                   for (const std::string& name : m.interfaces)
                     config->add_interfaces(name);
                   config->set_local_check(m.local_check);
                   config->set_service_check(m.service_check);
                   config->set_traps(m.traps);
                 },
                 [&](const HandOver&) { out.mutable_hand_over(); },
                 [&](const UseTraps&) { out.mutable_use_traps(); },
                 [&](const Evidence& m) { put(m, out.mutable_evidence()); },
                 [&](const TestSensor& m) { out.mutable_test()->set_nonce(m.nonce); },
             },
             message);
  return serialise(out);
}

static std::optional<MonitorToSensor> understand_monitor_to_sensor(Bytes bytes,
                                                                   unsigned descriptors) {
  const auto in = parse<pb::ToSensor>(bytes);
  if (!in || descriptors != 0) return std::nullopt;
  switch (in->verb_case()) {
    case pb::ToSensor::kConfig:
      break;
    case pb::ToSensor::kHandOver:
      return HandOver{};
    case pb::ToSensor::kUseTraps:
      return UseTraps{};
    case pb::ToSensor::kEvidence:
      return get(in->evidence());
    case pb::ToSensor::kTest:
      if (in->test().nonce() == 0) return std::nullopt;
      return TestSensor{in->test().nonce()};
    case pb::ToSensor::VERB_NOT_SET:
      return std::nullopt;
  }
  const auto& m = in->config();
  const auto window = get_duration(m.scan_window_seconds());
  if (m.scan_trigger() == 0 || m.scan_trigger() > kMaxTrigger || !window) return std::nullopt;
  if (m.max_sources() < 16 || m.max_sources() > kMaxSources) return std::nullopt;
  if (m.interfaces_size() > static_cast<int>(kMaxInterfaces)) return std::nullopt;
  SensorConfig config{m.scan_trigger(), *window,           m.max_sources(), {},
                      m.local_check(),  m.service_check(), m.traps()};
  for (const std::string& name : m.interfaces()) {
    if (name.empty() || name.size() > kInterfaceNameSize) return std::nullopt;
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; }))
      return std::nullopt;
    config.interfaces.push_back(name);
  }
  return config;
}

std::optional<MonitorToSensor> decode_monitor_to_sensor(Bytes bytes, unsigned descriptors) {
  return exactly(understand_monitor_to_sensor(bytes, descriptors), bytes);
}

std::vector<std::byte> encode(const SensorToMonitor& message) {
  pb::FromSensor out;
  std::visit(overloaded{
                 [&](const SensorReady&) { out.mutable_ready(); },
                 [&](const Detection& m) {
                   auto* detection = out.mutable_detection();
                   put(m.source, detection->mutable_source());
                   put(m.address, detection->mutable_address());
                   put(m.target, detection->mutable_target());
                   detection->set_protocol(put(m.protocol));
                   detection->set_port(m.port.number());
                   detection->set_kind(static_cast<pb::ScanKind>(m.kind));
                   detection->set_tcp_flags(m.flags.bits);
                   detection->set_distinct_ports(m.distinct_ports);
                   detection->set_first(m.first);
                   detection->set_ip_options(m.ip_options);
                   detection->set_fragmented(m.fragmented);
                   detection->set_interface(m.interface);
                   detection->set_proof(static_cast<pb::Proof>(m.proof));
                   for (const Touch& touch : m.touches)
                     put(touch, detection->add_touches());
                   detection->set_held(m.held);
                 },
                 [&](const Acquitted& m) {
                   auto* acquitted = out.mutable_acquitted();
                   put(m.source, acquitted->mutable_source());
                   acquitted->set_protocol(put(m.protocol));
                   acquitted->set_port(m.port.number());
                 },
                 [&](const SensorCounters& m) {
                   auto* counters = out.mutable_counters();
                   for (const std::uint64_t value : m.values)
                     counters->add_values(value);
                 },
                 [&](const BindFailed& m) {
                   auto* failed = out.mutable_bind_failed();
                   failed->set_protocol(put(m.protocol));
                   failed->set_port(m.port.number());
                   failed->set_error(static_cast<std::uint32_t>(m.error));
                 },
                 [&](const Evidence& m) { put(m, out.mutable_evidence()); },
                 [&](const HandedOver&) { out.mutable_handed_over(); },
                 [&](const SensorTested& m) {
                   out.mutable_tested()->set_nonce(m.nonce);
                   out.mutable_tested()->set_reached(static_cast<pb::TestHop>(m.reached));
                 },
             },
             message);
  return serialise(out);
}

static std::optional<SensorToMonitor> understand_sensor_to_monitor(Bytes bytes,
                                                                   unsigned descriptors) {
  const auto in = parse<pb::FromSensor>(bytes);
  if (!in || descriptors != 0) return std::nullopt;
  switch (in->verb_case()) {
    case pb::FromSensor::kReady:
      return SensorReady{};
    case pb::FromSensor::kDetection: {
      const auto& m = in->detection();
      const auto source = get(m.source());
      const auto address = get(m.address());
      const auto target = get(m.target());
      const auto protocol = get(m.protocol());
      const auto port = Port::make(m.port());
      const auto kind = get(m.kind());
      if (!source || !address || !target || !protocol || !port || !kind) return std::nullopt;
      if (!source->prefix().contains(*address) || target->is_v4() != address->is_v4())
        return std::nullopt;
      const bool udp = *protocol == Protocol::udp;
      const bool connect = *kind == ScanKind::connect;
      if (!connect && (*kind == ScanKind::udp) != udp) return std::nullopt;
      if (target->is_unspecified() && !(connect && udp)) return std::nullopt;
      if (m.tcp_flags() > 255 || ((udp || connect) && m.tcp_flags() != 0)) return std::nullopt;
      if (m.distinct_ports() == 0 || m.distinct_ports() > kMaxTrigger) return std::nullopt;
      const auto proof = get(m.proof());
      const bool shook_hands = proof == Proof::handshake;
      if (!proof || (shook_hands && (!connect || udp))) return std::nullopt;
      if (m.touches_size() > static_cast<int>(kMaxToldTouches)) return std::nullopt;
      std::vector<Touch> touches;
      for (const pb::Touch& touch : m.touches()) {
        const auto known = get(touch);
        if (!known) return std::nullopt;
        touches.push_back(*known);
      }
      return Detection{.source = *source,
                       .address = *address,
                       .target = *target,
                       .protocol = *protocol,
                       .port = *port,
                       .kind = *kind,
                       .flags = TcpFlags{static_cast<std::uint8_t>(m.tcp_flags())},
                       .distinct_ports = m.distinct_ports(),
                       .first = m.first(),
                       .ip_options = m.ip_options(),
                       .fragmented = m.fragmented(),
                       .interface = m.interface(),
                       .proof = *proof,
                       .touches = std::move(touches),
                       .held = m.held()};
    }
    case pb::FromSensor::kCounters: {
      if (in->counters().values_size() != static_cast<int>(kSensorCounters)) return std::nullopt;
      return SensorCounters{{in->counters().values().begin(), in->counters().values().end()}};
    }
    case pb::FromSensor::kBindFailed: {
      const auto& m = in->bind_failed();
      const auto protocol = get(m.protocol());
      const auto port = Port::make(m.port());
      if (!protocol || !port || m.error() == 0 || m.error() > kMaxErrno) return std::nullopt;
      return BindFailed{*protocol, *port, static_cast<std::int32_t>(m.error())};
    }
    case pb::FromSensor::kEvidence:
      return get(in->evidence());
    case pb::FromSensor::kAcquitted: {
      const auto& m = in->acquitted();
      const auto source = get(m.source());
      const auto protocol = get(m.protocol());
      const auto port = Port::make(m.port());
      if (!source || !protocol || !port) return std::nullopt;
      return Acquitted{*source, *protocol, *port};
    }
    case pb::FromSensor::kHandedOver:
      return HandedOver{};
    case pb::FromSensor::kTested: {
      const auto& m = in->tested();
      const int reached = static_cast<int>(m.reached());
      if (m.nonce() == 0 || reached < pb::NO_HOP || reached > pb::TRACKED) return std::nullopt;
      return SensorTested{m.nonce(), static_cast<TestHop>(reached)};
    }
    case pb::FromSensor::VERB_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<SensorToMonitor> decode_sensor_to_monitor(Bytes bytes, unsigned descriptors) {
  return exactly(understand_sensor_to_monitor(bytes, descriptors), bytes);
}

// ---- channel R ----------------------------------------------------------------------------------

std::vector<std::byte> encode(const MonitorToResolver& message) {
  pb::ToResolver out;
  std::visit(overloaded{[&](const Resolve& m) {
               out.mutable_resolve()->set_id(m.id);
               put(m.address, out.mutable_resolve()->mutable_address());
             }},
             message);
  return serialise(out);
}

static std::optional<MonitorToResolver> understand_monitor_to_resolver(Bytes bytes,
                                                                       unsigned descriptors) {
  const auto in = parse<pb::ToResolver>(bytes);
  if (!in || descriptors != 0 || in->verb_case() != pb::ToResolver::kResolve) return std::nullopt;
  const auto address = get(in->resolve().address());
  if (in->resolve().id() == 0 || !address) return std::nullopt;
  return Resolve{in->resolve().id(), *address};
}

std::optional<MonitorToResolver> decode_monitor_to_resolver(Bytes bytes, unsigned descriptors) {
  return exactly(understand_monitor_to_resolver(bytes, descriptors), bytes);
}

std::vector<std::byte> encode(const ResolverToMonitor& message) {
  pb::FromResolver out;
  std::visit(overloaded{[&](const HostName& m) {
               out.mutable_host_name()->set_id(m.id);
               out.mutable_host_name()->set_text(m.text);
             }},
             message);
  return serialise(out);
}

// Letters, digits, dots, hyphens, and \DDD for a byte that is none of these: what goes into the log
// can neither end a line nor move a terminal's cursor, and has one spelling.
static bool is_escaped_name(std::string_view text) {
  if (text.size() > kMaxHostName) return false;
  while (!text.empty()) {
    if (is_host_name_byte(text.front())) {
      text.remove_prefix(1);
      continue;
    }
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (text.size() < 4 || text[0] != '\\' || !digit(text[1]) || !digit(text[2]) || !digit(text[3]))
      return false;
    const int byte = (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');
    if (byte > 255 || (byte < 128 && is_host_name_byte(static_cast<char>(byte)))) return false;
    text.remove_prefix(4);
  }
  return true;
}

static std::optional<ResolverToMonitor> understand_resolver_to_monitor(Bytes bytes,
                                                                       unsigned descriptors) {
  const auto in = parse<pb::FromResolver>(bytes);
  if (!in || descriptors != 0 || in->verb_case() != pb::FromResolver::kHostName)
    return std::nullopt;
  const auto& m = in->host_name();
  if (m.id() == 0 || !is_escaped_name(m.text())) return std::nullopt;
  return HostName{m.id(), m.text()};
}

std::optional<ResolverToMonitor> decode_resolver_to_monitor(Bytes bytes, unsigned descriptors) {
  return exactly(understand_resolver_to_monitor(bytes, descriptors), bytes);
}

// ---- channel S ----------------------------------------------------------------------------------

std::vector<std::byte> encode(const ScoutToMonitor& message) {
  pb::FromScout out;
  std::visit(overloaded{
                 [&](const SnapshotBegin&) { out.mutable_snapshot_begin(); },
                 [&](const Found& m) {
                   put(m.address, out.mutable_found()->mutable_address());
                   out.mutable_found()->set_where(static_cast<pb::FoundIn>(m.where));
                   out.mutable_found()->set_since(static_cast<std::uint64_t>(m.since));
                 },
                 [&](const SnapshotEnd& m) { out.mutable_snapshot_end()->set_files(m.files); },
             },
             message);
  return serialise(out);
}

static_assert(static_cast<int>(FoundIn::resolv_conf) == pb::RESOLV_CONF &&
              static_cast<int>(FoundIn::utmp) == pb::UTMP &&
              static_cast<int>(kLastFoundIn) == pb::LOGIND);

static std::optional<Found> get(const pb::Found& from) {
  const auto address = get(from.address());
  const int number = static_cast<int>(from.where());
  if (!address || !address->is_routable_unicast() || number < pb::RESOLV_CONF ||
      number > pb::LOGIND) {
    return std::nullopt;
  }
  const auto where = static_cast<FoundIn>(number);
  constexpr std::uint64_t kLatest = std::uint64_t{1} << 62U;
  if (from.since() >= kLatest) return std::nullopt;
  if (from.since() != 0 && kind_of(where) != FoundKind::session) return std::nullopt;
  return Found{*address, where, static_cast<std::int64_t>(from.since())};
}

static std::optional<ScoutToMonitor> understand_scout_to_monitor(Bytes bytes,
                                                                 unsigned descriptors) {
  const auto in = parse<pb::FromScout>(bytes);
  if (!in || descriptors != 0) return std::nullopt;
  switch (in->verb_case()) {
    case pb::FromScout::kSnapshotBegin:
      return SnapshotBegin{};
    case pb::FromScout::kFound: {
      const auto found = get(in->found());
      if (!found) return std::nullopt;
      return *found;
    }
    case pb::FromScout::kSnapshotEnd:
      return SnapshotEnd{in->snapshot_end().files()};
    case pb::FromScout::VERB_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<ScoutToMonitor> decode_scout_to_monitor(Bytes bytes, unsigned descriptors) {
  return exactly(understand_scout_to_monitor(bytes, descriptors), bytes);
}

}  // namespace portsentry
