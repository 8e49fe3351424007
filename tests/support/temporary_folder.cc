#include "tests/support/temporary_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>
#include <system_error>

namespace engine::db::test {
namespace {

namespace fs = std::filesystem;

constexpr char kPrefix[] = "engine-db-test-";

fs::path Parent() {
  constexpr size_t kLongestParent = 50;  // leaves room for a socket's name within 107 bytes
  fs::path folder = fs::temp_directory_path();
  return folder.native().size() > kLongestParent ? fs::path("/tmp") : folder;
}

// A young folder may not be locked yet, although its owner lives.
bool Young(const fs::path& file) {
  std::error_code error;
  const auto written = fs::last_write_time(file, error);
  return error || fs::file_time_type::clock::now() - written < std::chrono::minutes(1);
}

void RemoveAbandoned(const fs::path& parent) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent, error)) {
    if (!entry.path().filename().native().starts_with(kPrefix) || Young(entry.path() / ".lock")) continue;
    const int lock = open((entry.path() / ".lock").c_str(), O_RDWR | O_CLOEXEC);
    if (lock < 0) continue;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) fs::remove_all(entry.path(), error);
    close(lock);
  }
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  const fs::path parent = Parent();
  RemoveAbandoned(parent);
  std::string name = parent / (std::string(kPrefix) + "XXXXXX");
  if (mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp " + name);
  path_ = name;
  lock_ = open((path_ / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0 || flock(lock_, LOCK_EX) != 0) throw std::system_error(errno, std::generic_category(), "lock " + name);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // a destructor can do no more than try
  fs::remove_all(path_, ignored);
  close(lock_);
}

}  // namespace engine::db::test
