#include "monitor/store_rows.h"

#include <gtest/gtest.h>

#include <string>

namespace portsentry::monitor {
namespace {

// Rows without a table: SELECT gives whatever it is told.
class StoreRows : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(sqlite3_open(":memory:", &db_), SQLITE_OK); }
  void TearDown() override { sqlite3_close(db_); }
  template <class Read>
  auto read(const std::string& values, Read read_row) {
    auto row = prepare(db_, "SELECT " + values);
    EXPECT_TRUE(row) << values;
    EXPECT_EQ(sqlite3_step(row->get()), SQLITE_ROW);
    return read_row(*row);
  }
  sqlite3* db_ = nullptr;
};

TEST_F(StoreRows, OneLineKeepsWhatPeopleReadAndNothingThatMovesTheirCursor) {
  EXPECT_EQ(one_line("Zoë \u2713 \U0001f600", 100), "Zoë \u2713 \U0001f600");
  EXPECT_EQ(one_line("a\nb\x1b[2J\x7f", 100), "a?b?[2J?");
  EXPECT_EQ(one_line("\xc2\x85|\xe2\x80\xae|\xc0\xaf|\xed\xa0\x80|\xf5\x80\x80\x80", 100),
            "??|???|??|???|????");
  EXPECT_EQ(one_line("\xe2\x82", 100), "??") << "cut off";
  EXPECT_EQ(one_line("abc\u2713", 5), "abc") << "whole characters";
  EXPECT_EQ(one_line("", 5), "");
}

TEST_F(StoreRows, OffencesWithImpossibleValuesAreNothing) {
  EXPECT_TRUE(read("'192.0.2.1', 3, 1000", read_offence));
  for (const char* bad : {"'192.0.2.0/24', 3, 1000", "'192.0.2.1', -1, 1000",
                          "'192.0.2.1', 4294967296, 1000", "'192.0.2.1', 3, -1",
                          "'192.0.2.1', 3, 253402300800", "NULL, 3, 1000", "x'c0000201', 3, 1000"})
    EXPECT_FALSE(read(bad, read_offence)) << bad;
}

TEST_F(StoreRows, AllowedNetworksWithImpossibleValuesAreNothing) {
  EXPECT_TRUE(read("'192.0.2.0/24', 1000, NULL, 'why'", read_allowed));
  for (const char* bad :
       {"'192.0.2.1/24', 1000, NULL, ''", "'0.0.0.0/33', 1000, NULL, ''", "'', 1000, NULL, ''",
        "'192.0.2.0/24', 1000, 999, ''", "'192.0.2.0/24', -1, NULL, ''",
        "'192.0.2.0/24', 1000, NULL, char(10)", "'192.0.2.0/24', 1000, NULL, printf('%300d', 1)"})
    EXPECT_FALSE(read(bad, read_allowed)) << bad;
}

TEST_F(StoreRows, AnOverrideWithImpossibleValuesIsNothing) {
  EXPECT_TRUE(read("1, 2, 1000, NULL", read_override));
  for (const char* bad : {"2, 2, 1000, NULL", "1, 3, 1000, NULL", "1, 0, 1000, NULL",
                          "1, 2, -1, NULL", "1, 2, 1000, -1"})
    EXPECT_FALSE(read(bad, read_override)) << bad;
}

TEST_F(StoreRows, ScoresWithImpossibleValuesAreNothing) {
  const auto good = read("'192.0.2.1', 1, '6/23@1000 17/161@1001'", read_score);
  ASSERT_TRUE(good);
  EXPECT_EQ(good->touches.size(), 2U);
  for (const char* bad :
       {"'192.0.2.1', 2, '6/23@1000'", "'192.0.2.1', 0, ''", "'192.0.2.1', 0, '6/23@1000 '",
        "'192.0.2.1', 0, '6/0@1000'", "'192.0.2.1', 0, '1/23@1000'", "'192.0.2.1', 0, '6/23@-1'",
        "'192.0.2.1', 0, '6/23@99999999999999999999'", "'192.0.2.1', 0, '6/23'",
        "'192.0.2.1', 0, ' 6/23@1000'", "'192.0.2.1', 0, '6/23@1000' || char(0)"})
    EXPECT_FALSE(read(bad, read_score)) << bad;
  std::string many = "'192.0.2.1', 0, '6/1@1";
  for (std::size_t i = 1; i < kMaxTouches; ++i)
    many += " 6/1@1";
  EXPECT_TRUE(read(many + "'", read_score));
  EXPECT_FALSE(read(many + " 6/1@1'", read_score));
}

TEST_F(StoreRows, EventsWithImpossibleValuesAreNothing) {
  EXPECT_TRUE(read("1, 1, 1, '192.0.2.1', '192.0.2.1', 6, 23, 1, 1, 2, 3, 'x'", read_event));
  EXPECT_TRUE(read("1, 1, 16, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, ''", read_event));
  for (const char* bad : {"0, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, ''",
                          "1, -1, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, ''",
                          "1, 1, 17, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, ''",
                          "1, 1, 1, 'x', NULL, NULL, NULL, NULL, NULL, 0, NULL, ''",
                          "1, 1, 1, NULL, '192.0.2.1', NULL, NULL, NULL, NULL, 0, NULL, ''",
                          "1, 1, 1, '192.0.2.1', '192.0.2.2', NULL, NULL, NULL, NULL, 0, NULL, ''",
                          "1, 1, 1, NULL, NULL, 6, NULL, NULL, NULL, 0, NULL, ''",
                          "1, 1, 1, NULL, NULL, NULL, 23, NULL, NULL, 0, NULL, ''",
                          "1, 1, 1, NULL, NULL, NULL, NULL, 10, NULL, 0, NULL, ''",
                          "1, 1, 1, NULL, NULL, NULL, NULL, NULL, 4, 0, NULL, ''",
                          "1, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, -1, NULL, ''",
                          "1, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, -1, ''",
                          "1, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, char(27)"})
    EXPECT_FALSE(read(bad, read_event)) << bad;
}

}  // namespace
}  // namespace portsentry::monitor
