#include "monitor/store_log.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

namespace portsentry::monitor {
namespace {

// The smallest log that a SQLite with pages of 512 bytes could write: written here from the format's
// description. Logs that SQLite has written are read in store_durability_test.cc.
struct Log {
  std::vector<unsigned char> bytes;
  std::uint32_t s0 = 0;
  std::uint32_t s1 = 0;

  void put(std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
      bytes.push_back(static_cast<unsigned char>(value >> shift));
  }
  void sum(std::size_t from, std::size_t size) {
    for (std::size_t at = from; at < from + size; at += 8) {
      s0 += big(at) + s1;
      s1 += big(at + 4) + s0;
    }
  }
  std::uint32_t big(std::size_t at) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i)
      value = value << 8U | bytes[at + i];
    return value;
  }
  Log() {
    for (const std::uint32_t word : {0x377f0683U, 3007000U, 512U, 0U, 7U, 9U})
      put(word);
    sum(0, 24);
    put(s0);
    put(s1);
  }
  void frame(bool ends, std::uint32_t salt = 7) {
    const std::size_t from = bytes.size();
    put(1);
    put(ends ? 1 : 0);
    sum(from, 8);
    put(salt);
    put(9);
    std::vector<unsigned char> page(512, static_cast<unsigned char>(from));
    Log before = *this;
    before.bytes.insert(before.bytes.end(), page.begin(), page.end());
    before.sum(before.bytes.size() - 512, 512);
    s0 = before.s0;
    s1 = before.s1;
    put(s0);
    put(s1);
    bytes.insert(bytes.end(), page.begin(), page.end());
  }
  LogReading read() const { return read_log(std::as_bytes(std::span(bytes))); }
};
constexpr std::size_t kFrame = 24 + 512;

TEST(StoreLog, TransactionsAreCountedByTheirEnds) {
  Log log;
  EXPECT_EQ(log.read().commits, 0U);
  log.frame(false);
  log.frame(true);
  log.frame(true);
  log.frame(false);
  EXPECT_EQ(log.read().commits, 2U);
  EXPECT_EQ(log.read().lost, 0U);
}

TEST(StoreLog, BehindAWrongByteEverythingIsLost) {
  Log log;
  for (int i = 0; i < 4; ++i)
    log.frame(true);
  for (std::size_t at = 32; at < log.bytes.size(); ++at) {
    Log damaged = log;
    damaged.bytes[at] ^= 0x10U;
    const std::size_t whole = (at - 32) / kFrame;
    // What is wrong may be the very mark of the frame: it is of no log of ours then.
    const LogReading reading = damaged.read();
    ASSERT_EQ(reading.commits, whole) << at;
    ASSERT_LE(reading.lost, 4 - whole) << at;
    ASSERT_GE(reading.lost, 3 - whole) << at;
  }
}

TEST(StoreLog, WhatALogBeforeThisOneLeftBehindMeansNothing) {
  Log log;
  log.frame(true);
  log.frame(true, 6);
  log.frame(true, 6);
  EXPECT_EQ(log.read().commits, 1U);
  EXPECT_EQ(log.read().lost, 0U);
}

TEST(StoreLog, CutAnywhereNothingIsCalledLost) {
  Log log;
  for (int i = 0; i < 3; ++i)
    log.frame(true);
  const auto all = std::as_bytes(std::span(log.bytes));
  for (std::size_t size = 0; size < all.size(); ++size) {
    const LogReading reading = read_log(all.first(size));
    ASSERT_EQ(reading.lost, 0U) << size;
    ASSERT_EQ(reading.commits, size < 32 ? 0 : (size - 32) / kFrame) << size;
  }
}

}  // namespace
}  // namespace portsentry::monitor
