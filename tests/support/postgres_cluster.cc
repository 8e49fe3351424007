#include "tests/support/postgres_cluster.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "tests/support/network.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kStartTimeout(60);  // generous: sanitizer runs share the machine with the compiler

fs::path FindBinaries() {
  std::vector<fs::path> candidates;
  if (const char* named = std::getenv("ENGINE_DB_POSTGRES_BINDIR")) candidates.emplace_back(named);
  candidates.emplace_back(ENGINE_DB_POSTGRES_BINDIR);  // of pg_config; the server itself may be of another version
  std::map<int, fs::path, std::greater<>> installed;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/usr/lib/postgresql", error)) {
    installed[std::atoi(entry.path().filename().c_str())] = entry.path() / "bin";
  }
  for (const auto& [version, folder] : installed) candidates.push_back(folder);
  for (const fs::path& folder : candidates) {
    if (fs::exists(folder / "postgres") && fs::exists(folder / "initdb")) return folder;
  }
  throw std::runtime_error("no PostgreSQL server is installed (looked below /usr/lib/postgresql)");
}

std::map<std::string, std::string> ServerEnvironment() {
  return {{"LC_ALL", "C.UTF-8"}, {"TZ", "UTC"}};  // messages in English
}

// Holds a file locked, against other test programs and threads.
class FileLock {
 public:
  explicit FileLock(const fs::path& file) : descriptor_(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0 || flock(descriptor_, LOCK_EX) != 0) {
      throw std::system_error(errno, std::generic_category(), "lock " + file.string());
    }
  }
  ~FileLock() { close(descriptor_); }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_;
};

void CopyData(const fs::path& from, const fs::path& to) {
  fs::copy(from, to, fs::copy_options::recursive);
  fs::permissions(to, fs::perms::owner_all);
}

}  // namespace

fs::path PostgresProgram(const std::string& name) {
  static const fs::path folder = FindBinaries();
  return folder / name;
}

