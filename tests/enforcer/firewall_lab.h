// ruleset.nft in a network namespace of its own, for tests that need root.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "enforcer/nft.h"
#include "enforcer/nft_elements.h"
#include "enforcer/ruleset.h"
#include "tests/common/network_namespace.h"

namespace portsentry::enforcer {

// Feeds `text` to nft in the current namespace, as the launcher does.
inline bool load(std::string_view text) {
  FILE* pipe = ::popen("nft -f -", "w");
  if (pipe == nullptr) return false;
  const bool written = std::fwrite(text.data(), 1, text.size(), pipe) == text.size();
  return ::pclose(pipe) == 0 && written;
}

// What `command` prints.
inline std::string output_of(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe))
    text.push_back(static_cast<char>(c));
  return ::pclose(pipe) == 0 ? text : std::string{};
}

inline Source source(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  EXPECT_TRUE(prefix) << text;
  const auto made = Source::from_prefix(prefix->address(), prefix->length());
  EXPECT_TRUE(made) << text;
  return *made;
}

}  // namespace portsentry::enforcer
