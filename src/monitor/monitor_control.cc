// What portsentryctl asks. Who may ask what was settled before (control.h); here is what it means.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "common/wire.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

constexpr std::size_t kCountersPerPage = 48;
static_assert(kCountersPerPage <= kMaxEntries);

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;  // clang 14 does not deduce it by itself

ControlReply not_supported() {
  return Refused{RefusedCode::not_supported, "this daemon cannot do that"};
}

}  // namespace

void Monitor::on_control(const ControlRequest& request, Answer answer, Now /*now*/) {
  std::visit(overloaded{
                 [&](const StatusRequest&) { answer(status()); },
                 [&](const CountersAsk& ask) { answer(tell_counters(ask)); },
                 [&](const ListAsk&) { answer(not_supported()); },
                 [&](const WhyAsk&) { answer(not_supported()); },
                 [&](const BanAsk&) { answer(not_supported()); },
                 [&](const UnbanAsk&) { answer(not_supported()); },
                 [&](const AllowListAsk&) { answer(not_supported()); },
                 [&](const AllowAddAsk&) { answer(not_supported()); },
                 [&](const AllowRemoveAsk&) { answer(not_supported()); },
                 [&](const ProtectedAsk&) { answer(not_supported()); },
                 [&](const TopAsk&) { answer(not_supported()); },
                 [&](const WatchAsk&) { answer(not_supported()); },
                 [&](const ReloadAsk&) { answer(not_supported()); },
                 [&](const ArmAsk&) { answer(not_supported()); },
                 [&](const ConfirmAsk&) { answer(not_supported()); },
                 [&](const ObserveAsk&) { answer(not_supported()); },
                 [&](const FollowFileAsk&) { answer(not_supported()); },
                 [&](const SelfTestAsk&) { answer(not_supported()); },
                 [&](const FlushAsk&) { answer(not_supported()); },
                 [&](const HistoryAsk&) { answer(not_supported()); },
                 [&](const ReportAsk&) { answer(not_supported()); },
             },
             request);
}

ControlReply Monitor::tell_counters(const CountersAsk& ask) const {
  const std::vector<NamedCount> all = counters();
  CounterPage page;
  for (std::size_t i = ask.skip; i < all.size(); ++i) {
    if (page.counters.size() == kCountersPerPage) {
      page.more = true;
      break;
    }
    page.counters.push_back(all.at(i));
  }
  return page;
}

}  // namespace portsentry::monitor