PostgresCluster::PostgresCluster(const PostgresOptions& options)
    : data_dir_(folder_.path() / "data"), host_(options.host), socket_dir_(folder_.path() / "socket") {
  fs::permissions(folder_.path(), fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
  fs::create_directory(socket_dir_);
  InitializeData(options.own_system_identifier);
  if (const auto account = UnprivilegedAccount()) ChangeOwner(folder_.path(), *account);
  constexpr int kAttempts = 5;  // another process may have taken the port since it was found free
  for (int attempt = 1; port_ == 0; ++attempt) {
    port_ = options.port != 0 ? options.port : FreePort();
    Configure(options.settings);
    if (TryStart()) return;
    if (attempt == kAttempts) throw std::runtime_error("PostgreSQL does not start:\n" + Log());
    port_ = 0;
  }
}

PostgresCluster::~PostgresCluster() {
  try {
    Stop(StopMode::kImmediate);
  } catch (const std::exception&) {
    Kill();  // it did not obey in time
  }
}

// initdb takes seconds, so it runs once for a build folder; every cluster begins as a copy of its result.
void PostgresCluster::InitializeData(bool own_system_identifier) {
  if (own_system_identifier) return RunInitdb();
  const fs::path cache(ENGINE_DB_TEST_CACHE);
  fs::create_directories(cache);
  const FileLock lock(cache / "lock");
  // Named for the server's folder, since another version's files would not do.
  std::string name = PostgresProgram("postgres").parent_path();
  for (char& letter : name) letter = letter == '/' ? '-' : letter;
  const fs::path prepared = cache / ("cluster" + name);
  if (!fs::exists(prepared)) {
    RunInitdb();
    const fs::path unfinished = cache / "unfinished";
    fs::remove_all(unfinished);
    CopyData(data_dir_, unfinished);
    fs::rename(unfinished, prepared);
    return;
  }
  CopyData(prepared, data_dir_);
}

void PostgresCluster::RunInitdb() {
  const auto account = UnprivilegedAccount();
  if (account) ChangeOwner(folder_.path(), *account);
  const auto run = [&account, this](std::vector<std::string> command, const fs::path& input) {
    ProcessOptions options;
    options.command = std::move(command);
    options.environment = ServerEnvironment();
    options.account = account;
    options.working_folder = folder_.path();
    options.stdin_file = input;
    const Completed completed = RunProgram(options, kStartTimeout);
    if (completed.exit_code != 0) {
      throw std::runtime_error(options.command.front() + " failed:\n" + completed.out + completed.err);
    }
  };
  run({PostgresProgram("initdb"), "-D", data_dir_, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust",
       "--no-sync", "--no-instructions"},
      {});
  // A server in single-user mode reads one statement a line, and needs no port.
  const fs::path input = folder_.path() / "app.sql";
  WriteFile(input, "CREATE ROLE " + user_ + " LOGIN PASSWORD '" + password_ + "'\nCREATE DATABASE " + dbname_ +
                       " OWNER " + user_ + "\n");
  run({PostgresProgram("postgres"), "--single", "-F", "-D", data_dir_, "postgres"}, input);
  fs::remove(input);
}

void PostgresCluster::Configure(const std::map<std::string, std::string>& settings) {
  std::map<std::string, std::string> all = {
      {"listen_addresses", host_},
      {"port", std::to_string(port_)},
      {"unix_socket_directories", socket_dir_},
      {"fsync", "off"},
      {"full_page_writes", "off"},
      {"max_connections", "100"},
      {"shared_buffers", "64MB"},
      {"dynamic_shared_memory_type", "mmap"},  // /dev/shm is small in containers
      {"timezone", "UTC"},
      {"log_timezone", "UTC"},
      {"log_line_prefix", "%m [%p] "},
  };
  for (const auto& [name, value] : settings) all[name] = value;
  std::ostringstream text;
  for (const auto& [name, value] : all) text << name << " = '" << value << "'\n";
  WriteFile(data_dir_ / "postgresql.conf", text.str());
  WriteFile(data_dir_ / "pg_hba.conf",
            "local all postgres trust\n"
            "local replication postgres trust\n"
            "local all all scram-sha-256\n"
            "host all all 127.0.0.0/8 scram-sha-256\n");
}

void PostgresCluster::Start() {
  if (!TryStart()) throw std::runtime_error("PostgreSQL does not start:\n" + Log());
}

bool PostgresCluster::TryStart() {
  ProcessOptions options;
  options.command = {PostgresProgram("postgres"), "-D", data_dir_};
  options.environment = ServerEnvironment();
  options.account = UnprivilegedAccount();
  options.working_folder = folder_.path();
  options.stdout_file = folder_.path() / "postgres.log";
  options.stderr_file = options.stdout_file;
  options.signal_on_parent_death = SIGQUIT;  // so that it ends its own children
  process_ = std::make_unique<Process>(options);
  const std::string target = Superuser();
  const bool ready =
      WaitUntil(kStartTimeout, [this, &target] { return !process_->Running() || PQping(target.c_str()) == PQPING_OK; });
  if (ready && process_->Running()) return true;
  Kill();
  return false;
}

void PostgresCluster::Stop(StopMode mode) {
  if (!process_) return;
  process_->Signal(mode == StopMode::kSmart ? SIGTERM : mode == StopMode::kFast ? SIGINT : SIGQUIT);
  if (!process_->Wait(std::chrono::seconds(60))) throw std::runtime_error("PostgreSQL does not stop:\n" + Log());
  process_.reset();
}

void PostgresCluster::Restart(StopMode mode) {
  Stop(mode);
  Start();
}

void PostgresCluster::Kill() {
  if (!process_) return;
  process_->Signal(SIGSTOP);  // so that it makes no more children
  const std::vector<pid_t> children = process_->Running() ? ChildrenOf(process_->pid()) : std::vector<pid_t>();
  for (const pid_t child : children) kill(child, SIGKILL);
  process_->Kill();
  // A new server refuses to start while an old backend holds the shared memory.
  WaitUntil(std::chrono::seconds(10), [&children] {
    for (const pid_t child : children) {
      if (kill(child, 0) == 0 && ReadFile("/proc/" + std::to_string(child) + "/cmdline").starts_with("postgres")) {
        return false;
      }
    }
    return true;
  });
  process_.reset();
}

pid_t PostgresCluster::pid() const { return process_ ? process_->pid() : 0; }

std::string PostgresCluster::Superuser() const {
  return "host=" + socket_dir_ + " port=" + std::to_string(port_) + " user=postgres dbname=" + dbname_;
}

std::string PostgresCluster::AppUser() const {
  return "host=" + host_ + " port=" + std::to_string(port_) + " user=" + user_ + " password=" + password_ +
         " dbname=" + dbname_;
}

std::string PostgresCluster::Url() const {
  return "postgresql://" + user_ + ":" + password_ + "@" + host_ + ":" + std::to_string(port_) + "/" + dbname_;
}

pqxx::result PostgresCluster::Exec(const std::string& sql) const {
  pqxx::connection connection(Superuser());
  pqxx::nontransaction work(connection);
  return work.exec(sql);
}

std::string PostgresCluster::Scalar(const std::string& sql) const {
  const pqxx::result result = Exec(sql);
  if (result.empty() || result[0][0].is_null()) return {};
  return result[0][0].c_str();
}

std::string PostgresCluster::Log() const { return ReadFile(folder_.path() / "postgres.log"); }

}  // namespace engine::db::test
