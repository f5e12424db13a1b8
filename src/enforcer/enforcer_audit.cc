#include "enforcer/enforcer.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace portsentry::enforcer {
namespace {

// The monitor asks once a minute, and once more after something has happened.
constexpr std::size_t kMostAsked = 16;

constexpr std::chrono::microseconds kShortTurn{200};
constexpr std::chrono::milliseconds kLongestRest{500};

constexpr std::chrono::seconds kKeepTraps{30};

constexpr unsigned kMostFailures = 5;
constexpr std::chrono::milliseconds kTryAgain{100};

}  // namespace

// By this a hostile monitor learns what it has asked for itself, and keeps us reading: one datagram
// a turn, between which everybody else is heard.
void Enforcer::handle(const Audit& audit) {
  if (audits_.size() >= kMostAsked) out_of_turn("Audit");
  audits_.push_back(audit.id);
  begin_audit();
  // We are awake: the traps are kept now, and not by a wake-up of their own in a moment.
  if (renewal_ && Clock::now() - exempt_written_ >= kKeepTraps) write_exempt(false);
}

void Enforcer::handle(const ListHeld&) {
  if (listings_ >= kMostAsked) out_of_turn("ListHeld");
  listings_ += 1;
  begin_audit();
}

// What is asked for while a count is under way is about what holds from then on: the next one
// answers it.
void Enforcer::begin_audit() {
  if (audit_set_ || !audits_running_.empty() || listing_) return;
  if (audits_.empty() && listings_ == 0) return;
  audits_running_ = std::exchange(audits_, {});
  listing_ = listings_ > 0;
  if (listing_) listings_ -= 1;
  if (parts_.audit == nullptr) return audited({});
  watch_audit();
  if (const auto begun = parts_.audit->begin(); !begun) audit_failed(begun.error());
}

void Enforcer::on_audit() {
  const auto since = Clock::now();
  const auto read = parts_.audit->read([this](const Held& ban) {
    if (listing_) tell(Adopted{ban.source, std::min<std::chrono::seconds>(ban.remaining, kMaxBan)});
  });
  if (!read) return audit_failed(read.error());
  if (*read) return audited(**read);
  rest_after(Clock::now() - since);
}

// A turn takes the longer, and there are the more of them, the larger the sets are. Nobody waits for
// a count, so it takes at most a tenth of our time.
void Enforcer::rest_after(Clock::duration worked) {
  if (worked < kShortTurn) return;
  parts_.loop.unwatch(parts_.audit->fd());
  parts_.loop.after(std::min<Clock::duration>(9 * worked, kLongestRest), [this] { watch_audit(); });
}

void Enforcer::watch_audit() {
  parts_.loop.watch(parts_.audit->fd(), [this](short) { on_audit(); });
}

void Enforcer::audited(const Holding& holding) {
  audit_failures_ = 0;
  for (const std::uint64_t id : std::exchange(audits_running_, {}))
    tell(Audited{id, holding.elements, holding.digest});
  if (std::exchange(listing_, false)) tell(AdoptedDone{});
  begin_audit();
}

// Where the kernel will not say what it holds, nothing holds as far as anybody knows: the monitor
// will be loud about it.
void Enforcer::audit_failed(const Error& error) {
  if (++audit_failures_ > kMostFailures) {
    complain(error.what);
    return audited({});
  }
  audits_.insert(audits_.end(), audits_running_.begin(), audits_running_.end());
  audits_running_.clear();
  if (std::exchange(listing_, false)) listings_ += 1;
  audit_set_ = true;
  parts_.loop.after(kTryAgain, [this] {
    audit_set_ = false;
    begin_audit();
  });
}

}  // namespace portsentry::enforcer
