// The life of a ban: every state met by every event, and random stories against a model of the
// kernel and of the disk.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/ban_digest.h"
#include "known_view.h"
#include "monitor/bans.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;
using State = Bans::State;
using Change = Bans::Change;
using Lift = Bans::Lift;

class BanLife : public ::testing::Test {
 public:
  static Now at(Clock::duration later) {
    return {Clock::time_point(5h) + later,
            1'700'000'000 + std::chrono::duration_cast<std::chrono::seconds>(later).count()};
  }
  static Bans::Wanted wanted(std::optional<std::chrono::seconds> duration,
                             Origin origin = Origin::scan) {
    return {.address = address("198.51.100.7"),
            .cause = {Protocol::tcp, *Port::make(23)},
            .duration = duration,
            .origin = origin};
  }
  void serve(Backend backend = Backend::nftables) {
    bans_.table_created(backend, false, at(0s));
    pump(0s);
  }
  void pump(Clock::duration t) {
    sent_.clear();
    bans_.pump(at(t), [this](const MonitorToEnforcer& message) {
      sent_.push_back(message);
      return true;
    });
  }
  template <class T>
  std::vector<T> sent() const {
    std::vector<T> found;
    for (const auto& message : sent_) {
      if (const auto* m = std::get_if<T>(&message)) found.push_back(*m);
    }
    return found;
  }
  Bans::Answer answer(std::uint64_t id, Verdict verdict, Clock::duration t = 0s) {
    auto answer = bans_.answer({id, verdict, 0}, at(t));
    EXPECT_TRUE(answer);
    return *answer;
  }
  void enforce(std::optional<std::chrono::seconds> duration = 1h) {
    bans_.ask(kWho, wanted(duration), at(0s));
    pump(0s);
    ASSERT_EQ(sent<Ban>().size(), 1U);
    ASSERT_EQ(answer(sent<Ban>()[0].id, Verdict::ok).change, Change::enforced);
  }
  StoredBan row(std::chrono::seconds left, std::chrono::seconds length = 1h,
                BanBackend by = BanBackend::nftables) const {
    return {.source = kWho,
            .address = address("198.51.100.7"),
            .cause = {Protocol::tcp, *Port::make(23)},
            .backend = by,
            .since = at(0s).wall + left.count() - length.count(),
            .until = at(0s).wall + left.count()};
  }
  const Bans::Ban& ban() { return *bans_.find(kWho); }
  bool gone() { return bans_.find(kWho) == nullptr; }

  const Source kWho = host("198.51.100.7");
  Bans bans_;
  std::vector<MonitorToEnforcer> sent_;
};

// ---- time, and who makes it longer --------------------------------------------------------------

TEST_F(BanLife, TheKernelIsAskedForAMonthAtMostAndAgainWhenHalfOfThatIsOver) {
  serve();
  enforce(24h * 100);
  EXPECT_EQ(bans_.find(kWho)->term.wall, at(24h * 100).wall);
  EXPECT_EQ(bans_.next_due(), at(24h * 15).steady);
  Clock::duration t = 24h * 15;
  for (int i = 0; i < 5; ++i) {
    bans_.expire(at(t));
    EXPECT_EQ(ban().state, State::changing);
    EXPECT_TRUE(Bans::holds(ban()));
    pump(t);
    ASSERT_EQ(sent<Ban>().size(), 1U) << i;
    EXPECT_LE(sent<Ban>()[0].duration, Bans::kKernelTime);
    EXPECT_EQ(answer(sent<Ban>()[0].id, Verdict::ok, t).change, Change::renewed);
    t += 24h * 15;
  }
  EXPECT_EQ(bans_.next_due(), at(24h * 100).steady) << "the last one reaches to the end";
  EXPECT_EQ(bans_.expire(at(24h * 100)).size(), 1U);
}

TEST_F(BanLife, WhatCannotBeAskedForAgainHoldsAndIsTriedAgain) {
  serve();
  enforce(24h * 100);
  bans_.expire(at(24h * 15));
  pump(24h * 15);
  EXPECT_EQ(answer(sent<Ban>().at(0).id, Verdict::kernel_refused, 24h * 15).change, Change::later);
  EXPECT_TRUE(Bans::holds(ban()));
  EXPECT_EQ(bans_.native().elements, 1U);
  bans_.expire(at(24h * 15 + 1s));
  pump(24h * 15 + 1s);
  EXPECT_EQ(sent<Ban>().size(), 1U);
}

TEST_F(BanLife, ABanThatMustNotHoldAnyMoreWhenItIsAskedForAgainIsLifted) {
  serve();
  enforce(24h * 100);
  bans_.expire(at(24h * 15));
  pump(24h * 15);
  answer(sent<Ban>().at(0).id, Verdict::next_hop, 24h * 15);
  pump(24h * 15);
  ASSERT_EQ(sent<Unban>().size(), 1U);
  EXPECT_EQ(answer(sent<Unban>()[0].id, Verdict::ok, 24h * 15).change, Change::lifted);
}

TEST_F(BanLife, APermanentBanIsAskedForWithoutTimeAndNeverAgain) {
  serve();
  enforce(std::nullopt);
  EXPECT_EQ(bans_.permanent(), 1U);
  EXPECT_FALSE(bans_.next_due());
  EXPECT_TRUE(bans_.expire(at(24h * 10000)).empty());
  EXPECT_EQ(remaining(ban(), at(0s)), 0s);
}

TEST_F(BanLife, ManyBansOfOneInstantDoNotEndInOneAndNoneEndsEarly) {
  Bans bans(4711);
  std::map<Clock::time_point, int> ends;
  for (unsigned i = 0; i < 1000; ++i) {
    const Source who = host("20.0." + std::to_string(i / 256) + "." + std::to_string(i % 256));
    bans.ask(who, wanted(24h), at(0s));
    const Bans::Ban& made = *bans.find(who);
    EXPECT_GE(made.term.until, at(24h).steady);
    EXPECT_LE(made.term.until, at(24h + Bans::kMostSpread).steady);
    EXPECT_EQ(
        *made.term.wall - at(0s).wall,
        std::chrono::duration_cast<std::chrono::seconds>(made.term.until - at(0s).steady).count())
        << "one instant on both clocks";
    ends[made.term.until] += 1;
  }
  EXPECT_GT(ends.size(), 300U);
  bans.ask(host("30.0.0.1"), wanted(24h, Origin::hand), at(0s));
  EXPECT_EQ(bans.find(host("30.0.0.1"))->term.until, at(24h).steady) << "as it was asked for";
}

TEST_F(BanLife, TriesThatWereTurnedAwayTogetherDoNotComeBackTogether) {
  bans_ = Bans(4711);
  serve();
  std::map<Clock::time_point, int> dues;
  for (unsigned i = 0; i < 100; ++i) {
    bans_.ask(host("20.0.0." + std::to_string(i)), wanted(1h), at(0s));
  }
  pump(0s);
  for (const Ban& asked : sent<Ban>()) {
    answer(asked.id, Verdict::over_budget);
    dues[bans_.find(asked.source)->due] += 1;
    EXPECT_GE(bans_.find(asked.source)->due, at(1s).steady);
    EXPECT_LE(bans_.find(asked.source)->due, at(1500ms).steady);
  }
  EXPECT_GT(dues.size(), 50U);
}

TEST_F(BanLife, AChangeHoldsOnceTheKernelSaidYesAndTheOldTimeUntilThen) {
  serve();
  enforce(10min);
  EXPECT_EQ(bans_.change(kWho, wanted(2h), at(1min)), Bans::Changed::asked);
  EXPECT_EQ(ban().term.until, at(10min).steady);
  pump(1min);
  ASSERT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(sent<Ban>()[0].duration, 2h);
  EXPECT_EQ(answer(sent<Ban>()[0].id, Verdict::ok, 1min).change, Change::changed);
  EXPECT_EQ(ban().term.until, at(2h + 1min).steady);
}

TEST_F(BanLife, AChangeOfAChangeUnderWayEndsWithTheLastWish) {
  serve();
  enforce(10min);
  bans_.change(kWho, wanted(2h), at(0s));
  pump(0s);
  const std::uint64_t first = sent<Ban>().at(0).id;
  bans_.change(kWho, wanted(std::nullopt), at(0s));
  pump(0s);
  EXPECT_TRUE(sent<Ban>().empty()) << "one request at a time";
  answer(first, Verdict::ok);
  EXPECT_EQ(ban().term.until, at(2h).steady);
  pump(0s);
  ASSERT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(sent<Ban>()[0].duration, 0s);
  answer(sent<Ban>()[0].id, Verdict::ok);
  EXPECT_TRUE(ban().term.permanent());
  EXPECT_EQ(bans_.permanent(), 1U);
}

TEST_F(BanLife, AChangeWhoseOldTimeEndsFirstIsAskedForAnewAndDoesNotHoldMeanwhile) {
  serve();
  enforce(10min);
  bans_.change(kWho, wanted(2h), at(9min));
  pump(9min);
  answer(sent<Ban>().at(0).id, Verdict::kernel_refused, 9min + 59500ms);
  EXPECT_TRUE(bans_.expire(at(10min)).empty());
  EXPECT_EQ(ban().state, State::asked);
  EXPECT_EQ(bans_.native().elements, 0U);
  pump(10min);
  EXPECT_EQ(answer(sent<Ban>().at(0).id, Verdict::ok, 10min).change, Change::enforced);
  EXPECT_EQ(ban().term.until, at(9min + 2h).steady);
}

TEST_F(BanLife, AChangeOfWhatACommandHoldsIsDoneAtOnce) {
  serve(Backend::command);
  enforce(10min);
  EXPECT_EQ(bans_.change(kWho, wanted(2h), at(0s)), Bans::Changed::done);
  pump(0s);
  EXPECT_TRUE(sent_.empty());
  bans_.expire(at(10min));
  EXPECT_EQ(ban().state, State::enforced);
  bans_.expire(at(2h));
  EXPECT_EQ(ban().state, State::lifting);
}

// ---- what an earlier run left -------------------------------------------------------------------

TEST_F(BanLife, ARowAndItsElementAreJoinedWithoutAWord) {
  ASSERT_TRUE(bans_.recall(row(30min), Bans::Left::kernel, at(0s)));
  EXPECT_EQ(bans_.adopt(kWho, 30min, 1h, at(0s)), Bans::Adoption::joined);
  bans_.table_created(Backend::nftables, false, at(0s));
  pump(0s);
  EXPECT_TRUE(sent<Restore>().empty());
  EXPECT_EQ(ban().state, State::enforced);
  EXPECT_EQ(ban().row, Backend::nftables);
  EXPECT_EQ(ban().cause.port.number(), 23);
  EXPECT_EQ(bans_.expire(at(30min)).size(), 1U);
}

TEST_F(BanLife, ARowWithoutAnElementIsRestored) {
  ASSERT_TRUE(bans_.recall(row(30min), Bans::Left::kernel, at(0s)));
  bans_.table_created(Backend::nftables, false, at(0s));
  pump(0s);
  ASSERT_EQ(sent<Restore>().size(), 1U);
  EXPECT_EQ(sent<Restore>()[0].remaining, 30min);
  EXPECT_EQ(answer(sent<Restore>()[0].id, Verdict::ok).change, Change::put_back);
}

TEST_F(BanLife, AnElementWithAnotherTimeThanItsRowGetsThatOfTheRow) {
  for (const auto kernel : {0s, 10s, 29min + 54s, 30min + 6s}) {
    bans_ = Bans();
    ASSERT_TRUE(bans_.recall(row(30min), Bans::Left::kernel, at(0s)));
    EXPECT_EQ(bans_.adopt(kWho, kernel, 1h, at(0s)), Bans::Adoption::corrected) << kernel.count();
    bans_.table_created(Backend::nftables, false, at(0s));
    pump(0s);
    ASSERT_EQ(sent<Restore>().size(), 1U);
    EXPECT_EQ(sent<Restore>()[0].remaining, 30min);
  }
  for (const auto kernel : {29min + 55s, 30min + 5s}) {
    bans_ = Bans();
    ASSERT_TRUE(bans_.recall(row(30min), Bans::Left::kernel, at(0s)));
    EXPECT_EQ(bans_.adopt(kWho, kernel, 1h, at(0s)), Bans::Adoption::joined);
  }
}

TEST_F(BanLife, ARowOfALongBanFitsWhatTheKernelWasLastAskedFor) {
  ASSERT_TRUE(bans_.recall(row(24h * 90, 24h * 100), Bans::Left::kernel, at(0s)));
  EXPECT_EQ(bans_.adopt(kWho, 24h * 20, 1h, at(0s)), Bans::Adoption::joined);
  EXPECT_EQ(bans_.next_due(), at(24h * 5).steady) << "half of the kernel's month";
}

TEST_F(BanLife, APermanentRowFitsAnElementWithoutExpiryOnly) {
  StoredBan permanent = row(1h);
  permanent.until.reset();
  ASSERT_TRUE(bans_.recall(permanent, Bans::Left::kernel, at(0s)));
  EXPECT_EQ(bans_.adopt(kWho, 1h, 1h, at(0s)), Bans::Adoption::corrected);
  EXPECT_EQ(bans_.adopt(kWho, 0s, 1h, at(0s)), Bans::Adoption::joined);
}

TEST_F(BanLife, AnElementWhoseRowIsOverIsTakenOut) {
  ASSERT_TRUE(bans_.recall(row(-1s), Bans::Left::kernel, at(0s)));
  EXPECT_EQ(bans_.adopt(kWho, 20min, 1h, at(0s)), Bans::Adoption::over);
  serve();
  bans_.expire(at(1s));
  ASSERT_EQ(sent<Unban>().size(), 1U);
  EXPECT_EQ(answer(sent<Unban>()[0].id, Verdict::ok, 1s).change, Change::over);
}

TEST_F(BanLife, ATimeInTheKernelThatCannotBeCorrectedOutlivesNoBan) {
  ASSERT_TRUE(bans_.recall(row(30min), Bans::Left::kernel, at(0s)));
  EXPECT_EQ(bans_.adopt(kWho, 24h, 1h, at(0s)), Bans::Adoption::corrected);
  bans_.table_created(Backend::nftables, false, at(0s));
  pump(0s);
  answer(sent<Restore>().at(0).id, Verdict::kernel_refused);
  EXPECT_TRUE(bans_.expire(at(30min)).empty());
  pump(30min);
  ASSERT_EQ(sent<Unban>().size(), 1U);
  EXPECT_EQ(answer(sent<Unban>()[0].id, Verdict::ok, 30min).change, Change::over);
}

TEST_F(BanLife, ARowThatEndedMeanwhileIsOverAndNotRestored) {
  ASSERT_TRUE(bans_.recall(row(-1s), Bans::Left::kernel, at(0s)));
  bans_.table_created(Backend::nftables, false, at(0s));
  const auto ended = bans_.expire(at(0s));
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_TRUE(ended[0].acknowledged) << "people are told that it is over";
  pump(0s);
  EXPECT_TRUE(sent<Restore>().empty());
}

TEST_F(BanLife, AClockThatWasSetBackDoesNotMakeABanLongerThanItWasGranted) {
  StoredBan later = row(1h + 24h * 365);  // granted a year from now, for an hour
  ASSERT_TRUE(bans_.recall(later, Bans::Left::kernel, at(0s)));
  EXPECT_EQ(ban().term.until, at(1h).steady);
  EXPECT_EQ(ban().term.wall, at(1h).wall);
  EXPECT_EQ(ban().row, Backend::none) << "the row says something else, and is to be written";
}

TEST_F(BanLife, ARowWithAnImpossibleTimeIsNoTrap) {
  for (const std::time_t until : {std::time_t{0}, std::time_t{1}, std::time_t{INT64_MAX}}) {
    bans_ = Bans();
    StoredBan odd = row(1h);
    odd.since = 0;
    odd.until = until;
    ASSERT_TRUE(bans_.recall(odd, Bans::Left::kernel, at(0s)));
    bans_.table_created(Backend::nftables, false, at(0s));
    bans_.expire(at(0s));
    pump(0s);
    for (const Restore& restore : sent<Restore>()) {
      EXPECT_LE(restore.remaining, Bans::kKernelTime);
      EXPECT_GE(restore.remaining, 1s);
    }
  }
}

TEST_F(BanLife, WhileNothingMakesBansRowsWaitAndAreThereOnceSomethingDoes) {
  ASSERT_TRUE(bans_.recall(row(30min), Bans::Left::kernel, at(0s)));
  bans_.table_created(Backend::none, false, at(0s));
  pump(0s);
  EXPECT_EQ(sent<RestoreDone>().size(), 1U);
  EXPECT_TRUE(sent<Restore>().empty());
  EXPECT_EQ(bans_.table_created(Backend::nftables, true, at(1min)), 1U);
  pump(1min);
  EXPECT_EQ(sent<Restore>().size(), 1U);
}

// ---- what the kernel holds ----------------------------------------------------------------------

TEST_F(BanLife, TheDigestIsThatOfWhatTheKernelHoldsInAnyOrder) {
  serve();
  std::uint64_t digest = 0;
  for (int i = 1; i <= 20; ++i) {
    const Source who = host("20.0.0." + std::to_string(i));
    bans_.ask(who, wanted(1h), at(0s));
    digest += digest_of(who);
  }
  EXPECT_EQ(bans_.native().elements, 0U) << "asked for is not held";
  pump(0s);
  for (const Ban& asked : sent<Ban>())
    answer(asked.id, Verdict::ok);
  EXPECT_EQ(bans_.native().elements, 20U);
  EXPECT_EQ(bans_.native().digest, digest);
  bans_.forget(host("20.0.0.3"));
  bans_.expire(at(1h));
  EXPECT_EQ(bans_.native(), Bans::Native{});
  EXPECT_EQ(bans_.fullest_set(), 0U);
}

TEST_F(BanLife, WhatAListingDoesNotNameIsAskedForAgainAndSilently) {
  serve();
  enforce(1h);
  bans_.expect_all();
  EXPECT_EQ(bans_.listed(at(1min)), 1U);
  EXPECT_EQ(bans_.native().elements, 0U);
  pump(1min);
  ASSERT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(sent<Ban>()[0].duration, 59min);
  EXPECT_EQ(answer(sent<Ban>()[0].id, Verdict::ok, 1min).change, Change::put_back);
  EXPECT_EQ(ban().since, at(0s).wall);
}

TEST_F(BanLife, WhatChangesDuringAListingIsNotMissing) {
  serve();
  enforce(1h);
  bans_.expect_all();
  bans_.change(kWho, wanted(2h), at(0s));
  EXPECT_EQ(bans_.listed(at(0s)), 0U);
  bans_.forget(kWho);
  enforce(10s);
  bans_.expect_all();
  EXPECT_EQ(bans_.listed(at(9s)), 0U) << "it ends right now";
}

TEST_F(BanLife, AListingFindsStrangersAndWrongTimesAndLeavesTheLastMomentsAlone) {
  serve();
  enforce(1h);
  bans_.expect_all();
  EXPECT_EQ(bans_.adopt(host("20.0.0.1"), 2s, 1h, at(0s)), Bans::Adoption::ignored);
  EXPECT_EQ(bans_.adopt(host("20.0.0.2"), 60s, 1h, at(0s)), Bans::Adoption::recovered);
  EXPECT_EQ(bans_.find(host("20.0.0.2"))->origin, Origin::recovered);
  EXPECT_EQ(bans_.adopt(kWho, 10min, 1h, at(0s)), Bans::Adoption::corrected);
  EXPECT_EQ(bans_.listed(at(0s)), 0U);
  pump(0s);
  ASSERT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(answer(sent<Ban>()[0].id, Verdict::ok).change, Change::renewed);
}

// ---- every state and every event ----------------------------------------------------------------

// Brings a ban into `state`, in flight or not; false: there is no such thing.
class EveryState : public BanLife {
 public:
  bool enter(State state, bool in_flight, Backend backend) {
    bans_ = Bans();
    serve(backend);
    id_ = 0;
    const auto take = [&](Clock::duration t = 0s) {
      pump(t);
      for (const auto& message : sent_) {
        if (const auto* m = std::get_if<Ban>(&message)) id_ = m->id;
        if (const auto* m = std::get_if<Restore>(&message)) id_ = m->id;
        if (const auto* m = std::get_if<Unban>(&message)) id_ = m->id;
      }
    };
    const auto say = [&](Verdict verdict) { answer(std::exchange(id_, 0), verdict); };
    bans_.ask(kWho, wanted(1h), at(0s));
    if (state != State::asked || in_flight) take();
    switch (state) {
      case State::asked:
        break;
      case State::enforced:
        say(Verdict::ok);
        if (in_flight) return false;
        break;
      case State::changing:
        if (backend == Backend::command) return false;
        say(Verdict::ok);
        bans_.change(kWho, wanted(2h), at(0s));
        if (in_flight) take();
        break;
      case State::restoring:
        say(Verdict::ok);
        bans_.table_created(backend == Backend::command ? Backend::nftables : backend, true,
                            at(0s));
        if (in_flight) take();
        break;
      case State::waiting:
        say(Verdict::kernel_refused);
        if (in_flight) return false;
        break;
      case State::refused:
        say(Verdict::own_address);
        if (in_flight) return false;
        break;
      case State::lifting:
        say(Verdict::ok);
        bans_.lift(kWho, Bans::Pardon::ignored, at(0s));
        if (in_flight) take();
        break;
      case State::stuck:
        if (backend != Backend::command || in_flight) return false;
        say(Verdict::ok);
        bans_.lift(kWho, Bans::Pardon::ignored, at(0s));
        take();
        say(Verdict::no_command);
        break;
      case State::count_:
        return false;
    }
    EXPECT_EQ(ban().state, state);
    EXPECT_EQ(ban().id != 0, in_flight);
    return true;
  }
  // Whatever was done: no sum is wrong, and it ends.
  void check_and_drain(const std::string& what) {
    SCOPED_TRACE(what);
    Clock::duration t = 0s;
    for (int round = 0; round < 200 && (round == 0 || bans_.size() > 0); ++round) {
      std::size_t counted = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(State::count_); ++i)
        counted += bans_.count(static_cast<State>(i));
      ASSERT_EQ(counted, bans_.size());
      Bans::Native native;
      bans_.each_after(std::nullopt, [&](const Source& source, const Bans::Ban& b) {
        const bool in =
            b.by == Backend::nftables &&
            (b.state == State::enforced || b.state == State::changing || b.state == State::lifting);
        if (in) native = {native.elements + 1, native.digest + digest_of(source)};
        return true;
      });
      ASSERT_EQ(bans_.native(), native);
      std::vector<std::uint64_t> ids;
      if (id_ != 0) ids.push_back(std::exchange(id_, 0));
      pump(t);
      for (const auto& message : sent_) {
        if (const auto* m = std::get_if<Ban>(&message)) ids.push_back(m->id);
        if (const auto* m = std::get_if<Restore>(&message)) ids.push_back(m->id);
        if (const auto* m = std::get_if<Unban>(&message)) ids.push_back(m->id);
      }
      for (const std::uint64_t id : ids)
        bans_.answer({id, Verdict::ok, 0}, at(t));
      t += 30min;
      bans_.expire(at(t));
      bans_.commands_changed(at(t));
    }
    EXPECT_EQ(bans_.size(), 0U);
    EXPECT_FALSE(bans_.next_due());
  }

