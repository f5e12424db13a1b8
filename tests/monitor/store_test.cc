#include "monitor/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "store_file.h"

namespace portsentry::monitor {
namespace {

TEST_F(StoreFile, RemembersEveryFieldOfEveryKindOfBan) {
  StoredBan v6 = ban("2001:db8::/64", 7);
  v6.address = *Address::parse("2001:db8::7");
  v6.cause.protocol = Protocol::udp;
  v6.cause.port = *Port::make(65535);
  v6.backend = BanBackend::nftables;
  v6.until.reset();
  v6.offences = 0xffffffff;
  StoredBan far = ban("fd00::1", 0);
  far.until = std::time_t{1} << 35;
  far.origin = Origin::hand;
  far.note = "asked for by Zoë";
  const std::vector<StoredBan> bans{ban("192.0.2.9"), v6, far};
  keep(bans);
  auto found = content();
  ASSERT_EQ(found.size(), 3U);
  for (const StoredBan& one : bans)
    EXPECT_EQ(std::count(found.begin(), found.end(), one), 1) << one.source.text();
}

TEST_F(StoreFile, TheLastWordOnASourceCounts) {
  keep({ban("192.0.2.1"), ban("192.0.2.2"), ban("192.0.2.3")});
  auto opened = open();
  ASSERT_TRUE(opened);
  StoredBan again = ban("192.0.2.1", 5000);
  again.offences = 2;
  opened->store.note(PutBan{again});
  opened->store.note(PutBan{ban("192.0.2.2", 6000)});
  opened->store.note(EraseBan{src("192.0.2.2")});
  opened->store.note(EraseBan{src("192.0.2.3")});
  opened->store.note(PutBan{ban("192.0.2.3", 7000)});
  opened->store.note(EraseBan{src("192.0.2.200")});  // was never there
  EXPECT_EQ(opened->store.unflushed(), 4U);
  ASSERT_TRUE(opened->store.flush(kWall));
  EXPECT_EQ(opened->store.unflushed(), 0U);
  opened = Error{"closed"};
  EXPECT_EQ(content(), (std::vector<StoredBan>{again, ban("192.0.2.3", 7000)}));
}

TEST_F(StoreFile, WhatWasNotFlushedIsNotThere) {
  {
    auto opened = open();
    ASSERT_TRUE(opened);
    opened->store.note(PutBan{ban("192.0.2.9")});
  }
  EXPECT_EQ(content().size(), 0U);
}

// What is noted has a number; what the disk has of it is everything up to committed().
TEST_F(StoreFile, EverythingUpToCommittedIsOnTheDiskAndNothingElseIsPromised) {
  auto opened = open();
  ASSERT_TRUE(opened);
  Store& store = opened->store;
  const std::uint64_t first = store.note(PutBan{ban("192.0.2.1")});
  const std::uint64_t second = store.note(EraseBan{src("192.0.2.1")});
  EXPECT_LT(first, second);
  EXPECT_LT(store.committed(), first);
  ASSERT_TRUE(store.flush(kWall));
  EXPECT_EQ(store.committed(), second);
  EXPECT_EQ(store.unflushed(), 0U);
}

TEST_F(StoreFile, AGreatManyChangesTakeSeveralCommitsInTheirOrder) {
  auto opened = open();
  ASSERT_TRUE(opened);
  Store& store = opened->store;
  const auto most = static_cast<unsigned>(Store::kMaxPerCommit);
  for (unsigned i = 0; i < 2 * most + 100; ++i)
    EXPECT_EQ(store.note(PutBan{numbered(i)}), i + 1);
  // Noted again: in its old place.
  store.note(PutBan{numbered(0)});
  ASSERT_TRUE(store.flush(kWall));
  EXPECT_EQ(store.committed(), most);
  EXPECT_EQ(store.unflushed(), most + 100U);
  ASSERT_TRUE(flush_all(store));
  EXPECT_EQ(store.committed(), 2 * most + 101U);
  opened = Error{"closed"};
  EXPECT_EQ(content().size(), 2 * most + 100U);
}

// Somebody waits for the first number, and says that the ban is remembered once it is committed.
TEST_F(StoreFile, WhatIsNotedAgainIsNotPromisedBeforeItIsWritten) {
  auto opened = open();
  ASSERT_TRUE(opened);
  Store& store = opened->store;
  const std::uint64_t first = store.note(PutBan{ban("192.0.2.1")});
  for (unsigned i = 0; i < Store::kMaxPerCommit; ++i)
    store.note(PutBan{numbered(i)});
  store.note(PutBan{ban("192.0.2.1", 2000)});
  ASSERT_TRUE(store.flush(kWall));
  ASSERT_GE(store.committed(), first);
  opened = Error{"killed"};
  const auto found = content();
  EXPECT_EQ(std::count(found.begin(), found.end(), ban("192.0.2.1", 2000)), 1);
}

Memory everything() {
  Memory memory;
  memory.bans = {ban("192.0.2.9")};
  memory.offences = {{src("192.0.2.9"), 0xffffffff, 5000}, {src("2001:db8::/64"), 0, 0}};
  memory.allowed = {{*Prefix::parse("192.0.2.0/25"), 2000, 1000, "Büro"},
                    {*Prefix::parse("2001:db8::/32"), std::nullopt, 1000, ""}};
  memory.override = Override{Override::Mode::arm, 1000, 1300};
  memory.scores = {
      {src("192.0.2.77"),
       {{Protocol::tcp, *Port::make(23), 1000}, {Protocol::udp, *Port::make(65535), 1001}},
       true}};
  return memory;
}

void note_all(Store& store, const Memory& memory) {
  for (const auto& one : memory.bans)
    store.note(PutBan{one});
  for (const auto& one : memory.offences)
    store.note(PutOffence{one});
  for (const auto& one : memory.allowed)
    store.note(PutAllowed{one});
  store.note(SetOverride{memory.override});
  store.note(PutScores{memory.scores});
}

TEST_F(StoreFile, EverythingComesBackAsItWasNoted) {
  {
    auto opened = open();
    note_all(opened->store, everything());
    ASSERT_TRUE(opened->store.flush(kWall));
  }
  const auto loaded = open()->store.load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->memory, everything());
  EXPECT_EQ(loaded->refused, 0U);
}

TEST_F(StoreFile, EverythingCanBeForgotten) {
  auto opened = open();
  note_all(opened->store, everything());
  ASSERT_TRUE(opened->store.flush(kWall));
  opened->store.note(EraseBan{src("192.0.2.9")});
  opened->store.note(EraseOffence{src("192.0.2.9")});
  opened->store.note(EraseOffence{src("2001:db8::/64")});
  opened->store.note(EraseAllowed{*Prefix::parse("192.0.2.0/25")});
  opened->store.note(EraseAllowed{*Prefix::parse("2001:db8::/32")});
  opened->store.note(SetOverride{});
  opened->store.note(PutScores{});
  ASSERT_TRUE(opened->store.flush(kWall));
  EXPECT_EQ(opened->store.load()->memory, Memory{});
}

// A wrong clock, a careless caller: what is written can be read again.
TEST_F(StoreFile, WhatIsImpossibleIsMadePossibleBeforeItIsWritten) {
  auto opened = open();
  StoredBan odd = ban("192.0.2.9", -5);
  odd.until = -7;
  odd.address = *Address::parse("198.51.100.1");
  odd.note = "two\nlines \xff" + std::string(1000, 'x');
  opened->store.note(PutBan{odd});
  opened->store.note(AddEvent{{.at = std::numeric_limits<std::time_t>::max(),
                               .kind = EventKind::lifted,
                               .address = *Address::parse("198.51.100.1"),
                               .detail = std::string("a\0b", 3)}});
  ASSERT_TRUE(opened->store.flush(kWall));
  const auto loaded = opened->store.load();
  ASSERT_EQ(loaded->memory.bans.size(), 1U);
  const StoredBan& read = loaded->memory.bans.front();
  EXPECT_EQ(read.address, src("192.0.2.9").prefix().address());
  EXPECT_EQ(read.since, 0);
  EXPECT_EQ(read.until, 0);
  EXPECT_EQ(read.note, "two?lines ?" + std::string(kMaxNote - 11, 'x'));
  const auto page = opened->store.events({});
  ASSERT_EQ(page->rows.size(), 1U);
  EXPECT_EQ(page->rows[0].event.detail, "a?b");
}

TEST_F(StoreFile, EventsThatWaitTooLongGoFirstAndAreCounted) {
  auto opened = open();
  for (std::size_t i = 0; i < Store::kMaxWaitingEvents + 3; ++i)
    opened->store.note(
        AddEvent{{.at = kWall + static_cast<std::time_t>(i), .kind = EventKind::detected}});
  EXPECT_EQ(opened->store.unflushed(), Store::kMaxWaitingEvents);
  EXPECT_EQ(opened->store.events_lost(), 3U);
  ASSERT_TRUE(flush_all(opened->store));
  const auto page = opened->store.events({.limit = 1});
  ASSERT_EQ(page->rows.size(), 1U);
  EXPECT_EQ(page->rows[0].event.at, kWall + 3);
}

TEST_F(StoreFile, RowsWithImpossibleValuesAreSkippedAndCounted) {
  keep({ban("192.0.2.9")});
  const std::vector<std::string> bad{
      "'x', '192.0.2.1', 6, 1, 1, 1, 1, 1, 2, 1, ''",
      "'192.0.2.1/24', '192.0.2.1', 6, 1, 1, 1, 1, 1, 2, 1, ''",
      "'2001:0db8::1', '2001:db8::1', 6, 1, 1, 1, 1, 1, 2, 1, ''",
      "'::ffff:192.0.2.1', '192.0.2.1', 6, 1, 1, 1, 1, 1, 2, 1, ''",
      "'192.0.2.1', '192.0.2.2', 6, 1, 1, 1, 1, 1, 2, 1, ''",
      "'192.0.2.3', '192.0.2.3', 1, 1, 1, 1, 1, 1, 2, 1, ''",
      "'192.0.2.4', '192.0.2.4', 6, 0, 1, 1, 1, 1, 2, 1, ''",
      "'192.0.2.5', '192.0.2.5', 6, 65537, 1, 1, 1, 1, 2, 1, ''",
      "'192.0.2.6', '192.0.2.6', 6, 1, 0, 1, 1, 1, 2, 1, ''",
      "'192.0.2.7', '192.0.2.7', 6, 1, 4, 1, 1, 1, 2, 1, ''",
      "'192.0.2.8', '192.0.2.8', 6, 1, 1, 1, 1, -1, 2, 1, ''",
      "'192.0.2.10', '192.0.2.10', 6, 1, 1, 1, 1, 3, 2, 1, ''",
      "'192.0.2.11', '192.0.2.11', 6, 1, 1, 1, 1, 1, 2, -1, ''",
      "'192.0.2.13', '192.0.2.13', 6, 1, 1, 0, 1, 1, 2, 1, ''",
      "'192.0.2.14', '192.0.2.14', 6, 1, 1, 4, 1, 1, 2, 1, ''",
      "'192.0.2.15', '192.0.2.15', 6, 1, 1, 1, 4, 1, 2, 1, ''",
      "'192.0.2.16', '192.0.2.16', 6, 1, 1, 1, 1, 1, 2, 1, char(7)",
      "'192.0.2.12', '192.0.2.12', 6, 1, 1, 1, 1, 1, 2, 4294967296, ''",
  };
  for (const std::string& row : bad)
    meddle("INSERT INTO bans VALUES(" + row + ")");
  auto opened = open();
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->finding, "");
  const auto loaded = opened->store.load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->memory.bans, std::vector<StoredBan>{ban("192.0.2.9")});
  EXPECT_EQ(loaded->refused, bad.size());
}

}  // namespace
}  // namespace portsentry::monitor
