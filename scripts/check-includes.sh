#!/bin/bash
# Fails when an include points upwards, into a folder that is not meant for the file that includes it, or round in a circle, or when a library is
# seen outside the layer that it belongs to: check-includes.sh [ROOT]
# Without ROOT the check also proves on a temporary tree that it finds each kind of wrong include.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# PART: the other parts whose headers it may include; @PART stands for PART and all that PART may include. A part may name only what stands above
# it, so no arrow of the table points upwards. A folder belongs to the part with the longest name that it begins with.
parts='
proto:
sdk/common:
sdk/include:
sdk/sql:               sdk/common sdk/include
sdk/src:               @sdk/include sdk/common
sdk/builtins/include:  @sdk/include
sdk/builtins/src:      @sdk/builtins/include sdk/common
client/cpp/include:    @sdk/include
client/cpp/src:        @client/cpp/include sdk/common proto
sdk/examples:          @sdk/builtins/include @client/cpp/include

server/base:           sdk/common
server/loop:           @server/base
server/observe:        @server/base proto
server/config:         @server/observe
server/sql:            @server/base sdk/sql proto
server/postgres:       @server/loop @server/config @server/sql
server/pool:           @server/postgres
server/call:           @server/pool
server/gateway:        @server/call
server/rpc/error.h:    @server/base proto
server/rpc:            @server/gateway server/rpc/error.h

client/cli:            @client/cpp/include @sdk/builtins/include @sdk/sql proto

tests/support:         @client/cpp/include
tests/support/full_failure.h:      @server/base
tests/support/manual_clock.h:      @server/loop
tests/support/scripted_backend.h:  @server/postgres tests/support/manual_clock.h
tests/support/scripted_backend.cc: @tests/support/scripted_backend.h
tests/integration:     @tests/support proto server/postgres
tests/conformance:     @tests/integration
tests/fault:           @tests/integration
tests/contract:        @tests/support proto
tests/cli:             @tests/support client/cli sdk/builtins/include
tests/benchmark:       @tests/support
tests/consumer:        @client/cpp/include
tests/sanitizers:
tests/fuzz:            @server/postgres @client/cpp/src sdk/builtins/include server/rpc/error.h
tests/unit/builtins:   @sdk/builtins/include @tests/support
tests/unit/sdk:        @client/cpp/include @tests/support proto
tests/unit/base:       @server/base @tests/support tests/support/full_failure.h
tests/unit/observe:    @server/observe @tests/support
tests/unit/config:     @server/config @tests/support
tests/unit/sql:        @server/sql @tests/conformance
tests/unit/loop:       @server/loop @tests/support tests/support/manual_clock.h
tests/unit/postgres:   @server/postgres @tests/unit/loop tests/support/scripted_backend.h
tests/unit/pool:       @server/pool @tests/unit/postgres
tests/unit/call:       @server/call @tests/unit/pool
tests/unit/gateway:    @server/gateway @tests/unit/call
tests/unit/rpc:        @server/rpc @tests/unit/gateway tests/support/full_failure.h
tests/unit/deploy:     @server/config
'

# PREFIX of an include: the folders, besides tests/, in which it may stand.
libraries='
libpq-fe.h:        server/postgres
pqxx/:             server/postgres
pg_query.h:        sdk/sql server/sql
grpc/:             server/rpc client
grpcpp/:           server/rpc client
google/rpc/:       server/rpc
google/protobuf/:  server client
absl/:             server client sdk/sql
prometheus/:       server/observe
spdlog/:           server/observe
yaml-cpp/:         server/config sdk/builtins/src
'
# Those that may not be seen from other folders through a header either.
hidden='libpq-fe.h pqxx/ pg_query.h grpc/ grpcpp/ spdlog/ yaml-cpp/'

