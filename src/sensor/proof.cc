#include "sensor/proof.h"

#include <algorithm>
#include <utility>

namespace portsentry::sensor {

// A note that is renewed keeps its place in the order: then the address is forgotten a little too
// early where the book is full, and never too late.
void AddressBook::note(const Address& address, Clock::time_point now) {
  const auto [known, added] = noted_.insert_or_assign(address, now);
  if (!added) return;
  by_age_.emplace_back(now, address);
  if (noted_.size() > most_) {
    noted_.erase(by_age_.front().second);
    by_age_.pop_front();
  }
}

bool AddressBook::knows(const Address& address, Clock::time_point now) const {
  const auto known = noted_.find(address);
  return known != noted_.end() && now - known->second <= lifetime_;
}

ProofBook::ProofBook(std::chrono::seconds window)
    : proven_(kMostProven, std::min(window, kLongest)),
      asked_(kMostAsked, std::min(window, kAskAgain)) {}

void ProofBook::found(const Address& address, Clock::time_point now) {
  proven_.note(address, now);
}

void ProofBook::wonder(const Detection& reported, bool many, Clock::time_point now) {
  if (proven_.knows(reported.address, now) || asked_.knows(reported.address, now)) return;
  const auto is_it = [&](const Detection& other) { return other.address == reported.address; };
  if (asking_ && is_it(*asking_)) return;
  std::deque<Detection>& queue = many ? many_ : few_;
  const auto waiting = std::ranges::find_if(queue, is_it);
  if (waiting != queue.end()) {
    *waiting = reported;  // its latest probe is told again
    return;
  }
  if (many) std::erase_if(few_, is_it);
  queue.push_back(reported);
  if (queue.size() > kMostWaiting) queue.pop_front();
}

std::optional<Address> ProofBook::next(Clock::time_point now) {
  if (asking_) return std::nullopt;
  std::deque<Detection>& queue = many_.empty() ? few_ : many_;
  if (queue.empty() || !budget_.take(now)) return std::nullopt;
  asking_ = std::move(queue.front());
  queue.pop_front();
  return asking_->address;
}

std::optional<Clock::time_point> ProofBook::ready_at() const {
  if (asking_ || (many_.empty() && few_.empty())) return std::nullopt;
  return budget_.ready_at();
}

std::optional<Detection> ProofBook::answered(bool connected, Clock::time_point now) {
  if (!asking_) return std::nullopt;
  std::optional<Detection> again = std::exchange(asking_, std::nullopt);
  asked_.note(again->address, now);
  if (!connected) return std::nullopt;
  proven_.note(again->address, now);
  again->proof = Proof::established;
  again->first = false;
  return again;
}

}  // namespace portsentry::sensor
