// The edge: files to a snapshot, and word that one of them has changed.
#pragma once

#include <ctime>

#include "common/result.h"
#include "common/unique_fd.h"
#include "scout/snapshot.h"

namespace portsentry::scout {

// Reads every file of kPlaces that there is. One that cannot be read is as good as none.
[[nodiscard]] Snapshot look(std::time_t now);

// inotify(7) over the same files and their directories. It does not see everything: a file that is
// mounted over another, one behind a link that led nowhere. So look once a minute as well.
class Watch {
 public:
  static Result<Watch> open();
  [[nodiscard]] int fd() const { return inotify_.get(); }  // readable: something has changed
  // Watches what there is now; again after each change, for files that were replaced.
  void follow() const;
  // Takes all that is told, and looks at none of it.
  void drain() const;

 private:
  explicit Watch(UniqueFd inotify) : inotify_(std::move(inotify)) {}
  UniqueFd inotify_;
};

}  // namespace portsentry::scout
