#include "common/zeroed_pages.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace portsentry {
namespace {

TEST(ZeroedPages, BeginsAsZeroesAndKeepsWhatIsWritten) {
  ZeroedPages<std::uint32_t> table(100'000);
  EXPECT_EQ(table.size(), 100'000U);
  EXPECT_EQ(table[0] + table[99'999], 0U);
  table[99'999] = 7;
  EXPECT_EQ(table[99'999], 7U);
}

TEST(ZeroedPages, TakesNoMemoryWhereNothingWasWritten) {
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  ZeroedPages<std::uint64_t> table(std::size_t{1} << 25U);  // 256 MiB
  table[1U << 20U] = 1;
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 << 10) << "KiB";
}

}  // namespace
}  // namespace portsentry
