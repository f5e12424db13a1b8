// Real children: iptables in a namespace of its own, programs that hang, flood, fail, hide or go
// into the background. Run as root (suite root).
#include "enforcer/commands.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <map>

#include "tests/common/network_namespace.h"
#include "tests/common/template_lab.h"

namespace portsentry::enforcer {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

// portsentryd of the same build: the editor is that program.
UniqueFd portsentryd() {
  std::array<char, 4096> path{};
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  std::string_view here(path.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  for (int i = 0; i < 3; ++i)
    here = here.substr(0, here.rfind('/'));
  return UniqueFd(open((std::string(here) + "/portsentryd").c_str(), O_PATH | O_CLOEXEC));
}

// What the launcher does with Commands, and a monitor that reads what the commands print.
class Runner {
 public:
  explicit Runner(const CommandTexts& texts) : commands(texts, portsentryd()) {}
  ~Runner() {
    commands.kill_all();
    while (commands.running() > 0) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, 0);
      if (pid < 0) break;
      commands.ended(pid, status, Clock::now());
      collect();
    }
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  std::uint64_t start(CommandKind kind, const std::string& address = "192.0.2.1") {
    commands.start({.id = ++last_, .kind = kind, .values = probe(address)}, now());
    collect();
    return last_;
  }

  // Until the request has ended, or a minute.
  CommandFinished await(std::uint64_t id) {
    const auto give_up = Clock::now() + seconds(60);
    while (!finished.contains(id) && Clock::now() < give_up)
      turn();
    read_outputs();  // its last words may have come between our look and its end
    const auto found = finished.find(id);
    return found == finished.end() ? CommandFinished{id, Verdict::bad_duration, -1} : found->second;
  }
  CommandFinished run(CommandKind kind, const std::string& address = "192.0.2.1") {
    return await(start(kind, address));
  }

  // One turn of a poll loop: outputs, deadlines, ends.
  void turn() {
    std::vector<pollfd> polled;
    for (const auto& output : outputs)
      polled.push_back({output.pipe.get(), POLLIN, 0});
    ::poll(polled.data(), polled.size(), 5);
    read_outputs();
    if (const auto deadline = commands.deadline(); deadline && *deadline <= now())
      commands.expire(now());
    int status = 0;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG))
      EXPECT_TRUE(commands.ended(pid, status, now())) << pid;
    collect();
  }

  [[nodiscard]] Clock::time_point now() const { return Clock::now() + skipped; }

  void read_outputs() {
    std::array<char, 65536> piece{};
    for (auto output = outputs.begin(); output != outputs.end();) {
      const ssize_t got = ::read(output->pipe.get(), piece.data(), piece.size());
      if (got > 0) words[output->id].append(piece.data(), static_cast<std::size_t>(got));
      const bool over = got == 0 || (got < 0 && errno != EAGAIN);
      output = over ? outputs.erase(output) : output + 1;
    }
  }

  void collect() {
    CommandEvents events = commands.take();
    for (auto& output : events.outputs)
      outputs.push_back(std::move(output));
    for (const auto& end : events.finished) {
      EXPECT_FALSE(finished.contains(end.id)) << "ended twice";
      finished[end.id] = end;
      order.push_back(end.id);
    }
  }

  Commands commands;
  std::vector<CommandOutput> outputs;
  std::map<std::uint64_t, std::string> words;
  std::map<std::uint64_t, CommandFinished> finished;
  std::vector<std::uint64_t> order;
  Clock::duration skipped{};

 private:
  std::uint64_t last_ = 0;
};

class CommandsRoot : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: runs the commands of root";
    std::string pattern = "/run/portsentry-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    if (!directory_.empty()) {
      ASSERT_EQ(::system(("rm -rf " + directory_).c_str()), 0);
    }
  }

  std::string script(const std::string& name, const std::string& text) {
    std::string path = directory_ + "/" + name;
    const UniqueFd fd(open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755));
    EXPECT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    return path;
  }
  [[nodiscard]] std::string content(const std::string& name) const {
    return output_of({"cat", directory_ + "/" + name});
  }

  std::string directory_;
};

void expect(const CommandFinished& end, Verdict verdict, int error) {
  EXPECT_EQ(static_cast<int>(end.verdict), static_cast<int>(verdict));
  EXPECT_EQ(end.error, error);
}

