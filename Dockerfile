# The gateway and its command line in a small image:
#   docker build --tag engine-db-gateway .
# Debian 12 on both sides: what is linked against is what runs.
FROM debian:bookworm AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        g++ cmake ninja-build pkg-config \
        protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libgrpc++-dev libabsl-dev \
        libpq-dev libpqxx-dev libpg-query-dev \
        prometheus-cpp-dev libyaml-cpp-dev nlohmann-json3-dev libspdlog-dev libcli11-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY proto proto
COPY sdk sdk
COPY client client
COPY server server
RUN cmake --preset release && cmake --build --preset release --target engine-db-gateway engine-db \
    && strip build/bin/engine-db-gateway build/bin/engine-db

FROM debian:bookworm-slim
# What the programs link themselves; the rest are dependencies of these. ca-certificates: for TLS to PostgreSQL.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        libgrpc++1.51 libprotobuf32 libabsl20220623 \
        libpq5 libpqxx-6.4 libpg-query1504.0 \
        libprometheus-cpp-core1.0 libprometheus-cpp-pull1.0 libyaml-cpp0.7 libspdlog1.10 \
        ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin engine-db \
    && install --directory --owner engine-db --group engine-db --mode 0770 /run/engine-db
COPY --from=build /source/build/bin/engine-db-gateway /source/build/bin/engine-db /usr/local/bin/
USER 10001:10001

# Applications reach it by the socket in a shared volume, or on loopback in a shared network namespace (a Pod, `--network container:…`).
# Other addresses need mutual TLS: see ENGINE_DB_TLS_CERTIFICATE, ENGINE_DB_TLS_KEY and ENGINE_DB_TLS_CLIENT_CA. Metrics hold no secrets.
ENV ENGINE_DB_LISTEN=127.0.0.1:50051,unix:/run/engine-db/gateway.sock \
    ENGINE_DB_METRICS_LISTEN=0.0.0.0:9464
VOLUME /run/engine-db
EXPOSE 50051 9464

# Asks the gRPC health service; exits 0 only while the gateway serves.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["engine-db", "status"]
# SIGTERM, which is what `docker stop` sends, drains: give it `--time 30`, more than the 20 s of ENGINE_DB_DRAIN_GRACE.
ENTRYPOINT ["engine-db-gateway"]
