// Stands where portsentry-monitor or portsentry-sensor should stand, with their user, limits and
// descriptors, and does one thing: hands its channel (descriptor 3) to the test that waits at the
// socket below, and stays until that test hangs up. Whatever a captured process could say, the test
// then says. It has no filter of its own, so it can do more than a captured process could.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string_view>

#include "common/channel.h"

namespace {

// tests/integration/test_captured.py listens here.
constexpr std::string_view kTest = "/run/lab/villain";
constexpr int kChannel = 3;

}  // namespace

int main() {
  portsentry::UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(static_cast<char*>(address.sun_path), kTest.data(), kTest.size());
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 1;
  const int test = fd.get();
  portsentry::Channel channel(std::move(fd));
  constexpr std::array<std::byte, 1> kHere{std::byte{1}};
  if (channel.send(kHere, kChannel) != portsentry::Channel::Sent::ok) return 1;
  // The test's copy is the only one from here on: when it is closed, the channel is.
  close(kChannel);
  std::array<char, 1> nothing{};
  return read(test, nothing.data(), nothing.size()) == 0 ? 0 : 1;
}
