// Receives one frame over and over, as if a network card had delivered it: what the receiving costs, and
// nothing of a sender. `inject INTERFACE COUNT same|many`, the frame in hex on standard input; prints the
// nanoseconds of the processor for each. `many`: IPv4, and the source is another one each time, of 16,384
// whose two halves add up to the same number, so that both checksums stay right.
//
// By BPF_PROG_TEST_RUN with live frames (Linux 5.18): an XDP program of a few instructions that
// passes everything, attached to the interface (a veth) as long as this runs. Root; for benchmarks, in
// network namespaces that they made; never installed.
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "common/unique_fd.h"

namespace {

using Program = std::vector<bpf_insn>;

bpf_insn insn(int code, int to, int from, int offset, int value) {
  bpf_insn made{};
  made.code = static_cast<std::uint8_t>(code);
  made.dst_reg = static_cast<std::uint8_t>(to) & 0xfU;
  made.src_reg = static_cast<std::uint8_t>(from) & 0xfU;
  made.off = static_cast<std::int16_t>(offset);
  made.imm = value;
  return made;
}

Program pass_all() {
  return {insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
          insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)};
}

// source = (0x0b00 + r) : (0xfff0 - r), r of 14 bits.
Program pass_from_many() {
  return {
      insn(BPF_LDX | BPF_W | BPF_MEM, 6, 1, offsetof(xdp_md, data), 0),
      insn(BPF_LDX | BPF_W | BPF_MEM, 2, 1, offsetof(xdp_md, data_end), 0),
      insn(BPF_ALU64 | BPF_MOV | BPF_X, 3, 6, 0, 0),
      insn(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, 34),
      insn(BPF_JMP | BPF_JGT | BPF_X, 3, 2, 11, 0),
      insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32),
      insn(BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, 0x3fff),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0xfff0),
      insn(BPF_ALU64 | BPF_SUB | BPF_X, 4, 0, 0, 0),
      insn(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 0x0b00),
      insn(BPF_ALU | BPF_END | BPF_TO_BE, 0, 0, 0, 16),
      insn(BPF_ALU | BPF_END | BPF_TO_BE, 4, 0, 0, 16),
      insn(BPF_STX | BPF_H | BPF_MEM, 6, 0, 26, 0),
      insn(BPF_STX | BPF_H | BPF_MEM, 6, 4, 28, 0),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
      insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP),
      insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
}

int bpf(int command, bpf_attr& attr) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attr, sizeof attr));
}

std::uint64_t address_of(const void* data) {
  return reinterpret_cast<std::uintptr_t>(data);  // as bpf(2) wants them
}

portsentry::UniqueFd load(const Program& program) {
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_XDP;
  attr.insns = address_of(program.data());
  attr.insn_cnt = static_cast<std::uint32_t>(program.size());
  attr.license = address_of("ISC");
  return portsentry::UniqueFd(bpf(BPF_PROG_LOAD, attr));
}

// While something is attached, the queue is there from which the frames are said to come.
portsentry::UniqueFd attach(int program, unsigned interface) {
  bpf_attr attr{};
  attr.link_create.prog_fd = static_cast<std::uint32_t>(program);
  attr.link_create.target_ifindex = interface;
  attr.link_create.attach_type = BPF_XDP;
  return portsentry::UniqueFd(bpf(BPF_LINK_CREATE, attr));
}

std::vector<std::uint8_t> read_frame() {
  std::array<char, 4096> text{};
  const std::size_t length = std::fread(text.data(), 1, text.size(), stdin);
  std::vector<std::uint8_t> frame;
  for (std::size_t at = 0; at + 1 < length; at += 2) {
    std::uint8_t byte = 0;
    if (std::from_chars(text.data() + at, text.data() + at + 2, byte, 16).ec != std::errc()) break;
    frame.push_back(byte);
  }
  return frame;
}

double busy() {
  timespec spent{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) * 1e9 + static_cast<double>(spent.tv_nsec);
}

int fail(const char* what) {
  std::fprintf(stderr, "inject: %s: %s\n", what, std::strerror(errno));
  return EXIT_FAILURE;
}

int inject(unsigned interface, std::uint32_t count, const Program& program) {
  const std::vector<std::uint8_t> frame = read_frame();
  const portsentry::UniqueFd passed = load(program);
  if (!passed) return fail("BPF_PROG_LOAD");
  const portsentry::UniqueFd link = attach(passed.get(), interface);
  if (!link) return fail("BPF_LINK_CREATE");
  xdp_md context{};
  context.data_end = static_cast<std::uint32_t>(frame.size());
  context.ingress_ifindex = interface;
  bpf_attr attr{};
  attr.test.prog_fd = static_cast<std::uint32_t>(passed.get());
  attr.test.data_in = address_of(frame.data());
  attr.test.data_size_in = static_cast<std::uint32_t>(frame.size());
  attr.test.ctx_in = address_of(&context);
  attr.test.ctx_size_in = sizeof context;
  attr.test.repeat = count;
  attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  attr.test.batch_size = 64;
  const double begin = busy();
  if (bpf(BPF_PROG_TEST_RUN, attr) != 0) return fail("BPF_PROG_TEST_RUN");
  std::printf("%.1f\n", (busy() - begin) / count);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  if (words.size() != 4) return 2;
  std::uint32_t count = 0;
  std::from_chars(words[2].data(), words[2].data() + words[2].size(), count);
  const unsigned interface = if_nametoindex(words[1].c_str());
  if (interface == 0 || count == 0) return 2;
  return inject(interface, count, words[3] == "many" ? pass_from_many() : pass_all());
}
