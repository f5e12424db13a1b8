// What the monitor knows, as portsentryctl is told. Pure: values in, values out that fit their
// messages, whatever the store or the network put in.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>

#include "common/control_messages.h"
#include "common/wire.h"
#include "monitor/bans.h"
#include "monitor/memory.h"

namespace portsentry::monitor {

// `id` 0: it is not on the disk (yet).
[[nodiscard]] EventShown shown(const Event& event, std::uint64_t id);

[[nodiscard]] AllowedShown shown(const Allowed& entry);

[[nodiscard]] BanShown shown(const Source& source, const Bans::Ban& ban);

// As much of a page as fits a message, and at least one entry: none of them is half as large.
template <class Page, class Entries>
Page fitting(Page page, Entries Page::*entries) {
  while ((page.*entries).size() > 1 && !fits(page)) {
    (page.*entries).pop_back();
    page.more = true;
  }
  return page;
}

// What somebody asks to be changed, as they would type it; empty for what changes nothing. Printable,
// and without anything that a user chose freely.
[[nodiscard]] std::string command_of(const ControlRequest& request);

// A moment that can be told: the store's are never negative.
[[nodiscard]] std::time_t moment(std::time_t at);

}  // namespace portsentry::monitor
