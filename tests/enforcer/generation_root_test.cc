// Run as root (suite root): what root opens must belong to root.
#include "enforcer/generation.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sched.h>
#include <algorithm>
#include <cstdlib>

namespace portsentry::enforcer {
namespace {

class GenerationTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: read_generation() trusts nobody else's files";
    // /var/lib of its own, and files where root's rules let them be.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755"), 0);
    ASSERT_EQ(mount("tmpfs", "/mnt", "tmpfs", 0, "mode=755"), 0);
    write_file(kConf, text_);
  }
  void TearDown() override {
    umount("/mnt");
    umount("/var/lib");
  }

  static void write_file(const std::string& path, std::string_view text, mode_t mode = 0644) {
    const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    ASSERT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ASSERT_EQ(fchmod(fd.get(), mode), 0);
  }
  GenerationReading read(std::string_view more = {}, const Generation* before = nullptr) {
    write_file(kConf, text_ + std::string(more));
    return read_generation({.path = kConf, .overrides = overrides_}, 2, before);
  }
  static bool same(const UniqueFd& fd, const std::string& path) {
    struct stat one {};
    struct stat other {};
    return fstat(fd.get(), &one) == 0 && stat(path.c_str(), &other) == 0 &&
           one.st_ino == other.st_ino && one.st_dev == other.st_dev;
  }

  static constexpr char kConf[] = "/mnt/portsentry.conf";
  std::string text_ = "TCP_PORTS=\"1-100\"\nSCAN_TRIGGER=\"2\"\nHISTORY_FILE=\"/mnt/history\"\n";
  std::vector<ConfigOverride> overrides_;
};

TEST_F(GenerationTest, HoldsEverythingThatTheProcessesAreBornWith) {
  const auto reading = read();
  ASSERT_TRUE(reading.generation);
  const Generation& g = *reading.generation;
  EXPECT_TRUE(g.usable);
  EXPECT_EQ(g.number, 2U);
  EXPECT_TRUE(g.config_text && g.ignore_text && g.orders_memory);
  EXPECT_EQ(g.orders.capture.tcp.size(), 100U);
  EXPECT_TRUE(same(g.outputs.history, "/mnt/history"));
  EXPECT_TRUE(same(g.outputs.blocked, "/dev/null"));
  EXPECT_TRUE(same(g.outputs.log_file, "/dev/null"));
  EXPECT_EQ(g.backend, Backend::nftables) << "what would ban, once armed";
  EXPECT_FALSE(g.resolver);
}

TEST_F(GenerationTest, TheCommandLineCountsInsteadOfTheFile) {
  overrides_ = {{.key = "TCP_MODE", .value = "tcp"}};
  const auto reading = read();
  ASSERT_TRUE(reading.generation);
  EXPECT_TRUE(reading.generation->orders.capture.tcp.empty());
  EXPECT_EQ(reading.generation->orders.bind.tcp.size(), 100U);
}

TEST_F(GenerationTest, MistakesEndAStartAndAreShownInAReload) {
  const auto start = read("SCAN_TRIGGER=\"many\"\n");
  EXPECT_FALSE(start.generation);
  EXPECT_FALSE(error_free(start.findings));
  const auto before = read();
  ASSERT_TRUE(before.generation);
  const auto reload =
      read("SCAN_TRIGGER=\"many\"\nHISTORY_FILE=\"/mnt/other\"\n", &*before.generation);
  ASSERT_TRUE(reload.generation);
  EXPECT_FALSE(reload.generation->usable);
  EXPECT_TRUE(reload.generation->config_text);
  EXPECT_TRUE(same(reload.generation->outputs.history, "/mnt/history"));
  EXPECT_NE(access("/mnt/other", F_OK), 0) << "half of a text must not make files";
}

TEST_F(GenerationTest, OutputFilesAreOpenedAnew) {
  const auto before = read();
  ASSERT_TRUE(before.generation);
  ASSERT_EQ(rename("/mnt/history", "/mnt/history.1"), 0);
  const auto reading = read({}, &*before.generation);
  ASSERT_TRUE(reading.generation);
  EXPECT_TRUE(same(reading.generation->outputs.history, "/mnt/history"));
  EXPECT_TRUE(same(before.generation->outputs.history, "/mnt/history.1"));
}

TEST_F(GenerationTest, AnOutputFileThatCannotBeOpenedIsTheOneOfBefore) {
  const auto before = read();
  ASSERT_TRUE(before.generation);
  for (const auto* bad :
       {"HISTORY_FILE=\"/mnt/missing/history\"\n", "HISTORY_FILE=\"/mnt/portsentry.conf\"\n"}) {
    const auto reading = read(bad, &*before.generation);
    ASSERT_TRUE(reading.generation) << bad;
    ASSERT_EQ(reading.problems.size(), 1U);
    EXPECT_EQ(reading.problems[0].which, ReloadProblem::history_file);
    EXPECT_TRUE(same(reading.generation->outputs.history, "/mnt/history"));
    EXPECT_FALSE(read(bad).generation) << "at start there is none before";
  }
}