TEST_F(CommandsRoot, BelievesTheExitStatus) {
  Runner runner({.kill_run_cmd = "/bin/true"});
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::ok, 0);
  runner.commands.use({.kill_run_cmd = "exit 3"});
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::command_failed, 3);
  runner.commands.use({.kill_run_cmd = "/bin/false"});
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::command_failed, 1);
  runner.commands.use({.kill_run_cmd = "kill -TERM $$"});
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::command_killed, SIGTERM);
}

TEST_F(CommandsRoot, WhatCannotBeExecutedIsToldApartFromWhatFails) {
  Runner runner({.kill_run_cmd = "/nowhere/command $TARGET$"});
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::command_not_run, ENOENT);
  runner.commands.use({.kill_run_cmd = "portsentry-has-no-such-program"});
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::command_not_run, ENOENT);
  // It is there and executable, and yet no program: only exec knows.
  runner.commands.use({.kill_run_cmd = script("interpreter", "#!/nowhere/interpreter\n")});
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::command_not_run, ENOENT);
  runner.commands.use({.kill_run_cmd = "portsentry-has-no-such-program | cat; exit 127"});
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::command_failed, 127);
}

TEST_F(CommandsRoot, WhatIsNotConfiguredIsNoCommand) {
  Runner runner({.kill_route = "/bin/true $TARGET$"});
  for (const CommandKind kind : {CommandKind::undo_route, CommandKind::external_command,
                                 CommandKind::kill_run_cmd, CommandKind::hosts_deny_add})
    expect(runner.run(kind), Verdict::no_command, 0);
  runner.commands.use({.kill_route = "iptables -I INPUT -s $TARGET$ -d 192.0.2.9 -j DROP"});
  expect(runner.run(CommandKind::kill_route, "2001:db8::1"), Verdict::no_command, 0);
}

TEST_F(CommandsRoot, ACommandSeesACleanWorld) {
  ASSERT_EQ(setenv("LD_PRELOAD", "", 1), 0);
  const UniqueFd leaked(open("/etc/passwd", O_RDONLY));  // NOLINT: without O_CLOEXEC on purpose
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  signal(SIGPIPE, SIG_IGN);
  const mode_t mask = umask(077);
  Runner runner({.kill_run_cmd = "env; pwd; umask; ls -l /proc/self/fd; readlink /proc/$$/fd/0; "
                                 "grep -E '^(Sig(Blk|Ign)|NoNewPrivs|CapBnd)' /proc/self/status; "
                                 "cut -d' ' -f5,6 /proc/$$/stat; echo me $$"});
  const auto id = runner.start(CommandKind::kill_run_cmd);
  expect(runner.await(id), Verdict::ok, 0);
  umask(mask);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  const std::string& saw = runner.words[id];
  EXPECT_EQ(saw.find("LD_PRELOAD"), std::string::npos);
  EXPECT_NE(saw.find(std::string("PATH=") + kCommandPath + "\n"), std::string::npos);
  EXPECT_NE(saw.find("LC_ALL=C\n"), std::string::npos);
  EXPECT_NE(saw.find("\n/\n0022\n"), std::string::npos) << saw;
  EXPECT_NE(saw.find("\n/dev/null\n"), std::string::npos) << saw;
  EXPECT_EQ(saw.find("/etc/passwd"), std::string::npos) << saw;
  EXPECT_NE(saw.find("SigBlk:\t0000000000000000"), std::string::npos) << saw;
  EXPECT_NE(saw.find("SigIgn:\t0000000000000000"), std::string::npos) << saw;
  EXPECT_NE(saw.find("NoNewPrivs:\t0"), std::string::npos) << saw;
  const std::size_t me = saw.find("me ");
  ASSERT_NE(me, std::string::npos);
  const std::string pid = saw.substr(me + 3, saw.find('\n', me) - me - 3);
  EXPECT_NE(saw.find("\n" + pid + " " + pid + "\n"), std::string::npos)
      << "its own group and session: " << saw;
}

TEST_F(CommandsRoot, AHangingCommandIsKilledWithItsWholeGroup) {
  Runner runner({.kill_run_cmd = "sleep 60 & echo $!; sleep 60"});
  const auto id = runner.start(CommandKind::kill_run_cmd);
  while (runner.words[id].find('\n') == std::string::npos)
    runner.turn();
  const pid_t background = std::atoi(runner.words[id].c_str());
  ASSERT_EQ(kill(background, 0), 0);
  EXPECT_FALSE(runner.finished.contains(id));
  runner.skipped = kCommandPatience;
  expect(runner.await(id), Verdict::command_timed_out, 0);
  // Its orphan is reaped by somebody else; a zombie has no program.
  const std::string exe = "/proc/" + std::to_string(background) + "/exe";
  std::array<char, 8> link{};
  const auto give_up = Clock::now() + seconds(10);
  while (readlink(exe.c_str(), link.data(), link.size()) >= 0 && Clock::now() < give_up)
    continue;
  EXPECT_LT(readlink(exe.c_str(), link.data(), link.size()), 0);
}

