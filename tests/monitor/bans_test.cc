#include "monitor/bans.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <vector>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;
using State = Bans::State;
using Change = Bans::Change;

class BansTest : public ::testing::Test {
 protected:
  Now at(Clock::duration later) const {
    return {start_ + later,
            1'000'000 + std::chrono::duration_cast<std::chrono::seconds>(later).count()};
  }
  static Bans::Wanted wanted(std::string_view from, std::optional<std::chrono::seconds> duration,
                             BanClass of = BanClass::single) {
    return {.address = address(from),
            .cause = {Protocol::tcp, *Port::make(23)},
            .duration = duration,
            .of = of};
  }
  void ask(std::string_view from, std::chrono::seconds duration = 30min, Now now = {}) {
    if (now.wall == 0) now = at(0s);
    bans_.ask(host(from), wanted(from, duration), now);
  }
  bool pump(Now now) {
    return bans_.pump(now, [this](const MonitorToEnforcer& message) {
      if (room_ == 0) return false;
      room_ -= 1;
      sent_.push_back(message);
      return true;
    });
  }
  std::uint64_t send_one(Now now) {
    pump(now);
    std::uint64_t id = 0;
    for (const auto& message : sent_) {
      if (const auto* ban = std::get_if<Ban>(&message)) id = ban->id;
      if (const auto* restore = std::get_if<Restore>(&message)) id = restore->id;
      if (const auto* unban = std::get_if<Unban>(&message)) id = unban->id;
    }
    sent_.clear();
    return id;
  }
  // An enforced ban of `from`.
  void enforce(std::string_view from, std::chrono::seconds duration = 30min) {
    ask(from, duration);
    ASSERT_EQ(bans_.answer({send_one(at(0s)), Verdict::ok, 0}, at(0s))->change, Change::enforced);
  }
  void serve() {
    bans_.table_created(Backend::nftables, false, at(0s));
    pump(at(0s));
    sent_.clear();
  }
  State state(std::string_view from) { return bans_.find(host(from))->state; }

  Clock::time_point start_{std::chrono::hours(5)};
  Bans bans_;
  std::vector<MonitorToEnforcer> sent_;
  std::size_t room_ = SIZE_MAX;
};

TEST_F(BansTest, NothingIsAskedBeforeTheEnforcerHasATable) {
  ask("198.51.100.7");
  pump(at(0s));
  EXPECT_TRUE(sent_.empty());
}

TEST_F(BansTest, EachTableIsAnsweredByOneRestoreDoneAndOnlyThenComeBans) {
  ask("198.51.100.7");
  bans_.table_created(Backend::nftables, false, at(0s));
  pump(at(0s));
  ASSERT_EQ(sent_.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<RestoreDone>(sent_[0]));
  EXPECT_TRUE(std::holds_alternative<Ban>(sent_[1]));
}

TEST_F(BansTest, ARequestCarriesSourceTimeAndCauseAndAnIdThatIsNotZero) {
  serve();
  ask("198.51.100.7");
  pump(at(0s));
  ASSERT_EQ(sent_.size(), 1U);
  const Ban& ban = std::get<Ban>(sent_[0]);
  EXPECT_NE(ban.id, 0U);
  EXPECT_EQ(ban.source, host("198.51.100.7"));
  EXPECT_EQ(ban.duration, 30min);
  EXPECT_EQ(ban.cause.protocol, Protocol::tcp);
  EXPECT_EQ(ban.cause.port.number(), 23);
}

TEST_F(BansTest, ABanIsEnforcedOnlyWhenTheKernelSaidYes) {
  serve();
  ask("198.51.100.7");
  const std::uint64_t id = send_one(at(0s));
  EXPECT_EQ(state("198.51.100.7"), State::asked);
  EXPECT_EQ(bans_.answer({id, Verdict::ok, 0}, at(1s))->change, Change::enforced);
  EXPECT_EQ(state("198.51.100.7"), State::enforced);
}

