// The monitor's own calls, for real, on the descriptors that it is born with.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <ctime>

#include "child.h"
#include "common/channel.h"
#include "policies.h"

namespace portsentry::sandbox {
namespace {

// What arrives has a number from here on: all before it are taken (monitor/descriptors.h).
constexpr int kFirstFree = 34;

constexpr std::array<std::byte, 4> kWord{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};

// A listening SEQPACKET socket that has no name in the file system, with one connection waiting.
int listening_with_caller() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const int listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
  // Autobind (unix(7)): the kernel chooses an abstract name.
  REQUIRE(bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)) == 0);
  REQUIRE(listen(listening, 4) == 0);
  socklen_t size = sizeof(address);
  REQUIRE(getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const int caller = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  REQUIRE(connect(caller, reinterpret_cast<sockaddr*>(&address), size) == 0);
  return listening;
}

TEST(MonitorPolicy, TakesANewSensorsChannelToItsPlace) {
  const auto ended = run([] {
    std::array<int, 2> a{};
    std::array<int, 2> b{};
    constexpr int kType = SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC;
    REQUIRE(socketpair(AF_UNIX, kType, 0, a.data()) == 0);
    REQUIRE(socketpair(AF_UNIX, kType, 0, b.data()) == 0);
    Channel enforcer_end{UniqueFd(a[0])};
    Channel channel_a{UniqueFd(a[1])};
    Channel sensor_end{UniqueFd(b[0])};
    for (int taken = 0; taken < kFirstFree; ++taken) {
      if (fcntl(taken, F_GETFD) < 0) place(open("/dev/null", O_RDWR | O_CLOEXEC), taken);
    }
    REQUIRE(enforcer_end.send(kWord, b[1]) == Channel::Sent::ok);
    REQUIRE(install(monitor::kPolicy).has_value());
    auto received = channel_a.receive();
    REQUIRE(received.got == Channel::Got::message && static_cast<bool>(received.fd));
    REQUIRE(dup3(received.fd.get(), 10, O_CLOEXEC) == 10);
    received.fd.reset();
    REQUIRE(send(10, kWord.data(), kWord.size(), MSG_NOSIGNAL) == 4);
    REQUIRE(sensor_end.receive().got == Channel::Got::message);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(MonitorPolicy, LetsTheEnforcerGoFirst) {
  const auto ended = run([] {
    REQUIRE(install(monitor::kPolicy).has_value());
    REQUIRE(sched_yield() == 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(MonitorPolicy, MovesWhatArrivesToTheNumbersThatMeanSomethingAndToNoOther) {
  for (const int place : {4, 6, 7, 10, 13, 14, 15, 16, 23, 31}) {
    const auto ended = run([place] {
      const int arrived = fcntl(memfd_create("arrived", 0), F_DUPFD, kFirstFree);
      REQUIRE(install(monitor::kPolicy).has_value());
      REQUIRE(dup3(arrived, place, O_CLOEXEC) == place);
    });
    EXPECT_EQ(ended.how, kLived) << place << ' ' << ended.words;
  }
  // The end of what had a number, and a successor that takes over.
  for (const auto& [from, to] :
       {std::pair{0, 4}, {0, 10}, {0, 14}, {0, 15}, {0, 16}, {0, 31}, {15, 10}}) {
    const auto ended = run([from = from, to = to] {
      place(memfd_create("there", 0), 15);
      REQUIRE(install(monitor::kPolicy).has_value());
      REQUIRE(dup3(from, to, O_CLOEXEC) == to);
    });
    EXPECT_EQ(ended.how, kLived) << from << " to " << to << ' ' << ended.words;
  }
  for (const int place : {0, 1, 2, 3, 5, 8, 9, 11, 12, 32, 33, 48}) {
    const auto ended = run([place] {
      REQUIRE(install(monitor::kPolicy).has_value());
      dup3(1, place, O_CLOEXEC);
    });
    EXPECT_EQ(ended.how, kDiedByFilter) << place << ' ' << ended.words;
  }
}

TEST(MonitorPolicy, ReadsWhatCommandsPrintAndAReloadsTextsAtTheirNumbersOnly) {
  const auto ended = run([] {
    std::array<int, 2> pipe_ends{};
    REQUIRE(pipe(pipe_ends.data()) == 0);
    REQUIRE(write(pipe_ends[1], "said\n", 5) == 5);
    pipe_ends[0] = fcntl(pipe_ends[0], F_DUPFD, kFirstFree);
    const int text = fcntl(memfd_create("config", 0), F_DUPFD, kFirstFree);
    REQUIRE(write(text, "text", 4) == 4);
    REQUIRE(install(monitor::kPolicy).has_value());
    REQUIRE(dup3(pipe_ends[0], 31, O_CLOEXEC) == 31);
    std::array<char, 16> bytes{};
    REQUIRE(read(31, bytes.data(), bytes.size()) == 5);
    REQUIRE(dup3(text, 4, O_CLOEXEC) == 4);
    REQUIRE(pread(4, bytes.data(), bytes.size(), 0) == 4);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
  for (const int fd : {3, 6, 10, 12, 14, 15, 32}) {
    const auto refused = run([fd] {
      place(memfd_create("file", 0), fd);
      REQUIRE(install(monitor::kPolicy).has_value());
      char byte{};
      static_cast<void>(!read(fd, &byte, 1));
    });
    EXPECT_EQ(refused.how, kDiedByFilter) << fd;
  }
  const auto history = run([] {
    place(memfd_create("history", 0), 6);
    REQUIRE(install(monitor::kPolicy).has_value());
    char byte{};
    static_cast<void>(!pread(6, &byte, 1, 0));
  });
  EXPECT_EQ(history.how, kDiedByFilter);
}

TEST(MonitorPolicy, SendsDatagramsToSyslogFromItsOwnSocketOnly) {
  const auto ended = run([] {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const int daemon = socket(AF_UNIX, SOCK_DGRAM, 0);
    REQUIRE(bind(daemon, reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)) == 0);
    socklen_t size = sizeof(address);
    REQUIRE(getsockname(daemon, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    place(socket(AF_UNIX, SOCK_DGRAM, 0), 12);
    REQUIRE(install(monitor::kPolicy).has_value());
    REQUIRE(sendto(12, "line", 4, MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), size) == 4);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(MonitorPolicy, AcceptsACallerAndAsksWhoItIs) {
  const auto ended = run([] {
    place(listening_with_caller(), 8);
    REQUIRE(install(monitor::kPolicy).has_value());
    const int caller = accept4(8, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    REQUIRE(caller >= 0);
    ucred who{};
    socklen_t size = sizeof(who);
    REQUIRE(getsockopt(caller, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0);
    std::array<gid_t, 64> groups{};
    size = sizeof(groups);
    REQUIRE(getsockopt(caller, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0 ||
            errno == ERANGE);
    REQUIRE(send(caller, kWord.data(), kWord.size(), MSG_NOSIGNAL) == 4);
    REQUIRE(close(caller) == 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(MonitorPolicy, AsksRtnetlinkForANewDump) {
  const auto ended = run([] {
    place(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), 9);
    REQUIRE(install(monitor::kPolicy).has_value());
    struct {
      nlmsghdr header;
      rtgenmsg body;
    } dump{};
    dump.header.nlmsg_len = sizeof(dump);
    dump.header.nlmsg_type = RTM_GETADDR;
    dump.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    REQUIRE(sendto(9, &dump, sizeof(dump), 0, reinterpret_cast<sockaddr*>(&kernel),
                   sizeof(kernel)) == sizeof(dump));
    std::array<char, 8192> answer{};
    iovec part{.iov_base = answer.data(), .iov_len = answer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    REQUIRE(recvmsg(9, &message, 0) > 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(MonitorPolicy, WritesLogHistoryAndTheBlockedFileAnew) {
  const auto ended = run([] {
    place(memfd_create("history", 0), 6);
    place(memfd_create("blocked", 0), 7);
    place(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
    place(memfd_create("log", 0), 13);
    REQUIRE(install(monitor::kPolicy).has_value());
    for (const int fd : {1, 2, 6, 7, 13})
      REQUIRE(write(fd, "line\n", 5) == 5);
    REQUIRE(ftruncate(7, 0) == 0);
    REQUIRE(write(7, "new\n", 4) == 4);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(MonitorPolicy, PrintsLocalTimeOnceTheZoneIsKnown) {
  const auto ended = run([] {
    tzset();
    REQUIRE(install(monitor::kPolicy).has_value());
    const std::time_t now = 1700000000;
    std::tm local{};
    REQUIRE(localtime_r(&now, &local) != nullptr);
    std::array<char, 64> text{};
    REQUIRE(std::strftime(text.data(), text.size(), "%b %d %H:%M:%S %Y", &local) > 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(MonitorPolicy, HearsSigtermThroughItsSignalDescriptor) {
  const auto ended = run([] {
    sigset_t stop{};
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    REQUIRE(sigprocmask(SIG_BLOCK, &stop, nullptr) == 0);
    place(signalfd(-1, &stop, SFD_CLOEXEC), 11);
    REQUIRE(kill(getpid(), SIGTERM) == 0);
    REQUIRE(install(monitor::kPolicy).has_value());
    signalfd_siginfo heard{};
    REQUIRE(read(11, &heard, sizeof(heard)) == sizeof(heard));
    REQUIRE(heard.ssi_signo == SIGTERM);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(MonitorPolicy, CannotReadTheTerminalThatItsLogGoesTo) {
  for (const int fd : {1, 2}) {
    const auto ended = run([fd] {
      place(open("/dev/null", O_RDWR | O_CLOEXEC), fd);
      REQUIRE(install(monitor::kPolicy).has_value());
      char typed{};
      static_cast<void>(!read(fd, &typed, 1));
    });
    EXPECT_EQ(ended.how, kDiedByFilter) << fd << ' ' << ended.words;
  }
}

TEST(MonitorPolicy, CannotRewriteWhatItsHistoryAlreadyTold) {
  const auto with_history = [](auto body) {
    return run([body] {
             place(memfd_create("history", 0), 6);
             REQUIRE(fcntl(6, F_SETFL, O_APPEND) == 0);
             REQUIRE(install(monitor::kPolicy).has_value());
             body();
           })
        .how;
  };
  EXPECT_EQ(with_history([] { fcntl(6, F_SETFL, 0); }), kDiedByFilter);
  EXPECT_EQ(with_history([] { lseek(6, 0, SEEK_SET); }), kDiedByFilter);
  EXPECT_EQ(with_history([] { static_cast<void>(!ftruncate(6, 0)); }), kDiedByFilter);
  EXPECT_EQ(with_history([] { static_cast<void>(!pwrite(6, "x", 1, 0)); }), kDiedByFilter);
}

TEST(MonitorPolicy, CannotGiveAMeaningToWhatHasAnother) {
  // The history and the log, as a file that may be emptied; a terminal, as what a command prints; ...
  for (const auto& [from, to] : {std::pair{6, 7},
                                 {13, 7},
                                 {1, 7},
                                 {1, 16},
                                 {2, 31},
                                 {3, 6},
                                 {6, 4},
                                 {0, 6},
                                 {0, 7},
                                 {15, 7}}) {
    const auto ended = run([from = from, to = to] {
      for (const int there : {1, 3, 6, 7, 13, 15})
        place(memfd_create("there", 0), there);
      REQUIRE(install(monitor::kPolicy).has_value());
      dup3(from, to, O_CLOEXEC);
    });
    EXPECT_EQ(ended.how, kDiedByFilter) << from << " to " << to << ' ' << ended.words;
  }
}

TEST(MonitorPolicy, WritesItsStateOnItsTwoDescriptorsOnly) {
  const auto with_state = [](auto body) {
    return run([body] {
      place(memfd_create("state", 0), 32);
      place(memfd_create("log", 0), 33);
      place(memfd_create("other", 0), 34);
      REQUIRE(install(monitor::kPolicy).has_value());
      body();
    });
  };
  const auto ended = with_state([] {
    for (const int fd : {32, 33}) {
      std::array<char, 4> page{};
      REQUIRE(pwrite(fd, "page", 4, 4096) == 4);
      REQUIRE(pread(fd, page.data(), page.size(), 4096) == 4);
      REQUIRE(fdatasync(fd) == 0);
      REQUIRE(lseek(fd, 0, SEEK_END) == 4100);
      REQUIRE(ftruncate(fd, 4096) == 0);
    }
    struct flock all {};
    all.l_type = F_UNLCK;
    REQUIRE(fcntl(32, F_SETLK, &all) == 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
  char byte{};
  EXPECT_EQ(with_state([&] { static_cast<void>(!pread(34, &byte, 1, 0)); }).how, kDiedByFilter);
  EXPECT_EQ(with_state([] { static_cast<void>(!pwrite(34, "x", 1, 0)); }).how, kDiedByFilter);
  EXPECT_EQ(with_state([] { fdatasync(34); }).how, kDiedByFilter);
  EXPECT_EQ(with_state([] { static_cast<void>(!ftruncate(34, 0)); }).how, kDiedByFilter);
  EXPECT_EQ(with_state([] { fcntl(32, F_SETFL, 0); }).how, kDiedByFilter);
  EXPECT_EQ(with_state([] { fcntl(33, F_SETLK, nullptr); }).how, kDiedByFilter);
  EXPECT_EQ(with_state([] { dup3(34, 32, 0); }).how, kDiedByFilter);
}

TEST(MonitorPolicy, SendsOnlyToConnectedPeersAndNeverADescriptor) {
  const auto ended = [](auto body) {
    return run([body] {
             const int any = socket(AF_UNIX, SOCK_DGRAM, 0);
             REQUIRE(any >= 0);
             REQUIRE(install(monitor::kPolicy).has_value());
             body(any);
           })
        .how;
  };
  sockaddr_un journal{};
  journal.sun_family = AF_UNIX;
  std::strcpy(journal.sun_path, "/run/none");
  EXPECT_EQ(ended([&](int any) {
              sendto(any, "x", 1, 0, reinterpret_cast<sockaddr*>(&journal), sizeof(journal));
            }),
            kDiedByFilter);
  EXPECT_EQ(ended([](int any) {
              const msghdr nothing{};
              sendmsg(any, &nothing, 0);
            }),
            kDiedByFilter);
  EXPECT_EQ(ended([](int any) { send(any, "x", 1, MSG_NOSIGNAL); }), kLived);  // ENOTCONN
}

}  // namespace
}  // namespace portsentry::sandbox