TEST_F(CommandsRoot, TenSecondsAreTenSeconds) {
  Runner runner({.kill_run_cmd = "/bin/sleep 60"});
  const auto before = Clock::now();
  runner.start(CommandKind::kill_run_cmd);
  ASSERT_TRUE(runner.commands.deadline());
  const auto patience = *runner.commands.deadline() - before;
  EXPECT_GE(patience, seconds(10));
  EXPECT_LT(patience, seconds(12));
}

TEST_F(CommandsRoot, AGrandchildThatKeepsThePipeHoldsNobodyUp) {
  Runner runner({.kill_run_cmd = "setsid sleep 60 & echo $!"});
  const auto id = runner.start(CommandKind::kill_run_cmd);
  expect(runner.await(id), Verdict::ok, 0);
  while (runner.words[id].find('\n') == std::string::npos)
    runner.turn();
  EXPECT_EQ(runner.outputs.size(), 1U);  // still open, and nobody waits for it
  kill(std::atoi(runner.words[id].c_str()), SIGKILL);
}

TEST_F(CommandsRoot, TenMegabytesOfWordsAreTheReadersAlone) {
  Runner runner({.kill_run_cmd = "head -c 10000000 /dev/zero"});
  const auto id = runner.start(CommandKind::kill_run_cmd);
  expect(runner.await(id), Verdict::ok, 0);
  while (!runner.outputs.empty())
    runner.read_outputs();
  EXPECT_EQ(runner.words[id].size(), 10'000'000U);
}

TEST_F(CommandsRoot, AReaderThatGoesAwayEndsAFloodByItsPipe) {
  Runner runner({.kill_run_cmd = "/bin/cat /dev/zero"});
  const auto id = runner.start(CommandKind::kill_run_cmd);
  runner.outputs.clear();
  expect(runner.await(id), Verdict::command_killed, SIGPIPE);
}

TEST_F(CommandsRoot, AScriptWithoutAnInterpreterLineRunsAsItDidWithSystem) {
  Runner runner({.kill_run_cmd = script("plain", "echo $1 $2 > " + directory_ + "/out\n") +
                                 " $TARGET$ $PORT$"});
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::ok, 0);
  EXPECT_EQ(content("out"), "192.0.2.1 23\n");
}

TEST_F(CommandsRoot, HooksRunTenTimesAMinuteAndTheRestIsCounted) {
  Runner runner({.kill_run_cmd = "/bin/true", .external_command = "/bin/true"});
  for (int i = 0; i < 10; ++i)
    expect(runner.run(CommandKind::kill_run_cmd), Verdict::ok, 0);
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::over_budget, 0);
  // The other one has its own ten.
  expect(runner.run(CommandKind::external_command), Verdict::ok, 0);
  runner.skipped = seconds(61);
  expect(runner.run(CommandKind::kill_run_cmd), Verdict::ok, 0);
}

TEST_F(CommandsRoot, HangingHooksDoNotHoldUpABan) {
  Runner runner({.kill_route = "/bin/true $TARGET$",
                 .kill_run_cmd = "/bin/sleep 60",
                 .external_command = "/bin/sleep 60"});
  for (int i = 0; i < 10; ++i) {
    runner.start(CommandKind::kill_run_cmd);
    runner.start(CommandKind::external_command);
  }
  EXPECT_EQ(runner.commands.running(), kMaxHooks);
  expect(runner.run(CommandKind::kill_route), Verdict::ok, 0);
  EXPECT_LE(runner.commands.running(), 8U);
}

TEST_F(CommandsRoot, FirewallCommandsRunOneAtATimeInTheirOrder) {
  const std::string log = directory_ + "/out";
  Runner runner({.kill_route = "echo +$TARGET$ >> " + log + "; sleep 0.02; echo . >> " + log,
                 .kill_route_remove = "echo -$TARGET$ >> " + log});
  for (int i = 0; i < 3; ++i) {
    runner.start(CommandKind::kill_route, "192.0.2.1");
    runner.start(CommandKind::undo_route, "192.0.2.1");
  }
  runner.await(6);
  EXPECT_EQ(content("out"),
            "+192.0.2.1\n.\n-192.0.2.1\n+192.0.2.1\n.\n-192.0.2.1\n+192.0.2.1\n.\n-192.0.2.1\n");
  EXPECT_EQ(runner.order, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6}));
}

