// Runs a fuzzer without libFuzzer: over each file of the directories given, over each file cut
// short at every byte, and over copies with seeded damage. The same inputs on every run and
// machine, in a second or two; what it finds, it finds again. An empty corpus is a failure, not a
// pass.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "fuzz.h"

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kMaxCut = 2048;       // prefixes tried per file
constexpr std::size_t kMaxDamaged = 65536;  // larger files are replayed whole only
constexpr unsigned kDamagedCopies = 500;    // per file

void run(const Input& input) {
  // A copy of exactly this size, so that a sanitizer sees a read of one byte too many.
  const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[input.size()]);  // NOLINT
  std::copy(input.begin(), input.end(), exact.get());
  LLVMFuzzerTestOneInput(exact.get(), input.size());
}

std::optional<Input> read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (!file) return std::nullopt;
  Input input;
  std::vector<std::uint8_t> block(65536);
  for (;;) {
    const std::size_t got = std::fread(block.data(), 1, block.size(), file.get());
    input.insert(input.end(), block.begin(), block.begin() + static_cast<std::ptrdiff_t>(got));
    if (got < block.size()) break;
  }
  if (std::ferror(file.get()) != 0) return std::nullopt;
  return input;
}

// Sorted: readdir's order differs from machine to machine.
std::vector<std::string> files_in(const std::string& directory) {
  std::vector<std::string> paths;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  if (!dir) return paths;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string path = directory + "/" + entry->d_name;
    struct stat status {};
    if (stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) paths.push_back(path);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::size_t below(std::mt19937& random, std::size_t limit) {
  return random() % limit;
}

// One to four small changes: a byte replaced, a bit turned, a byte inserted or removed, a run
// doubled.
Input damaged(Input input, std::mt19937& random) {
  for (std::size_t changes = 1 + below(random, 4); changes > 0 && !input.empty(); --changes) {
    const std::size_t where = below(random, input.size());
    const auto at = input.begin() + static_cast<std::ptrdiff_t>(where);
    const auto byte = static_cast<std::uint8_t>(random());
    switch (random() % 5) {
      case 0:
        *at = byte;
        break;
      case 1:
        *at = static_cast<std::uint8_t>(*at ^ (1U << (byte % 8)));
        break;
      case 2:
        input.insert(at, byte);
        break;
      case 3:
        input.erase(at);
        break;
      case 4: {
        const Input part(at, at + static_cast<std::ptrdiff_t>(
                                      std::min<std::size_t>(byte, input.size() - where)));
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(below(random, input.size())),
                     part.begin(), part.end());
        break;
      }
    }
  }
  return input;
}

void replay(const Input& input) {
  run(input);
  if (input.size() > kMaxDamaged) return;
  for (std::size_t size = 0; size < std::min(input.size(), kMaxCut); ++size) {
    run(Input(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(size)));
  }
  std::mt19937 random(20250826);  // NOLINT(cert-msc51-cpp): the same damage on every run is the aim
  for (unsigned i = 0; i < kDamagedCopies; ++i)
    run(damaged(input, random));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY...\n", argv[0]);
    return 2;
  }
  for (int i = 1; i < argc; ++i) {
    const auto paths = files_in(argv[i]);
    if (paths.empty()) {
      std::fprintf(stderr, "%s: no inputs\n", argv[i]);
      return 1;
    }
    for (const std::string& path : paths) {
      const auto input = read_file(path);
      if (!input) {
        std::perror(path.c_str());
        return 1;
      }
      replay(*input);
    }
    std::printf("%s: %zu inputs\n", argv[i], paths.size());
  }
  return 0;
}