  std::uint64_t id_ = 0;
};

TEST_F(EveryState, MeetsEveryEventAndEndsAllTheSame) {
  constexpr std::array kVerdicts{
      Verdict::ok,          Verdict::kernel_refused,    Verdict::over_budget,
      Verdict::own_address, Verdict::command_timed_out, Verdict::command_failed,
      Verdict::no_command,  Verdict::bad_duration,      Verdict::not_read_back};
  struct Event {
    std::string name;
    std::function<void(EveryState&)> happens;
  };
  std::vector<Event> events{
      {"lift",
       [](EveryState& t) {
         const bool held = Bans::holds(t.ban()) || t.ban().id != 0;
         const Lift lift = t.bans_.lift(t.kWho, Bans::Pardon::by_hand, at(0s));
         EXPECT_EQ(lift, held ? Lift::asked : Lift::gone);
         EXPECT_EQ(t.gone(), lift == Lift::gone);
       }},
      {"longer",
       [](EveryState& t) {
         const auto changed = t.bans_.change(t.kWho, wanted(3h), at(0s));
         const bool ending = t.ban().state == State::lifting && t.ban().id != 0;
         EXPECT_EQ(changed == Bans::Changed::busy, ending);
       }},
      {"for good, then lifted",
       [](EveryState& t) {
         static_cast<void>(t.bans_.change(t.kWho, wanted(std::nullopt), at(0s)));
         t.bans_.lift(t.kWho, Bans::Pardon::by_hand, at(0s));
       }},
      {"forget", [](EveryState& t) { t.bans_.forget(t.kWho); }},
      {"its end", [](EveryState& t) { t.bans_.expire(at(1h)); }},
      {"a table", [](EveryState& t) { t.bans_.table_created(Backend::nftables, true, at(0s)); }},
      {"a command", [](EveryState& t) { t.bans_.table_created(Backend::command, true, at(0s)); }},
      {"adopted", [](EveryState& t) { t.bans_.adopt(t.kWho, 1h, 1h, at(0s)); }},
      {"adopted otherwise", [](EveryState& t) { t.bans_.adopt(t.kWho, 5min, 1h, at(0s)); }},
      {"not listed",
       [](EveryState& t) {
         t.bans_.expect_all();
         t.bans_.listed(at(0s));
       }},
      {"hold",
       [](EveryState& t) {
         t.bans_.hold(t.kWho, at(0s));
         t.bans_.release(t.kWho, at(1s));
       }},
      {"new commands", [](EveryState& t) { t.bans_.commands_changed(at(0s)); }},
  };
  for (const Verdict verdict : kVerdicts) {
    events.push_back(
        {"answer " + std::to_string(static_cast<int>(verdict)), [verdict](EveryState& t) {
           if (t.id_ != 0) t.answer(std::exchange(t.id_, 0), verdict);
         }});
    events.push_back({"lift, then answer " + std::to_string(static_cast<int>(verdict)),
                      [verdict](EveryState& t) {
                        t.bans_.lift(t.kWho, Bans::Pardon::by_hand, at(0s));
                        if (t.id_ != 0) t.answer(std::exchange(t.id_, 0), verdict);
                      }});
    events.push_back({"change, then answer " + std::to_string(static_cast<int>(verdict)),
                      [verdict](EveryState& t) {
                        static_cast<void>(t.bans_.change(t.kWho, wanted(3h), at(0s)));
                        if (t.id_ != 0) t.answer(std::exchange(t.id_, 0), verdict);
                      }});
  }
  std::size_t met = 0;
  for (const Backend backend : {Backend::nftables, Backend::command}) {
    for (std::size_t s = 0; s < static_cast<std::size_t>(State::count_); ++s) {
      for (const bool in_flight : {false, true}) {
        for (const Event& event : events) {
          if (!enter(static_cast<State>(s), in_flight, backend)) continue;
          event.happens(*this);
          check_and_drain("state " + std::to_string(s) + (in_flight ? " in flight" : "") +
                          (backend == Backend::command ? " by a command" : "") + ": " + event.name);
          if (HasFailure()) return;
          met += 1;
        }
      }
    }
  }
  EXPECT_GT(met, 600U);
}

