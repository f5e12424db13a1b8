#include "monitor/store_events.h"

#include <gtest/gtest.h>

#include "store_file.h"

namespace portsentry::monitor {
namespace {

class StoreEvents : public StoreFile {
 protected:
  void SetUp() override {
    StoreFile::SetUp();
    auto opened = open();
    ASSERT_TRUE(opened);
    store_.emplace(std::move(opened->store));
  }
  void TearDown() override {
    store_.reset();
    StoreFile::TearDown();
  }
  void add(std::time_t at, EventKind kind, std::string_view source = {}, std::uint32_t port = 23) {
    Event event{.at = at, .kind = kind};
    if (!source.empty()) {
      event.source = src(source);
      event.cause = BanCause{Protocol::tcp, *Port::make(port)};
    }
    store_->note(AddEvent{event});
  }
  void flush(std::time_t wall = 1000) {
    do {
      ASSERT_TRUE(store_->flush(wall));
    } while (store_->unflushed() > 0);
  }
  // The times of everything that the pages of `query` hold.
  std::vector<std::time_t> times(EventQuery query) {
    std::vector<std::time_t> found;
    for (int pages = 0; pages < 1000; ++pages) {
      const auto page = store_->events(query);
      EXPECT_TRUE(page);
      if (!page) break;
      EXPECT_LE(page->rows.size(), query.limit);
      for (const EventPage::Row& row : page->rows)
        found.push_back(row.event.at);
      query.cursor = page->cursor;
      if (!page->more) return found;
    }
    ADD_FAILURE() << "the pages do not end";
    return found;
  }
  std::optional<Store> store_;
};

using Times = std::vector<std::time_t>;

TEST_F(StoreEvents, EveryFieldComesBack) {
  const Event full{.at = kWall,
                   .kind = EventKind::banned,
                   .source = src("2001:db8::/64"),
                   .address = Address::parse("2001:db8::7"),
                   .cause = BanCause{Protocol::udp, *Port::make(65535)},
                   .scan = ScanKind::connect,
                   .proof = Proof::established,
                   .ports = 0xffffffff,
                   .until = kWall + 1800,
                   .detail = "SYN 23, 25; by eth0"};
  const Event bare{.at = kWall, .kind = EventKind::drift};
  store_->note(AddEvent{full});
  store_->note(AddEvent{bare});
  flush();
  const auto page = store_->events({});
  ASSERT_TRUE(page);
  ASSERT_EQ(page->rows.size(), 2U);
  EXPECT_EQ(page->rows[0].event, full);
  EXPECT_EQ(page->rows[1].event, bare);
  EXPECT_LT(page->rows[0].id, page->rows[1].id);
  EXPECT_FALSE(page->more);
}

TEST_F(StoreEvents, PagesGoOnWhereTheOneBeforeEndedInBothDirections) {
  for (std::time_t at = 1; at <= 10; ++at)
    add(at, EventKind::detected);
  flush();
  for (const std::size_t limit : {1U, 3U, 5U, 10U, 200U}) {
    EXPECT_EQ(times({.limit = limit}), (Times{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})) << limit;
    EXPECT_EQ(times({.newest_first = true, .limit = limit}),
              (Times{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}));
  }
  EXPECT_EQ(times({.since = 8}), (Times{8, 9, 10}));
}

TEST_F(StoreEvents, AnAddressFindsItsHostAndItsNetworkAndNothingElse) {
  add(1, EventKind::banned, "2001:db8::/64");
  add(2, EventKind::banned, "2001:db8::7");
  add(3, EventKind::banned, "2001:db8::8");
  add(4, EventKind::banned, "192.0.2.1");
  add(5, EventKind::expired, "192.0.2.1");
  flush();
  EXPECT_EQ(times({.address = Address::parse("2001:db8::7")}), (Times{1, 2}));
  EXPECT_EQ(times({.address = Address::parse("192.0.2.1")}), (Times{4, 5}));
  EXPECT_EQ(times({.address = Address::parse("192.0.2.1"), .kind = EventKind::expired}),
            (Times{5}));
  EXPECT_EQ(times({.address = Address::parse("192.0.2.2")}), Times{});
}

TEST_F(StoreEvents, RowsThatMakeNoSenseDoNotHoldUpThePages) {
  add(1, EventKind::detected);
  add(2, EventKind::detected);
  flush();
  store_.reset();
  meddle(
      "INSERT INTO events SELECT value, 3, 99, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, '' "
      "FROM (WITH RECURSIVE n(value) AS (SELECT 3 UNION ALL SELECT value + 1 FROM n LIMIT 50) "
      "SELECT value FROM n)");
  meddle(
      "INSERT INTO events VALUES(9223372036854775807, 4, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, "
      "NULL, ''), (-5, 4, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, '')");
  store_.emplace(std::move(open()->store));
  add(5, EventKind::detected);
  flush();
  EXPECT_EQ(times({.limit = 7}), (Times{1, 2, 5}));
  EXPECT_EQ(times({.newest_first = true, .limit = 7}), (Times{5, 2, 1}));
}

TEST_F(StoreEvents, TheTopCountsWhatWasAskedFor) {
  for (int i = 0; i < 3; ++i)
    add(10 + i, EventKind::detected, "192.0.2.1", 23);
  add(20, EventKind::banned, "192.0.2.2", 80);
  add(21, EventKind::detected, "192.0.2.2", 80);
  add(22, EventKind::expired, "192.0.2.2", 80);  // nobody's deed
  add(23, EventKind::armed);
  flush();
  auto top = store_->top({.by = TopQuery::By::source});
  ASSERT_TRUE(top);
  ASSERT_EQ(top->size(), 2U);
  EXPECT_EQ(top->at(0).key, "192.0.2.1");
  EXPECT_EQ(top->at(0).count, 3U);
  EXPECT_EQ(top->at(0).first, 10);
  EXPECT_EQ(top->at(0).last, 12);
  EXPECT_EQ(top->at(1).count, 2U);
  top = store_->top({.by = TopQuery::By::port, .since = 20});
  ASSERT_EQ(top->size(), 1U);
  EXPECT_EQ(top->at(0).key, "TCP 80");
  top = store_->top({.by = TopQuery::By::kind, .kind = EventKind::armed});
  ASSERT_EQ(top->size(), 1U);
  EXPECT_EQ(top->at(0).key, "armed");
}

TEST_F(StoreEvents, OldOnesGoInSmallStepsAndYoungOnesStay) {
  const std::time_t old = kWall - kEventAge - 1;
  for (std::size_t i = 0; i < 3 * kTrimStep; ++i)
    add(old, EventKind::detected);
  ASSERT_TRUE(store_->flush(old));
  add(kWall, EventKind::armed);
  ASSERT_TRUE(store_->flush(kWall));
  EXPECT_EQ(times({}).size(), 2 * kTrimStep + 1);
  EXPECT_GT(store_->unflushed(), 0U) << "there are more";
  flush(kWall);
  EXPECT_EQ(times({}), Times{kWall});
  // And without any new event, when somebody looks.
  store_->trim_events();
  flush(kWall + kEventAge + 1);
  EXPECT_EQ(times({}), Times{});
}

TEST_F(StoreEvents, NoMoreAreKeptThanTheCap) {
  store_.reset();
  meddle(
      "INSERT INTO events SELECT value, 1700000000, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, "
      "NULL, "
      "'' FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT "
      "200000)"
      " SELECT value FROM n)");
  store_.emplace(std::move(open()->store));
  for (int i = 0; i < 100; ++i)
    add(kWall, EventKind::armed);
  flush();
  const auto oldest = store_->events({.newest_first = false, .limit = 1});
  ASSERT_TRUE(oldest);
  EXPECT_EQ(oldest->rows.at(0).id, 101U) << "the first hundred of the file made room";
  const auto newest = store_->events({.newest_first = true, .limit = 1});
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->rows.at(0).id, kMaxEvents + 100);
}

}  // namespace
}  // namespace portsentry::monitor
