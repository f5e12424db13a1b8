#include "monitor/resolver_client.h"

#include <algorithm>

namespace portsentry::monitor {
namespace {

constexpr std::size_t kLongestName = 253;  // RFC 1035 2.3.4, as text without the final dot

bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

bool is_tellable(std::string_view name) {
  if (name.empty() || name.size() > kLongestName) return false;
  if (!std::all_of(name.begin(), name.end(), [](char c) {
        return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '\\';
      })) {
    return false;
  }
  std::string_view last = name;
  if (last.ends_with('.')) last.remove_suffix(1);
  if (const std::size_t dot = last.rfind('.'); dot != std::string_view::npos) {
    last.remove_prefix(dot + 1);
  }
  return !last.empty() && letter(last.front());
}

ResolverClient::Lookup ResolverClient::look_up(const Address& address, Now now) {
  forget(now);
  if (const auto found = known_.find(address); found != known_.end()) {
    return {.state = Lookup::State::known, .host = found->second.host, .ask = std::nullopt};
  }
  if (asked_.contains(address)) {
    return {.state = Lookup::State::asked, .host = {}, .ask = std::nullopt};
  }
  if (!connected_ || pending_.size() >= kMostPending) {
    return {.state = Lookup::State::unavailable, .host = {}, .ask = std::nullopt};
  }
  const std::uint64_t id = next_id_++;
  pending_.emplace(id, Pending{address, now.steady + kPatience});
  asked_.emplace(address, id);
  return {.state = Lookup::State::asked, .host = {}, .ask = id};
}

std::optional<ResolverClient::Named> ResolverClient::answer(std::uint64_t id, std::string_view name,
                                                            Now now) {
  forget(now);
  const auto found = pending_.find(id);
  if (found == pending_.end()) return std::nullopt;
  Named named{found->second.address, is_tellable(name) ? std::string(name) : std::string()};
  withdraw(id);
  const Clock::time_point until = now.steady + kRemembered;
  known_.insert_or_assign(named.address, Known{named.host, until});
  ages_.emplace_back(until, named.address);
  return named;
}

void ResolverClient::withdraw(std::uint64_t id) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return;
  asked_.erase(found->second.address);
  pending_.erase(found);
}

void ResolverClient::lost() {
  connected_ = false;
  pending_.clear();
  asked_.clear();
}

void ResolverClient::forget(Now now) {
  while (!pending_.empty() && pending_.begin()->second.until <= now.steady)
    withdraw(pending_.begin()->first);
  while (!ages_.empty() && (ages_.front().first <= now.steady || ages_.size() > kMostRemembered)) {
    known_.erase(ages_.front().second);
    ages_.pop_front();
  }
}

}  // namespace portsentry::monitor
