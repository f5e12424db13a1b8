#include "monitor/shown.h"

#include <algorithm>

#include "common/text.h"

namespace portsentry::monitor {

std::time_t moment(std::time_t at) {
  return std::clamp<std::time_t>(at, 0, kMaxMoment);
}

EventShown shown(const Event& event, std::uint64_t id) {
  EventShown out{.id = id,
                 .at = moment(event.at),
                 .kind = std::string(name(event.kind)),
                 .text = plain_text(event.detail, kMaxText)};
  if (event.source) {
    out.subject = event.source->prefix();
  } else if (event.address) {
    out.subject = Prefix::host(*event.address);
  }
  if (event.until) out.until = moment(*event.until);
  return out;
}

AllowedShown shown(const Allowed& entry) {
  AllowedShown out{.prefix = entry.prefix,
                   .since = moment(entry.since),
                   .note = plain_text(entry.note, kMaxUserText)};
  if (entry.until) out.until = moment(*entry.until);
  return out;
}

}  // namespace portsentry::monitor
