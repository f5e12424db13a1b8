// A table of fixed size that begins as zeroes, and takes memory only where it is written: the kernel
// hands out a page when it is first touched, and a vector touches all of them to clear them (so may
// calloc(3), told by its environment or in a debugging library). For large tables that are mostly
// empty, of types for which all bytes zero is the empty value.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <type_traits>

#include "common/log.h"

namespace portsentry {

template <class T>
class ZeroedPages {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  // `size`: at least 1. Without memory the process ends.
  explicit ZeroedPages(std::size_t size) : all_(map(size), Unmap{size * sizeof(T)}), size_(size) {}
  T& operator[](std::size_t index) { return all_.get()[index]; }
  const T& operator[](std::size_t index) const { return all_.get()[index]; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(T* all) const { munmap(all, bytes); }
  };

  static T* map(std::size_t size) {
    void* const all =
        mmap(nullptr, size * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) fatal("no memory for a table");
    return static_cast<T*>(all);
  }

  std::unique_ptr<T, Unmap> all_;
  std::size_t size_;
};

}  // namespace portsentry
