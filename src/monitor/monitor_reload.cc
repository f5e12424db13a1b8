// Reload, in two phases: a new generation of configuration and ignore list is judged here, in the
// sandbox; where it changes what the sensor does, a successor gets ready beside the one that
// serves, learns what that one knows, and only then all switch. Whatever fails on the way leaves
// everything as it was. Bans, budgets and counters belong to no generation.
#include <algorithm>
#include <utility>
#include <vector>

#include "common/text.h"
#include "monitor/history.h"
#include "monitor/log_words.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

// How long a successor may be silent, and how long the hand-over may take in all.
constexpr std::chrono::seconds kPatience{5};
// Mistakes that are told one by one.
constexpr std::size_t kToldFindings = 20;
// How long root may take to follow a commit: nft alone may take ten.
constexpr std::chrono::seconds kRootFollows{15};

bool same(const SensorConfig& a, const SensorConfig& b) {
  return a.scan_trigger == b.scan_trigger && a.scan_window == b.scan_window &&
         a.max_sources == b.max_sources && a.interfaces == b.interfaces &&
         a.local_check == b.local_check && a.service_check == b.service_check;
}

}  // namespace

// Root may have given an earlier one up without a word; what came of it is not used.
bool Monitor::on(const ReloadFile& file, Now now) {
  if (file.generation <= generation_) return false;
  if (reload_) reload_over("another one began", false, now);
  // Root goes on: what it could not do of the last one, it has told.
  if (following_) reload_followed();
  if (offered_ != file.generation) effects_.drop_offer();
  offered_ = file.generation;
  return true;
}

bool Monitor::on(const ReloadOffer& offer, Now now) {
  if (offered_ != offer.generation || reload_) return false;
  offered_.reset();
  const auto conf_text = effects_.offered(ReloadedFile::config);
  const auto ignore_text = effects_.offered(ReloadedFile::ignore);
  if (!conf_text || !ignore_text) {
    refuse(offer, {Finding{.file = setup_.conf_path, .text = "cannot be read"}}, setup_.config,
           now);
    return true;
  }
  ConfigReading conf = setup_.read_config(*conf_text);
  const std::string& named = conf.config.ignore_file;
  IgnoreReading ignore =
      read_ignore_list(*ignore_text, named.empty() ? setup_.ignore_path : named, now.wall);
  if (!conf.ok() || !ignore.ok()) {
    std::vector<Finding> findings = std::move(conf.findings);
    findings.insert(findings.end(), ignore.findings.begin(), ignore.findings.end());
    refuse(offer, findings, conf.config, now);
    return true;
  }
  const bool new_watch =
      offer.new_watch || !same(sensor_config_of(conf.config), sensor_config_of(setup_.config));
  reload_ = Reload{.next = {offer.generation, std::move(conf.config), std::move(*ignore.list)},
                   .new_watch = new_watch,
                   .deadline = {},
                   .handing_over = false};
  if (!new_watch) {
    commit(now);
    return true;
  }
  await_successor(now);
  owe(ReloadAccept{offer.generation}, now);
  return true;
}

// Tells each mistake, and where it is. Outputs whose paths did not change are opened anew all the
// same: logrotate asks for that every night, with whatever lies in the file that day.
void Monitor::refuse(const ReloadOffer& offer, const std::vector<Finding>& findings,
                     const Config& read, Now now) {
  std::size_t errors = 0;
  for (const Finding& finding : findings) {
    if (finding.severity != Severity::error) continue;
    errors += 1;
    if (errors <= kToldFindings) say(lines_.error(finding.print()));
  }
  const Config& config = setup_.config;
  if (read.history_file == config.history_file) {
    effects_.adopt_file(ReloadedFile::history, !config.history_file.empty());
  }
  if (read.blocked_file == config.blocked_file) {
    effects_.adopt_file(ReloadedFile::blocked, !config.blocked_file.empty());
    effects_.blocked_rewrite(blocked_view(bans_));
  }
  if (read.log_file == config.log_file) {
    effects_.adopt_file(ReloadedFile::log_file, !config.log_file.empty());
  }
  effects_.drop_offer();
  tally_.reloads_refused += 1;
  const std::string mistakes = std::to_string(errors) + (errors == 1 ? " mistake" : " mistakes");
  say(lines_.reload_refused(mistakes + ", told above", generation_));
  const auto first = std::ranges::find(findings, Severity::error, &Finding::severity);
  reload_ended(Refused{RefusedCode::failed,
                       plain_text(first == findings.end() ? mistakes
                                  : errors == 1           ? first->print()
                                                : mistakes + "; the first: " + first->print(),
                                  kMaxText)});
  owe(ReloadRefuse{offer.generation}, now);
}

