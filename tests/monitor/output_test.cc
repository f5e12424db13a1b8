#include "monitor/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <array>
#include <csignal>
#include <ctime>

#include "syslog_receiver.h"

namespace portsentry::monitor {
namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    reader = UniqueFd(ends[0]);
    writer = UniqueFd(ends[1]);
  }
  std::string read_all() {
    fcntl(reader.get(), F_SETFL, O_NONBLOCK);
    std::string text(1 << 20, '\0');
    std::size_t size = 0;
    for (ssize_t got = 0;
         (got = ::read(reader.get(), text.data() + size, text.size() - size)) > 0;) {
      size += static_cast<std::size_t>(got);
    }
    text.resize(size);
    return text;
  }
  UniqueFd reader;
  UniqueFd writer;
};

std::string content(int fd) {
  std::array<char, 4096> text{};
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  return {text.data(), size < 0 ? 0 : static_cast<std::size_t>(size)};
}

TEST(LineOutput, ALineIsWrittenWithItsNewline) {
  Pipe pipe;
  LineOutput output(pipe.writer.get());
  EXPECT_TRUE(output.write("one"));
  EXPECT_TRUE(output.write("two"));
  EXPECT_EQ(pipe.read_all(), "one\ntwo\n");
}

TEST(LineOutput, AReaderThatIsGoneIsNoReasonToEnd) {
  ASSERT_NE(signal(SIGPIPE, SIG_IGN), SIG_ERR);
  Pipe pipe;
  pipe.reader.reset();
  LineOutput output(pipe.writer.get());
  EXPECT_FALSE(output.write("one"));
}

TEST(LineOutput, ALineThatWouldNotFitAPipeAtOnceIsCut) {
  Pipe pipe;
  LineOutput output(pipe.writer.get());
  EXPECT_TRUE(output.write(std::string(10000, 'x')));
  EXPECT_EQ(pipe.read_all().size(), kLongestLine + 1);
}

TEST(RecordFile, WithoutAFileEverythingSucceeds) {
  RecordFile file{UniqueFd()};
  EXPECT_FALSE(file.append("a\n"));
  EXPECT_FALSE(file.rewrite("b\n"));
  EXPECT_EQ(file.failures(), 0U);
}

TEST(RecordFile, RewritingReplacesWhatWasThere) {
  UniqueFd memory(memfd_create("records", MFD_CLOEXEC));
  fcntl(memory.get(), F_SETFL, O_APPEND);
  const int fd = memory.get();
  RecordFile file(std::move(memory));
  EXPECT_FALSE(file.append("one\n"));
  EXPECT_FALSE(file.append("two\n"));
  EXPECT_EQ(content(fd), "one\ntwo\n");
  EXPECT_FALSE(file.rewrite("three\n"));
  EXPECT_EQ(content(fd), "three\n");
  EXPECT_FALSE(file.rewrite(""));
  EXPECT_EQ(content(fd), "");
}

TEST(RecordFile, AFullDiskIsToldOnceAndThenOnlyCounted) {
  RecordFile file{UniqueFd(open("/dev/full", O_WRONLY | O_CLOEXEC))};
  const auto first = file.append("a\n");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->code, ENOSPC);
  EXPECT_FALSE(file.append("b\n"));
  EXPECT_FALSE(file.append("c\n"));
  EXPECT_EQ(file.failures(), 3U);
}