// ---- any story ----------------------------------------------------------------------------------

// A kernel, a disk and an enforcer, as simple as can be: what the bans should come to.
class AnyStory : public BanLife {
 protected:
  static constexpr std::array kLengths{5s, 60s, 600s, 4000s};

  void begin(std::uint64_t seed) {
    dice_ = seed;
    kernel_.clear();
    disk_.clear();
    cache_.clear();
    inbox_.clear();
    t_ = 0s;
    bans_ = Bans(seed);
    bans_.table_created(Backend::nftables, false, at(t_));
  }
  std::uint64_t roll(std::uint64_t sides) {
    dice_ = dice_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return (dice_ >> 33U) % sides;
  }
  static Source who(std::uint64_t i) { return host("20.0.0." + std::to_string(i)); }

  void remember(const Source& source) {
    const Bans::Ban& b = *bans_.find(source);
    cache_.insert_or_assign(source,
                            StoredBan{.source = source,
                                      .address = b.address,
                                      .cause = b.cause,
                                      .since = std::min(b.since, b.term.wall.value_or(b.since)),
                                      .until = b.term.wall});
  }
  void flush() { disk_ = cache_; }
  void expire_kernel() {
    std::erase_if(kernel_, [&](const auto& e) { return e.second <= at(t_).steady; });
  }
  // The enforcer takes what was sent, and answers.
  void serve_requests(bool refuse) {
    sent_.clear();
    bans_.pump(at(t_), [this](const MonitorToEnforcer& message) {
      inbox_.push_back(message);
      return true;
    });
    const auto requests = std::exchange(inbox_, {});
    for (const auto& message : requests) {
      const bool no = refuse && roll(4) == 0;
      const auto until = [&](std::chrono::seconds d) {
        return d == 0s ? Clock::time_point::max() : at(t_).steady + d;
      };
      std::uint64_t id = 0;
      if (const auto* m = std::get_if<Ban>(&message)) {
        id = m->id;
        if (!no) kernel_[m->source] = until(m->duration);
      } else if (const auto* r = std::get_if<Restore>(&message)) {
        id = r->id;
        if (!no) kernel_[r->source] = until(r->remaining);
      } else if (const auto* u = std::get_if<Unban>(&message)) {
        id = u->id;
        if (!no) kernel_.erase(u->source);
      } else {
        continue;
      }
      const auto answer =
          bans_.answer({id, no ? Verdict::kernel_refused : Verdict::ok, 12}, at(t_));
      ASSERT_TRUE(answer);
      if (answer->change == Change::enforced || answer->change == Change::changed ||
          answer->change == Change::put_back) {
        remember(answer->source);
      } else if (bans_.find(answer->source) == nullptr) {
        cache_.erase(answer->source);
      }
    }
  }
  void expire() {
    for (const Bans::Ended& ended : bans_.expire(at(t_)))
      cache_.erase(ended.source);
    expire_kernel();
  }
  // The process dies; what it had not flushed is lost. Another one starts.
  void restart(bool boot) {
    cache_ = disk_;
    if (boot) kernel_.clear();
    bans_ = Bans(roll(1000));
    for (const auto& [source, row] : disk_)
      bans_.recall(row, Bans::Left::kernel, at(t_));
    expire_kernel();
    for (const auto& [source, until] : kernel_) {
      const auto left = until == Clock::time_point::max()
                            ? 0s
                            : std::chrono::ceil<std::chrono::seconds>(until - at(t_).steady);
      if (bans_.adopt(source, left, 600s, at(t_)) == Bans::Adoption::recovered) remember(source);
    }
    bans_.table_created(Backend::nftables, false, at(t_));
  }
  void list() {
    bans_.expect_all();
    expire_kernel();
    for (const auto& [source, until] : kernel_) {
      const auto left = until == Clock::time_point::max()
                            ? 0s
                            : std::chrono::ceil<std::chrono::seconds>(until - at(t_).steady);
      if (bans_.adopt(source, left, 600s, at(t_)) == Bans::Adoption::recovered) remember(source);
    }
    bans_.listed(at(t_));
  }
  void step() {
    t_ += std::chrono::milliseconds(roll(3000));
    const Source source = who(roll(30));
    std::optional<std::chrono::seconds> length = kLengths.at(roll(kLengths.size()));
    if (roll(8) == 0) length.reset();
    const Bans::Wanted ban = wanted(length, roll(2) == 0 ? Origin::scan : Origin::hand);
    switch (roll(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        if (bans_.find(source) == nullptr) bans_.ask(source, ban, at(t_));
        break;
      case 4:
        if (bans_.change(source, ban, at(t_)) == Bans::Changed::done) remember(source);
        break;
      case 5:
      case 6:
        if (bans_.lift(source, Bans::Pardon::by_hand, at(t_)) == Lift::gone) cache_.erase(source);
        break;
      case 7:
        if (roll(10) == 0) restart(roll(2) == 0);
        break;
      case 8:  // nft flush set
        if (roll(10) == 0) {
          kernel_.clear();
          bans_.table_created(Backend::nftables, true, at(t_));
        }
        break;
      case 9: {  // nft delete element, and we hear of it
        const Bans::Ban* known = bans_.find(source);
        if (known == nullptr || known->id != 0 || !Bans::holds(*known)) break;
        kernel_.erase(source);
        bans_.forget(source);
        cache_.erase(source);
        break;
      }
      case 10:  // the same, and nobody tells
        if (roll(10) == 0) kernel_.erase(source);
        break;
      case 11:
        flush();
        break;
      case 12:
        if (roll(10) == 0) list();
        break;
      case 13:  // time goes by
        if (roll(20) == 0) t_ += std::chrono::minutes(roll(60));
        break;
      default:
        break;
    }
    expire();
    if (roll(2) == 0) bans_.settle();
    if (roll(3) != 0) serve_requests(true);
  }
  // Everything is answered, listed and written.
  void settle() {
    for (int i = 0; i < 400; ++i) {
      t_ += 1s;
      expire();
      serve_requests(false);
      if (i == 200) list();
    }
    flush();
  }

  std::uint64_t dice_ = 1;
  std::map<Source, Clock::time_point> kernel_;
  std::map<Source, StoredBan> disk_;
  std::map<Source, StoredBan> cache_;
  std::vector<MonitorToEnforcer> inbox_;
  Clock::duration t_{};
};

TEST_F(AnyStory, EndsWithTheKernelHoldingWhatIsStored) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    begin(seed);
    for (int i = 0; i < 600; ++i) {
      step();
      if (HasFatalFailure()) return;
    }
    settle();
    std::map<Source, std::optional<std::time_t>> held;
    for (const auto& [source, row] : disk_)
      held[source] = row.until;
    // In its last moments the kernel, which counts in whole seconds, may hold what is over.
    std::erase_if(kernel_, [&](const auto& e) {
      return e.second <= at(t_).steady + Bans::kLastMoment && !held.contains(e.first);
    });
    // And where its clock was a little behind ours, what it holds has ended a little earlier.
    std::erase_if(held, [&](const auto& e) {
      return e.second && *e.second <= at(t_ + Bans::kTolerance + 1s).wall &&
             !kernel_.contains(e.first);
    });
    for (const auto& [source, until] : held) {
      const Bans::Ban* known = bans_.find(source);
      EXPECT_TRUE(kernel_.contains(source))
          << source.text() << (known == nullptr ? " unknown" : " in state ")
          << (known == nullptr ? 0 : static_cast<int>(known->state));
    }
    for (const auto& [source, until] : kernel_) {
      const Bans::Ban* known = bans_.find(source);
      EXPECT_TRUE(held.contains(source))
          << source.text() << (known == nullptr ? " unknown" : " in state ")
          << (known == nullptr ? 0 : static_cast<int>(known->state));
    }
    ASSERT_EQ(kernel_.size(), held.size());
    for (const auto& [source, until] : kernel_) {
      ASSERT_TRUE(held.contains(source)) << source.text();
      const auto& end = held.at(source);
      ASSERT_EQ(until == Clock::time_point::max(), !end.has_value()) << source.text();
      if (!end) continue;
      const auto left = std::chrono::duration<double>(until - at(t_).steady).count();
      ASSERT_NEAR(left, static_cast<double>(*end - at(t_).wall), 6.0) << source.text();
    }
  }
}

TEST_F(AnyStory, LosesNoBanThatWasFlushedHoweverTheProcessDies) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    begin(seed);
    for (int i = 0; i < 200; ++i)
      step();
    flush();
    const auto promised = disk_;
    restart(seed % 2 == 0);
    serve_requests(false);
    for (const auto& [source, row] : promised) {
      if (row.until && *row.until <= at(t_).wall + 1) continue;
      ASSERT_TRUE(kernel_.contains(source)) << source.text();
    }
  }
}

}  // namespace
}  // namespace portsentry::monitor
