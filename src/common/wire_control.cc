// Gates one and two of channel C (wire.h).
#include <cstdint>
#include <string>
#include <string_view>

#include "common/text.h"
#include "common/wire.h"
#include "common/wire_values.h"
#include "control.pb.h"

namespace portsentry {
namespace {

using wire::count;
using wire::exactly;
using wire::get;
using wire::get_duration;
using wire::overloaded;
using wire::parse;
using wire::put;
using wire::serialise;

constexpr std::size_t kMaxBudgets = 8;
constexpr std::size_t kMaxProcesses = 12;
constexpr std::size_t kMaxAlarms = 8;
constexpr std::size_t kMaxHops = 16;
constexpr std::size_t kMaxShownTouches = 32;

constexpr bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// Reads one message field by field: each value that is out of range makes the whole message nothing,
// and stands in for itself with something harmless until then.
class Gate {
 public:
  [[nodiscard]] bool open() const { return open_; }
  bool require(bool condition) {
    open_ = open_ && condition;
    return condition;
  }

  std::time_t moment(std::uint64_t seconds) {
    return require(seconds <= static_cast<std::uint64_t>(kMaxMoment))
               ? static_cast<std::time_t>(seconds)
               : 0;
  }
  // 0: nothing.
  std::optional<std::chrono::seconds> duration(std::uint64_t seconds) {
    const auto known = get_duration(seconds);
    require(known || seconds == 0);
    return known;
  }
  std::string text(const std::string& from, std::size_t cap = kMaxText) {
    return require(is_plain_text(from, cap)) ? from : std::string();
  }
  std::string word(const std::string& from) {
    require(!from.empty());
    return word_or_empty(from);
  }
  std::string word_or_empty(const std::string& from) {
    return require(from.size() <= kMaxWord && std::all_of(from.begin(), from.end(), is_word_byte))
               ? from
               : std::string();
  }
  std::uint32_t number(std::uint32_t value, std::uint32_t least, std::uint32_t most) {
    return require(value >= least && value <= most) ? value : least;
  }
  // The enumerators from `first` to `last` are all there are.
  template <class Enum>
  Enum one_of(std::uint32_t value, Enum first, Enum last) {
    return require(value >= static_cast<std::uint32_t>(first) &&
                   value <= static_cast<std::uint32_t>(last))
               ? static_cast<Enum>(value)
               : first;
  }
  std::optional<Proof> proof(std::uint32_t value) {
    if (value == 0) return std::nullopt;
    return one_of(value, Proof::forgeable, Proof::established);
  }
  Address address(const pb::Address& from) {
    const auto known = get(from);
    return require(known.has_value()) ? *known : Address::v4(0, 0, 0, 0);
  }
  Source source(const pb::Source& from) {
    const auto known = get(from);
    return require(known.has_value()) ? *known : Source::of(Address::v4(0, 0, 0, 0), true);
  }
  Prefix prefix(const pb::Prefix& from) {
    const auto known = get(from);
    return require(known.has_value()) ? *known : Prefix::host(Address::v4(0, 0, 0, 0));
  }
  template <class List>
  const List& at_most(std::size_t most, const List& list) {
    require(static_cast<std::size_t>(list.size()) <= most);
    return list;
  }