TEST_F(GenerationTest, FilesThatCannotBeReadOrTrustedLeaveTheOldGeneration) {
  const auto before = read();
  ASSERT_TRUE(before.generation);
  const auto missing = read("IGNORE_FILE=\"/mnt/missing\"\n", &*before.generation);
  EXPECT_FALSE(missing.generation);
  ASSERT_EQ(missing.problems.size(), 1U);
  EXPECT_EQ(missing.problems[0].which, ReloadProblem::ignore_file);
  EXPECT_EQ(missing.problems[0].error.code, ENOENT);
  ASSERT_EQ(chmod(kConf, 0666), 0);
  const auto untrusted = read_generation({.path = kConf, .overrides = {}}, 2, &*before.generation);
  EXPECT_FALSE(untrusted.generation);
  ASSERT_EQ(untrusted.problems.size(), 1U);
  EXPECT_EQ(untrusted.problems[0].which, ReloadProblem::config_file);
  EXPECT_EQ(untrusted.problems[0].error.code, EPERM);
}

TEST_F(GenerationTest, AKillRouteIsTheBackendWhenItsProgramIsThere) {
  const std::string armed = "BLOCK_TCP=\"1\"\nKILL_ROUTE=\"/mnt/drop $TARGET$\"\n";
  const auto gone = read(armed);
  ASSERT_TRUE(gone.generation);
  EXPECT_EQ(gone.generation->backend, Backend::nftables);
  EXPECT_TRUE(gone.generation->nft);
  EXPECT_EQ(gone.generation->commands.kill_route, "");
  ASSERT_EQ(gone.warnings.size(), 1U) << "and that is said aloud";
  EXPECT_NE(gone.warnings[0].find("/mnt/drop"), std::string::npos);

  const auto insisting = read(armed + "FIREWALL=\"command\"\n");
  EXPECT_FALSE(insisting.generation) << "who asked for the command gets it, or an error";
  ASSERT_FALSE(insisting.problems.empty());
  EXPECT_EQ(insisting.problems[0].which, ReloadProblem::firewall);

  const auto observing = read("KILL_ROUTE=\"/mnt/drop $TARGET$\"\nFIREWALL=\"command\"\n");
  ASSERT_TRUE(observing.generation) << "who observes needs no firewall";
  EXPECT_EQ(observing.generation->backend, Backend::command);
  EXPECT_EQ(observing.warnings.size(), 1U);

  write_file("/mnt/drop", "#!/bin/sh\n", 0755);
  const auto there = read(armed);
  ASSERT_TRUE(there.generation);
  EXPECT_EQ(there.generation->backend, Backend::command);
  EXPECT_TRUE(there.generation->nft) << "for the traps beside it";
  EXPECT_FALSE(read(armed + "HOLD=\"none\"\n").generation->nft);
  EXPECT_EQ(there.generation->commands.kill_route, "/mnt/drop $TARGET$");
  EXPECT_TRUE(there.warnings.empty());
}

TEST(Generation, TooManyListeningPortsAreRefusedWithTheNumbers) {
  WatchOrders orders;
  EXPECT_EQ(too_many_ports(orders, 10), "") << "without bound sockets no limit matters";
  orders.bind.tcp.add_range(*Port::make(1), *Port::make(1000));
  orders.bind.udp.add(*Port::make(7));
  EXPECT_EQ(sensor_descriptors(orders), 1193U);
  EXPECT_EQ(too_many_ports(orders, 1193), "");
  const std::string why = too_many_ports(orders, 1024);
  for (const auto* part : {"1001 ports", "1193", "limit is 1024", "832 ports would fit",
                           "LimitNOFILE=", "stcp and sudp"})
    EXPECT_NE(why.find(part), std::string::npos) << part << " is missing in: " << why;
  EXPECT_NE(too_many_ports(orders, 100).find(": 0 ports would fit"), std::string::npos);
}

TEST(Generation, TheBackendIsWhatTheConfigurationNamesArmedOrNot) {
  Config config;
  EXPECT_EQ(backend_of(config), Backend::nftables);
  config.kill_route = "/sbin/x $TARGET$";
  EXPECT_EQ(backend_of(config), Backend::command);
  config.firewall = Firewall::nftables;
  EXPECT_EQ(backend_of(config), Backend::nftables);
  config.firewall = Firewall::none;
  EXPECT_EQ(backend_of(config), Backend::none);
}

TEST(Generation, AModeWordIsOfTheProtocolThatWasProbed) {
  Config config;
  config.tcp_mode = WatchMode::advanced;
  config.udp_mode = WatchMode::none;
  EXPECT_EQ(mode_of(config, Protocol::tcp)->text(), "atcp");
  EXPECT_FALSE(mode_of(config, Protocol::udp));
}

}  // namespace
}  // namespace portsentry::enforcer
