#include "monitor/line_queue.h"

#include <utility>

namespace portsentry::monitor {

void LineQueue::tell(Tell tell) {
  if (waiting_.empty()) return tell({});
  waiting_.push_back({.address = std::nullopt, .due = {}, .host = {}, .tell = std::move(tell)});
  if (waiting_.size() > kMost) {
    tell_first();
    tell_ready();
  }
}

void LineQueue::tell_when_named(const Address& address, Tell tell, Now now) {
  waiting_.push_back(
      {.address = address, .due = now.steady + kPatience, .host = {}, .tell = std::move(tell)});
  if (waiting_.size() > kMost) {
    tell_first();
    tell_ready();
  }
}

void LineQueue::named(const Address& address, std::string_view host) {
  for (Waiting& waiting : waiting_) {
    if (waiting.address != address) continue;
    waiting.address.reset();
    waiting.host = host;
  }
  tell_ready();
}

void LineQueue::flush() {
  while (!waiting_.empty())
    tell_first();
}

void LineQueue::tick(Now now) {
  while (!waiting_.empty() && waiting_.front().due <= now.steady) {
    tell_first();
    tell_ready();
  }
}

std::optional<Clock::time_point> LineQueue::next_due() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.front().due;
}

void LineQueue::tell_first() {
  const Waiting first = std::move(waiting_.front());
  waiting_.pop_front();
  first.tell(first.host);
}

void LineQueue::tell_ready() {
  while (!waiting_.empty() && !waiting_.front().address)
    tell_first();
}

}  // namespace portsentry::monitor