 private:
  bool open_ = true;
};

std::uint64_t put(std::time_t moment) {
  return static_cast<std::uint64_t>(moment);
}
std::uint64_t put(const std::optional<std::chrono::seconds>& duration) {
  return duration ? count(*duration) : 0;
}
std::uint32_t put(const std::optional<Proof>& proof) {
  return proof ? static_cast<std::uint32_t>(*proof) : 0;
}
template <class Enum>
std::uint32_t number(Enum value) {
  return static_cast<std::uint32_t>(value);
}

}  // namespace

// ---- portsentryctl -> monitor -------------------------------------------------------------------

std::vector<std::byte> encode(const ControlRequest& message) {
  pb::ToMonitor out;
  std::visit(
      overloaded{
          [&](const StatusRequest&) { out.mutable_status(); },
          [&](const CountersAsk& m) { out.mutable_counters()->set_skip(m.skip); },
          [&](const ListAsk& m) {
            out.mutable_list()->set_filter(number(m.filter));
            if (m.after) put(*m.after, out.mutable_list()->mutable_after());
          },
          [&](const WhyAsk& m) { put(m.address, out.mutable_why()->mutable_address()); },
          [&](const BanAsk& m) {
            auto* ban = out.mutable_ban_ask();
            put(m.prefix, ban->mutable_prefix());
            ban->set_seconds(put(m.duration));
            ban->set_permanent(m.permanent);
            ban->set_note(m.note);
          },
          [&](const UnbanAsk& m) {
            auto* unban = out.mutable_unban_ask();
            if (m.prefix) put(*m.prefix, unban->mutable_prefix());
            unban->set_allow_for_seconds(put(m.allow_for));
            unban->set_permanent_too(m.permanent_too);
          },
          [&](const AllowListAsk& m) {
            out.mutable_allow_list();
            if (m.after) put(*m.after, out.mutable_allow_list()->mutable_after());
          },
          [&](const AllowAddAsk& m) {
            auto* add = out.mutable_allow_add();
            put(m.prefix, add->mutable_prefix());
            add->set_seconds(put(m.duration));
            add->set_note(m.note);
          },
          [&](const AllowRemoveAsk& m) {
            put(m.prefix, out.mutable_allow_remove()->mutable_prefix());
          },
          [&](const ProtectedAsk& m) { out.mutable_protected_()->set_skip(m.skip); },
          [&](const TopAsk& m) {
            out.mutable_top()->set_by(number(m.by));
            out.mutable_top()->set_since(put(m.since));
            out.mutable_top()->set_limit(m.limit);
          },
          [&](const WatchAsk&) { out.mutable_watch(); },
          [&](const ReloadAsk&) { out.mutable_reload(); },
          [&](const ArmAsk& m) {
            out.mutable_arm_ask()->set_confirm_within_seconds(put(m.confirm_within));
          },
          [&](const ConfirmAsk& m) {
            out.mutable_confirm()->set_session_began(put(m.session_began));
          },
          [&](const ObserveAsk&) { out.mutable_observe(); },
          [&](const FollowFileAsk&) { out.mutable_follow_file(); },
          [&](const SelfTestAsk&) { out.mutable_self_test(); },
          [&](const FlushAsk& m) { out.mutable_flush()->set_permanent_too(m.permanent_too); },
          [&](const HistoryAsk& m) {
            out.mutable_history()->set_since(put(m.since));
            out.mutable_history()->set_before(m.before);
            if (m.inside) put(*m.inside, out.mutable_history()->mutable_inside());
          },
          [&](const ReportAsk& m) {
            out.mutable_report()->set_since(put(m.since));
            if (m.after) put(*m.after, out.mutable_report()->mutable_after());
          },
      },
      message);
  return serialise(out);
}

static std::optional<ControlRequest> understand_control_request(Bytes bytes, unsigned descriptors) {
  const auto in = parse<pb::ToMonitor>(bytes);
  if (!in || descriptors != 0) return std::nullopt;
  Gate gate;
  const auto read = [&]() -> std::optional<ControlRequest> {
    switch (in->verb_case()) {
      case pb::ToMonitor::kStatus:
        return StatusRequest{};
      case pb::ToMonitor::kCounters:
        return CountersAsk{in->counters().skip()};
      case pb::ToMonitor::kList: {
        ListAsk ask{
            .filter = gate.one_of(in->list().filter(), ListFilter::all, ListFilter::unverifiable)};
        if (in->list().has_after()) ask.after = gate.source(in->list().after());
        return ask;
      }
      case pb::ToMonitor::kWhy:
        return WhyAsk{gate.address(in->why().address())};
      case pb::ToMonitor::kBanAsk: {
        const auto& m = in->ban_ask();
        BanAsk ask{.prefix = gate.prefix(m.prefix()),
                   .duration = gate.duration(m.seconds()),
                   .permanent = m.permanent(),
                   .note = gate.text(m.note(), kMaxUserText)};
        gate.require(!ask.permanent || !ask.duration);
        return ask;
      }
      case pb::ToMonitor::kUnbanAsk: {
        const auto& m = in->unban_ask();
        UnbanAsk ask{.allow_for = gate.duration(m.allow_for_seconds()),
                     .permanent_too = m.permanent_too()};
        if (m.has_prefix()) ask.prefix = gate.prefix(m.prefix());
        gate.require(ask.prefix || !ask.allow_for);
        return ask;
      }
      case pb::ToMonitor::kAllowList: {
        AllowListAsk ask;
        if (in->allow_list().has_after()) ask.after = gate.prefix(in->allow_list().after());
        return ask;
      }
      case pb::ToMonitor::kAllowAdd: {
        const auto& m = in->allow_add();
        return AllowAddAsk{.prefix = gate.prefix(m.prefix()),
                           .duration = gate.duration(m.seconds()),
                           .note = gate.text(m.note(), kMaxUserText)};
      }
      case pb::ToMonitor::kAllowRemove:
        return AllowRemoveAsk{gate.prefix(in->allow_remove().prefix())};
      case pb::ToMonitor::kProtected:
        return ProtectedAsk{in->protected_().skip()};
      case pb::ToMonitor::kTop:
        return TopAsk{.by = gate.one_of(in->top().by(), TopBy::source, TopBy::network),
                      .since = gate.moment(in->top().since()),
                      .limit = gate.number(in->top().limit(), 1, kMaxEntries)};
      case pb::ToMonitor::kWatch:
        return WatchAsk{};
      case pb::ToMonitor::kReload:
        return ReloadAsk{};
      case pb::ToMonitor::kArmAsk:
        return ArmAsk{gate.duration(in->arm_ask().confirm_within_seconds())};
      case pb::ToMonitor::kConfirm:
        return ConfirmAsk{gate.moment(in->confirm().session_began())};
      case pb::ToMonitor::kObserve:
        return ObserveAsk{};
      case pb::ToMonitor::kFollowFile:
        return FollowFileAsk{};
      case pb::ToMonitor::kSelfTest:
        return SelfTestAsk{};
      case pb::ToMonitor::kFlush:
        return FlushAsk{in->flush().permanent_too()};
      case pb::ToMonitor::kHistory: {
        const auto& m = in->history();
        HistoryAsk ask{.since = gate.moment(m.since()), .before = m.before()};
        if (m.has_inside()) ask.inside = gate.prefix(m.inside());
        return ask;
      }
      case pb::ToMonitor::kReport: {
        ReportAsk ask{.since = gate.moment(in->report().since())};
        if (in->report().has_after()) ask.after = gate.source(in->report().after());
        return ask;
      }
      case pb::ToMonitor::VERB_NOT_SET:
        break;
    }
    return std::nullopt;
  };
  auto request = read();
  return gate.open() ? std::move(request) : std::nullopt;
}

std::optional<ControlRequest> decode_control_request(Bytes bytes, unsigned descriptors) {
  return exactly(understand_control_request(bytes, descriptors), bytes);
}

// ---- monitor -> portsentryctl: parts of replies -------------------------------------------------

namespace {

void put(const OverrideShown& from, pb::OverrideShown* to) {
  to->set_armed(from.armed);
  to->set_since(put(from.since));
  if (from.confirm_by) to->set_confirm_by(put(*from.confirm_by));
}
OverrideShown read(Gate& gate, const pb::OverrideShown& from) {
  OverrideShown shown{.armed = from.armed(), .since = gate.moment(from.since())};
  if (from.has_confirm_by()) shown.confirm_by = gate.moment(from.confirm_by());
  return shown;
}

void put(const BudgetShown& from, pb::BudgetShown* to) {
  to->set_name(from.name);
  to->set_left(from.left);
  to->set_burst(from.burst);
  to->set_per_second(from.per_second);
  to->set_tripped(from.tripped);
  to->set_turned_away(from.turned_away);
}
BudgetShown read(Gate& gate, const pb::BudgetShown& from) {
  return {.name = gate.word(from.name()),
          .left = from.left(),
          .burst = from.burst(),
          .per_second = from.per_second(),
          .tripped = from.tripped(),
          .turned_away = from.turned_away()};
}

void put(const ProcessShown& from, pb::ProcessShown* to) {
  to->set_name(from.name);
  to->set_state(number(from.state));
  if (from.pid) to->set_pid(*from.pid);
  to->set_restarts(from.restarts);
}
ProcessShown read(Gate& gate, const pb::ProcessShown& from) {
  ProcessShown shown{
      .name = gate.word(from.name()),
      .state = gate.one_of(from.state(), ProcessState::running, ProcessState::not_wanted),
      .restarts = from.restarts()};
  if (from.has_pid()) shown.pid = from.pid();
  return shown;
}

void put(const StatusReply& from, pb::StatusReply* to) {
  to->set_version(from.version);
  to->set_conf_path(from.conf_path);
  to->set_started(put(from.started));
  to->set_generation(from.generation);
  to->set_active(from.active);
  to->set_armed(from.armed);
  to->set_file_tcp(from.file_tcp);
  to->set_file_udp(from.file_udp);
  if (from.override_mode) put(*from.override_mode, to->mutable_override_mode());
  to->set_backend(number(from.backend));
  to->set_inbound_only(from.inbound_only);
  to->set_holds(from.holds);
  to->set_enforced(from.enforced);
  to->set_pending(from.pending);
  to->set_failed(from.failed);
  to->set_unrecorded(from.unrecorded);
  to->set_unverifiable(from.unverifiable);
  to->set_permanent(from.permanent);
  to->set_allowed(from.allowed);
  to->set_drift(number(from.drift));
  if (from.compared) to->set_compared(put(*from.compared));
  to->set_capacity_percent(from.capacity_percent);
  for (const BudgetShown& budget : from.budgets)
    put(budget, to->add_budgets());
  to->set_protected_entries(from.protected_entries);
  to->set_scout(number(from.scout));
  to->set_sensor_restarts(from.sensor_restarts);
  for (const ProcessShown& process : from.processes)
    put(process, to->add_processes());
  for (const std::string& alarm : from.alarms)
    to->add_alarms(alarm);
}
StatusReply read(Gate& gate, const pb::StatusReply& from) {
  StatusReply reply{
      .version = gate.text(from.version()),
      .conf_path = gate.text(from.conf_path()),
      .started = gate.moment(from.started()),
      .generation = from.generation(),
      .active = from.active(),
      .armed = from.armed(),
      .file_tcp = gate.number(from.file_tcp(), 0, 2),
      .file_udp = gate.number(from.file_udp(), 0, 2),
      .backend = gate.one_of(from.backend(), Backend::none, Backend::command),
      .inbound_only = from.inbound_only(),
      .holds = from.holds(),
      .enforced = from.enforced(),
      .pending = from.pending(),
      .failed = from.failed(),
      .unrecorded = from.unrecorded(),
      .unverifiable = from.unverifiable(),
      .permanent = from.permanent(),
      .allowed = from.allowed(),
      .drift = gate.one_of(from.drift(), Drift::unknown, Drift::drifting),
      .capacity_percent = gate.number(from.capacity_percent(), 0, 100),
      .protected_entries = from.protected_entries(),
      .scout = gate.one_of(from.scout(), ScoutShown::unknown, ScoutShown::stale),
      .sensor_restarts = from.sensor_restarts(),
  };
  if (from.has_override_mode()) reply.override_mode = read(gate, from.override_mode());
  if (from.has_compared()) reply.compared = gate.moment(from.compared());
  for (const auto& budget : gate.at_most(kMaxBudgets, from.budgets()))
    reply.budgets.push_back(read(gate, budget));
  for (const auto& process : gate.at_most(kMaxProcesses, from.processes()))
    reply.processes.push_back(read(gate, process));
  for (const auto& alarm : gate.at_most(kMaxAlarms, from.alarms()))
    reply.alarms.push_back(gate.text(alarm));
  return reply;
}

void put(const BanShown& from, pb::BanShown* to) {
  put(from.source, to->mutable_source());
  to->set_state(number(from.state));
  to->set_origin(number(from.origin));
  to->set_backend(number(from.backend));
  to->set_proof(put(from.proof));
  to->set_since(put(from.since));
  if (from.until) to->set_until(put(*from.until));
  to->set_offences(from.offences);
  to->set_recorded(from.recorded);
  to->set_trouble(from.trouble);
}
BanShown read(Gate& gate, const pb::BanShown& from) {
  BanShown shown{
      .source = gate.source(from.source()),
      .state = gate.one_of(from.state(), BanStateShown::enforced, BanStateShown::not_undone),
      .origin = gate.one_of(from.origin(), OriginShown::scan, OriginShown::recovered),
      .backend = gate.one_of(from.backend(), Backend::none, Backend::command),
      .proof = gate.proof(from.proof()),
      .since = gate.moment(from.since()),
      .offences = from.offences(),
      .recorded = from.recorded(),
      .trouble = gate.text(from.trouble())};
  if (from.has_until()) shown.until = gate.moment(from.until());
  return shown;
}

void put(const TouchShown& from, pb::TouchShown* to) {
  to->set_at(put(from.at));
  to->set_protocol(number(from.protocol));
  to->set_port(from.port.number());
  if (from.kind) to->set_kind(number(*from.kind));
  if (from.flags) to->set_flags(from.flags->bits);
}
TouchShown read(Gate& gate, const pb::TouchShown& from) {
  gate.require(from.protocol() == number(Protocol::tcp) ||
               from.protocol() == number(Protocol::udp));
  const auto port = Port::make(gate.number(from.port(), 1, 65535));
  TouchShown shown{
      .at = gate.moment(from.at()),
      .protocol = from.protocol() == number(Protocol::udp) ? Protocol::udp : Protocol::tcp,
      .port = *port};
  if (from.kind() != 0) shown.kind = gate.one_of(from.kind(), ScanKind::syn, ScanKind::maimon);
  if (from.has_flags())
    shown.flags = TcpFlags{static_cast<std::uint8_t>(gate.number(from.flags(), 0, 255))};
  return shown;
}

void put(const WhyReply& from, pb::WhyReply* to) {
  put(from.address, to->mutable_address());
  if (from.ban) put(*from.ban, to->mutable_ban());
  if (from.source) put(*from.source, to->mutable_source());
  to->set_scan_class(from.scan_class);
  to->set_proof(put(from.proof));
  if (from.first) to->set_first(put(*from.first));
  if (from.last) to->set_last(put(*from.last));
  to->set_distinct_ports(from.distinct_ports);
  to->set_offences(from.offences);
  for (const TouchShown& touch : from.touches)
    put(touch, to->add_touches());
  to->set_decision(from.decision);
  to->set_reason(from.reason);
  to->set_shield(from.shield);
  to->set_undo(from.undo);
}
WhyReply read(Gate& gate, const pb::WhyReply& from) {
  WhyReply reply{.address = gate.address(from.address()),
                 .scan_class = gate.word_or_empty(from.scan_class()),
                 .proof = gate.proof(from.proof()),
                 .distinct_ports = from.distinct_ports(),
                 .offences = from.offences(),
                 .decision = gate.word_or_empty(from.decision()),
                 .reason = gate.text(from.reason()),
                 .shield = gate.text(from.shield()),
                 .undo = gate.text(from.undo())};
  if (from.has_ban()) reply.ban = read(gate, from.ban());
  if (from.has_source()) reply.source = gate.source(from.source());
  if (from.has_first()) reply.first = gate.moment(from.first());
  if (from.has_last()) reply.last = gate.moment(from.last());
  for (const auto& touch : gate.at_most(kMaxShownTouches, from.touches()))
    reply.touches.push_back(read(gate, touch));
  return reply;
}

void put(const AllowedShown& from, pb::AllowedShown* to) {
  put(from.prefix, to->mutable_prefix());
  to->set_since(put(from.since));
  if (from.until) to->set_until(put(*from.until));
  to->set_note(from.note);
}
AllowedShown read(Gate& gate, const pb::AllowedShown& from) {
  AllowedShown shown{.prefix = gate.prefix(from.prefix()),
                     .since = gate.moment(from.since()),
                     .note = gate.text(from.note(), kMaxUserText)};
  if (from.has_until()) shown.until = gate.moment(from.until());
  return shown;
}

void put(const EventShown& from, pb::EventShown* to) {
  to->set_id(from.id);
  to->set_at(put(from.at));
  to->set_kind(from.kind);
  if (from.subject) put(*from.subject, to->mutable_subject());
  to->set_text(from.text);
  if (from.until) to->set_until(put(*from.until));
}
EventShown read(Gate& gate, const pb::EventShown& from) {
  EventShown shown{.id = from.id(),
                   .at = gate.moment(from.at()),
                   .kind = gate.word(from.kind()),
                   .text = gate.text(from.text())};
  if (from.has_subject()) shown.subject = gate.prefix(from.subject());
  if (from.has_until()) shown.until = gate.moment(from.until());
  return shown;
}

void put(const ReportRow& from, pb::ReportRow* to) {
  put(from.source, to->mutable_source());
  to->set_outcome(from.outcome);
  to->set_scan_class(from.scan_class);
  to->set_times(from.times);
  to->set_first(put(from.first));
  to->set_last(put(from.last));
  to->set_distinct_ports(from.distinct_ports);
  if (from.ban_time) to->set_ban_seconds(count(*from.ban_time));
  to->set_text(from.text);
}
ReportRow read(Gate& gate, const pb::ReportRow& from) {
  ReportRow row{.source = gate.source(from.source()),
                .outcome = gate.word(from.outcome()),
                .scan_class = gate.word_or_empty(from.scan_class()),
                .times = from.times(),
                .first = gate.moment(from.first()),
                .last = gate.moment(from.last()),
                .distinct_ports = from.distinct_ports(),
                .text = gate.text(from.text())};
  if (from.has_ban_seconds()) {
    const auto known = wire::get_ban_time(from.ban_seconds());
    if (gate.require(known.has_value())) row.ban_time = *known;
  }
  return row;
}

// ---- monitor -> portsentryctl -------------------------------------------------------------------

pb::FromMonitor written(const ControlReply& message) {
  pb::FromMonitor out;
  std::visit(
      overloaded{
          [&](const StatusReply& m) { put(m, out.mutable_status()); },
          [&](const Refused& m) {
            out.mutable_refused()->set_code(number(m.code));
            out.mutable_refused()->set_text(m.text);
          },
          [&](const Working& m) {
            out.mutable_working()->set_done(m.done);
            out.mutable_working()->set_total(m.total);
          },
          [&](const Done& m) { out.mutable_done()->set_text(m.text); },
          [&](const CounterPage& m) {
            for (const NamedCount& counter : m.counters) {
              auto* to = out.mutable_counters()->add_counters();
              to->set_name(counter.name);
              to->set_value(counter.value);
            }
            out.mutable_counters()->set_more(m.more);
          },
          [&](const BanPage& m) {
            for (const BanShown& ban : m.bans)
              put(ban, out.mutable_bans()->add_bans());
            out.mutable_bans()->set_more(m.more);
          },
          [&](const WhyReply& m) { put(m, out.mutable_why()); },
          [&](const BanDone& m) {
            auto* done = out.mutable_ban_done();
            put(m.source, done->mutable_source());
            if (m.until) done->set_until(put(*m.until));
            done->set_changed(m.changed);
            done->set_text(m.text);
          },
          [&](const UnbanDone& m) {
            auto* done = out.mutable_unban_done();
            done->set_ended(m.ended);
            done->set_failed(m.failed);
            done->set_permanent_left(m.permanent_left);
            done->set_allowed(m.allowed);
          },
          [&](const AllowedPage& m) {
            for (const AllowedShown& entry : m.entries)
              put(entry, out.mutable_allowed()->add_entries());
            out.mutable_allowed()->set_more(m.more);
          },
          [&](const AllowDone& m) {
            put(m.entry, out.mutable_allow_done()->mutable_entry());
            out.mutable_allow_done()->set_lifted(m.lifted);
          },
          [&](const ProtectedPage& m) {
            for (const ProtectedShown& entry : m.entries) {
              auto* to = out.mutable_protected_()->add_entries();
              put(entry.prefix, to->mutable_prefix());
              to->set_reason(entry.reason);
            }
            out.mutable_protected_()->set_more(m.more);
          },
          [&](const TopReply& m) {
            out.mutable_top();
            for (const TopShown& row : m.rows) {
              auto* to = out.mutable_top()->add_rows();
              to->set_name(row.name);
              to->set_count(row.count);
              to->set_last(put(row.last));
            }
          },
          [&](const Watching&) { out.mutable_watching(); },
          [&](const Watched& m) { put(m.event, out.mutable_watched()->mutable_event()); },
          [&](const Missed& m) { out.mutable_missed()->set_count(m.count); },
          [&](const ReloadDone& m) { out.mutable_reload_done()->set_generation(m.generation); },
          [&](const ModeDone& m) {
            out.mutable_mode_done()->set_armed(m.armed);
            if (m.override_mode)
              put(*m.override_mode, out.mutable_mode_done()->mutable_override_mode());
          },
          [&](const SelfTestReply& m) {
            out.mutable_self_test();
            for (const HopShown& hop : m.hops) {
              auto* to = out.mutable_self_test()->add_hops();
              to->set_name(hop.name);
              to->set_passed(hop.passed);
              to->set_microseconds(hop.microseconds);
              to->set_text(hop.text);
            }
          },
          [&](const HistoryPage& m) {
            for (const EventShown& event : m.events)
              put(event, out.mutable_history()->add_events());
            out.mutable_history()->set_more(m.more);
          },
          [&](const ReportPage& m) {
            for (const ReportRow& row : m.rows)
              put(row, out.mutable_report()->add_rows());
            out.mutable_report()->set_more(m.more);
          },
      },
      message);
  return out;
}

}  // namespace

std::vector<std::byte> encode(const ControlReply& message) {
  return serialise(written(message));
}

bool fits(const ControlReply& message) {
  return written(message).ByteSizeLong() <= kMaxMessage;
}

static std::optional<ControlReply> understand_control_reply(Bytes bytes, unsigned descriptors) {
  const auto in = parse<pb::FromMonitor>(bytes);
  if (!in || descriptors != 0) return std::nullopt;
  Gate gate;
  const auto judge = [&]() -> std::optional<ControlReply> {
    switch (in->verb_case()) {
      case pb::FromMonitor::kStatus:
        return read(gate, in->status());
      case pb::FromMonitor::kRefused:
        return Refused{
            gate.one_of(in->refused().code(), RefusedCode::not_supported, RefusedCode::failed),
            gate.text(in->refused().text())};
      case pb::FromMonitor::kWorking:
        return Working{in->working().done(), in->working().total()};
      case pb::FromMonitor::kDone:
        return Done{gate.text(in->done().text())};
      case pb::FromMonitor::kCounters: {
        CounterPage page{.counters = {}, .more = in->counters().more()};
        for (const auto& c : gate.at_most(kMaxEntries, in->counters().counters()))
          page.counters.push_back({gate.word(c.name()), c.value()});
        return page;
      }
      case pb::FromMonitor::kBans: {
        BanPage page{.bans = {}, .more = in->bans().more()};
        for (const auto& ban : gate.at_most(kMaxEntries, in->bans().bans()))
          page.bans.push_back(read(gate, ban));
        return page;
      }
      case pb::FromMonitor::kWhy:
        return read(gate, in->why());
      case pb::FromMonitor::kBanDone: {
        const auto& m = in->ban_done();
        BanDone done{
            .source = gate.source(m.source()), .changed = m.changed(), .text = gate.text(m.text())};
        if (m.has_until()) done.until = gate.moment(m.until());
        return done;
      }
      case pb::FromMonitor::kUnbanDone: {
        const auto& m = in->unban_done();
        return UnbanDone{.ended = m.ended(),
                         .failed = m.failed(),
                         .permanent_left = m.permanent_left(),
                         .allowed = m.allowed()};
      }
      case pb::FromMonitor::kAllowed: {
        AllowedPage page{.entries = {}, .more = in->allowed().more()};
        for (const auto& entry : gate.at_most(kMaxEntries, in->allowed().entries()))
          page.entries.push_back(read(gate, entry));
        return page;
      }
      case pb::FromMonitor::kAllowDone:
        return AllowDone{read(gate, in->allow_done().entry()), in->allow_done().lifted()};
      case pb::FromMonitor::kProtected: {
        ProtectedPage page{.entries = {}, .more = in->protected_().more()};
        for (const auto& entry : gate.at_most(kMaxEntries, in->protected_().entries()))
          page.entries.push_back({gate.prefix(entry.prefix()), gate.text(entry.reason())});
        return page;
      }
      case pb::FromMonitor::kTop: {
        TopReply reply;
        for (const auto& row : gate.at_most(kMaxEntries, in->top().rows()))
          reply.rows.push_back({gate.text(row.name()), row.count(), gate.moment(row.last())});
        return reply;
      }
      case pb::FromMonitor::kWatching:
        return Watching{};
      case pb::FromMonitor::kWatched:
        return Watched{read(gate, in->watched().event())};
      case pb::FromMonitor::kMissed:
        return Missed{in->missed().count()};
      case pb::FromMonitor::kReloadDone:
        return ReloadDone{in->reload_done().generation()};
      case pb::FromMonitor::kModeDone: {
        ModeDone done{.armed = in->mode_done().armed()};
        if (in->mode_done().has_override_mode())
          done.override_mode = read(gate, in->mode_done().override_mode());
        return done;
      }
      case pb::FromMonitor::kSelfTest: {
        SelfTestReply reply;
        for (const auto& hop : gate.at_most(kMaxHops, in->self_test().hops())) {
          reply.hops.push_back({.name = gate.word(hop.name()),
                                .passed = hop.passed(),
                                .microseconds = hop.microseconds(),
                                .text = gate.text(hop.text())});
        }
        return reply;
      }
      case pb::FromMonitor::kHistory: {
        HistoryPage page{.events = {}, .more = in->history().more()};
        for (const auto& event : gate.at_most(kMaxEntries, in->history().events()))
          page.events.push_back(read(gate, event));
        return page;
      }
      case pb::FromMonitor::kReport: {
        ReportPage page{.rows = {}, .more = in->report().more()};
        for (const auto& row : gate.at_most(kMaxEntries, in->report().rows()))
          page.rows.push_back(read(gate, row));
        return page;
      }
      case pb::FromMonitor::VERB_NOT_SET:
        break;
    }
    return std::nullopt;
  };
  auto reply = judge();
  return gate.open() ? std::move(reply) : std::nullopt;
}

std::optional<ControlReply> decode_control_reply(Bytes bytes, unsigned descriptors) {
  return exactly(understand_control_reply(bytes, descriptors), bytes);
}

}  // namespace portsentry