TEST_F(BansTest, AnAnswerToNothingIsNotAccepted) {
  serve();
  ask("198.51.100.7");
  const std::uint64_t id = send_one(at(0s));
  EXPECT_FALSE(bans_.answer({id + 1, Verdict::ok, 0}, at(0s)));
  EXPECT_TRUE(bans_.answer({id, Verdict::ok, 0}, at(0s)));
  EXPECT_FALSE(bans_.answer({id, Verdict::ok, 0}, at(0s))) << "twice";
}

TEST_F(BansTest, AKernelRefusalIsRetriedWithABackOffThatDoublesToAMinute) {
  serve();
  ask("198.51.100.7", 1h);
  Clock::duration t = 0s;
  for (const auto expected : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    const std::uint64_t id = send_one(at(t));
    ASSERT_NE(id, 0U);
    EXPECT_EQ(bans_.answer({id, Verdict::kernel_refused, 12}, at(t))->change, Change::later);
    EXPECT_EQ(bans_.next_due(), start_ + t + expected);
    t += expected;
    bans_.expire(at(t - 1ms));
    EXPECT_EQ(send_one(at(t - 1ms)), 0U) << "too early";
    bans_.expire(at(t));
  }
}

TEST_F(BansTest, ARetryAsksOnlyForWhatIsLeftOfTheBan) {
  serve();
  ask("198.51.100.7", 10min);
  bans_.answer({send_one(at(0s)), Verdict::over_budget, 0}, at(0s));
  bans_.expire(at(1500ms));
  pump(at(1500ms));
  EXPECT_EQ(std::get<Ban>(sent_.at(0)).duration, 599s);
}

TEST_F(BansTest, ARetryEndsWithTheTimeOfTheBan) {
  serve();
  ask("198.51.100.7", 2s);
  bans_.answer({send_one(at(0s)), Verdict::kernel_refused, 12}, at(0s));
  const auto ended = bans_.expire(at(2s));
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_FALSE(ended[0].held);
  EXPECT_EQ(bans_.size(), 0U);
  EXPECT_EQ(send_one(at(2s)), 0U);
}

TEST_F(BansTest, OnlyTheFirstRefusalOfAKindIsNews) {
  serve();
  ask("198.51.100.7");
  EXPECT_TRUE(bans_.answer({send_one(at(0s)), Verdict::kernel_refused, 12}, at(0s))->news);
  bans_.expire(at(1s));
  EXPECT_FALSE(bans_.answer({send_one(at(1s)), Verdict::kernel_refused, 12}, at(1s))->news);
  bans_.expire(at(3s));
  EXPECT_TRUE(bans_.answer({send_one(at(3s)), Verdict::over_budget, 0}, at(3s))->news);
}

TEST_F(BansTest, AGuardRefusalByNatureStandsForAMinuteWithoutAnotherTry) {
  for (const Verdict verdict : {Verdict::own_address, Verdict::next_hop, Verdict::not_unicast,
                                Verdict::shared_prefix, Verdict::bad_duration}) {
    bans_ = Bans();
    serve();
    ask("198.51.100.7");
    EXPECT_EQ(bans_.answer({send_one(at(0s)), verdict, 0}, at(0s))->change, Change::refused);
    bans_.expire(at(59s));
    EXPECT_EQ(send_one(at(59s)), 0U);
    EXPECT_EQ(state("198.51.100.7"), State::refused);
    bans_.expire(at(60s));
    EXPECT_EQ(bans_.find(host("198.51.100.7")), nullptr);
  }
}

TEST_F(BansTest, ABanThatHeldIsOverAtItsTimeAndNotBefore) {
  serve();
  enforce("198.51.100.7", 10s);
  EXPECT_TRUE(bans_.expire(at(9999ms)).empty());
  const auto ended = bans_.expire(at(10s));
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].source, host("198.51.100.7"));
  EXPECT_TRUE(ended[0].held);
  EXPECT_EQ(bans_.count(State::enforced), 0U);
  EXPECT_FALSE(bans_.next_due());
}

