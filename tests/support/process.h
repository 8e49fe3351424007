// A child process that never outlives the test.
#ifndef ENGINE_DB_TESTS_SUPPORT_PROCESS_H_
#define ENGINE_DB_TESTS_SUPPORT_PROCESS_H_

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace engine::db::test {

// A system account.
struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
};

// The account that servers which refuse to run as root are started with: `postgres`, or `nobody` where there is none.
// Nothing when this process is not root and they can run as they are.
std::optional<Account> UnprivilegedAccount();

// Gives a file, or a folder and all that is in it, to an account. Throws std::system_error.
void ChangeOwner(const std::filesystem::path& path, const Account& account);

// How to start a process.
struct ProcessOptions {
  // Program (a path, or a name to be looked for in PATH) and arguments.
  std::vector<std::string> command = {};
  // Added to this process's environment.
  std::map<std::string, std::string> environment = {};
  // Where its output goes; /dev/null if empty. They may be the same file. Existing files are appended to.
  std::filesystem::path stdout_file = {};
  std::filesystem::path stderr_file = {};
  // Where its input comes from; /dev/null if empty.
  std::filesystem::path stdin_file = {};
  // Its working folder; this process's if empty.
  std::filesystem::path working_folder = {};
  // The account to run it as; this process's own if empty. Needs root.
  std::optional<Account> account = {};
  // The signal that it gets when the thread that started it ends, so that it dies even when the test crashes. Hence:
  // start processes from threads that live as long as they should.
  int signal_on_parent_death = SIGKILL;
};

// Not thread-safe. The destructor kills (SIGKILL) and reaps a process that still runs.
class Process {
 public:
  // Throws std::system_error when it cannot be started, a missing program included.
  explicit Process(const ProcessOptions& options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Its process id; stays the same after it has ended.
  pid_t pid() const { return pid_; }

  // Whether it still runs.
  bool Running();

  // Sends a signal; nothing happens when it has ended. After SIGSTOP it returns when all threads stand still.
  void Signal(int signal);

  // Waits for its end. Returns its exit code, or 128 + N when signal N ended it; nothing if it still runs after
  // `timeout`. May be called again.
  std::optional<int> Wait(std::chrono::milliseconds timeout);

  // SIGKILL, and waits for the end.
  void Kill();

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

// Exit code and output of a program that has ended.
struct Completed {
  int exit_code = 0;
  std::string out;
  std::string err;
};

// Runs a program to its end; the output files of `options` are not used. Throws std::runtime_error when it takes longer
// than `timeout` (and kills it).
Completed RunProgram(ProcessOptions options, std::chrono::milliseconds timeout = std::chrono::seconds(60));

// How much memory a process has, in KiB.
struct MemoryUsage {
  long resident_kib = 0;       // VmRSS
  long peak_resident_kib = 0;  // VmHWM
};

// Throws std::runtime_error when there is no such process.
MemoryUsage ReadMemoryUsage(pid_t pid);

// The processes whose parent is `pid`.
std::vector<pid_t> ChildrenOf(pid_t pid);

// A file's content; empty if it cannot be read.
std::string ReadFile(const std::filesystem::path& file);

// Replaces a file's content. Throws std::runtime_error.
void WriteFile(const std::filesystem::path& file, const std::string& content);

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_PROCESS_H_
