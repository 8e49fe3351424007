#!/bin/bash
# Builds the gateway, starts it beside a PostgreSQL with sample data, and asks it for a customer's loyalty score.
#   ./run.sh          stays up until Ctrl-C
#   ./run.sh --once   ends when the score has been printed
# With DB_URL set (postgresql://user:password@host:port/dbname; DB_USERNAME and DB_PASSWORD replace what it says) that database is
# asked instead, and nothing is written to it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { printf '%s\n' "$@"; }
fail() {
  printf 'run.sh: %s\n' "$*" >&2
  exit 1
}

once=false
case "$*" in
  "") ;;
  --once) once=true ;;
  *) sed -n '2,6s/^# \?//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

scripts/install.sh build
say "Building; the first time takes some minutes."
scripts/build.sh release engine-db-gateway engine-db

# --- everything that is started is stopped again, by its process id ---

mkdir -p build/run
folder=$(mktemp -d "$PWD/build/run/XXXXXX")
folders=("$folder")
gateway_pid=
postgres_pid=

# stop PID SIGNAL SECONDS
stop() {
  kill -s "$2" "$1" 2>/dev/null || return 0
  for ((tick = 0; tick < $3 * 10; ++tick)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -s KILL "$1" 2>/dev/null || true
}
cleanup() {
  trap '' INT TERM
  [[ -z $gateway_pid ]] || stop "$gateway_pid" TERM 30
  [[ -z $postgres_pid ]] || stop "$postgres_pid" INT 30
  rm -rf "${folders[@]}"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# In a session of its own, so that Ctrl-C reaches this script alone and things end in the right order; and never outliving this script.
start() { exec setsid setpriv --pdeathsig "$@"; }

# --- the database ---

# The step of $pipeline, for those who call the gateway by hand.
pipeline=deploy/development/loyalty.yaml
input=deploy/development/loyalty-input.json
query="SELECT COUNT(*) AS loyaltyScore FROM loyaltyPoints WHERE customer_id = ? AND ORDERDATE BETWEEN ? AND ? GROUP BY customer_id"
customer=C-1001
since=2024-01-01

percent_encoded() {
  local LC_ALL=C encoded= letter code
  for ((i = 0; i < ${#1}; ++i)); do
    letter=${1:i:1}
    if [[ $letter == [a-zA-Z0-9._-] ]]; then
      encoded+=$letter
    else
      printf -v code %d "'$letter"
      printf -v encoded '%s%%%02X' "$encoded" $((code & 255))
    fi
  done
  printf %s "$encoded"
}

start_postgres() {
  local bin run_as=() ownership=() data=$folder/postgres account
  bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort --version-sort | tail -n 1)
  [[ -x $bin/initdb ]] || fail "no PostgreSQL server below /usr/lib/postgresql"
  mkdir "$data"
  chmod 755 "$folder"
  if [[ $EUID == 0 ]]; then
    account=postgres
    getent passwd postgres >/dev/null || account=nobody
    ownership=(--reuid "$account" --regid "$(id --group "$account")" --clear-groups)
    run_as=(setpriv "${ownership[@]}")
  fi
  # A socket's path is limited to 107 bytes, and PostgreSQL's account may not be allowed into a folder of root's.
  if ((${#data} > 80)) || ! "${run_as[@]}" test -x "$data"; then
    data=$(mktemp -d /tmp/engine-db-XXXXXX)
    folders+=("$data")
  fi
  [[ $EUID != 0 ]] || chown "$account" "$data"
  chmod 700 "$data"
  export LC_ALL=C.UTF-8
  (cd / && "${run_as[@]}" "$bin/initdb" -D "$data/data" -U postgres --auth=trust -E UTF8 --locale=C.UTF-8 --no-sync) \
    >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; fail "initdb failed"; }
  # No TCP, and the socket lies in a folder that is closed to others: hence no password.
  (cd / && start QUIT "${ownership[@]}" "$bin/postgres" -D "$data/data" -c listen_addresses= -c "unix_socket_directories=$data") \
    </dev/null >"$folder/postgres.log" 2>&1 &
  postgres_pid=$!
  for ((tick = 0; tick < 600; ++tick)); do
    "$bin/pg_isready" -q -h "$data" && break
    kill -0 "$postgres_pid" 2>/dev/null || { cat "$folder/postgres.log" >&2; fail "PostgreSQL does not start"; }
    sleep 0.1
  done
  local psql=("$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$data")
  "${psql[@]}" -U postgres -c "CREATE ROLE app LOGIN" -c "CREATE DATABASE loyalty OWNER app" </dev/null
  "${psql[@]}" -U app -d loyalty -f deploy/development/loyalty.sql </dev/null >/dev/null
  target=(--host "$data" --user app --dbname loyalty)
  DB_URL=postgresql://app@$(percent_encoded "$data")/loyalty
  DB_USERNAME=
  DB_PASSWORD=
  target_json="{\"host\": \"$data\", \"user\": \"app\", \"dbname\": \"loyalty\"}"
}

if [[ -n ${DB_URL:-} ]]; then
  say "Using the database that DB_URL names."
  target=()
  target_json='{"host": "…", "user": "…", "password": "…", "dbname": "…"}'
else
  start_postgres
  say "PostgreSQL runs privately, on a socket in ${target[1]}, with the sample data of deploy/development/loyalty.sql."
fi

# --- the gateway ---

# start_gateway GRPC_ADDRESS METRICS_ADDRESS: whether it became ready
start_gateway() {
  start TERM build/bin/engine-db-gateway --listen "$1" --metrics-listen "$2" </dev/null >"$folder/ready" 2>"$folder/gateway.log" &
  gateway_pid=$!
  for ((tick = 0; tick < 300; ++tick)); do
    grep -qs "ready:" "$folder/ready" && return 0
    kill -0 "$gateway_pid" 2>/dev/null || break
    sleep 0.1
  done
  return 1
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
grpc=127.0.0.1:50051
metrics=127.0.0.1:9464
if taken 50051; then grpc=127.0.0.1:0; fi
if taken 9464; then metrics=127.0.0.1:0; fi
# Somebody may take a port between the look and the start; the second time the kernel chooses.
start_gateway "$grpc" "$metrics" || start_gateway 127.0.0.1:0 127.0.0.1:0 ||
  { cat "$folder/gateway.log" >&2; fail "the gateway does not start"; }
grpc=$(sed -n 's/.* grpc=\([^ ]*\).*/\1/p' "$folder/ready")
metrics=$(sed -n 's/.* metrics=\([^ ]*\).*/\1/p' "$folder/ready")
say "The gateway takes gRPC on $grpc and shows metrics on http://$metrics/metrics."
[[ $grpc == 127.0.0.1:50051 ]] || say "(Port 50051 is in use, so it has another one.)"

# --- the loyalty score, as the pipeline's step ---

# What the pipeline's server block takes; an empty name or password leaves the URL's in place.
export DB_URL DB_USERNAME="${DB_USERNAME-}" DB_PASSWORD="${DB_PASSWORD-}"
say "" "The loyalty score of customer $customer since $since, by $pipeline:" ""
build/bin/engine-db run "$pipeline" --input "$input" --format table --gateway "$grpc" || fail "the step failed (see above)"

service=engine.db.v1.DatabaseConnector
parameters="[{\"text_value\": \"$customer\"}, {\"text_value\": \"$since\"}, {\"expression_value\": \"EXPRESSION_CURRENT_TIMESTAMP\"}]"
statement_json="\"sql\": \"$query\", \"parameters\": $parameters"
cat <<END

The same by hand, with grpcurl:

  id=\$(grpcurl -plaintext -d '{"config": $target_json}' $grpc $service/Connect |
       sed -n 's/.*"connectionId": *"\([^"]*\)".*/\1/p')
  grpcurl -plaintext -d '{"connection_id": "'\$id'", $statement_json}' $grpc $service/Execute

or with buf (after npm install):

  buf="node_modules/.bin/buf curl --protocol grpc --http2-prior-knowledge"
  id=\$(\$buf -d '{"config": $target_json}' http://$grpc/$service/Connect |
       sed -n 's/.*"connectionId": *"\([^"]*\)".*/\1/p')
  \$buf -d '{"connection_id": "'\$id'", $statement_json}' http://$grpc/$service/Execute

or with the command line:

  build/bin/engine-db query --gateway $grpc ${target[*]} \\
    --param $customer --param $since --param expr:current_timestamp \\
    "$query"

END
[[ $once == false ]] || exit 0
say "It stays up until Ctrl-C. Its log: $folder/gateway.log"

trap 'say "" "Stopping."; exit 0' INT TERM
wait -n "$gateway_pid" ${postgres_pid:+"$postgres_pid"} || true
tail -n 5 "$folder/gateway.log" >&2
fail "the gateway or PostgreSQL has ended by itself"
