"""US-004, US-008 and the rest of the stories with the asynchronous connector."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Awaitable, Callable, Coroutine, List

import pytest
from support.processes import Gateway, Postgres, wait_until

import engine_db_postgres as edb

DB = edb.PostgresAsyncConnector
Run = Callable[[Callable[[DB], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run(config: edb.ConnectionConfig, gateway: Gateway) -> Run:
    """Runs a coroutine function with a connected connector."""

    def runner(work: Callable[[DB], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with DB(config, gateway.address) as db:
                await work(db)

        asyncio.run(main())

    return runner


# US-004.


def test_operations_are_coroutines_and_rows_are_dicts(run: Run, items: str) -> None:
    async def work(db: DB) -> None:
        operation = db.async_execute("INSERT INTO items VALUES (?, ?) RETURNING id", [1, "a"])
        assert asyncio.iscoroutine(operation)
        result = await operation
        assert (result.rows, result.rowcount) == ([{"id": 1}], 1)

    run(work)


def test_concurrent_calls_run_in_parallel(run: Run) -> None:
    async def work(db: DB) -> None:
        begin = time.monotonic()
        await asyncio.gather(*(db.async_execute("SELECT pg_sleep(0.5)") for _ in range(10)))
        assert time.monotonic() - begin < 4.5  # One after the other they take five.

    run(work)


def test_a_thousand_concurrent_calls_each_get_their_own_answer(run: Run) -> None:
    async def work(db: DB) -> None:
        results = await asyncio.gather(*(db.async_execute("SELECT ?::int AS n, repeat('x', ?::int) AS t", [i, i % 50])
                                         for i in range(1000)))
        assert [result.rows for result in results] == [[{"n": i, "t": "x" * (i % 50)}] for i in range(1000)]

    run(work)


def test_the_answers_are_those_of_the_synchronous_connector(run: Run, db: edb.PostgresSyncConnector) -> None:
    statements: List[Any] = [
        ("SELECT i, i::text AS t, NULL AS n, now()::date AS d FROM generate_series(1, 10) i", []),
        ("SELECT ?::numeric AS a, ?::bytea AS b", [1, b"\0\xff"]), ("SELECT 1 WHERE false", []),
    ]
    errors: List[Any] = [("SELECT 1 / 0", []), ("SELECT", [1]), ("SELECT nonsense", []), ("BEGIN", [])]

    async def work(async_db: DB) -> None:
        for sql, params in statements:
            ours, theirs = await async_db.async_execute(sql, params), db.execute(sql, params)
            assert (ours.rows, ours.columns, ours.rowcount, ours.bound_sql, ours.command_tag) == (
                theirs.rows, theirs.columns, theirs.rowcount, theirs.bound_sql, theirs.command_tag)
        for sql, params in errors:
            with pytest.raises(edb.DatabaseError) as ours_error:
                await async_db.async_execute(sql, params)
            with pytest.raises(edb.DatabaseError) as their_error:
                db.execute(sql, params)
            assert ours_error.value.info == their_error.value.info

    run(work)


def test_errors_reach_the_task_that_caused_them(run: Run, items: str) -> None:
    async def work(db: DB) -> None:
        results = await asyncio.gather(*(db.async_execute("SELECT 10 / ?::int AS q", [i]) for i in (0, 1, 0, 2)),
                                       return_exceptions=True)
        assert [type(result) for result in results] == [edb.DatabaseExecutionError, edb.Result,
                                                        edb.DatabaseExecutionError, edb.Result]
        with pytest.raises(edb.DatabaseTimeoutError):
            await db.async_execute("SELECT pg_sleep(60)", timeout_ms=100)

    run(work)


def test_it_is_independent_of_the_synchronous_connector(config: edb.ConnectionConfig, gateway: Gateway) -> None:
    async def main() -> None:
        db = DB(config, gateway.address)
        with pytest.raises(edb.DatabaseConnectionError, match="connect"):
            await db.async_execute("SELECT 1")
        await asyncio.gather(*(db.async_connect() for _ in range(5)))
        assert len((await db.async_execute("SELECT 1")).rows) == 1
        await db.async_close()
        await db.async_close()
        with pytest.raises(edb.DatabaseConnectionError, match="connect"):
            await db.async_execute("SELECT 1")
        await db.async_connect()
        assert len((await db.async_execute("SELECT 1")).rows) == 1
        await db.async_close()

    asyncio.run(main())


def test_a_connector_outlives_its_event_loop(config: edb.ConnectionConfig, gateway: Gateway) -> None:
    db = DB(config, gateway.address)

    async def first() -> None:
        await db.async_connect()
        await db.async_execute("SELECT 1")

    async def second() -> None:
        assert (await db.async_execute("SELECT 2 AS two")).rows == [{"two": 2}]
        await db.async_close()

    asyncio.run(first())
    asyncio.run(second())


# US-008.


def test_commit_persists_and_rollback_discards(run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: DB) -> None:
        await db.async_begin()
        await db.async_execute("INSERT INTO items VALUES (1, 'a')")
        assert postgres.psql("SELECT count(*) FROM items") == "0"
        await db.async_commit()
        assert postgres.psql("SELECT count(*) FROM items") == "1"
        await db.async_begin()
        await db.async_execute("INSERT INTO items VALUES (2, 'b')")
        with pytest.raises(edb.DatabaseTransactionError, match="active"):
            await db.async_begin()
        await db.async_rollback()
        with pytest.raises(edb.DatabaseTransactionError, match="without begin"):
            await db.async_commit()
        assert postgres.psql("SELECT count(*) FROM items") == "1"

    run(work)


def test_parallel_transactions_do_not_interfere(run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: DB) -> None:
        async def one(number: int) -> None:
            try:
                async with db.transaction():
                    await db.async_execute("INSERT INTO items VALUES (?, ?)", [number, "x"])
                    await asyncio.gather(*(db.async_execute("INSERT INTO items VALUES (?, ?)", [number + part, "x"])
                                           for part in (1000, 2000)))
                    if number % 2:
                        raise KeyError(number)
            except KeyError:
                pass

        outside = asyncio.create_task(db.async_execute("SELECT 1"))
        await asyncio.gather(*(one(number) for number in range(30)))
        await outside

    run(work)
    assert postgres.psql("SELECT count(*), count(*) FILTER (WHERE id % 2 = 1) FROM items") == "45|0"


def test_blocks_nest_as_savepoints(run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: DB) -> None:
        async with db.transaction() as outer:
            await outer.async_execute("INSERT INTO items VALUES (1, 'a')")
            with pytest.raises(edb.DatabaseExecutionError):
                async with db.transaction():
                    await db.async_execute("INSERT INTO items VALUES (1, 'a')")
            with pytest.raises(edb.DatabaseTransactionError):
                await db.async_commit()
            await db.async_execute("INSERT INTO items VALUES (2, 'b')")

    run(work)
    assert postgres.psql("SELECT count(*) FROM items") == "2"


def test_a_task_that_outlives_the_block_does_not_write_outside_it(run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: DB) -> None:
        after = asyncio.Event()

        async def late() -> None:
            await after.wait()
            await db.async_execute("INSERT INTO items VALUES (1, 'a')")

        async with db.transaction():
            task = asyncio.create_task(late())
            await asyncio.sleep(0)
        after.set()
        with pytest.raises(edb.DatabaseTransactionError, match="ended"):
            await task

    run(work)
    assert postgres.psql("SELECT count(*) FROM items") == "0"


def test_run_transaction_repeats_what_was_serialized_away(run: Run, items: str, postgres: Postgres) -> None:
    postgres.psql("INSERT INTO items VALUES (1, '0')")

    async def work(db: DB) -> None:
        attempts: List[int] = []

        async def add(transaction: edb.AsyncTransaction) -> int:
            attempts.append(1)
            result = await transaction.async_execute("SELECT name FROM items WHERE id = 1")
            value = int(result.rows[0]["name"]) + 1
            if len(attempts) == 1:  # Another comes in between.
                await db.async_execute("UPDATE items SET name = '10' WHERE id = 1")
            await transaction.async_execute("UPDATE items SET name = ? WHERE id = 1", [str(value)])
            return value

        assert await db.async_run_transaction(add, edb.TransactionOptions(edb.IsolationLevel.SERIALIZABLE)) == 11
        assert len(attempts) == 2

    run(work)


# Cancellation.


def active(postgres: Postgres, text: str) -> int:
    return int(postgres.psql(f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{text}%'"
                             " AND pid <> pg_backend_pid()"))


def test_a_cancelled_task_cancels_its_statement_and_no_other(run: Run, postgres: Postgres) -> None:
    async def work(db: DB) -> None:
        loop = asyncio.get_running_loop()
        other = asyncio.create_task(db.async_execute("SELECT pg_sleep(3), 'cancel-other' AS t"))
        task = asyncio.create_task(db.async_execute("SELECT pg_sleep(60), 'cancel-mine'"))
        await loop.run_in_executor(None, wait_until, lambda: active(postgres, "cancel-mine"), "the statement")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await loop.run_in_executor(None, wait_until, lambda: not active(postgres, "cancel-mine"), "the cancel")
        assert (await other).rows[0]["t"] == "cancel-other"

    run(work)


def test_wait_for_bounds_a_call(run: Run, postgres: Postgres) -> None:
    async def work(db: DB) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(db.async_execute("SELECT pg_sleep(60), 'wait-for'"), 0.5)
        await asyncio.get_running_loop().run_in_executor(None, wait_until, lambda: not active(postgres, "wait-for"),
                                                         "the cancel")
        assert (await db.async_execute("SELECT 1 AS one")).rows == [{"one": 1}]

    run(work)


def test_a_cancelled_transaction_rolls_back(run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: DB) -> None:
        async def writes() -> None:
            async with db.transaction():
                await db.async_execute("INSERT INTO items VALUES (1, 'a')")
                await db.async_execute("SELECT pg_sleep(60), 'cancel-transaction'")

        task = asyncio.create_task(writes())
        await asyncio.get_running_loop().run_in_executor(None, wait_until, lambda: active(postgres, "cancel-transaction"),
                                                         "the statement")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await db.async_execute("SELECT count(*) AS n FROM items")).rows == [{"n": 0}]

    run(work)


def test_batches_and_description(run: Run, items: str) -> None:
    async def work(db: DB) -> None:
        results = await db.async_execute_many("INSERT INTO items VALUES (?, ?)", [(i, "x") for i in range(50)])
        assert sum(result.rowcount for result in results) == 50
        entries = await db.async_execute_batch(["SELECT 1 / 0", "SELECT 1 AS one"])
        assert not entries[0].ok and entries[1].result.rows == [{"one": 1}]
        with pytest.raises(edb.DatabaseExecutionError):
            await db.async_execute_batch(["DELETE FROM items", "SELECT 1 / 0"], atomic=True)
        assert (await db.async_execute("SELECT count(*) AS n FROM items")).rows == [{"n": 50}]
        assert (await db.async_describe("SELECT ?::bigint AS b")).parameter_type_names == ["bigint"]

    run(work)
