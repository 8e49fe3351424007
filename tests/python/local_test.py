"""PostgresSyncConnector.local(): a gateway of one's own."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import stat
import subprocess
import sys
import time

import pytest
from support.processes import Postgres, gateway_program, wait_until

import engine_db_postgres as edb


def lives(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_it_runs_on_a_private_socket_and_ends_with_close(config: edb.ConnectionConfig) -> None:
    db = edb.PostgresSyncConnector.local(config)
    with db:
        assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]
        local = db._local
        assert local is not None and local.pid is not None
        pid, folder = local.pid, pathlib.Path(local.address[len("unix:"):]).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
        assert "secret" not in arguments and "50051" not in arguments
    assert not lives(pid) and not folder.exists()
    db.connect()
    assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]
    db.close()


def test_two_do_not_meet(config: edb.ConnectionConfig) -> None:
    with edb.PostgresSyncConnector.local(config) as one, edb.PostgresSyncConnector.local(config) as two:
        assert one._local is not None and two._local is not None and one._local.address != two._local.address
        assert one.execute("SELECT 1 AS one").rows == two.execute("SELECT 1 AS one").rows


def test_one_that_was_killed_is_started_again(config: edb.ConnectionConfig) -> None:
    with edb.PostgresSyncConnector.local(config) as db:
        assert db._local is not None and db._local.pid is not None
        os.kill(db._local.pid, signal.SIGKILL)

        def again() -> bool:
            try:
                return db.execute("SELECT 1 AS one").rows == [{"one": 1}]
            except edb.DatabaseConnectionError:
                return False

        wait_until(again, "the next gateway")


def test_async(config: edb.ConnectionConfig) -> None:
    async def main() -> None:
        async with edb.PostgresAsyncConnector.local(config) as db:
            assert (await db.async_execute("SELECT 1 AS one")).rows == [{"one": 1}]
            assert db._local is not None and db._local.pid is not None
            assert lives(db._local.pid)

    asyncio.run(main())


def test_the_program_is_found(config: edb.ConnectionConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGINE_DB_GATEWAY_PATH")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(edb.ConfigurationError, match="ENGINE_DB_GATEWAY_PATH"):
        edb.PostgresSyncConnector.local(config)
    with pytest.raises(edb.ConfigurationError, match="/nowhere/gateway"):
        edb.PostgresSyncConnector.local(config, program="/nowhere/gateway")
    with edb.PostgresSyncConnector.local(config, program=gateway_program()) as db:
        db.execute("SELECT 1")
    monkeypatch.setenv("PATH", str(pathlib.Path(gateway_program()).parent) + ":/usr/bin:/bin")
    with edb.PostgresSyncConnector.local(config) as db:
        db.execute("SELECT 1")


@pytest.mark.parametrize("body, message", [
    ("echo no such thing >&2; exit 3", "no such thing"), ("exec sleep 60", "not ready within 500 ms"),
])
def test_one_that_does_not_start_is_an_error_that_says_why(config: edb.ConnectionConfig, tmp_path: pathlib.Path, body: str,
                                                           message: str) -> None:
    program = tmp_path / "gateway"
    program.write_text("#!/bin/sh\n" + body + "\n")
    program.chmod(0o755)
    db = edb.PostgresSyncConnector.local(config, program=str(program), start_timeout_ms=500 if "sleep" in body else 30_000)
    with pytest.raises(edb.DatabaseConnectionError, match=message) as caught:
        db.connect()
    assert caught.value.reason == "GATEWAY_NOT_STARTED"
    db.close()


SCRIPT = """
import os, sys, time
import engine_db_postgres as edb
db = edb.PostgresSyncConnector.local(edb.ConnectionConfig.from_url(sys.argv[1]))
db.connect()
print(db._local.pid, db._local.address[5:], flush=True)
"""


@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "exit", "raise", "os._exit", "SIGKILL with a forked child"])
def test_the_gateway_ends_with_its_process_however_that_ends(postgres: Postgres, end: str) -> None:
    code = {"exit": "", "raise": "raise KeyError", "os._exit": "os._exit(0)",
            "SIGKILL with a forked child": "os.fork() or time.sleep(300)\ntime.sleep(300)"}.get(end, "time.sleep(300)")
    process = subprocess.Popen([sys.executable, "-c", SCRIPT + code, postgres.url], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        pid, _, path = process.stdout.readline().strip().partition(" ")
        assert int(pid)
        if end.startswith("SIG"):
            process.send_signal(getattr(signal, end.split()[0]))
        process.wait(60)
        wait_until(lambda: not lives(int(pid)) and not os.path.exists(path), "the gateway's end")
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # The forked child.
        except ProcessLookupError:
            pass
        process.stdout.close()
        process.wait()


def test_a_thread_that_connects_and_ends_leaves_the_gateway_running(config: edb.ConnectionConfig) -> None:
    import threading

    with edb.PostgresSyncConnector.local(config) as db:
        db.close()
        thread = threading.Thread(target=db.connect)
        thread.start()
        thread.join()
        time.sleep(0.3)
        assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]