bool Monitor::on(const ReloadFailed& failed, Now now) {
  const std::string why = words::problem(failed);
  switch (failed.problem) {
    case ReloadProblem::history_file:
    case ReloadProblem::blocked_file:
    case ReloadProblem::log_file:
      say(lines_.error(why + "; the old one stays in use"));
      return true;
    case ReloadProblem::config_file:
    case ReloadProblem::ignore_file:
    case ReloadProblem::account:
    case ReloadProblem::descriptors:
    case ReloadProblem::firewall:
    case ReloadProblem::other:
      break;
  }
  offered_.reset();
  if (reload_) {
    reload_over(why, false, now);
    return true;
  }
  effects_.drop_offer();
  if (following_ && failed.generation == generation_) {  // root did not follow: back to where it is
    use(std::exchange(following_, std::nullopt)->before);
    tell_armed(now);
  }
  tally_.reloads_refused += 1;
  say(lines_.reload_refused(why, generation_));
  reload_ended(Refused{RefusedCode::failed, plain_text(why, kMaxText)});
  return true;
}

void Monitor::await_successor(Now now) {
  reload_->deadline = now.steady + kPatience;
}

// The successor sees everything from here on; it has yet to learn what its predecessor knows.
void Monitor::hand_over(Now now) {
  reload_->handing_over = true;
  await_successor(now);
  if (sensor_.phase == SensorPhase::ready && effects_.to_sensor(SensorRole::current, HandOver{})) {
    sensor_.phase = SensorPhase::handing_over;
  }
  relay(now);
}

void Monitor::reload_overdue(Now now) {
  if (!reload_->handing_over) return reload_over("the new sensor did not get ready", true, now);
  say(lines_.error(
      "the old sensor did not tell all it knew; scans below SCAN_TRIGGER are counted anew"));
  relayed_.reset();
  commit(now);
}

void Monitor::reload_over(std::string_view why, bool abandon, Now now) {
  const std::uint32_t generation = reload_->next.number;
  reload_.reset();
  relayed_.reset();
  successor_ = {};
  effects_.drop_successor();
  effects_.drop_offer();
  tally_.reloads_refused += 1;
  say(lines_.reload_refused(why, generation_));
  reload_ended(Refused{RefusedCode::failed, plain_text(why, kMaxText)});
  if (abandon) owed_.emplace_back(ReloadAbandon{generation});
  if (sensor_.phase == SensorPhase::handing_over || sensor_.phase == SensorPhase::silent) {
    // It was told to be silent, and is of no use any more.
    sensor_.phase = SensorPhase::silent;
    owed_.emplace_back(DropSensor{});
  }
  pump(now);
}

void Monitor::commit(Now now) {
  Reload done = std::move(*reload_);
  reload_.reset();
  owed_.emplace_back(ReloadCommit{done.next.number});
  if (successor_.phase == SensorPhase::ready) {
    sensor_gone();
    sensor_ = std::exchange(successor_, {});
    effects_.promote_successor();
  }
  following_ = Following{.before = {generation_, file_config(), setup_.ignored},
                         .armed_before = setup_.config.armed(),
                         .new_watch = done.new_watch,
                         .until = now.steady + kRootFollows};
  use(std::move(done.next));
  effects_.adopt_file(ReloadedFile::history, !setup_.config.history_file.empty());
  effects_.adopt_file(ReloadedFile::blocked, !setup_.config.blocked_file.empty());
  effects_.adopt_file(ReloadedFile::log_file, !setup_.config.log_file.empty());
  effects_.drop_offer();
  tell_armed(now);
  lift_protected(now);
  follow_with_sensor(now);
  bans_.commands_changed(now);
  effects_.blocked_rewrite(blocked_view(bans_));
  pump(now);
}

bool Monitor::on(const ReloadFollowed& followed, Now) {
  if (following_ && followed.generation == generation_) reload_followed();
  return true;
}

// Only now is it true of the firewall's rules, too.
void Monitor::reload_followed() {
  const Following done = *std::exchange(following_, std::nullopt);
  say(lines_.reloaded(generation_));
  if (done.armed_before && !setup_.config.armed()) say(lines_.observing(setup_.conf_path));
  if (done.new_watch) {
    log_all(lines_.listening(setup_.config, sensor_.unbound));
    told_unbound_ = sensor_.unbound;
  }
  reload_ended(ReloadDone{generation_});
}

void Monitor::reload_unfollowed() {
  say(lines_.error("the firewall's rules are still those of before generation " +
                   std::to_string(generation_)));
  reload_followed();
}

void Monitor::use(Generation next) {
  generation_ = next.number;
  setup_.config = std::move(next.config);
  file_modes_ = modes_of(setup_.config);
  use_modes();
  setup_.ignored = std::move(next.ignored);
  lines_ = Lines(setup_.config);
  effects_.log_by(setup_.config);
}

}  // namespace portsentry::monitor
