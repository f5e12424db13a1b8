#include "monitor/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <csignal>

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
  output.write("one");
  output.write("two");
  EXPECT_EQ(pipe.read_all(), "one\ntwo\n");
  EXPECT_EQ(output.lost(), 0U);
}

TEST(LineOutput, AReaderThatStoppedReadingNeverBlocksUsAndTheLossIsToldWhenItReadsAgain) {
  Pipe pipe;  // its writing end blocks, as the log's may
  LineOutput output(pipe.writer.get());
  const std::string line(1000, 'x');
  for (int i = 0; i < 1000; ++i)
    output.write(line);
  EXPECT_GT(output.lost(), 900U);
  EXPECT_LT(output.lost(), 1000U);
  const std::uint64_t lost = output.lost();
  pipe.read_all();
  output.write("after");
  EXPECT_EQ(pipe.read_all(), "adminalert: " + std::to_string(lost) +
                                 " log lines were lost (output not writable)\nafter\n");
  EXPECT_EQ(output.lost(), lost);
}

TEST(LineOutput, AReaderThatIsGoneIsOnlyCounted) {
  ASSERT_NE(signal(SIGPIPE, SIG_IGN), SIG_ERR);
  Pipe pipe;
  pipe.reader.reset();
  LineOutput output(pipe.writer.get());
  output.write("one");
  output.write("two");
  EXPECT_EQ(output.lost(), 2U);
}

TEST(LineOutput, ALineThatWouldNotFitAPipeAtOnceIsCut) {
  Pipe pipe;
  LineOutput output(pipe.writer.get());
  output.write(std::string(10000, 'x'));
  EXPECT_EQ(pipe.read_all().size(), LineOutput::kLongest + 1);
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

}  // namespace
}  // namespace portsentry::monitor