TEST_F(CommandsRoot, TheQueueIsBounded) {
  Runner runner({.kill_route = "sleep 60; : $TARGET$"});
  for (std::size_t i = 0; i < 1 + kMaxQueued; ++i)
    runner.start(CommandKind::kill_route);
  EXPECT_TRUE(runner.finished.empty());
  const auto id = runner.start(CommandKind::kill_route);
  expect(runner.await(id), Verdict::command_not_run, 0);
}

TEST_F(CommandsRoot, WhatRunsGoesOnAfterAReloadAndWhatWaitsFollowsTheNewText) {
  const std::string log = directory_ + "/out";
  const std::string gate = directory_ + "/gate";
  ASSERT_EQ(mkfifo(gate.c_str(), 0600), 0);
  Runner runner({.kill_route = "cat " + gate + "; echo old $TARGET$ >> " + log});
  runner.start(CommandKind::kill_route);
  const auto second = runner.start(CommandKind::kill_route);
  runner.commands.use({.kill_route = "echo new $TARGET$ >> " + log});
  UniqueFd open_gate(open(gate.c_str(), O_WRONLY | O_CLOEXEC));  // waits for cat
  ASSERT_TRUE(open_gate);
  open_gate.reset();
  expect(runner.await(second), Verdict::ok, 0);
  EXPECT_EQ(content("out"), "old 192.0.2.1\nnew 192.0.2.1\n");
}

TEST_F(CommandsRoot, NothingIsLeftAfterAStop) {
  Runner runner({.kill_route = "sleep 60; : $TARGET$", .kill_run_cmd = "sleep 60"});
  for (int i = 0; i < 5; ++i) {
    runner.start(CommandKind::kill_route);
    runner.start(CommandKind::kill_run_cmd);
  }
  runner.commands.kill_all();
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, 0); pid > 0; pid = waitpid(-1, &status, 0))
    EXPECT_TRUE(runner.commands.ended(pid, status, Clock::now()));
  EXPECT_EQ(runner.commands.running(), 0U);
}

TEST_F(CommandsRoot, AtAStopTheRouteThatRunsEndsAndNoOtherBegins) {
  const std::string log = directory_ + "/out";
  const std::string gate = directory_ + "/gate";
  ASSERT_EQ(mkfifo(gate.c_str(), 0600), 0);
  Runner runner({.kill_route = "cat " + gate + "; echo $TARGET$ >> " + log});
  const auto first = runner.start(CommandKind::kill_route, "192.0.2.1");
  runner.start(CommandKind::kill_route, "192.0.2.2");
  runner.commands.drop_waiting_routes();
  UniqueFd open_gate(open(gate.c_str(), O_WRONLY | O_CLOEXEC));  // waits for cat
  ASSERT_TRUE(open_gate);
  open_gate.reset();
  expect(runner.await(first), Verdict::ok, 0);
  EXPECT_EQ(runner.commands.running(), 0U);
  EXPECT_EQ(content("out"), "192.0.2.1\n");
}

TEST_F(CommandsRoot, ACommandDiesWithTheLauncher) {
  std::array<int, 2> told{};
  ASSERT_EQ(pipe2(told.data(), O_CLOEXEC), 0);
  const pid_t launcher = fork();
  if (launcher == 0) {
    Runner runner({.kill_run_cmd = "echo $$; exec sleep 60"});
    const auto id = runner.start(CommandKind::kill_run_cmd);
    while (runner.words[id].find('\n') == std::string::npos)
      runner.turn();
    const pid_t pid = std::atoi(runner.words[id].c_str());
    static_cast<void>(!write(told[1], &pid, sizeof pid));
    kill(getpid(), SIGKILL);
  }
  pid_t command = 0;
  ASSERT_EQ(read(told[0], &command, sizeof command), static_cast<ssize_t>(sizeof command));
  ASSERT_EQ(waitpid(launcher, nullptr, 0), launcher);
  ::close(told[0]);
  ::close(told[1]);
  const std::string exe = "/proc/" + std::to_string(command) + "/exe";
  std::array<char, 8> link{};
  const auto give_up = Clock::now() + seconds(10);
  while (readlink(exe.c_str(), link.data(), link.size()) >= 0 && Clock::now() < give_up)
    continue;
  EXPECT_LT(readlink(exe.c_str(), link.data(), link.size()), 0);
}

