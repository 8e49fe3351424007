"""The asynchronous connector on each event loop, and on one that is watched; and what no `assert` may decide."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys

import pytest
from support.processes import Gateway, Postgres

from conftest import PACKAGE

PROGRAM = """
import asyncio, gc, sys, threading, weakref
import engine_db_postgres as edb

config = edb.ConnectionConfig.from_url(sys.argv[1])

async def main():
    async with edb.PostgresAsyncConnector(config, sys.argv[2]) as db:
        results = await asyncio.gather(*(db.async_execute("SELECT ?::int AS n", [n]) for n in range(200)))
        print(sum(result.rows[0]["n"] for result in results))
        async with db.transaction() as outer:
            async with db.transaction():
                await db.async_execute("CREATE TEMPORARY TABLE t (n int) ON COMMIT DROP")
            await outer.async_execute("INSERT INTO t VALUES (1)")
        print(len([row async for row in db.async_execute_stream("SELECT generate_series(1, 20000)")]))
        print(len((await db.async_execute("SELECT repeat('x', 3000000) AS t")).rows[0]["t"]))
        task = asyncio.create_task(db.async_execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.1)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")
        try:
            await db.async_execute("SELECT pg_sleep(60)", timeout_ms=50)
        except edb.DatabaseTimeoutError as error:
            print(error.reason)

        # Garbage is collected on any thread.
        stream = db.async_execute_stream("SELECT generate_series(1, 1000000)")
        await stream.columns()
        gone = weakref.ref(stream)
        box = [stream]
        del stream
        await asyncio.to_thread(box.clear)
        gc.collect()
        print(gone() is None, (await db.async_execute("SELECT 1 AS one")).rows)

    try:
        await edb.PostgresAsyncConnector(config, "unix:/nowhere/gateway.sock").async_connect()
    except edb.DatabaseConnectionError as error:
        print(error.reason)
    dropped = edb.PostgresAsyncConnector(config, sys.argv[2])
    await dropped.async_connect()
    box = [dropped]
    del dropped
    await asyncio.to_thread(box.clear)
    await asyncio.sleep(0.1)
    print(len(asyncio.all_tasks()))
"""
SAID = "19900\n20000\n3000000\ncancelled\nDEADLINE_EXCEEDED\nTrue [{'one': 1}]\nGATEWAY_UNREACHABLE\n1\n"
RUN = {"asyncio": "asyncio.run(main())", "uvloop": "import uvloop\nuvloop.install()\nasyncio.run(main())"}


@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize("loop", list(RUN))
@pytest.mark.parametrize("optimize", [(), ("-O",)])
def test_an_event_loop(postgres: Postgres, gateway: Gateway, loop: str, debug: str, optimize: "tuple[str, ...]") -> None:
    pytest.importorskip(loop)
    done = subprocess.run([sys.executable, *optimize, "-W", "error", "-c", PROGRAM + RUN[loop], postgres.url, gateway.address],
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
                          env={**os.environ, "PYTHONASYNCIODEBUG": debug})
    # A watched loop tells what took it longer than 0.1 s, which on a busy machine is anything.
    slow = re.compile(r"^(Executing .* took .* seconds|.*poll .* took .* ms: .*)\n", re.MULTILINE)
    assert slow.sub("", done.stderr) == "" and done.stdout == SAID


def test_no_assertion_decides() -> None:
    sources = sorted((PACKAGE / "engine_db_postgres").glob("*.py"))
    assert len(sources) > 20
    for source in sources:
        assert not re.search(r"^\s*assert\b", source.read_text(), re.MULTILINE), source.name
