#!/usr/bin/python3
"""engine-db-postgres beside psycopg 3 with psycopg_pool: point SELECTs from 1, 16 and 64 threads and tasks, and a million
rows streamed as dicts. Starts its own PostgreSQL and gateway.

Rounds of the two alternate, so that whatever else the machine does meets both; what is printed are medians, and the ratio
of each pair of neighbouring rounds.

    tests/benchmark/python/benchmark.py [--rounds 5] [--seconds 1.5] [--rows 1000000] [--pool 10] [--only NAME]
"""

from __future__ import annotations

import argparse
import asyncio
import pathlib
import statistics
import sys
import threading
import time
from typing import Any, Awaitable, Callable, Dict, List, Tuple

HERE = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2] / "python"))

import conftest  # noqa: E402,F401  # Builds the package.
import psycopg  # noqa: E402
import psycopg_pool  # noqa: E402
from psycopg.rows import dict_row  # noqa: E402
from support.processes import Postgres, running_gateway, running_postgres  # noqa: E402

import engine_db_postgres as edb  # noqa: E402

CUSTOMERS = 10_000
OURS = "SELECT id, name, points, city FROM customers WHERE id = ?"
THEIRS = OURS.replace("?", "%s")
STREAM = "SELECT id, name, points, city, ratio, active FROM numbers"


def prepare(server: Postgres, rows: int) -> None:
    server.psql(f"""
        CREATE TABLE customers AS SELECT i AS id, 'customer ' || i AS name, i * 7 AS points, 'city ' || i % 100 AS city
          FROM generate_series(1, {CUSTOMERS}) i;
        ALTER TABLE customers ADD PRIMARY KEY (id);
        CREATE TABLE numbers AS SELECT i AS id, 'customer ' || i AS name, i * 7 AS points, 'city ' || i % 100 AS city,
          i / 3.0::float8 AS ratio, i % 2 = 0 AS active FROM generate_series(1, {rows}) i;
        ANALYZE;
        GRANT SELECT ON customers, numbers TO app""")


def from_threads(count: int, seconds: float, call: Callable[[int], Any]) -> float:
    """Calls a second."""
    stop = threading.Event()
    done: List[int] = []
    start = threading.Barrier(count + 1)

    def work(seed: int) -> None:
        key, calls = seed, 0
        start.wait()
        while not stop.is_set():
            key = (key * 7919 + 1) % CUSTOMERS
            rows = call(key + 1)
            assert rows[0]["id"] == key + 1
            calls += 1
        done.append(calls)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    start.wait()
    begin = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - begin)


async def from_tasks(count: int, seconds: float, call: Callable[[int], Awaitable[Any]]) -> float:
    """Calls a second."""
    deadline = time.perf_counter() + seconds

    async def work(seed: int) -> int:
        key, calls = seed, 0
        while time.perf_counter() < deadline:
            key = (key * 7919 + 1) % CUSTOMERS
            rows = await call(key + 1)
            assert rows[0]["id"] == key + 1
            calls += 1
        return calls

    begin = time.perf_counter()
    calls = await asyncio.gather(*(work(number) for number in range(count)))
    return sum(calls) / (time.perf_counter() - begin)