TEST_F(CommandsRoot, AnUndoThatFailsWhileTheRuleStandsHasFailed) {
  auto network = NetworkNamespace::make();
  ASSERT_TRUE(network);
  const NetworkNamespace::Visit inside(*network);
  // The undo that the administrator wrote is for another chain: the rule in INPUT stays.
  Runner runner({.kill_route = "/sbin/iptables -I INPUT -s $TARGET$ -j DROP",
                 .kill_route_remove = "/sbin/iptables -D INPUT -s $TARGET$ -j DROP --bogus"});
  expect(runner.run(CommandKind::kill_route, "192.0.2.77"), Verdict::ok, 0);
  expect(runner.run(CommandKind::undo_route, "192.0.2.77"), Verdict::command_failed, 2);
}

// ---- The tools themselves, in a network of their own -------------------------------------------

struct ToolCase {
  const char* name;
  const char* setup;
  const char* kill_route;
  const char* list;  // shows the IPv4 ban
  const char* list6;
  bool answers;  // it can be asked whether a ban is still there
};

class RealTool : public CommandsRoot, public testing::WithParamInterface<ToolCase> {};

INSTANTIATE_TEST_SUITE_P(
    , RealTool,
    testing::Values(
        ToolCase{"iptables", "true", "/sbin/iptables -I INPUT -s $TARGET$ -j DROP",
                 "iptables -S INPUT", "ip6tables -S INPUT", true},
        ToolCase{"iptables_legacy", "true",
                 "/usr/sbin/iptables-legacy -I INPUT 1 -s $TARGET$ -j REJECT --reject-with "
                 "icmp-port-unreachable",
                 "iptables-legacy -S INPUT", "ip6tables-legacy -S INPUT", true},
        ToolCase{"ip_route", "true", "ip route add blackhole $TARGET$", "ip route show",
                 "ip -6 route show", false},
        ToolCase{"route", "true", "/sbin/route add -host $TARGET$ reject", "ip route show",
                 "ip -6 route show", false},
        ToolCase{"nft",
                 "nft add table inet f; nft 'add set inet f s { type ipv4_addr; flags "
                 "timeout; }'",
                 "nft add element inet f s '{ $TARGET$ timeout 1h }'", "nft list set inet f s",
                 nullptr, true},
        ToolCase{"ipset", "ipset create blocked hash:ip timeout 600",
                 "ipset add blocked $TARGET$ timeout 60", "ipset list blocked", nullptr, true}),
    [](const auto& of) { return std::string(of.param.name); });

TEST_P(RealTool, IsBannedUnbannedAndRestoredByItsOwnTool) {
  const ToolCase& tool = GetParam();
  const auto made = Template::parse(tool.kill_route);
  ASSERT_TRUE(made);
  if (!find_program(made->program())) GTEST_SKIP() << made->program() << " is not installed";
  auto network = NetworkNamespace::make();
  ASSERT_TRUE(network);
  const NetworkNamespace::Visit inside(*network);
  ASSERT_TRUE(portsentry::run(tool.setup));
  Runner runner({.kill_route = tool.kill_route});
  const auto count = [&](const char* list, const std::string& address) {
    const std::string text = output_of({"/bin/sh", "-c", list});
    int found = 0;
    for (std::size_t at = text.find(address); at != std::string::npos;
         at = text.find(address, at + 1))
      ++found;
    return found;
  };
  const auto both = [&](const char* list, const std::string& address) {
    expect(runner.run(CommandKind::kill_route, address), Verdict::ok, 0);
    EXPECT_EQ(count(list, address), 1) << list;
    // As after a restart: it is there already, and stands once all the same.
    expect(runner.run(CommandKind::restore_route, address), Verdict::ok, 0);
    EXPECT_EQ(count(list, address), 1) << list;
    expect(runner.run(CommandKind::undo_route, address), Verdict::ok, 0);
    EXPECT_EQ(count(list, address), 0) << list;
    // An administrator was faster: what is gone has been undone, where the tool can be asked; else
    // it is the tool's failure, and ours to say.
    EXPECT_EQ(runner.run(CommandKind::undo_route, address).verdict == Verdict::ok, tool.answers);
    // As after a reboot: it is not there.
    expect(runner.run(CommandKind::restore_route, address), Verdict::ok, 0);
    EXPECT_EQ(count(list, address), 1) << list;
  };
  both(tool.list, "192.0.2.77");
  if (tool.list6 != nullptr) return both(tool.list6, "2001:db8::77");
  EXPECT_EQ(runner.run(CommandKind::kill_route, "2001:db8::77").verdict, Verdict::command_failed);
}

}  // namespace
}  // namespace portsentry::enforcer
