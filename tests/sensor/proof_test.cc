#include "sensor/proof.h"

#include <gtest/gtest.h>

namespace portsentry::sensor {
namespace {

using namespace std::chrono_literals;

constexpr Clock::time_point kStart{1h};

Address address(std::uint32_t host) {
  return Address::v4(198, static_cast<std::uint8_t>(host >> 16U),
                     static_cast<std::uint8_t>(host >> 8U), static_cast<std::uint8_t>(host));
}

Detection report(std::uint32_t host, std::uint32_t port = 23) {
  return {.source = Source::of(address(host), false),
          .address = address(host),
          .target = Address::v4(192, 0, 2, 1),
          .protocol = Protocol::tcp,
          .port = *Port::make(port),
          .kind = ScanKind::syn,
          .flags = {TcpFlags::syn},
          .distinct_ports = 2,
          .first = true,
          .ip_options = false,
          .fragmented = false};
}

TEST(SensorProof, AReportedSourceIsAskedForAndToldAgainWhenItIsConnected) {
  ProofBook book(1h);
  EXPECT_FALSE(book.ready_at());
  book.wonder(report(1), false, kStart);
  EXPECT_TRUE(book.ready_at());
  EXPECT_EQ(book.next(kStart), address(1));
  const auto again = book.answered(true, kStart + 1ms);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->proof, Proof::established);
  EXPECT_FALSE(again->first);
  EXPECT_TRUE(book.proven(address(1), kStart + 1ms));
}

TEST(SensorProof, ANoIsNotToldAndNotAskedAgainForAWhile) {
  ProofBook book(1h);
  book.wonder(report(1), false, kStart);
  EXPECT_TRUE(book.next(kStart));
  EXPECT_FALSE(book.answered(false, kStart));
  EXPECT_FALSE(book.proven(address(1), kStart));
  book.wonder(report(1), false, kStart + 9s);
  EXPECT_FALSE(book.next(kStart + 9s));
  book.wonder(report(1), false, kStart + 11s);
  EXPECT_TRUE(book.next(kStart + 11s));
}

TEST(SensorProof, OneQuestionAtATime) {
  ProofBook book(1h);
  book.wonder(report(1), false, kStart);
  book.wonder(report(2), false, kStart);
  EXPECT_TRUE(book.next(kStart));
  EXPECT_FALSE(book.next(kStart));
  EXPECT_FALSE(book.ready_at());
  static_cast<void>(book.answered(false, kStart));
  EXPECT_EQ(book.next(kStart), address(2));
}

TEST(SensorProof, AnAnswerToNoQuestionIsNothing) {
  ProofBook book(1h);
  EXPECT_FALSE(book.answered(true, kStart));
}

TEST(SensorProof, WhoeverTouchedManyPortsGoesFirst) {
  ProofBook book(1h);
  for (std::uint32_t host = 0; host < 1000; ++host)
    book.wonder(report(host), false, kStart);
  book.wonder(report(5000), true, kStart);
  EXPECT_EQ(book.next(kStart), address(5000));
}

TEST(SensorProof, AFloodSpendsTwentyQuestionsASecond) {
  ProofBook book(1h);
  unsigned asked = 0;
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    const auto now = kStart + i * 1ms;
    book.wonder(report(i), false, now);
    if (!book.next(now)) continue;
    ++asked;
    static_cast<void>(book.answered(false, now));
  }
  EXPECT_GE(asked, 200U);
  EXPECT_LE(asked, 206U);
}

TEST(SensorProof, TheLatestProbeIsTheOneThatIsToldAgain) {
  ProofBook book(1h);
  book.wonder(report(1, 23), false, kStart);
  book.wonder(report(1, 80), false, kStart);
  ASSERT_TRUE(book.next(kStart));
  EXPECT_EQ(book.answered(true, kStart)->port.number(), 80);
}

TEST(SensorProof, AProvenAddressStaysSoForTheWindowAndNoLongerThanAnHour) {
  ProofBook brief(10s);
  brief.found(address(1), kStart);
  EXPECT_TRUE(brief.proven(address(1), kStart + 10s));
  EXPECT_FALSE(brief.proven(address(1), kStart + 11s));
  ProofBook longer(std::chrono::hours(24));
  longer.found(address(1), kStart);
  EXPECT_TRUE(longer.proven(address(1), kStart + 1h));
  EXPECT_FALSE(longer.proven(address(1), kStart + 1h + 1s));
  EXPECT_FALSE(longer.proven(address(2), kStart));
}

TEST(SensorProof, ItsMemoryIsBounded) {
  AddressBook book(100, 1h);
  for (std::uint32_t host = 0; host < 10'000; ++host)
    book.note(address(host), kStart);
  EXPECT_EQ(book.size(), 100U);
  EXPECT_TRUE(book.knows(address(9999), kStart));
  EXPECT_FALSE(book.knows(address(1), kStart));
}

TEST(SensorProof, ANoteThatIsRenewedTakesNoSecondPlace) {
  AddressBook book(2, 10s);
  for (int i = 0; i < 50; ++i)
    book.note(address(1), kStart + i * 1s);
  book.note(address(2), kStart + 50s);
  EXPECT_EQ(book.size(), 2U);
  EXPECT_TRUE(book.knows(address(1), kStart + 55s));
}

}  // namespace
}  // namespace portsentry::sensor