TEST_F(BansTest, AnAnswerThatComesAfterTheEndOfTheBanChangesNothing) {
  serve();
  ask("198.51.100.7", 2s);
  const std::uint64_t id = send_one(at(0s));
  EXPECT_TRUE(bans_.expire(at(3s)).empty()) << "its answer is still to come";
  EXPECT_FALSE(bans_.next_due()) << "nothing to wake up for";
  EXPECT_EQ(bans_.answer({id, Verdict::ok, 0}, at(3s))->change, Change::over);
  EXPECT_EQ(bans_.size(), 0U);
}

TEST_F(BansTest, AFullChannelLosesNothing) {
  serve();
  ask("198.51.100.7");
  ask("198.51.100.8");
  room_ = 1;
  EXPECT_FALSE(pump(at(0s)));
  EXPECT_EQ(sent_.size(), 1U);
  room_ = SIZE_MAX;
  EXPECT_TRUE(pump(at(0s)));
  ASSERT_EQ(sent_.size(), 2U);
  EXPECT_EQ(std::get<Ban>(sent_[1]).source, host("198.51.100.8"));
  EXPECT_NE(std::get<Ban>(sent_[0]).id, std::get<Ban>(sent_[1]).id);
}

TEST_F(BansTest, UnansweredRequestsAreBounded) {
  serve();
  for (std::size_t i = 0; i < Bans::kMaxInFlight + 10; ++i) {
    ask("198.51." + std::to_string(i / 256) + "." + std::to_string(i % 256));
  }
  EXPECT_TRUE(pump(at(0s)));
  EXPECT_EQ(sent_.size(), Bans::kMaxInFlight);
  bans_.answer({std::get<Ban>(sent_[0]).id, Verdict::ok, 0}, at(0s));
  pump(at(0s));
  EXPECT_EQ(sent_.size(), Bans::kMaxInFlight + 1);
}

TEST_F(BansTest, UnconfirmedBansAreBoundedClassByClassAndTheSurerGoFirst) {
  const auto fill = [&](BanClass of, unsigned net) {
    std::size_t made = 0;
    for (; !bans_.full(of) && made < 10000; ++made) {
      const std::string from = std::to_string(net + made / 65536) + "." +
                               std::to_string(made / 256 % 256) + "." + std::to_string(made % 256) +
                               ".9";
      bans_.ask(host(from), wanted(from, 60s, of), at(0s));
    }
    return made;
  };
  EXPECT_EQ(fill(BanClass::single, 20), Bans::kMaxPending[0]);
  EXPECT_FALSE(bans_.full(BanClass::spread));
  EXPECT_EQ(fill(BanClass::spread, 30), Bans::kMaxPending[1]);
  EXPECT_FALSE(bans_.full(BanClass::proven));
  EXPECT_EQ(fill(BanClass::proven, 40), Bans::kMaxPending[2]);
  bans_.table_created(Backend::nftables, false, at(0s));
  pump(at(0s));
  EXPECT_EQ(std::get<Ban>(sent_.at(1)).source, host("40.0.0.9"));  // after RestoreDone
}

TEST_F(BansTest, AnAdoptedBanHoldsForWhatTheKernelSaysIsLeft) {
  EXPECT_EQ(bans_.adopt(host("198.51.100.7"), 60s, 30min, at(0s)), Bans::Adoption::recovered);
  EXPECT_EQ(state("198.51.100.7"), State::enforced);
  EXPECT_EQ(bans_.find(host("198.51.100.7"))->since, at(0s).wall - (30 * 60 - 60));
  EXPECT_TRUE(bans_.expire(at(59s)).empty());
  EXPECT_EQ(bans_.expire(at(60s)).size(), 1U);
}

TEST_F(BansTest, AnAdoptedBanIsNotAdoptedTwice) {
  EXPECT_EQ(bans_.adopt(host("198.51.100.7"), 60s, 30min, at(0s)), Bans::Adoption::recovered);
  EXPECT_NE(bans_.adopt(host("198.51.100.7"), 600s, 30min, at(0s)), Bans::Adoption::recovered);
  EXPECT_EQ(bans_.count(State::enforced), 1U);
}