# check ROOT: prints each wrong include and fails if there is one.
check() {
  (cd "$1" && find sdk client server tests \( -name '*.h' -o -name '*.cc' -o -name '*.inc' \) -not -path '*/node_modules/*' | sort) |
    PARTS=$parts LIBRARIES=$libraries HIDDEN=$hidden ROOT=$1 awk '
    function complain(text) { print text; wrong = 1 }
    function folder_of(path) { sub("/[^/]*$", "", path); return path }
    function part_of(path) {
      while (!(path in rank) && path ~ "/") path = folder_of(path)
      return path in rank ? path : ""
    }
    function allow(part, other, all,    i, n, more) {
      if (!(other in rank)) { complain("the table names " other " above " part ", where it does not stand"); return }
      allowed[part, other] = 1
      if (!all) return
      n = split(all_of[other], more, " ")
      for (i = 1; i <= n; ++i) allow(part, more[i], 0)
    }
    # The file that an include names, where it is one of ours.
    function resolve(file, name,    i) {
      if (name ~ "^engine/db/v1/") return "proto/" name
      if (name ~ "^(sdk|client|server|tests|proto)/") return name
      for (i = 1; i <= roots; ++i) if ((root[i] "/" name) in is_file) return root[i] "/" name
      if ((folder_of(file) "/" name) in is_file) return folder_of(file) "/" name
      return ""
    }
    function check_library(file, name,    i) {
      for (i = 1; i <= libraries; ++i) {
        if (index(name, library[i]) != 1) continue
        sees[file, i] = 1
        if (!may_use(file, i)) complain(file ": " name " belongs to " users[i] " only")
      }
    }
    function check_include(file, name,    target, from, to) {
      if (name ~ "^\\.\\.?/" || name ~ "/\\.\\.?/") complain(file ": " name " is no path from the root of the project")
      check_library(file, name ~ "grpc\\.pb\\.h$" ? "grpcpp/" name : name)
      if ((target = resolve(file, name)) == "") return
      from = part_of(file); to = part_of(target)
      if (to == "") complain(file ": " target " is in no part of the table")
      else if (from != "" && from != to && !((from, to) in allowed))
        complain(file ": " from " may not include " name (rank[to] > rank[from] ? ", which lies above it" : ", which belongs to " to))
      if (folder_of(file) != folder_of(target)) arrow[folder_of(file), folder_of(target)] = file " includes " name
      edge_from[++edges] = file
      edge_to[edges] = target
    }
    # Whether library i may stand in this file.
    function may_use(file, i,    j, n, folders) {
      if (file ~ "^tests/") return 1
      n = split(users[i], folders, " ")
      for (j = 1; j <= n; ++j) if (index(file, folders[j] "/") == 1) return 1
      return 0
    }
    # Follows the headers that include library i, and those that include them, to whoever may not see it.
    function check_hidden(i,    e, more, through) {
      for (e in sees) if (e ~ SUBSEP i "$") { through = e; sub(SUBSEP i "$", "", through); seen[through] = 1 }
      do {
        more = 0
        for (e = 1; e <= edges; ++e) {
          if (!(edge_to[e] in seen) || (edge_from[e] in seen)) continue
          if (may_use(edge_from[e], i)) { seen[edge_from[e]] = 1; more = 1 }
          else if (!((edge_from[e], i) in told)) {
            told[edge_from[e], i] = 1
            complain(edge_from[e] ": sees " library[i] " through " edge_to[e])
          }
        }
      } while (more)
      split("", seen)
    }
    # Takes away the folders that nothing points to, until only circles are left.
    function check_circles(    edge, ends, into, taken) {
      do {
        taken = 0
        split("", into)
        for (edge in arrow) { split(edge, ends, SUBSEP); into[ends[2]] = 1 }
        for (edge in arrow) {
          split(edge, ends, SUBSEP)
          if (!(ends[1] in into)) { delete arrow[edge]; taken = 1 }
        }
      } while (taken)
      # The same from the other side, which leaves no folder that is only reached from a circle.
      do {
        taken = 0
        split("", into)
        for (edge in arrow) { split(edge, ends, SUBSEP); into[ends[1]] = 1 }
        for (edge in arrow) {
          split(edge, ends, SUBSEP)
          if (!(ends[2] in into)) { delete arrow[edge]; taken = 1 }
        }
      } while (taken)
      for (edge in arrow) complain("in a circle of folders: " arrow[edge])
    }
    BEGIN {
      roots = split("sdk/include sdk/builtins/include client/cpp/include", root, " ")
      n = split(ENVIRON["PARTS"], lines, "\n")
      for (i = 1; i <= n; ++i) {
        if (split(lines[i], words, " ") == 0) continue
        part = words[1]
        sub(":$", "", part)
        for (j = 2; j in words; ++j) {
          other = words[j]
          all = sub("^@", "", other)
          allow(part, other, all)
        }
        rank[part] = ++parts
        for (pair in allowed) {
          split(pair, ends, SUBSEP)
          if (ends[1] == part) all_of[part] = all_of[part] " " ends[2]
        }
      }
      n = split(ENVIRON["LIBRARIES"], lines, "\n")
      for (i = 1; i <= n; ++i) {
        if (split(lines[i], words, " ") == 0) continue
        library[++libraries] = substr(words[1], 1, length(words[1]) - 1)
        users[libraries] = substr(lines[i], length(words[1]) + 1)
        sub("^ +", "", users[libraries])
      }
    }
    { is_file[$0] = 1; files[++count] = $0 }
    END {
      for (i = 1; i <= count; ++i) {
        file = files[i]
        if (part_of(file) == "") complain(file " is in no part of the table")
        path = ENVIRON["ROOT"] "/" file
        while ((getline line < path) > 0) {
          if (line !~ "^[ \t]*#[ \t]*include[ \t]*[\"<]") continue
          sub("^[^\"<]*[\"<]", "", line)
          sub("[\">].*$", "", line)
          check_include(file, line)
        }
        close(path)
      }
      check_circles()
      n = split(ENVIRON["HIDDEN"], words, " ")
      for (i = 1; i <= libraries; ++i) for (j = 1; j <= n; ++j) if (words[j] == library[i]) check_hidden(i)
      exit wrong
    }'
}

