// engine-db-soak: faults at random against clients at work, and what became of it all.
#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/clients.h"
#include "tests/fault/ledger.h"
#include "tests/fault/random_faults.h"
#include "tests/fault/rig.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kFooter = R"(
It starts a private PostgreSQL, a proxy whose links fail on command, and the gateway, and lets clients work on a bank
and an append-only ledger through them. The seed decides which faults come in which order. At the end PostgreSQL is
asked directly, and what it says is compared with what every client was told.
Exit code: 0, 1 when something was violated, 2 when the run itself failed.)";

constexpr int kPoolSize = 8;
constexpr long kMemoryLimitKib = 512 * 1024;

struct Arguments {
  double minutes = 5;
  uint32_t seed = 1;
  int threads = 8;
  int overrun_ms = 250;
  std::string only;
  bool verbose = false;
};

class Soak {
 public:
  explicit Soak(const Arguments& arguments)
      : arguments_(arguments),
        rig_({{"max_connections", "60"}, {"deadlock_timeout", "100ms"}, {"superuser_reserved_connections", "10"}}),
        ledger_(rig_.postgres()),
        faults_(rig_, ledger_, arguments.seed, kFieldCanary) {}

  // The number of violations.
  int64_t Run() {
    {
      Clients clients(ledger_, Options());
      WaitUntil(seconds(30), [&] { return clients.succeeded() > arguments_.threads * 2; });
      const Clock::time_point end = Clock::now() + milliseconds(static_cast<int64_t>(arguments_.minutes * 60'000));
      std::mt19937 random(arguments_.seed);
      while (Clock::now() < end) {
        Pause(random);
        InjectOne();
        CheckBackends();
      }
      rig_.proxy().Heal();
      // Work goes on when all is well.
      const int64_t before = clients.succeeded();
      if (!WaitUntil(seconds(15), [&] { return clients.succeeded() > before + 20; })) {
        Violation("the clients do not get on after all faults were healed");
      }
      clients.Stop();
      report_ = clients.Report();
    }
    const bool none_left = WaitUntil(
        seconds(15), [&] { return rig_.Backends() == 0; }, milliseconds(100));
    leaked_backends_ = none_left ? 0 : rig_.Backends();
    if (!none_left) Violation(std::to_string(leaked_backends_) + " backends are left after the last client has gone");
    CheckSecrets();
    CheckMemory();
    audit_ = ledger_.Check();
    return Print();
  }

 private:
  static constexpr const char* kParameterCanary = "canary-in-a-parameter-7731";
  static constexpr const char* kFieldCanary = "canary-in-an-error-field-9942";

  [[nodiscard]] ClientOptions Options() const {
    ClientOptions options;
    options.config = rig_.Config(kPoolSize);
    options.config.timeout_ms = 3000;
    options.config.retry = {.max_attempts = 4, .initial_delay_ms = 10, .max_delay_ms = 200};
    options.gateway = rig_.Gateway();
    options.threads = arguments_.threads;
    options.allowed_overrun = milliseconds(arguments_.overrun_ms);
    options.seed = arguments_.seed;
    options.secrets = {kParameterCanary};
    return options;
  }

  static void Pause(std::mt19937& random) {
    std::this_thread::sleep_for(milliseconds(100 + random() % 500));  // the pace of the faults
  }

  void InjectOne() {
    const auto at = std::chrono::duration_cast<milliseconds>(Clock::now() - start_);
    const std::string name = arguments_.only.empty()           ? faults_.Inject()
                             : faults_.Inject(arguments_.only) ? arguments_.only
                                                               : "";
    if (name.empty()) {
      ++missed_;
      return;
    }
    ++injected_[name];
    timeline_.push_back("at " + std::to_string(at.count()) + " ms: " + name);
    if (arguments_.verbose) std::cerr << timeline_.back() << std::endl;
  }

  // What a fault leaves behind on the server is gone five seconds later.
  void CheckBackends() {
    const auto fine = [&] {
      return rig_.Backends() <= kPoolSize &&
             rig_.Backends("state LIKE 'idle in transaction%' AND state_change < now() - interval '5 s'") == 0;
    };
    if (WaitUntil(seconds(6), fine, milliseconds(100))) return;
    Violation("six seconds after a fault: " + std::to_string(rig_.Backends()) + " backends, " +
              std::to_string(rig_.Backends("state LIKE 'idle in transaction%'")) + " of them idle in transaction");
  }

  void CheckSecrets() {
    const std::string output = rig_.GatewayOutput();
    for (const std::string& secret :
         {std::string(kParameterCanary), std::string(kFieldCanary), rig_.postgres().password()}) {
      for (size_t at = output.find(secret); at != std::string::npos; at = output.find(secret, at + 1)) {
        if (++secrets_ == 1)
          Violation("a secret in the gateway's output: …" + output.substr(at < 300 ? 0 : at - 300, 350));
      }
    }
  }

  void CheckMemory() {
    if (rig_.GatewayPeakKib() > kMemoryLimitKib) {
      Violation("the gateway took " + std::to_string(rig_.GatewayPeakKib() / 1024) + " MiB");
    }
  }

  void Violation(const std::string& text) {
    const auto at = std::chrono::duration_cast<milliseconds>(Clock::now() - start_);
    violations_.push_back("at " + std::to_string(at.count()) + " ms: " + text);
  }

  int64_t Print() {
    int64_t faults = 0;
    for (const auto& [name, count] : injected_) faults += count;
    int64_t operations = 0;
    for (const auto& [name, count] : report_.operations) operations += count;
    violations_.insert(violations_.end(), report_.violations.begin(), report_.violations.end());
    violations_.insert(violations_.end(), audit_.violations.begin(), audit_.violations.end());

    const auto line = [](const std::string& name, const std::string& value) {
      std::printf("%-28s %s\n", name.c_str(), value.c_str());
    };
    const auto number = [&](const std::string& name, int64_t value) { line(name, std::to_string(value)); };
    number("seed", arguments_.seed);
    number("operations", operations);
    for (const auto& [name, count] : report_.operations) number("  " + name, count);
    number("faults", faults);
    for (const auto& [name, count] : injected_) number("  " + name, count);
    number("faults that hit nobody", missed_);
    number("writes", audit_.operations);
    number("acknowledged", audit_.acknowledged);
    number("lost", audit_.lost);
    number("duplicated", audit_.duplicated);
    number("wrong verdicts", audit_.wrong_verdicts);
    number("no verdict", audit_.missing_verdicts);
    line("unknown", std::to_string(audit_.unknown) + " (applied: " + std::to_string(audit_.unknown_applied) + ")");
    number("resolved by asking again", report_.resolved);
    number("reads of the total", report_.reads_of_the_total);
    number("wrong balances at the end", audit_.wrong_balances);
    line("worst overrun of a deadline",
         std::to_string(report_.worst_overrun.count()) +
             " ms (worst pause of the machine: " + std::to_string(report_.worst_pause.count()) + " ms)");
    number("leaked backends", leaked_backends_);
    number("secrets in outputs", secrets_);
    line("gateway's memory, at most", std::to_string(rig_.GatewayPeakKib() / 1024) + " MiB");
    if (arguments_.verbose) {
      std::printf("errors\n");
      for (const auto& [name, count] : report_.errors) number("  " + name, count);
    }
    const auto count = static_cast<int64_t>(violations_.size());
    number("violations", count);
    for (const std::string& violation : violations_) std::printf("  %s\n", violation.c_str());
    if (count > 0 && !arguments_.verbose) {
      std::printf("faults, in order\n");
      for (const std::string& fault : timeline_) std::printf("  %s\n", fault.c_str());
    }
    return count;
  }

  const Arguments arguments_;
  FaultRig rig_;
  Ledger ledger_;
  RandomFaults faults_;
  const Clock::time_point start_ = Clock::now();
  std::map<std::string, int64_t> injected_;
  std::vector<std::string> timeline_;
  int64_t missed_ = 0;
  int leaked_backends_ = 0;
  int64_t secrets_ = 0;
  std::vector<std::string> violations_;
  ClientReport report_;
  Audit audit_;
};

int Main(int argc, char** argv) {
  CLI::App app("Injects faults at random while clients work through the gateway", "engine-db-soak");
  Arguments arguments;
  app.add_option("--minutes", arguments.minutes)->capture_default_str()->check(CLI::Range(0.05, 1440.0));
  app.add_option("--seed", arguments.seed)->capture_default_str();
  app.add_option("--threads", arguments.threads, "clients")->capture_default_str()->check(CLI::Range(1, 64));
  app.add_option("--overrun-ms", arguments.overrun_ms,
                 "how long past its deadline a call may end: more than the 250 promised on a machine that is busy")
      ->capture_default_str()
      ->check(CLI::Range(1, 60'000));
  app.add_option("--only", arguments.only, "this kind of fault alone")->check(CLI::IsMember(RandomFaults::Names()));
  app.add_flag("--verbose", arguments.verbose, "tell each fault when it happens, and each kind of error at the end");
  app.footer(kFooter);
  CLI11_PARSE(app, argc, argv);
  return Soak(arguments).Run() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace engine::db::test

int main(int argc, char** argv) {
  try {
    return engine::db::test::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "engine-db-soak: " << error.what() << "\n";
    return 2;
  }
}
