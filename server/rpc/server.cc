#include "server/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace engine::db::rpc {
namespace {

// Past so many bytes of metadata a call is refused: by gRPC's default, here in words.
constexpr int kMaxMetadataBytes = 8 << 10;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.good() || content.empty()) return absl::FailedPreconditionError(absl::StrCat("can't read ", path));
  return content;
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TlsCredentials(const config::ServerTls& tls) {
  const absl::StatusOr<std::string> certificate = ReadFile(tls.certificate);
  if (!certificate.ok()) return certificate.status();
  const absl::StatusOr<std::string> key = ReadFile(tls.key);
  if (!key.ok()) return key.status();
  const absl::StatusOr<std::string> client_ca = ReadFile(tls.client_ca);
  if (!client_ca.ok()) return client_ca.status();
  grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = *client_ca;
  options.pem_key_cert_pairs.push_back({*key, *certificate});
  return grpc::SslServerCredentials(options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const config::GatewaySettings& settings,
                                                      gateway::Gateway& gateway) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto server = std::unique_ptr<Server>(new Server(gateway));

  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(settings.limits.request_bytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  // Else a second gateway would silently share the port, and get half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(&server->connector_);
  builder.RegisterService(&server->admin_);
  std::vector<int> ports(settings.listen.size(), 0);
  for (size_t i = 0; i < settings.listen.size(); ++i) {
    const config::ListenAddress& address = settings.listen[i];
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    if (settings.tls.has_value() && !address.IsUnix()) {
      absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> tls = TlsCredentials(*settings.tls);
      if (!tls.ok()) return tls.status();
      credentials = *std::move(tls);
    }
    builder.AddListeningPort(address.ToString(), std::move(credentials), &ports[i]);
  }
  server->server_ = builder.BuildAndStart();
  for (size_t i = 0; i < settings.listen.size(); ++i) {
    config::ListenAddress address = settings.listen[i];
    if (server->server_ == nullptr || ports[i] == 0) {
      if (server->server_ == nullptr && ports[i] != 0) continue;  // another one failed
      return absl::UnavailableError(
          absl::StrCat("can't listen on ", address.ToString(), ": it is in use, or not an address of this machine"));
    }
    if (!address.IsUnix()) address.port = static_cast<uint16_t>(ports[i]);
    server->addresses_.push_back(address.ToString());
  }
  if (server->server_ == nullptr) return absl::UnavailableError("the gRPC server could not be started");
  return server;
}

Server::~Server() { Shutdown(absl::Now()); }

void Server::StopServing() { server_->GetHealthCheckService()->SetServingStatus(false); }

void Server::Shutdown(absl::Time deadline) {
  if (server_ == nullptr) return;
  server_->Shutdown(absl::ToChronoTime(deadline));
  server_->Wait();
  server_.reset();
}

}  // namespace engine::db::rpc
