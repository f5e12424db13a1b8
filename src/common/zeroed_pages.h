// A table of fixed size that begins as zeroes, and takes memory only where it is written: the kernel
// hands out a page when it is first touched, and a vector touches all of them to clear them. For large
// tables that are mostly empty, of types for which all bytes zero is the empty value.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <type_traits>

#include "common/log.h"

namespace portsentry {

template <class T>
class ZeroedPages {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  // Without memory the process ends.
  explicit ZeroedPages(std::size_t size)
      : all_(static_cast<T*>(std::calloc(size, sizeof(T)))), size_(size) {
    if (!all_) fatal("no memory for a table");
  }
  T& operator[](std::size_t index) { return all_.get()[index]; }
  const T& operator[](std::size_t index) const { return all_.get()[index]; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(T* all) const { std::free(all); }
  };
  std::unique_ptr<T, Free> all_;
  std::size_t size_;
};

}  // namespace portsentry
