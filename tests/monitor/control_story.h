// A story in which somebody asks by portsentryctl.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/wire.h"
#include "story.h"

namespace portsentry::monitor {

// What a test goes on with when the answer was another.
template <class T>
T blank() {
  const auto nobody = Address::v4(0, 0, 0, 0);
  if constexpr (std::is_same_v<T, BanDone>) {
    return {.source = Source::of(nobody, true)};
  } else if constexpr (std::is_same_v<T, AllowDone>) {
    return {{.prefix = Prefix::host(nobody)}, 0};
  } else if constexpr (std::is_same_v<T, WhyReply>) {
    return {.address = nobody};
  } else {
    return T{};
  }
}

class ControlStory : public Story {
 protected:
  // What came of it; nothing yet: it is being worked on.
  std::optional<ControlReply> ask(const ControlRequest& request) {
    answers_.push_back(std::make_shared<std::optional<ControlReply>>());
    monitor_->on_control(
        request, 0, [here = answers_.back()](ControlReply reply) { *here = std::move(reply); },
        now());
    commit();
    return *answers_.back();
  }
  const std::optional<ControlReply>& answered(std::size_t which) { return *answers_.at(which); }
  template <class T>
  static T as(const std::optional<ControlReply>& reply) {
    if (!reply || !std::holds_alternative<T>(*reply)) {
      ADD_FAILURE() << "another answer: " << (reply ? static_cast<int>(reply->index()) : -1);
      return blank<T>();
    }
    EXPECT_TRUE(decode_control_reply(encode(*reply), 0));
    return std::get<T>(*reply);
  }
  static RefusedCode code(const std::optional<ControlReply>& reply) {
    return as<Refused>(reply).code;
  }
  void happened(std::string_view source, EventKind kind = EventKind::banned) {
    effects_.note(AddEvent{Event{.at = now().wall,
                                 .kind = kind,
                                 .source = Source::of(*Address::parse(source), false),
                                 .detail = std::string(200, 'x')}});
  }

  std::vector<std::shared_ptr<std::optional<ControlReply>>> answers_;
};

}  // namespace portsentry::monitor