source scripts/proofs.sh

# put FILE INCLUDE: a file with this include.
put() {
  mkdir -p "$(dirname "$1")"
  echo "#include $2" >"$1"
}
# prove FILE INCLUDE MESSAGE [FILE INCLUDE]: a tree with these includes is refused with this message.
prove() {
  new_tree
  put "$tree/$1" "$2"
  if (($# > 3)); then put "$tree/$4" "$5"; fi
  refuses "$tree" "that $1 includes $2" "$3"
}
prove server/pool/a.h '"server/gateway/b.h"' 'which lies above it'
prove server/base/a.h '"engine_db/b.h"' 'which belongs to sdk/include' sdk/include/engine_db/b.h '<string>'
prove sdk/src/a.cc '"client/cpp/src/b.h"' 'which lies above it'
prove sdk/builtins/src/a.cc '"sdk/src/b.h"' 'which belongs to sdk/src'
prove sdk/src/a.cc '"engine/db/v1/value.pb.h"' 'which belongs to proto'
prove server/base/a.cc '"engine/db/v1/error.pb.h"' 'which belongs to proto'
prove server/rpc/a.cc '"tests/support/b.h"' 'which lies above it'
prove server/gateway/a.cc '"engine/db/v1/connector.grpc.pb.h"' 'belongs to server/rpc client only'
prove server/pool/a.cc '<libpq-fe.h>' 'belongs to server/postgres only'
prove client/cli/a.cc '<pqxx/pqxx>' 'belongs to server/postgres only'
prove server/gateway/a.cc '<grpcpp/grpcpp.h>' 'belongs to server/rpc client only'
prove server/postgres/a.cc '<pg_query.h>' 'belongs to sdk/sql server/sql only'
prove server/pool/a.cc '"server/postgres/b.h"' 'sees libpq-fe.h through server/postgres/b.h' server/postgres/b.h '<libpq-fe.h>'
prove server/pool/a.cc '"../gateway/b.h"' 'is no path from the root'
prove server/new/a.cc '<string>' 'is in no part of the table'
prove server/pool/a.cc '"server/new/b.h"' 'is in no part of the table'
prove server/pool/a/b.h '"server/pool/c/d.h"' 'in a circle of folders' server/pool/c/d.h '"server/pool/a/b.h"'
