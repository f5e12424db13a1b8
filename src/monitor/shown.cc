#include "monitor/shown.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <variant>

#include "common/text.h"
#include "monitor/log_words.h"

namespace portsentry::monitor {
namespace {

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;  // clang 14 does not deduce it by itself

std::string with(std::string_view option, const std::optional<std::chrono::seconds>& time) {
  if (!time) return "";
  return " " + std::string(option) + std::to_string(time->count()) + "s";
}

}  // namespace

std::string command_of(const ControlRequest& request) {
  return std::visit(
      overloaded{
          [](const BanAsk& m) {
            return "ban " + m.prefix.text() + with("--for ", m.duration) +
                   (m.permanent ? " --permanent" : "");
          },
          [](const UnbanAsk& m) {
            return "unban " + (m.prefix ? m.prefix->text() : "all") +
                   with("--allow-for ", m.allow_for) + (m.permanent_too ? " --permanent" : "");
          },
          [](const AllowAddAsk& m) {
            return "allow add " + m.prefix.text() + with("--for ", m.duration);
          },
          [](const AllowRemoveAsk& m) { return "allow remove " + m.prefix.text(); },
          [](const ReloadAsk&) { return std::string("reload"); },
          [](const ArmAsk& m) { return "arm" + with("--confirm-within ", m.confirm_within); },
          [](const ConfirmAsk&) { return std::string("confirm"); },
          [](const ObserveAsk&) { return std::string("observe"); },
          [](const FollowFileAsk&) { return std::string("follow"); },
          [](const SelfTestAsk&) { return std::string("selftest"); },
          [](const FlushAsk& m) {
            return std::string(m.permanent_too ? "flush --permanent" : "flush");
          },
          [](const StatusRequest&) { return std::string(); },
          [](const CountersAsk&) { return std::string(); },
          [](const ListAsk&) { return std::string(); },
          [](const WhyAsk&) { return std::string(); },
          [](const AllowListAsk&) { return std::string(); },
          [](const ProtectedAsk&) { return std::string(); },
          [](const TopAsk&) { return std::string(); },
          [](const WatchAsk&) { return std::string(); },
          [](const HistoryAsk&) { return std::string(); },
          [](const ReportAsk&) { return std::string(); },
      },
      request);
}

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

BanShown shown(const Source& source, const Bans::Ban& ban) {
  const auto state = [&] {
    switch (ban.state) {
      case Bans::State::enforced:
      case Bans::State::changing:
      case Bans::State::count_:
        break;
      case Bans::State::asked:
      case Bans::State::restoring:
        return BanStateShown::pending;
      case Bans::State::waiting:
        return BanStateShown::waiting;
      case Bans::State::refused:
        return BanStateShown::refused;
      case Bans::State::lifting:
        return BanStateShown::lifting;
      case Bans::State::stuck:
        return BanStateShown::not_undone;
    }
    return BanStateShown::enforced;
  }();
  BanShown told{.source = source,
                .state = state,
                .origin = static_cast<OriginShown>(ban.origin),
                .backend = ban.by == Backend::none ? ban.sent_to : ban.by,
                .since = moment(ban.since),
                .offences = ban.offences,
                .recorded = ban.acknowledged};
  if (ban.origin == Origin::scan) told.proof = ban.proof;
  if (ban.term.wall) told.until = moment(*ban.term.wall);
  if (state != BanStateShown::enforced && ban.last_no != Verdict::ok)
    told.trouble = plain_text(words::refusal(ban.last_no, 0), kMaxText);
  return told;
}
static_assert(static_cast<int>(OriginShown::recovered) == static_cast<int>(Origin::recovered) &&
              static_cast<int>(OriginShown::scan) == static_cast<int>(Origin::scan));

AllowedShown shown(const Allowed& entry) {
  AllowedShown out{.prefix = entry.prefix,
                   .since = moment(entry.since),
                   .note = plain_text(entry.note, kMaxUserText)};
  if (entry.until) out.until = moment(*entry.until);
  return out;
}

}  // namespace portsentry::monitor
