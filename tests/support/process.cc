#include "tests/support/process.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "tests/support/temporary_folder.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

namespace fs = std::filesystem;

// Everything that the child needs, made before the vfork: afterwards only async-signal-safe calls are allowed, since
// other threads may have held a lock at that moment, and since the child has no memory of its own.
struct Prepared {
  explicit Prepared(const ProcessOptions& options) {
    for (const std::string& word : options.command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const std::string_view entry(*variable);
      if (!options.environment.contains(std::string(entry.substr(0, entry.find('='))))) storage.emplace_back(entry);
    }
    for (const auto& [name, value] : options.environment) storage.emplace_back(name).append("=").append(value);
    for (std::string& entry : storage) environment.push_back(entry.data());
    environment.push_back(nullptr);
  }

  std::vector<char*> arguments;
  std::vector<std::string> storage;
  std::vector<char*> environment;
};

bool Redirect(int descriptor, const fs::path& file, int flags) {
  const int opened = open(file.empty() ? "/dev/null" : file.c_str(), flags, 0644);
  return opened >= 0 && dup2(opened, descriptor) >= 0;
}

// Runs in the child. Returns only when something failed, with errno set.
void Become(const ProcessOptions& options, const Prepared& prepared, pid_t parent) {
  // Files are opened before the account changes: the folder may be closed to it.
  if (!Redirect(0, options.stdin_file, O_RDONLY) || !Redirect(1, options.stdout_file, O_WRONLY | O_CREAT | O_APPEND) ||
      !Redirect(2, options.stderr_file, O_WRONLY | O_CREAT | O_APPEND)) {
    return;
  }
  if (setsid() < 0) return;  // a Ctrl-C on the terminal is for the test, which then ends its processes in its own order
  // Not by the C library, which changes the account of every thread that it finds in this memory: those of the parent.
  if (options.account && (syscall(SYS_setgroups, 0, nullptr) != 0 || syscall(SYS_setgid, options.account->gid) != 0 ||
                          syscall(SYS_setuid, options.account->uid) != 0)) {
    return;
  }
  // After setuid, which forgets it.
  if (prctl(PR_SET_PDEATHSIG, options.signal_on_parent_death) != 0) return;
  if (getppid() != parent) _exit(127);  // the parent died before the line above
  if (!options.working_folder.empty() && chdir(options.working_folder.c_str()) != 0) return;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvpe(prepared.arguments[0], prepared.arguments.data(), prepared.environment.data());
}

}  // namespace

std::optional<Account> UnprivilegedAccount() {
  if (geteuid() != 0) return std::nullopt;
  for (const char* name : {"postgres", "nobody"}) {
    if (const passwd* entry = getpwnam(name)) return Account{entry->pw_uid, entry->pw_gid};
  }
  throw std::runtime_error("PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`");
}

void ChangeOwner(const fs::path& path, const Account& account) {
  const auto change = [&account](const fs::path& file) {
    if (lchown(file.c_str(), account.uid, account.gid) != 0) {
      throw std::system_error(errno, std::generic_category(), "chown " + file.string());
    }
  };
  change(path);
  if (!fs::is_directory(path)) return;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path)) change(entry.path());
}

Process::Process(const ProcessOptions& options) {
  const Prepared prepared(options);
  int failure[2];  // carries errno from the child; closes silently when exec succeeds
  if (pipe2(failure, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  const pid_t parent = getpid();
  // No handler of this process may run in the child, on this memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  // Not fork(): to copy the page tables stops every thread of this process that touches new memory, for up to 190 ms on
  // a machine with two cores, and these threads are the clients whose deadlines are measured.
  pid_ = vfork();
  if (pid_ == 0) {
    Become(options, prepared, parent);
    const int error = errno;
    if (write(failure[1], &error, sizeof error) < 0) _exit(126);
    _exit(127);
  }
  const int fork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  close(failure[1]);
  int error = 0;
  ssize_t got = 0;
  if (pid_ < 0) {
    error = fork_error;
  } else {
    do got = read(failure[0], &error, sizeof error);
    while (got < 0 && errno == EINTR);
    if (got != sizeof error) error = 0;
  }
  close(failure[0]);
  if (error == 0) return;
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
  throw std::system_error(error, std::generic_category(), "starting " + options.command.front());
}

Process::~Process() { Kill(); }

bool Process::Running() { return !Wait(std::chrono::milliseconds(0)); }

void Process::Signal(int signal) {
  if (!Running()) return;
  kill(pid_, signal);
  if (signal != SIGSTOP) return;
  static_cast<void>(WaitUntil(std::chrono::seconds(10), [this] {
    std::error_code gone;
    for (const auto& thread : fs::directory_iterator("/proc/" + std::to_string(pid_) + "/task", gone)) {
      std::string state;
      std::ifstream file(thread.path() / "stat");
      std::getline(file, state);
      const size_t name_end = state.rfind(')');  // the name may hold anything
      if (name_end != std::string::npos && state.substr(name_end).find_first_of("Tt") != 2) return false;
    }
    return true;
  }));
}

std::optional<int> Process::Wait(std::chrono::milliseconds timeout) {
  const auto ended = [this] {
    if (exit_code_) return true;
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
  };
  WaitUntil(timeout, ended, std::chrono::milliseconds(5));
  return exit_code_;
}

void Process::Kill() {
  Signal(SIGKILL);
  Wait(std::chrono::seconds(30));
}

Completed RunProgram(ProcessOptions options, std::chrono::milliseconds timeout) {
  const TemporaryFolder folder;
  options.stdout_file = folder.path() / "out";
  options.stderr_file = folder.path() / "err";
  Process process(options);
  const std::optional<int> exit_code = process.Wait(timeout);
  if (!exit_code) process.Kill();
  Completed completed{exit_code.value_or(-1), ReadFile(options.stdout_file), ReadFile(options.stderr_file)};
  if (!exit_code) {
    throw std::runtime_error(options.command.front() + " took longer than " + std::to_string(timeout.count()) +
                             " ms:\n" + completed.out + completed.err);
  }
  return completed;
}

MemoryUsage ReadMemoryUsage(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  MemoryUsage usage;
  std::string word;
  while (status >> word) {
    if (word == "VmRSS:") status >> usage.resident_kib;
    if (word == "VmHWM:") status >> usage.peak_resident_kib;
  }
  if (usage.resident_kib == 0) throw std::runtime_error("no memory figures of process " + std::to_string(pid));
  return usage;
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (!std::all_of(name.begin(), name.end(), [](char digit) { return digit >= '0' && digit <= '9'; })) continue;
    // "PID (name) state PPID ...": the name may hold anything, so it is the last ")" that counts.
    const std::string stat = ReadFile(entry.path() / "stat");
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos) continue;  // has ended since
    std::istringstream rest(stat.substr(name_end + 1));
    std::string state;
    pid_t parent = 0;
    if (rest >> state >> parent && parent == pid) children.push_back(std::stoi(name));
  }
  return children;
}

std::string ReadFile(const fs::path& file) {
  const std::ifstream stream(file, std::ios::binary);
  std::ostringstream content;
  content << stream.rdbuf();  // which throws nothing when a process vanishes while its file in /proc is read
  return content.str();
}

void WriteFile(const fs::path& file, const std::string& content) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream << content;
  stream.close();
  if (!stream) throw std::runtime_error("cannot write " + file.string());
}

}  // namespace engine::db::test
