// NFLOG messages for tests: as the kernel writes them (nfnetlink_log.c), field by field; and a group
// that root opens, as the launcher does.
#pragma once

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "common/unique_fd.h"
#include "craft.h"

namespace portsentry::sensor::nflog {

template <class T>
craft::Packet host(const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

inline craft::Packet padded(craft::Packet bytes) {
  while (bytes.size() % 4 != 0)
    bytes.push_back(std::byte{0});
  return bytes;
}

inline craft::Packet attribute(std::uint16_t type, const craft::Packet& value) {
  using craft::operator+;
  return padded(host(nlattr{.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + value.size()),
                            .nla_type = type}) +
                value);
}

inline craft::Packet text(std::string_view words) {
  craft::Packet bytes;
  for (const char c : words)
    bytes.push_back(static_cast<std::byte>(c));
  bytes.push_back(std::byte{0});
  return bytes;
}

inline constexpr std::uint16_t kPacketType = NFNL_SUBSYS_ULOG << 8U | NFULNL_MSG_PACKET;

inline craft::Packet message(std::uint16_t type, const craft::Packet& payload) {
  using craft::operator+;
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + payload.size());
  header.nlmsg_type = type;
  return padded(host(header) + payload);
}

struct Log {
  std::string_view prefix = "held";
  unsigned ethertype = 0x0800;
  std::uint32_t interface = 2;
  std::optional<std::uint32_t> sequence = 1;
};

inline craft::Packet packet_message(const Log& log, const craft::Packet& network) {
  using craft::operator+;
  craft::Packet payload =
      host(nfgenmsg{.nfgen_family = AF_INET, .version = 0, .res_id = 0}) +
      attribute(NFULA_PACKET_HDR, craft::be16(log.ethertype) + craft::raw({1, 0})) +
      attribute(NFULA_PREFIX, text(log.prefix)) +
      attribute(NFULA_IFINDEX_INDEV, craft::be32(log.interface));
  if (log.sequence) payload = payload + attribute(NFULA_SEQ, craft::be32(*log.sequence));
  return message(kPacketType, payload + attribute(NFULA_PAYLOAD, network));
}

// One configuration message of nfnetlink_log; true when the kernel takes it.
inline bool configure(int fd, std::uint16_t group, std::uint16_t attribute_type,
                      const craft::Packet& value) {
  using craft::operator+;
  craft::Packet request =
      message(NFNL_SUBSYS_ULOG << 8U | NFULNL_MSG_CONFIG,
              host(nfgenmsg{.nfgen_family = AF_UNSPEC, .version = 0, .res_id = 0}) +
                  attribute(attribute_type, value));
  // nlmsg_flags, and the group in network order where nfgenmsg has it.
  const std::uint16_t flags = NLM_F_REQUEST | NLM_F_ACK;
  std::memcpy(request.data() + 6, &flags, sizeof flags);
  const craft::Packet number = craft::be16(group);
  std::memcpy(request.data() + sizeof(nlmsghdr) + 2, number.data(), 2);
  if (::send(fd, request.data(), request.size(), 0) != static_cast<ssize_t>(request.size()))
    return false;
  std::array<std::byte, 512> answer{};
  const ssize_t size = ::recv(fd, answer.data(), answer.size(), 0);
  nlmsgerr verdict{};
  if (size < static_cast<ssize_t>(sizeof(nlmsghdr) + sizeof verdict)) return false;
  std::memcpy(&verdict, answer.data() + sizeof(nlmsghdr), sizeof verdict);
  return verdict.error == 0;
}

// As the launcher opens it; empty where the kernel has no such thing.
inline UniqueFd open_group(std::uint16_t group, int receive_buffer = 4 << 20) {
  using craft::operator+;
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd) return {};
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  // A generic address, as bind(2) wants it.
  const bool opened =
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) == 0 &&
      ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) ==
          0 &&
      configure(fd.get(), group, NFULA_CFG_CMD, craft::raw({NFULNL_CFG_CMD_BIND})) &&
      configure(fd.get(), group, NFULA_CFG_MODE,
                craft::be32(128) + craft::raw({NFULNL_COPY_PACKET, 0})) &&
      configure(fd.get(), group, NFULA_CFG_QTHRESH, craft::be32(1)) &&
      configure(fd.get(), group, NFULA_CFG_NLBUFSIZ, craft::be32(1024)) &&
      configure(fd.get(), group, NFULA_CFG_FLAGS, craft::be16(NFULNL_CFG_F_SEQ));
  if (!opened) return {};
  return fd;
}

}  // namespace portsentry::sensor::nflog
