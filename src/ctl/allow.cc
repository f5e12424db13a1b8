#include "ctl/allow.h"

#include <utility>

#include "ctl/json.h"
#include "ctl/time_text.h"
#include "ctl/words.h"

namespace portsentry::ctl {
namespace {

Json entry_object(const AllowedShown& entry) {
  Json json;
  json.add("prefix", entry.prefix.text()).add("since", entry.since).add("until", entry.until);
  return std::move(json.add("note", entry.note));
}

}  // namespace

std::string allow_list_text(const std::vector<AllowedShown>& entries, std::time_t now,
                            const Layout& layout) {
  Table table({{"ALLOWED"}, {"LEFT", true}, {"SINCE"}, {"NOTE"}});
  for (const AllowedShown& entry : entries) {
    table.add({{entry.prefix.text()},
               {entry.until ? left_text(*entry.until, now) : "for good"},
               {moment_text(entry.since)},
               {entry.note}});
  }
  return table.empty() ? "nobody is on the allow list (portsentry.ignore may still name some)\n"
                       : table.text(layout);
}

std::string allow_list_json(const std::vector<AllowedShown>& entries) {
  return Json::answer("allow list").list("entries", entries, entry_object).line();
}

std::string allow_add_text(const AllowDone& done, std::time_t now, const Layout& layout) {
  std::string text = done.entry.prefix.text() + " is allowed ";
  text += done.entry.until ? "for " + left_text(*done.entry.until, now) + ", until " +
                                 moment_text(*done.entry.until)
                           : "for good";
  if (done.lifted != 0) text += "; " + counted(done.lifted, "ban") + " ended";
  return paragraph({text}, layout);
}

std::string allow_add_json(const AllowDone& done) {
  return Json::answer("allow add")
      .add("entry", entry_object(done.entry))
      .add("lifted", done.lifted)
      .line();
}

std::string allow_remove_text(const Prefix& prefix, const Layout& layout) {
  return paragraph({prefix.text() + " is not on the allow list any more"}, layout);
}

std::string allow_remove_json(const Prefix& prefix) {
  return Json::answer("allow remove").add("prefix", prefix.text()).line();
}

}  // namespace portsentry::ctl
