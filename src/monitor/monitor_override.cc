// `portsentryctl arm`, `confirm` and `observe`: an administrator's word against the file's. The
// enforcer is told whether bans are wanted at all; whom to ban is decided here, by the modes that come
// of both. What holds when observing begins holds until its time is over.
#include <utility>

#include "monitor/log_words.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

constexpr std::string_view kSaid = ", whatever BLOCK_TCP and BLOCK_UDP say in ";

ModeChange refused(std::string text) {
  return {ModeChange::Code::refused, std::move(text)};
}
ModeChange done(std::string text) {
  return {ModeChange::Code::done, std::move(text)};
}

}  // namespace

Config Monitor::file_config() const {
  Config config = setup_.config;
  set_modes(config, file_modes_);
  return config;
}

void Monitor::use_modes() {
  set_modes(setup_.config, in_force(file_modes_, word_));
}

// Before Accept: what an earlier run was told counts from the first moment on.
void Monitor::recall_override(Now now) {
  file_modes_ = modes_of(setup_.config);
  word_ = setup_.remembered.override;
  if (word_) reverts_at_ = reverts_at(*word_, now);
  if (reverts_at_ && *reverts_at_ <= now.steady) return revert(now);
  use_modes();
  if (word_) tell_mode();
}

void Monitor::tell_mode() {
  switch (word_->mode) {
    case Override::Mode::observe:
      return say(lines_.notice("observe mode by \"portsentryctl observe\"" + std::string(kSaid) +
                               setup_.conf_path + ": scans are told and nobody is blocked"));
    case Override::Mode::arm:
      break;
  }
  say(lines_.notice(
      "armed by \"portsentryctl arm\"" + std::string(kSaid) + setup_.conf_path +
      (word_->confirm_by ? "; that ends unless somebody logs in anew and confirms it" : "")));
}

void Monitor::set_override(std::optional<Override> word, EventKind kind, std::string_view detail,
                           Now now) {
  word_ = word;
  reverts_at_ = word_ ? reverts_at(*word_, now) : std::nullopt;
  use_modes();
  note(SetOverride{word_});
  record({.at = now.wall, .kind = kind, .detail = std::string(detail)});
  tell_armed(now);
}

// Before the first table the enforcer has no ear for it.
void Monitor::tell_armed(Now now) {
  const bool armed = setup_.config.armed();
  if (phase_ == Phase::fresh || told_armed_ == armed) return;
  told_armed_ = armed;
  owe(Arm{armed}, now);
}

ModeChange Monitor::arm(std::optional<std::chrono::seconds> confirm_within, Now now) {
  if (setup_.config.firewall == Firewall::none)
    return refused("FIREWALL=\"none\" in " + setup_.conf_path + ": nothing could enforce a ban");
  Override word{.mode = Override::Mode::arm, .since = now.wall, .confirm_by = {}};
  if (!word_ && in_force(file_modes_, word) == file_modes_)
    return done("armed already, by " + setup_.conf_path);
  std::string text = "armed";
  if (confirm_within) {
    word.confirm_by = now.wall + confirm_within->count();
    text += "; not any more in " + words::duration(*confirm_within) +
            ", unless it is confirmed from a login session that begins after this";
  }
  set_override(word, EventKind::armed,
               confirm_within ? "to be confirmed within " + words::duration(*confirm_within) : "",
               now);
  tell_mode();
  return done(text);
}

ModeChange Monitor::confirm(std::time_t session_began, Now now) {
  switch (confirmation(word_, session_began)) {
    case Confirmation::nothing_to_confirm:
      return refused("nothing waits to be confirmed");
    case Confirmation::session_too_old:
      return refused(
          "this login session is not younger than the arming, and proves nothing: log in "
          "anew, and confirm from there");
    case Confirmation::confirmed:
      break;
  }
  Override word = *word_;
  word.confirm_by.reset();
  set_override(word, EventKind::confirmed, "", now);
  say(lines_.notice("it is confirmed that somebody can still log in: stays armed"));
  return done("confirmed: stays armed");
}

ModeChange Monitor::observe(Now now) {
  if (word_ && word_->mode == Override::Mode::observe) return done("observing already");
  if (!word_ && file_modes_ == BlockModes{}) {
    return done("observing already, by " + setup_.conf_path);
  }
  set_override(Override{.mode = Override::Mode::observe, .since = now.wall, .confirm_by = {}},
               EventKind::observed, "", now);
  tell_mode();
  return done("observing; bans that hold end by their own time");
}

ModeChange Monitor::follow_file(Now now) {
  if (!word_) return done("nothing stands against " + setup_.conf_path);
  const bool arms = in_force(file_modes_, std::nullopt) != BlockModes{};
  set_override(std::nullopt, arms ? EventKind::armed : EventKind::observed, "as the file says",
               now);
  const std::string text = std::string(setup_.config.armed() ? "armed" : "observing") +
                           " again as " + setup_.conf_path + " says";
  say(lines_.notice(text));
  return done(text);
}

// Nobody has shown that they can still log in.
void Monitor::revert(Now now) {
  set_override(after_revert(file_modes_, now.wall), EventKind::observed,
               "the arming was not confirmed in time", now);
  say(
      lines_.error("nobody confirmed in time that they can still log in: not armed any more. Bans "
                   "that hold end by their own time, or by \"portsentryctl unban\""));
}

Monitor::Mode Monitor::mode() const {
  return {.file = file_modes_, .word = word_, .armed = setup_.config.armed()};
}

}  // namespace portsentry::monitor
