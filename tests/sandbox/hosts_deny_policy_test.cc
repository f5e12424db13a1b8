// The hosts.deny editor's own calls, for real, on the descriptors that it has when it is sealed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "child.h"
#include "enforcer/hosts_deny_policy.h"
#include "exercise.h"
#include "policies.h"

namespace portsentry::sandbox {
namespace {

using enforcer::kEditorFile;
using enforcer::kEditorJournal;
using enforcer::kHostsDenyPolicy;

void born_as_editor() {
  for (const int number : {kEditorFile, kEditorJournal, 7}) {
    const int fd = memfd_create("file", MFD_CLOEXEC);
    REQUIRE(write(fd, "sshd: x\n", 8) == 8);
    place(fd, number);
  }
}

TEST(HostsDenyPolicy, ReadsWritesCutsAndSyncsItsTwoFiles) {
  const auto ended = run([] {
    born_as_editor();
    REQUIRE(install(kHostsDenyPolicy).has_value());
    std::array<char, 16> piece{};
    for (const int fd : {kEditorFile, kEditorJournal}) {
      REQUIRE(pread(fd, piece.data(), piece.size(), 0) == 8);
      REQUIRE(pwrite(fd, "y", 1, 6) == 1);
      REQUIRE(ftruncate(fd, 4) == 0);
      REQUIRE(fsync(fd) == 0);
    }
    REQUIRE(fallocate(kEditorFile, FALLOC_FL_KEEP_SIZE, 4, 100) == 0);
    struct stat status {};
    REQUIRE(syscall(SYS_fstat, kEditorFile, &status) == 0);
    REQUIRE(status.st_size == 4);
    close(kEditorFile);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(HostsDenyPolicy, TouchesNoOtherDescriptor) {
  const auto dies = [](const std::function<void()>& what) {
    const auto ended = run([&] {
      born_as_editor();
      REQUIRE(install(kHostsDenyPolicy).has_value());
      what();
    });
    EXPECT_EQ(ended.how, kDiedByFilter) << ended.words;
  };
  std::array<char, 4> piece{};
  dies([&] { static_cast<void>(!pread(7, piece.data(), piece.size(), 0)); });
  dies([&] { static_cast<void>(!pwrite(7, "x", 1, 0)); });
  dies([&] { static_cast<void>(!write(kEditorFile, "x", 1)); });
  dies([&] { static_cast<void>(!read(kEditorFile, piece.data(), piece.size())); });
  dies([&] { static_cast<void>(!ftruncate(7, 0)); });
  dies([&] { static_cast<void>(!fsync(7)); });
  dies([&] { static_cast<void>(!fallocate(7, 0, 0, 1)); });
  dies([&] { static_cast<void>(!fallocate(kEditorJournal, 0, 0, 1)); });
  dies([&] { static_cast<void>(!fchmod(kEditorFile, 0666)); });
  dies([&] { static_cast<void>(!fchown(kEditorFile, 1, 1)); });
}

}  // namespace
}  // namespace portsentry::sandbox
