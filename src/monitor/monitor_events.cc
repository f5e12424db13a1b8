// A probe, and what comes of it.
#include <chrono>
#include <utility>

#include "monitor/log_words.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

constexpr std::chrono::minutes kTellAlreadyEvery{1};

}  // namespace

void Monitor::detected(const Detection& detection, Now now) {
  tally_.detections += 1;
  const auto interface = setup_.local.interface_name(detection.interface);
  const Decision decision = decide(
      detection,
      {.config = setup_.config,
       .ignored = setup_.ignored,
       .local = setup_.local,
       .scouted = scouted_,
       .bans = bans_,
       .wall = now.wall,
       .interface = interface ? std::string_view(*interface) : "",
       .budget = ban_budget_,
       .offences = offences_,
       .steady = now.steady,
       .allowed = [this](const Prefix& prefix) { return allowed_.overlap(prefix) != nullptr; }});
  decisions_.at(static_cast<std::size_t>(decision.reason)) += 1;
  const Source& source = detection.source;
  const BanCause cause{detection.protocol, detection.port};

  record_detection(detection, decision, now);
  switch (decision.reason) {
    case Reason::ignored:
      return;
    case Reason::ban:
      return ban(detection, decision, now);
    case Reason::already_banned:
      return already_banned(detection, now);
    case Reason::already_asked:
      proven_meanwhile(detection);
      [[fallthrough]];
    case Reason::refused_before:
    case Reason::over_budget:
    case Reason::over_budget_proven:
    case Reason::over_budget_spread:
    case Reason::over_budget_single:
      // Nothing new to say but the scan itself: 1.2's "already blocked" would not be true.
      if (!budget_.is_news(source, detection.kind, now)) break;
      tell_event(detection, now);
      tell_fate(detection, Fate::pending, {}, now);
      break;
    case Reason::not_unicast:
    case Reason::own_address:
    case Reason::next_hop:
    case Reason::resolver:
    case Reason::dhcp_server:
    case Reason::login_session:
    case Reason::protected_network:
    case Reason::container_network:
    case Reason::protected_unknown:
    case Reason::allowed:
      tell_refusal(detection, words::refusal(decision.reason), now);
      break;
    case Reason::observe: {
      if (!budget_.is_news(source, detection.kind, now)) break;
      tell_event(detection, now);
      const std::string would =
          word_ ? lines_.would_ban_but_observes(decision.target, decision.duration)
                : lines_.would_ban(decision.target, decision.duration, detection.protocol,
                                   setup_.config.firewall == Firewall::none, setup_.conf_path);
      log_named(
          source, detection.address,
          [lines = lines_, detection, would](std::string_view host) {
            Text text = lines.judged(detection, Fate::observed, host);
            text.push_back(would);
            return text;
          },
          now);
      break;
    }
    case Reason::command_only:
      if (budget_.is_news(source, detection.kind, now)) {
        tell_event(detection, now);
        tell_fate(detection, Fate::commanded, {}, now);
      }
      run(Command::run_cmd, decision.target, cause, now);
      break;
    case Reason::count_:
      return;
  }
  // The same scan under the same name as when its ban was asked for.
  const auto* known = bans_.covering(detection.address);
  run(Command::external, Source(known != nullptr ? known->first : decision.target), cause, now);
}

// The ban is on its way before anything is written, and before any other command: the scanner does
// not wait for our disk. Only with KILL_RUN_CMD_FIRST it waits until that command has ended.
void Monitor::ban(const Detection& detection, const Decision& decision, Now now) {
  const BanCause cause{detection.protocol, detection.port};
  const Source& target = decision.target;
  const bool after_command =
      setup_.config.kill_run_cmd_first && run(Command::run_cmd, target, cause, now);
  bans_.ask(target,
            {.address = detection.address,
             .cause = cause,
             .duration = decision.duration,
             .of = decision.how,
             .proof = detection.proof,
             .offences = decision.offences},
            now);
  ban_budget_.spend(decision.how, now.steady);
  if (after_command) bans_.hold(target, now);
  asked_for_.insert_or_assign(target, detection);
  pump(now);
  budget_.is_news(detection.source, detection.kind, now);  // told here; not again when it is banned
  tell_event(detection, now);
  if (decision.narrowed != Narrowed::no) {
    tally_.narrowed += 1;
    log_limited(detection.source,
                lines_.narrowed(detection.source, detection.address, decision.narrowed), now);
  }
  run(Command::external, target, cause, now);
}

