#include "monitor/server.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace portsentry::monitor {
namespace {

UniqueFd file_with(std::string_view text) {
  UniqueFd fd(memfd_create("text", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

TEST(ReadSealed, TheWholeTextIsReadFromItsBeginningWhereverTheSharedOffsetStands) {
  const UniqueFd fd = file_with("TCP_PORTS=\"23\"\n");
  EXPECT_EQ(*read_sealed(fd.get(), 100), "TCP_PORTS=\"23\"\n");
  EXPECT_EQ(*read_sealed(fd.get(), 100), "TCP_PORTS=\"23\"\n");
}

TEST(ReadSealed, TheCapIsAllowedAndOneByteMoreIsNot) {
  EXPECT_TRUE(read_sealed(file_with("12345").get(), 5));
  EXPECT_FALSE(read_sealed(file_with("123456").get(), 5));
  EXPECT_EQ(*read_sealed(file_with("").get(), 5), "");
}

TEST(ReadSealed, ADescriptorThatCannotBeReadIsAnError) {
  EXPECT_FALSE(read_sealed(-1, 5));
}

}  // namespace
}  // namespace portsentry::monitor