class Sides:
    """Both libraries, connected to the same server."""

    def __init__(self, server: Postgres, address: str, pool: int, seconds: float, rows: int) -> None:
        self.seconds, self.rows, self.pool_size, self.url = seconds, rows, pool, server.url
        self.config = edb.ConnectionConfig(host=server.host, port=server.port, user=server.user, password=server.password,
                                           dbname=server.dbname, min_pool_size=pool, max_pool_size=pool)
        self.address = address
        self.ours = edb.PostgresSyncConnector(self.config, address)
        self.ours.connect()
        self.theirs = psycopg_pool.ConnectionPool(server.url, min_size=pool, max_size=pool,
                                                  kwargs={"row_factory": dict_row, "autocommit": True})
        self.theirs.wait()

    def our_call(self, key: int) -> Any:
        return self.ours.execute(OURS, (key,)).rows

    def their_call(self, key: int) -> Any:
        with self.theirs.connection() as connection:
            return connection.execute(THEIRS, (key,)).fetchall()

    def threads(self, count: int) -> Tuple[Callable[[], float], Callable[[], float]]:
        return (lambda: from_threads(count, self.seconds, self.our_call),
                lambda: from_threads(count, self.seconds, self.their_call))

    def tasks(self, count: int) -> Tuple[Callable[[], float], Callable[[], float]]:
        async def ours() -> float:
            async with edb.PostgresAsyncConnector(self.config, self.address) as connector:
                async def call(key: int) -> Any:
                    return (await connector.async_execute(OURS, (key,))).rows
                await call(1)
                return await from_tasks(count, self.seconds, call)

        async def theirs() -> float:
            async with psycopg_pool.AsyncConnectionPool(self.url, min_size=self.pool_size, max_size=self.pool_size,
                                                        kwargs={"row_factory": dict_row, "autocommit": True}) as pool:
                await pool.wait()

                async def call(key: int) -> Any:
                    async with pool.connection() as connection:
                        return await (await connection.execute(THEIRS, (key,))).fetchall()
                await call(1)
                return await from_tasks(count, self.seconds, call)

        return lambda: asyncio.run(ours()), lambda: asyncio.run(theirs())

    def _rate(self, read: Callable[[], int]) -> float:
        begin = time.perf_counter()
        assert read() == self.rows
        return self.rows / (time.perf_counter() - begin)

    def stream(self) -> Tuple[Callable[[], float], Callable[[], float]]:
        def ours() -> int:
            return sum(1 for row in self.ours.execute_stream(STREAM, timeout_ms=600_000) if row["id"])

        def theirs() -> int:
            with self.theirs.connection() as connection, connection.transaction():
                with connection.cursor(name="numbers") as cursor:  # Of the server's, so that memory is bounded too.
                    cursor.itersize = 2000
                    cursor.execute(STREAM)
                    return sum(1 for row in cursor if row["id"])

        return lambda: self._rate(ours), lambda: self._rate(theirs)

    def stream_async(self) -> Tuple[Callable[[], float], Callable[[], float]]:
        async def ours() -> int:
            async with edb.PostgresAsyncConnector(self.config, self.address) as connector:
                count = 0
                async for row in connector.async_execute_stream(STREAM, timeout_ms=600_000):
                    count += 1 if row["id"] else 0
                return count

        async def theirs() -> int:
            connection = await psycopg.AsyncConnection.connect(self.url, row_factory=dict_row)
            async with connection, connection.cursor(name="numbers") as cursor:
                cursor.itersize = 2000
                await cursor.execute(STREAM)
                count = 0
                async for row in cursor:
                    count += 1 if row["id"] else 0
                return count

        return lambda: self._rate(lambda: asyncio.run(ours())), lambda: self._rate(lambda: asyncio.run(theirs()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pool", type=int, default=10)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    with running_postgres() as server, running_gateway() as gateway:
        prepare(server, options.rows)
        sides = Sides(server, gateway.address, options.pool, options.seconds, options.rows)
        print(f"psycopg {psycopg.__version__} ({psycopg.pq.__impl__} implementation), psycopg_pool "
              f"{psycopg_pool.__version__}, pools of {options.pool}; {options.rounds} alternating rounds")
        print(f"{'':24}{'engine-db':>12}{'psycopg':>12}{'ratio':>8}  (lowest to highest of the pairs)")
        scenarios: Dict[str, Callable[[], Tuple[Callable[[], float], Callable[[], float]]]] = {
            **{f"{count} threads, SELECT/s": lambda count=count: sides.threads(count) for count in (1, 16, 64)},
            **{f"{count} tasks, SELECT/s": lambda count=count: sides.tasks(count) for count in (1, 16, 64)},
            "stream, rows/s": sides.stream,
            "async stream, rows/s": sides.stream_async,
        }
        for name, make in scenarios.items():
            if options.only not in name:
                continue
            ours, theirs = make()
            pairs = [(ours(), theirs()) for _ in range(options.rounds)]
            ratios = sorted(our / their for our, their in pairs)
            print(f"{name:24}{statistics.median(our for our, _ in pairs):12,.0f}"
                  f"{statistics.median(their for _, their in pairs):12,.0f}{statistics.median(ratios):8.2f}"
                  f"  ({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)
        sides.ours.close()
        sides.theirs.close()


if __name__ == "__main__":
    main()