TEST_F(BansTest, AnAdoptedBanWithoutExpiryNeverEndsAndIsRestoredForAsLongAsThereIs) {
  serve();
  bans_.adopt(host("198.51.100.7"), 0s, 30min, at(0s));
  EXPECT_TRUE(bans_.expire(at(std::chrono::hours(24 * 1000))).empty());
  EXPECT_FALSE(bans_.next_due());
  bans_.table_created(Backend::nftables, true, at(0s));
  pump(at(0s));
  EXPECT_EQ(std::get<Restore>(sent_.at(0)).remaining, 0s);
}

TEST_F(BansTest, ATableMadeAgainGetsEverythingBackForWhatIsLeftOfIt) {
  serve();
  enforce("198.51.100.7", 10min);
  enforce("198.51.100.8", 10min);
  EXPECT_EQ(bans_.table_created(Backend::nftables, true, at(60s)), 2U);
  EXPECT_EQ(bans_.being_restored(), 2U);
  pump(at(60s));
  ASSERT_EQ(sent_.size(), 3U);
  EXPECT_EQ(std::get<Restore>(sent_[0]).remaining, 9min);
  EXPECT_TRUE(std::holds_alternative<RestoreDone>(sent_[2]));
  for (std::size_t i = 0; i < 2; ++i) {
    const auto answer = bans_.answer({std::get<Restore>(sent_[i]).id, Verdict::ok, 0}, at(60s));
    EXPECT_EQ(answer->change, Change::put_back);
    EXPECT_TRUE(answer->was_restore);
  }
  EXPECT_EQ(bans_.count(State::enforced), 2U);
}

TEST_F(BansTest, MoreRestoresThanFitTheFlightAreSentAsAnswersComeAndThenTheWindowCloses) {
  serve();
  for (std::size_t i = 0; i < Bans::kMaxInFlight + 1; ++i) {
    bans_.adopt(host("198.51." + std::to_string(i / 256) + "." + std::to_string(i % 256)), 600s,
                30min, at(0s));
  }
  bans_.table_created(Backend::nftables, true, at(0s));
  pump(at(0s));
  EXPECT_EQ(sent_.size(), Bans::kMaxInFlight);
  EXPECT_TRUE(std::holds_alternative<Restore>(sent_.back()));
  bans_.answer({std::get<Restore>(sent_[0]).id, Verdict::ok, 0}, at(0s));
  pump(at(0s));
  ASSERT_EQ(sent_.size(), Bans::kMaxInFlight + 2);
  EXPECT_TRUE(std::holds_alternative<RestoreDone>(sent_.back()));
}

TEST_F(BansTest, ANewBanWaitsUntilEverythingThatHeldIsPutBack) {
  serve();
  for (std::size_t i = 0; i < Bans::kMaxInFlight + 1; ++i) {
    bans_.adopt(host("198.51." + std::to_string(i / 256) + "." + std::to_string(i % 256)), 600s,
                30min, at(0s));
  }
  bans_.table_created(Backend::nftables, true, at(0s));
  pump(at(0s));
  ask("203.0.113.7");
  sent_.resize(1);
  bans_.answer({std::get<Restore>(sent_[0]).id, Verdict::ok, 0}, at(0s));
  bans_.answer({std::get<Restore>(sent_[0]).id + 1, Verdict::ok, 0}, at(0s));
  pump(at(0s));
  ASSERT_EQ(sent_.size(), 4U);
  EXPECT_TRUE(std::holds_alternative<Restore>(sent_[1]));
  EXPECT_TRUE(std::holds_alternative<RestoreDone>(sent_[2]));
  EXPECT_TRUE(std::holds_alternative<Ban>(sent_[3]));
}

TEST_F(BansTest, ASourceThatWasQueuedTwiceIsAskedForOnce) {
  ask("198.51.100.7", 1s);
  EXPECT_EQ(bans_.expire(at(2s)).size(), 1U) << "over before there was a table";
  ask("198.51.100.7", 60s, at(2s));
  bans_.table_created(Backend::nftables, false, at(2s));
  pump(at(2s));
  EXPECT_EQ(sent_.size(), 2U) << "RestoreDone and one Ban";
}

