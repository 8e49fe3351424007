#include "tests/fault/rig.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>

#include "tests/support/network.h"

namespace engine::db::test {

FaultRig::FaultRig(const std::map<std::string, std::string>& postgres_settings)
    : postgres_({.settings = postgres_settings}), proxy_(postgres_.host(), postgres_.port()) {
  gateway_options_.environment = {{"ENGINE_DB_DRAIN_GRACE", "2s"}};
  constexpr int kAttempts = 5;  // another process may take a port that was free
  for (int attempt = 1; gateway_ == nullptr; ++attempt) {
    gateway_address_ = "127.0.0.1:" + std::to_string(FreePort());
    gateway_options_.listen = {gateway_address_};
    try {
      gateway_ = std::make_unique<GatewayProcess>(gateway_options_);
    } catch (const std::runtime_error&) {
      if (attempt == kAttempts) throw;
    }
  }
}

ConnectionConfig FaultRig::Config(int max_pool_size) const {
  ConnectionConfig config;
  config.host = proxy_.host();
  config.port = proxy_.port();
  config.user = postgres_.user();
  config.password = postgres_.password();
  config.dbname = postgres_.dbname();
  config.max_pool_size = max_pool_size;
  config.application_name = kApplication;
  return config;
}

void FaultRig::ReplaceGateway(int signal) {
  Remember();
  if (signal == SIGKILL) {
    gateway_->Kill();
  } else {
    gateway_->Signal(signal);
    // Twice its grace, on a machine that may be busy.
    if (!gateway_->Wait(std::chrono::seconds(10))) {
      gateway_->Kill();
      throw std::runtime_error("the gateway did not end within 10 s of a signal, its grace being 2 s:\n" +
                               gateway_->Log());
    }
  }
  output_ += gateway_->Log();
  gateway_ = std::make_unique<GatewayProcess>(gateway_options_);
}

int FaultRig::Backends(const std::string& condition) const {
  return std::stoi(postgres_.Scalar(std::string("SELECT count(*) FROM pg_stat_activity WHERE application_name = '") +
                                    kApplication + "' AND (" + condition + ")"));
}

void FaultRig::Remember() {
  if (gateway_->Running()) peak_kib_ = std::max(peak_kib_, gateway_->Memory().peak_resident_kib);
}

std::string FaultRig::GatewayOutput() { return output_ + gateway_->Log() + gateway_->Output() + gateway_->Metrics(); }

long FaultRig::GatewayPeakKib() {
  Remember();
  return peak_kib_;
}

}  // namespace engine::db::test
