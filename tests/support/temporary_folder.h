// A folder that lives as long as its object.
#ifndef ENGINE_DB_TESTS_SUPPORT_TEMPORARY_FOLDER_H_
#define ENGINE_DB_TESTS_SUPPORT_TEMPORARY_FOLDER_H_

#include <filesystem>

namespace engine::db::test {

// A new, empty folder with a path short enough for unix sockets in it (those are limited to 107 bytes). Removed with
// everything in it by the destructor; what a killed test left behind is removed by the next one.
class TemporaryFolder {
 public:
  // Throws std::system_error when no folder can be made.
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int lock_ = -1;  // held on the file ".lock" while the owner lives: how others know that the folder is in use
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_TEMPORARY_FOLDER_H_