void Monitor::already_banned(const Detection& detection, Now now) {
  const Source& source = detection.source;
  const auto* known = bans_.covering(detection.address);
  hooks_.seen(known->first, now);
  if (detection.proof != Proof::forgeable) proven_after_all(detection, *known, now);
  const bool news = budget_.is_news(source, detection.kind, now);
  if (news) tell_event(detection, now);
  // The kernel holds it, and the disk does not have it yet: that it is blocked is told in a moment.
  if (!known->second.acknowledged) {
    if (news) tell_fate(detection, Fate::pending, {}, now);
    return;
  }
  const auto& told = known->second.told_already;
  if (told && now.steady < *told + kTellAlreadyEvery) {
    if (news) tell_fate(detection, Fate::blocked, {}, now);  // 2.x's one line about an event
    return;
  }
  bans_.told_already(known->first, now);
  tell_fate(detection, Fate::already_blocked, {}, now);
}

// The same, and the answer to the request is still to come: that comes first, and knows this then.
void Monitor::proven_meanwhile(const Detection& detection) {
  if (detection.proof == Proof::forgeable) return;
  const auto* known = bans_.covering(detection.address);
  const auto asked = asked_for_.find(known->first);
  if (asked != asked_for_.end()) asked->second.proof = detection.proof;
}

// A scan ban that rests on packets which anybody could have sent, of a source that has now proven
// itself: it gets the time of a proven one, once.
void Monitor::proven_after_all(const Detection& detection,
                               const std::pair<const Source, Bans::Ban>& known, Now now) {
  const auto& [source, ban] = known;
  const bool upgrades = ban.origin == Origin::scan && ban.of != BanClass::proven &&
                        ban.state == Bans::State::enforced && !ban.term.permanent();
  if (!upgrades || !ban_budget_.has(BanClass::proven, now.steady)) return;
  const auto offences = offences_.count(source, now.wall, setup_.config.block_time_max);
  const auto duration = ban_duration(BanClass::proven, offences, setup_.config);
  if (now.steady + duration <= ban.term.until) return;
  const Bans::Wanted wanted{.address = detection.address,
                            .cause = {detection.protocol, detection.port},
                            .duration = duration,
                            .of = BanClass::proven,
                            .proof = detection.proof,
                            .offences = offences};
  switch (bans_.change(Source(source), wanted, now)) {
    case Bans::Changed::asked:
      ban_budget_.spend(BanClass::proven, now.steady);
      break;
    case Bans::Changed::done: {  // no answer will come, but what one leads to is due
      const Bans::Answer answer{source, *bans_.find(source), Bans::Change::changed, true, false};
      record_outcome(answer, {}, now);
      changed(answer);
      break;
    }
    case Bans::Changed::unknown:
    case Bans::Changed::busy:
      break;
  }
}

void Monitor::tell_event(const Detection& detection, Now now) {
  log_named(
      detection.source, detection.address,
      [lines = lines_, detection](std::string_view host) { return lines.seen(detection, host); },
      now);
}

void Monitor::tell_fate(const Detection& detection, Fate fate, std::string_view reason, Now now) {
  log_named(
      detection.source, detection.address,
      [lines = lines_, detection, fate, reason = std::string(reason)](std::string_view host) {
        return lines.judged(detection, fate, host, reason);
      },
      now);
}

void Monitor::tell_refusal(const Detection& detection, std::string_view reason, Now now) {
  if (!budget_.is_news(detection.source, detection.kind, now)) return;
  tell_event(detection, now);
  if (setup_.config.block(detection.protocol) != BlockMode::ban) {
    log_limited(detection.source, lines_.would_not_ban(detection.address, reason), now);
    return;
  }
  tell_fate(detection, Fate::failed, reason, now);
}

}  // namespace portsentry::monitor
