// What the tests of templates, commands and hosts.deny share: sources from their text, and what a
// program prints.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "common/templates.h"

namespace portsentry {

inline Source source(const std::string& address) {
  return Source::of(*Address::parse(address), true);
}

// The /64 of an address.
inline Source network(const std::string& address) {
  return *Source::from_prefix(*Address::parse(address), 64);
}

inline CommandValues probe(const Source& from) {
  return {
      .source = from, .port = Port::make(23), .mode = ModeWord{Protocol::tcp, WatchMode::stealth}};
}
inline CommandValues probe(const std::string& address) {
  return probe(source(address));
}

inline Template plain(const std::string& text) {
  auto made = Template::parse(text);
  EXPECT_TRUE(made) << text;
  EXPECT_FALSE(made->needs_shell()) << text << ": " << made->shell_reason();
  return *made;
}

// Standard output and error of a program; "status N" behind it when it fails.
inline std::string output_of(std::vector<std::string> argv) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    std::vector<char*> words;
    for (std::string& w : argv)
      words.push_back(w.data());
    words.push_back(nullptr);
    execvp(words.front(), words.data());
    _exit(127);
  }
  close(ends[1]);
  std::string out;
  std::array<char, 4096> piece{};
  for (ssize_t got = 0; (got = read(ends[0], piece.data(), piece.size())) > 0;)
    out.append(piece.data(), static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) out += "status " + std::to_string(status);
  return out;
}

}  // namespace portsentry
