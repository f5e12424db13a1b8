#include "ctl/mode.h"

#include "ctl/json.h"
#include "ctl/status.h"
#include "ctl/time_text.h"

namespace portsentry::ctl {

std::string mode_text(const ModeDone& done, std::time_t now, const Layout& layout) {
  Cell mode = mode_cell(done.armed, done.override_mode, now);
  if (!done.override_mode) mode.text += ", as the file says";
  std::string text = paragraph(mode, layout);
  if (done.override_mode && done.override_mode->confirm_by) {
    text += paragraph(
        {"To keep it: log in anew before " + moment_text(*done.override_mode->confirm_by) +
         " (a new ssh connection) and run there: portsentryctl confirm"},
        layout);
  }
  return text;
}

std::string mode_json(std::string_view verb, const ModeDone& done) {
  Json json = Json::answer(verb);
  std::optional<Json> override_mode;
  if (done.override_mode) {
    override_mode = Json();
    override_mode->add("armed", done.override_mode->armed)
        .add("since", done.override_mode->since)
        .add("confirm_by", done.override_mode->confirm_by);
  }
  return json.add("armed", done.armed).add("override", override_mode).line();
}

std::string_view no_session_advice() {
  return "it is not known since when you are logged in, so this proves nothing: log in anew (ssh, "
         "or "
         "a console) and run `portsentryctl confirm` there, outside of tmux, screen and cron";
}

std::string reload_text(const ReloadDone& done, const Layout& layout) {
  return paragraph({"reloaded: this is configuration " + std::to_string(done.generation)}, layout);
}

std::string reload_json(const ReloadDone& done) {
  return Json::answer("reload").add("generation", done.generation).line();
}

}  // namespace portsentry::ctl
