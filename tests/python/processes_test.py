"""Connectors in other processes: forked, spawned, or told by pickle."""

from __future__ import annotations

import asyncio
import copy
import os
import pathlib
import pickle
import socket
import subprocess
import sys

import pytest
from support.processes import Gateway, Postgres

import engine_db_postgres as edb
from engine_db_postgres import _gateway

PRELUDE = """
import asyncio, multiprocessing, os, pickle, signal, sys, threading, time
import engine_db_postgres as edb
config = edb.ConnectionConfig.from_url(sys.argv[1])
address = sys.argv[2]

def in_child(work):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print("failed:", repr(error))
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)

def backend(db):
    return db.execute("SELECT pg_backend_pid() AS pid").rows[0]["pid"]
"""


def output(postgres: Postgres, address: str, code: str, folder: pathlib.Path) -> str:
    program = folder / "program.py"  # A file, for multiprocessing's spawn.
    program.write_text(PRELUDE + code)
    done = subprocess.run([sys.executable, "-W", "error::ResourceWarning", str(program), postgres.url, address], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return done.stdout


SHARED = """
def sockets():
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink("/proc/self/fd/" + number)
        except OSError:
            continue
        if link.startswith("socket:") or (link.startswith("pipe:") and int(number) > 2):
            found.add(link)
    return found
"""


def test_a_forked_child_shares_no_socket_with_its_parent(postgres: Postgres, gateway: Gateway, tmp_path: pathlib.Path) -> None:
    assert output(postgres, gateway.address, SHARED + """
db = edb.PostgresSyncConnector(config, address)
db.connect()
local = edb.PostgresSyncConnector.local(config)
local.connect()
parents = sockets()
def child():
    print(sockets() & parents)
    db.execute("SELECT 1"), local.execute("SELECT 1")
    print(sockets() & parents)
in_child(child)
print(len(db.execute("SELECT 1")), len(local.execute("SELECT 1")))
""", tmp_path) == "set()\nset()\n1 1\n"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_child_forked_within_a_loop_shares_no_socket_with_its_parent(postgres: Postgres, gateway: Gateway, tmp_path: pathlib.Path,
                                                                      loop: str) -> None:
    pytest.importorskip(loop)
    assert output(postgres, gateway.address, SHARED + f"""
import {loop}
db = edb.PostgresAsyncConnector(config, address)
async def main():
    async with db:
        link = os.readlink(f"/proc/self/fd/{{db._state.session._transport.get_extra_info('socket').fileno()}}")
        in_child(lambda: print(link in sockets()))
        print((await db.async_execute("SELECT 1 AS one")).rows)
loop = {loop}.new_event_loop()
loop.run_until_complete(main())
loop.close()
async def again():
    async with db:
        print((await db.async_execute("SELECT 2 AS two")).rows)
in_child(lambda: asyncio.run(again()))
""", tmp_path) == "False\n[{'one': 1}]\n[{'two': 2}]\n"


def test_a_child_forked_while_another_thread_connects_shares_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        connecting = socket.socket()
        _gateway._connecting.add(connecting)
        connecting.connect(listener.getsockname()) if listener.listen() else None
        link = os.readlink(f"/proc/self/fd/{connecting.fileno()}")
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, str(os.readlink(f"/proc/self/fd/{connecting.fileno()}") == link).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(read, 10) == b"False"
        os.close(read), os.close(write), connecting.close()


def test_a_forked_child_uses_its_parent_s_local_gateway_and_does_not_end_it(postgres: Postgres, tmp_path: pathlib.Path) -> None:
    said = output(postgres, "", """
db = edb.PostgresSyncConnector.local(config)
db.connect()
mine = db._local.pid
def child():
    print(len(db.execute("SELECT 1")), db._local.pid)
    db.close()
    db.connect()
    print(len(db.execute("SELECT 1")), db._local.pid)
in_child(child)
print(len(db.execute("SELECT 1")), db._local.pid == mine)
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(pool.map(backend, [db] * 3, chunksize=1) != [])
db.close()
print(os.path.exists(db._local.address[5:]))
db.connect()
print(len(db.execute("SELECT 1")))
""", tmp_path)
    assert said == "1 None\n1 None\n1 True\nTrue\nFalse\n1\n"


def test_a_forked_child_whose_parent_has_no_gateway_starts_one_of_its_own(postgres: Postgres, tmp_path: pathlib.Path) -> None:
    assert output(postgres, "", """
early = edb.PostgresSyncConnector.local(config)
def child():
    early.connect()
    print(early.execute("SELECT 1 AS one").rows, early._local.pid is not None)
    early.close()
in_child(child)
early.connect()
print(early.execute("SELECT 2 AS two").rows)
address = early._local.address
def daemon():
    early._local.address == address and os.kill(os.getppid(), signal.SIGCONT)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # Until the parent's gateway has gone with it.
        try:
            early.execute("SELECT 1")
            if early._local.pid is not None:
                break
        except edb.DatabaseConnectionError:
            pass
        time.sleep(0.05)
    print(early.execute("SELECT 3 AS three").rows, early._local.address != address)
    early.close()
sys.stdout.flush()
if os.fork() == 0:  # A program that becomes a daemon.
    daemon()
    sys.stdout.flush()
os._exit(0)
""", tmp_path) == "[{'one': 1}] True\n[{'two': 2}]\n[{'three': 3}] True\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("kind", ["of a gateway", "local()"])
def test_a_connector_is_given_to_multiprocessing_s_children(postgres: Postgres, gateway: Gateway, tmp_path: pathlib.Path, method: str,
                                                            kind: str) -> None:
    make = "edb.PostgresSyncConnector(config, address)" if kind == "of a gateway" else "edb.PostgresSyncConnector.local(config)"
    assert output(postgres, gateway.address, f"""
def work(db, config):
    print(db.execute("SELECT 1 AS one").rows, config.password.get_secret_value(), flush=True)
    db.close()

async def async_work(db):
    print((await db.async_execute("SELECT 2 AS two")).rows, flush=True)
    await db.async_close()

def run_async(db):
    asyncio._set_running_loop(None)  # A forked child begins within its parent's.
    asyncio.run(async_work(db))

def start(target, *arguments):
    process = multiprocessing.get_context({method!r}).Process(target=target, args=arguments)
    process.start()
    process.join()
    process.close()

async def start_async(address):
    async with edb.PostgresAsyncConnector(config, address) as db:
        start(run_async, db)

if __name__ == "__main__":
    with {make} as db:
        start(work, db, config)
        asyncio.run(start_async(db._state.address))
        print(db.execute("SELECT 3 AS three").rows)
""", tmp_path) == "[{'one': 1}] secret\n[{'two': 2}]\n[{'three': 3}]\n"


def test_what_cannot_be_given_to_another_process_says_so(config: edb.ConnectionConfig, db: edb.PostgresSyncConnector) -> None:
    local = edb.PostgresSyncConnector.local(config)
    with pytest.raises(pickle.PicklingError, match="connect it first"):
        pickle.dumps(local)
    with pytest.raises(TypeError), db.transaction() as transaction:
        pickle.dumps(transaction)


def test_configurations_are_pickled_and_copied(config: edb.ConnectionConfig) -> None:
    for value in (config, edb.DataSource(name="x"), edb.RetryConfig(initial_delay_ms=5000), edb.TransactionOptions()):
        for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
            assert again == value
    assert pickle.loads(pickle.dumps(config)).password.get_secret_value() == config.password.get_secret_value()


def test_results_are_pickled_and_copied(db: edb.PostgresSyncConnector) -> None:
    sql = "SELECT ARRAY[1, 2] AS a, '{\"b\": [1]}'::jsonb AS j, now() AS t, 'infinity'::date AS d, 1 AS one UNION ALL SELECT" \
          " '{}', '[]', now(), '2024-01-01', 2"
    for read in (False, True):
        result = db.execute(sql, text_columns=["d"])
        if read:
            assert len(result.rows) == len(result.tuples) == 2
        for again in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
            assert again.rows == result.rows and again.tuples == result.tuples and again.columns == result.columns
            assert again.rows[0]["a"] == [1, 2] and again.rows[0]["d"] == "infinity"
    entries = db.execute_batch([sql.replace("'infinity'", "'2024-02-02'"), "SELECT 1 / 0"])
    again = pickle.loads(pickle.dumps(entries))
    assert again[0].result.rows == entries[0].result.rows and again[1].error.info == entries[1].error.info