TEST_F(BansTest, ATableLostTwiceIsAnsweredTwiceAndRestoresAreNotDoubled) {
  serve();
  enforce("198.51.100.7");
  bans_.table_created(Backend::nftables, true, at(0s));
  bans_.table_created(Backend::nftables, true, at(0s));
  pump(at(0s));
  ASSERT_EQ(sent_.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<Restore>(sent_[0]));
  EXPECT_TRUE(std::holds_alternative<RestoreDone>(sent_[1]));
  EXPECT_TRUE(std::holds_alternative<RestoreDone>(sent_[2]));
}

TEST_F(BansTest, ARestoreThatFailsIsTriedAgainAsABan) {
  serve();
  enforce("198.51.100.7");
  bans_.table_created(Backend::nftables, true, at(0s));
  EXPECT_EQ(bans_.answer({send_one(at(0s)), Verdict::kernel_refused, 12}, at(0s))->change,
            Change::later);
  bans_.expire(at(1s));
  pump(at(1s));
  EXPECT_EQ(std::get<Ban>(sent_.at(0)).source, host("198.51.100.7"));
}

TEST_F(BansTest, ATableMadeAgainTriesAtOnceWhatWaited) {
  serve();
  ask("198.51.100.7");
  bans_.answer({send_one(at(0s)), Verdict::kernel_refused, 2}, at(0s));
  bans_.table_created(Backend::nftables, true, at(100ms));
  bans_.expire(at(100ms));
  EXPECT_NE(send_one(at(100ms)), 0U);
}

TEST_F(BansTest, ALiftedBanIsUnbannedAndForgotten) {
  serve();
  bans_.adopt(host("198.51.100.7"), 600s, 30min, at(0s));
  bans_.lift(host("198.51.100.7"), Bans::Pardon::ignored, at(0s));
  pump(at(0s));
  const Unban unban = std::get<Unban>(sent_.at(0));
  EXPECT_EQ(unban.source, host("198.51.100.7"));
  EXPECT_EQ(bans_.answer({unban.id, Verdict::ok, 0}, at(0s))->change, Change::lifted);
  EXPECT_EQ(bans_.size(), 0U);
}

TEST_F(BansTest, ALiftThatFailsIsTriedAgain) {
  serve();
  bans_.adopt(host("198.51.100.7"), 600s, 30min, at(0s));
  bans_.lift(host("198.51.100.7"), Bans::Pardon::ignored, at(0s));
  EXPECT_EQ(bans_.answer({send_one(at(0s)), Verdict::kernel_refused, 12}, at(0s))->change,
            Change::later);
  bans_.expire(at(1s));
  EXPECT_NE(send_one(at(1s)), 0U);
}

TEST_F(BansTest, AHostIsCoveredByItsOwnBanAndByThatOfItsNetwork) {
  bans_.adopt(site("2001:db8:7::1"), 600s, 30min, at(0s));
  bans_.adopt(host("2001:db8:8::1"), 600s, 30min, at(0s));
  EXPECT_NE(bans_.covering(address("2001:db8:7::99")), nullptr);
  EXPECT_NE(bans_.covering(address("2001:db8:8::1")), nullptr);
  EXPECT_EQ(bans_.covering(address("2001:db8:8::2")), nullptr);
}

TEST_F(BansTest, ExpiryWorksInBoundedSlices) {
  for (std::size_t i = 0; i < 25; ++i) {
    bans_.adopt(host("198.51.100." + std::to_string(i)), 1s, 30min, at(0s));
  }
  EXPECT_EQ(bans_.expire(at(2s), 10).size(), 10U);
  EXPECT_EQ(bans_.expire(at(2s), 10).size(), 10U);
  EXPECT_EQ(bans_.expire(at(2s), 10).size(), 5U);
}

// ---- bans that a command makes ------------------------------------------------------------------

class CommandBans : public BansTest {
 protected:
  StoredBan row(const Source& source, const Address& address, const BanCause& cause,
                std::chrono::seconds left) {
    return {.source = source,
            .address = address,
            .cause = cause,
            .backend = BanBackend::command,
            .since = at(0s).wall - 77,
            .until = at(0s).wall + left.count()};
  }
  void serve() {
    bans_.table_created(Backend::command, false, at(0s));
    pump(at(0s));
    sent_.clear();
  }
  Unban unban_at(Clock::duration t) {
    pump(at(t));
    const Unban unban = std::get<Unban>(sent_.at(0));
    sent_.clear();
    return unban;
  }
};