TEST(RecordFile, ALineThatWasCutShortIsNotGluedToTheNext) {
  UniqueFd memory(memfd_create("records", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  fcntl(memory.get(), F_SETFL, O_APPEND);
  const int fd = memory.get();
  RecordFile file(std::move(memory));
  EXPECT_FALSE(file.append("cut sh"));  // what a disk that filled up has kept of a line
  EXPECT_FALSE(file.append("whole\n"));
  EXPECT_EQ(content(fd), "cut sh\nwhole\n");
}

TEST(RecordFile, GoesOnInANewFileAtTheSameNumber) {
  UniqueFd old_file(memfd_create("old", MFD_CLOEXEC));
  UniqueFd new_file(memfd_create("new", MFD_CLOEXEC));
  const UniqueFd kept_old(dup(old_file.get()));
  const UniqueFd kept_new(dup(new_file.get()));
  const int number = old_file.get();
  RecordFile file(std::move(old_file));
  EXPECT_FALSE(file.append("one\n"));
  EXPECT_FALSE(file.replace(std::move(new_file)));
  EXPECT_FALSE(file.append("two\n"));
  EXPECT_EQ(content(kept_old.get()), "one\n");
  EXPECT_EQ(content(kept_new.get()), "two\n");
  EXPECT_EQ(content(number), "two\n");
}

TEST(RecordFile, ANewFileMayBeNoneAndLaterOneAgain) {
  UniqueFd memory(memfd_create("records", MFD_CLOEXEC));
  const UniqueFd kept(dup(memory.get()));
  RecordFile file(UniqueFd(open("/dev/null", O_WRONLY | O_CLOEXEC)), false);
  EXPECT_FALSE(file.rewrite("one\n")) << "ftruncate(2) of /dev/null would fail";
  EXPECT_FALSE(file.replace(std::move(memory)));
  EXPECT_FALSE(file.append("two\n"));
  EXPECT_EQ(content(kept.get()), "two\n");
  EXPECT_FALSE(file.replace(UniqueFd(open("/dev/null", O_WRONLY | O_CLOEXEC)), false));
  EXPECT_FALSE(file.rewrite("three\n"));
  EXPECT_EQ(content(kept.get()), "two\n");
}

TEST(RecordFile, WithoutADescriptorToGoOnInTheOldOneStays) {
  UniqueFd memory(memfd_create("records", MFD_CLOEXEC));
  const int fd = memory.get();
  RecordFile file(std::move(memory));
  EXPECT_TRUE(file.replace(UniqueFd()));
  EXPECT_FALSE(file.append("one\n"));
  EXPECT_EQ(content(fd), "one\n");
}

TEST(RecordFile, ANewFileThatFailsIsTold) {
  RecordFile file{UniqueFd(open("/dev/full", O_WRONLY | O_CLOEXEC))};
  EXPECT_TRUE(file.append("a\n"));
  EXPECT_FALSE(file.append("a\n"));
  EXPECT_FALSE(file.replace(UniqueFd(open("/dev/full", O_WRONLY | O_CLOEXEC))));
  EXPECT_TRUE(file.append("a\n"));
}

// ---- where lines go -----------------------------------------------------------------------------

TEST(Destinations, EachLineReachesTheJournalOnce) {
  const LogOutput automatic;
  constexpr auto kFacility = LogFacility::local0;
  EXPECT_EQ(destinations(automatic, kFacility, true, true), (Destinations{false, true}));
  EXPECT_EQ(destinations(automatic, kFacility, true, false), (Destinations{true, true}));
  EXPECT_EQ(destinations(automatic, kFacility, false, false), (Destinations{false, true}));
  EXPECT_EQ(destinations(automatic, LogFacility::none, true, true), (Destinations{true, false}))
      << "then standard output is all that the journal hears";
}

TEST(Destinations, WhatWasAskedForIsDone) {
  constexpr auto kFacility = LogFacility::local0;
  const LogOutput output{.automatic = false, .standard_output = true, .syslog = false};
  const LogOutput syslog{.automatic = false, .standard_output = false, .syslog = true};
  const LogOutput both{.automatic = false, .standard_output = true, .syslog = true};
  EXPECT_EQ(destinations(output, kFacility, true, true), (Destinations{true, false}));
  EXPECT_EQ(destinations(output, kFacility, true, false), (Destinations{true, false}));
  EXPECT_EQ(destinations(output, kFacility, false, false), (Destinations{false, true}))
      << "as in 2.x, a daemon's standard output is syslog";
  EXPECT_EQ(destinations(syslog, kFacility, true, false), (Destinations{false, true}));
  EXPECT_EQ(destinations(both, kFacility, true, false), (Destinations{true, true}));
  EXPECT_EQ(destinations(both, kFacility, true, true), (Destinations{false, true}));
  EXPECT_EQ(destinations(both, LogFacility::none, true, false), (Destinations{true, false}));
}

TEST(Destinations, TheJournalIsKnownByDeviceAndInode) {
  EXPECT_TRUE(is_journal("8:12345", 8, 12345));
  EXPECT_FALSE(is_journal("8:12345", 8, 12346));
  EXPECT_FALSE(is_journal("8:12345", 9, 12345));
  EXPECT_FALSE(is_journal("", 0, 0));
  EXPECT_FALSE(is_journal("8:12345 ", 8, 12345));
}

class SinksTest : public ::testing::Test {
 protected:
  SinksTest() {
    setenv("TZ", "UTC", 1);
    tzset();
    signal(SIGPIPE, SIG_IGN);
  }
  Sinks::Setup setup(bool output, bool syslog) const {
    return {.identity = {.facility = LogFacility::local0,
                         .tag = "portsentry",
                         .host = "server",
                         .pid = 1234},
            .to = {.standard_output = output, .syslog = syslog},
            .standard_output = pipe_.writer.get(),
            .syslog = socket_.get(),
            .syslog_path = receiver_.path()};
  }
  static constexpr std::time_t kWhen = 1756178490;  // 2025-08-26T03:21:30Z

  Pipe pipe_;
  UniqueFd socket_ = SyslogOutput::open().value();
  SyslogReceiver receiver_;
};

TEST_F(SinksTest, ALineGoesOnceToEachInItsOwnShape) {
  UniqueFd memory(memfd_create("log", MFD_CLOEXEC));
  const int log = memory.get();
  Sinks sinks(setup(true, true), RecordFile(std::move(memory)));
  sinks.write("attackalert: one", kWhen);
  EXPECT_EQ(pipe_.read_all(), "attackalert: one\n");
  EXPECT_EQ(receiver_.take(), "<133>Aug 26 03:21:30 portsentry[1234]: attackalert: one");
  EXPECT_EQ(receiver_.take(), "");
  EXPECT_EQ(content(log), "Aug 26 03:21:30 server portsentry[1234]: attackalert: one\n");
  EXPECT_EQ(sinks.lost(), 0U);
}

TEST_F(SinksTest, WhatIsNotADestinationHearsNothing) {
  Sinks sinks(setup(false, false), RecordFile(UniqueFd()));
  sinks.write("one", kWhen);
  EXPECT_EQ(pipe_.read_all(), "");
  EXPECT_EQ(receiver_.take(), "");
  EXPECT_EQ(sinks.lost(), 0U);
}

TEST_F(SinksTest, AReaderThatStoppedReadingNeverBlocksUsAndTheLossIsToldWhenItReadsAgain) {
  Sinks sinks(setup(true, false),
              RecordFile(UniqueFd()));  // its writing end blocks, as a log's may
  const std::string line(1000, 'x');
  for (int i = 0; i < 1000; ++i)
    sinks.write(line, kWhen);
  const std::uint64_t lost = sinks.lost();
  EXPECT_GT(lost, 900U);
  EXPECT_LT(lost, 1000U);
  pipe_.read_all();
  sinks.write("after", kWhen);
  EXPECT_EQ(pipe_.read_all(), "adminalert: " + std::to_string(lost) +
                                  " log lines were lost (output not writable)\nafter\n");
  EXPECT_EQ(sinks.lost(), lost);
}

TEST_F(SinksTest, ASyslogThatWasAwayIsToldOnceWhatItMissed) {
  Sinks sinks(setup(false, true), RecordFile(UniqueFd()));
  receiver_.close();
  sinks.write("one", kWhen);
  sinks.write("two", kWhen);
  EXPECT_EQ(sinks.lost(), 2U);
  receiver_.listen();
  sinks.write("three", kWhen);
  EXPECT_EQ(receiver_.take(),
            "<133>Aug 26 03:21:30 portsentry[1234]: adminalert: 2 log lines were lost (syslog not "
            "reachable)");
  EXPECT_EQ(receiver_.take(), "<133>Aug 26 03:21:30 portsentry[1234]: three");
  EXPECT_EQ(receiver_.take(), "");
}

TEST_F(SinksTest, AFullDiskIsToldOnceToTheOthersAndToTheFileWhenThereIsRoomAgain) {
  Sinks sinks(setup(true, false), RecordFile(UniqueFd(open("/dev/full", O_WRONLY | O_CLOEXEC))));
  sinks.write("one", kWhen);
  sinks.write("two", kWhen);
  EXPECT_EQ(pipe_.read_all(),
            "one\nadminalert: ERROR: LOG_FILE: write: No space left on device; further failures "
            "are only counted\ntwo\n");
  UniqueFd memory(memfd_create("log", MFD_CLOEXEC));
  const UniqueFd kept(dup(memory.get()));
  EXPECT_FALSE(sinks.replace_file(std::move(memory), true));
  sinks.write("three", kWhen);
  EXPECT_EQ(content(kept.get()),
            "Aug 26 03:21:30 server portsentry[1234]: adminalert: 2 log lines were lost (LOG_FILE "
            "not writable)\nAug 26 03:21:30 server portsentry[1234]: three\n");
}

TEST_F(SinksTest, AReloadMayChangeTagFacilityAndDestinations) {
  Sinks sinks(setup(true, true), RecordFile(UniqueFd()));
  sinks.change({.facility = LogFacility::auth, .tag = "ps", .host = "server", .pid = 7},
               {.standard_output = false, .syslog = true}, "");
  sinks.write("ERROR: x", kWhen);
  EXPECT_EQ(pipe_.read_all(), "");
  EXPECT_EQ(receiver_.take(), "<35>Aug 26 03:21:30 ps[7]: ERROR: x");
}

TEST_F(SinksTest, AnEndlessLineIsCutTheSameEverywhere) {
  Sinks sinks(setup(true, true), RecordFile(UniqueFd()));
  sinks.write(std::string(10000, 'x'), kWhen);
  EXPECT_EQ(pipe_.read_all(), std::string(3800, 'x') + "\n");
  EXPECT_EQ(receiver_.take(), "<133>Aug 26 03:21:30 portsentry[1234]: " + std::string(3800, 'x'));
}

}  // namespace
}  // namespace portsentry::monitor
