// What every sealed process does with libc, for real: memory, time, waiting, dying.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "child.h"

namespace portsentry::sandbox {

// Small and large blocks, growth in place, memory given back.
inline void exercise_memory() {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < 20000; ++i)
    words.emplace_back(i % 700, 'x');
  REQUIRE(words.back().size() == 19999 % 700);
  words.clear();
  words.shrink_to_fit();
  void* block = std::malloc(1U << 20);
  REQUIRE(block != nullptr);
  for (std::size_t size = 1U << 21; size <= 1U << 25; size *= 2) {
    void* grown = std::realloc(block, size);
    REQUIRE(grown != nullptr);
    std::memset(grown, 1, size);
    block = grown;
  }
  std::free(block);
}

inline void exercise_clock() {
  const auto before = std::chrono::steady_clock::now();
  REQUIRE(std::chrono::steady_clock::now() >= before);
  REQUIRE(std::chrono::system_clock::now().time_since_epoch().count() > 0);
}

// Nothing happens for `ms`.
inline void exercise_poll(int ms) {
  REQUIRE(::poll(nullptr, 0, ms) == 0);
}

}  // namespace portsentry::sandbox