TEST_F(CommandBans, HoldUntilTheirUndoSucceededAndNotOnlyUntilTheirTimeIsOver) {
  serve();
  enforce("198.51.100.7", 10s);
  EXPECT_TRUE(bans_.expire(at(10s)).empty());
  EXPECT_EQ(state("198.51.100.7"), State::lifting);
  EXPECT_TRUE(Bans::holds(*bans_.find(host("198.51.100.7"))));
  const Unban unban = unban_at(10s);
  EXPECT_EQ(unban.source, host("198.51.100.7"));
  const auto answer = bans_.answer({unban.id, Verdict::ok, 0}, at(10s));
  EXPECT_EQ(answer->change, Change::over);
  EXPECT_TRUE(answer->ban.recorded);
  EXPECT_EQ(bans_.size(), 0U);
}

TEST_F(CommandBans, AnUndoThatDoesNotEndIsTriedAgainWithABackOffForAsLongAsItTakes) {
  serve();
  enforce("198.51.100.7", 10s);
  bans_.expire(at(10s));
  Clock::duration t = 10s;
  for (const auto expected : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    const auto answer = bans_.answer({unban_at(t).id, Verdict::command_timed_out, 0}, at(t));
    EXPECT_EQ(answer->change, Change::later);
    EXPECT_EQ(bans_.next_due(), start_ + t + expected);
    t += expected;
    bans_.expire(at(t));
  }
  EXPECT_EQ(bans_.answer({unban_at(t).id, Verdict::ok, 0}, at(t))->change, Change::over);
}

TEST_F(CommandBans, AnUndoThatFailsFiveTimesMeansThatSomebodyWasFaster) {
  serve();
  enforce("198.51.100.7", 10s);
  Clock::duration t = 10s;
  for (unsigned i = 1; i <= Bans::kUndoTries; ++i) {
    bans_.expire(at(t));
    const auto answer = bans_.answer({unban_at(t).id, Verdict::command_failed, 1}, at(t));
    EXPECT_EQ(answer->change, i < Bans::kUndoTries ? Change::later : Change::undo_failed);
    if (bans_.next_due()) t = *bans_.next_due() - start_;
  }
  EXPECT_EQ(bans_.size(), 0U);
}

TEST_F(CommandBans, AreStuckWhereNoUndoIsKnownUntilThereAreNewCommands) {
  serve();
  enforce("198.51.100.7", 10s);
  bans_.expire(at(10s));
  EXPECT_EQ(bans_.answer({unban_at(10s).id, Verdict::no_command, 0}, at(10s))->change,
            Change::stuck);
  EXPECT_TRUE(bans_.expire(at(24h)).empty());
  EXPECT_FALSE(bans_.next_due());
  EXPECT_EQ(bans_.count(State::stuck), 1U);
  EXPECT_TRUE(Bans::holds(*bans_.find(host("198.51.100.7"))));
  bans_.commands_changed(at(24h));
  bans_.expire(at(24h));
  EXPECT_EQ(bans_.answer({unban_at(24h).id, Verdict::ok, 0}, at(24h))->change, Change::over);
}

TEST_F(CommandBans, AnAnswerAfterTheEndOfTheBanIsUndoneAsTheCommandHasRun) {
  serve();
  ask("198.51.100.7", 2s);
  const std::uint64_t id = send_one(at(0s));
  bans_.expire(at(3s));
  EXPECT_EQ(bans_.answer({id, Verdict::ok, 0}, at(3s))->change, Change::enforced);
  bans_.expire(at(3s));
  EXPECT_EQ(bans_.answer({unban_at(3s).id, Verdict::ok, 0}, at(3s))->change, Change::over);
}

TEST_F(CommandBans, ManyUndosLeaveRoomForANewBan) {
  serve();
  for (std::size_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(bans_.recall(
        row(host("198.51.100." + std::to_string(i)), address("198.51.100." + std::to_string(i)),
            {Protocol::tcp, *Port::make(23)}, -5s),
        Bans::Left::command, at(0s)));
  }
  bans_.expire(at(0s));
  pump(at(0s));
  EXPECT_EQ(sent_.size(), Bans::kMaxUndosInFlight);
  ask("203.0.113.7");
  pump(at(0s));
  ASSERT_EQ(sent_.size(), Bans::kMaxUndosInFlight + 1);
  EXPECT_TRUE(std::holds_alternative<Ban>(sent_.back()));
  bans_.answer({std::get<Unban>(sent_[0]).id, Verdict::ok, 0}, at(0s));
  pump(at(0s));
  EXPECT_EQ(sent_.size(), Bans::kMaxUndosInFlight + 2);
}

TEST_F(CommandBans, OfAnEarlierRunAreHeldWithoutRunningTheCommandAgain) {
  ASSERT_TRUE(bans_.recall(
      row(host("198.51.100.7"), address("198.51.100.7"), {Protocol::udp, *Port::make(161)}, 60s),
      Bans::Left::command, at(0s)));
  serve();
  EXPECT_EQ(state("198.51.100.7"), State::enforced);
  EXPECT_EQ(bans_.find(host("198.51.100.7"))->since, at(0s).wall - 77);
  bans_.expire(at(60s));
  EXPECT_EQ(state("198.51.100.7"), State::lifting);
}

TEST_F(CommandBans, OfBeforeABootAreMadeAgainInTheWindow) {
  ASSERT_TRUE(bans_.recall(
      row(host("198.51.100.7"), address("198.51.100.7"), {Protocol::udp, *Port::make(161)}, 60s),
      Bans::Left::gone, at(0s)));
  EXPECT_FALSE(bans_.recall(
      row(host("198.51.100.8"), address("198.51.100.8"), {Protocol::udp, *Port::make(161)}, -1s),
      Bans::Left::gone, at(0s)))
      << "over, and nothing is left of it";
  bans_.table_created(Backend::command, false, at(0s));
  pump(at(0s));
  ASSERT_EQ(sent_.size(), 2U);
  const Restore restore = std::get<Restore>(sent_[0]);
  EXPECT_TRUE(std::holds_alternative<RestoreDone>(sent_[1]));
  EXPECT_EQ(bans_.answer({restore.id, Verdict::ok, 0}, at(0s))->change, Change::put_back);
}

TEST_F(CommandBans, ACommandThatNamesThePortIsRunAgainAsABanThatTellsIt) {
  ASSERT_TRUE(bans_.recall(
      row(host("198.51.100.7"), address("198.51.100.7"), {Protocol::udp, *Port::make(161)}, 60s),
      Bans::Left::gone, at(0s)));
  bans_.table_created(Backend::command, false, at(0s));
  EXPECT_EQ(bans_.answer({send_one(at(0s)), Verdict::no_command, 0}, at(0s))->change,
            Change::later);
  bans_.expire(at(0s));
  pump(at(0s));
  EXPECT_EQ(std::get<Ban>(sent_.at(0)).cause.port.number(), 161);
}

TEST_F(CommandBans, SlowCommandsDoNotOutlastTheWindow) {
  for (std::size_t i = 0; i < Bans::kMaxInFlight + 9; ++i) {
    bans_.recall(row(host("198.51." + std::to_string(i / 256) + "." + std::to_string(i % 256)),
                     address("198.51.100.1"), {Protocol::tcp, *Port::make(23)}, 1h),
                 Bans::Left::gone, at(0s));
  }
  bans_.table_created(Backend::command, false, at(0s));
  pump(at(0s));
  ASSERT_EQ(sent_.size(), Bans::kMaxCommandsInFlight);
  ASSERT_TRUE(bans_.next_due());
  EXPECT_LE(*bans_.next_due(), start_ + 30s);
  sent_.resize(1);
  pump(at(30s));
  ASSERT_EQ(sent_.size(), 2U) << "RestoreDone; nothing else fits the flight";
  EXPECT_TRUE(std::holds_alternative<RestoreDone>(sent_[1]));
  bans_.answer({std::get<Restore>(sent_[0]).id, Verdict::ok, 0}, at(30s));
  pump(at(30s));
  EXPECT_TRUE(std::holds_alternative<Ban>(sent_.back()));
}

TEST_F(CommandBans, ABackendThatTakesOverGetsWhatTheOtherHeldAndItsOwnIsLeftAlone) {
  serve();
  enforce("198.51.100.7");
  EXPECT_EQ(bans_.table_created(Backend::command, true, at(1s)), 0U) << "it holds still";
  EXPECT_EQ(bans_.table_created(Backend::none, true, at(1s)), 0U);
  EXPECT_EQ(bans_.table_created(Backend::nftables, true, at(1s)), 1U);
  EXPECT_EQ(bans_.answer({send_one(at(1s)), Verdict::ok, 0}, at(1s))->change, Change::put_back);
  EXPECT_EQ(bans_.table_created(Backend::command, true, at(2s)), 1U);
}

TEST_F(BansTest, CountsAndTableAgreeAfterAnyStoryOfAskingAnsweringLosingAndExpiring) {
  serve();
  std::uint64_t dice = 12345;
  const auto roll = [&dice](std::uint64_t sides) {
    dice = dice * 6364136223846793005ULL + 1442695040888963407ULL;
    return (dice >> 33) % sides;
  };
  constexpr std::array kVerdicts{
      Verdict::ok,          Verdict::ok,          Verdict::kernel_refused,
      Verdict::own_address, Verdict::over_budget, Verdict::no_command};
  constexpr std::array kBackends{Backend::nftables, Backend::command, Backend::none};
  Clock::duration t = 0s;
  std::set<std::uint64_t> open;
  for (int step = 0; step < 20000; ++step) {
    t += std::chrono::milliseconds(roll(500));
    const std::string who = "198.51.100." + std::to_string(roll(40));
    switch (roll(6)) {
      case 0:
      case 1:
        if (bans_.find(host(who)) == nullptr) ask(who, std::chrono::seconds(1 + roll(90)), at(t));
        break;
      case 2:
        if (roll(50) == 0) bans_.table_created(kBackends.at(roll(kBackends.size())), true, at(t));
        if (roll(50) == 0) bans_.commands_changed(at(t));
        break;
      case 3:
        bans_.lift(host(who), Bans::Pardon::ignored, at(0s));
        break;
      default:
        if (!open.empty()) {
          ASSERT_TRUE(
              bans_.answer({*open.begin(), kVerdicts.at(roll(kVerdicts.size())), 1}, at(t)));
          open.erase(open.begin());
        }
    }
    bans_.expire(at(t));
    sent_.clear();
    pump(at(t));
    for (const auto& message : sent_) {
      if (const auto* m = std::get_if<Ban>(&message)) open.insert(m->id);
      if (const auto* m = std::get_if<Restore>(&message)) open.insert(m->id);
      if (const auto* m = std::get_if<Unban>(&message)) open.insert(m->id);
    }
    std::size_t counted = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(State::count_); ++i) {
      counted += bans_.count(static_cast<State>(i));
    }
    ASSERT_EQ(counted, bans_.size());
    ASSERT_LE(open.size(), Bans::kMaxInFlight);
  }
  for (int round = 0; round < 1000 && (bans_.size() > 0 || !open.empty()); ++round) {
    t += 1h;
    bans_.commands_changed(at(t));
    bans_.expire(at(t));
    sent_.clear();
    pump(at(t));
    for (const auto& message : sent_) {
      if (const auto* m = std::get_if<Unban>(&message)) open.insert(m->id);
      ASSERT_FALSE(std::holds_alternative<Ban>(message)) << "all are over";
    }
    for (const std::uint64_t id : open)
      ASSERT_TRUE(bans_.answer({id, Verdict::ok, 0}, at(t)));
    open.clear();
  }
  EXPECT_EQ(bans_.size(), 0U) << "every ban ends";
}

}  // namespace
}  // namespace portsentry::monitor
