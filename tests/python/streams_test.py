"""Results that are read while they come."""

from __future__ import annotations

import asyncio
import gc
import resource
from typing import List

import pytest
from support.processes import Gateway, Postgres, wait_until

import engine_db_postgres as edb

DB = edb.PostgresSyncConnector
MANY = "SELECT i AS id, 'row ' || i AS name, repeat('x', 100) AS padding FROM generate_series(1, ?::int) i"


def active(postgres: Postgres, text: str) -> int:
    return int(postgres.psql(f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{text}%'"
                             " AND pid <> pg_backend_pid()"))


def test_rows_come_in_order_as_dicts_or_tuples(db: DB) -> None:
    stream = db.execute_stream(MANY, [30_000])
    assert [column.name for column in stream.columns] == ["id", "name", "padding"]
    assert [row["id"] for row in stream] == list(range(1, 30_001))
    assert (stream.rowcount, stream.command_tag) == (30_000, "SELECT 30000") and "$1" in stream.bound_sql
    assert [row[0] for row in db.execute_stream(MANY, [5000]).tuples()] == list(range(1, 5001))
    assert sum(len(batch) for batch in db.execute_stream(MANY, [5000]).batches()) == 5000


def test_an_empty_stream_and_one_of_no_rows_at_all(db: DB, items: str) -> None:
    empty = db.execute_stream("SELECT id FROM items")
    assert list(empty) == [] and [column.name for column in empty.columns] == ["id"]
    insert = db.execute_stream("INSERT INTO items VALUES (1, 'a')")
    assert list(insert) == [] and (insert.rowcount, insert.columns) == (1, ())


def test_a_stream_is_read_in_bounded_memory(db: DB) -> None:
    for _ in db.execute_stream(MANY, [20_000]):
        pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = 0
    for _ in db.execute_stream(MANY, [1_000_000], timeout_ms=600_000):
        count += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert count == 1_000_000 and grown < 64 << 10  # KiB; the whole result has 120 MiB.


def test_what_is_not_read_is_held_back_at_the_database(db: DB, postgres: Postgres) -> None:
    stream = db.execute_stream(MANY + " /* held-back */", [1_000_000], timeout_ms=120_000)
    rows = iter(stream)
    next(rows)
    assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]  # Others go on meanwhile.
    assert active(postgres, "held-back") == 1
    stream.close()
    wait_until(lambda: not active(postgres, "held-back"), "the cancel")
    stream.close()


def test_leaving_a_loop_or_dropping_a_stream_cancels_it(db: DB, postgres: Postgres) -> None:
    for row in db.execute_stream(MANY + " /* left */", [1_000_000], timeout_ms=120_000):
        assert row["id"] == 1
        break
    stream = db.execute_stream(MANY + " /* left */", [1_000_000], timeout_ms=120_000)
    assert stream.columns
    del stream
    with db.execute_stream(MANY + " /* left */", [1_000_000], timeout_ms=120_000) as entered:
        assert entered.columns
    gc.collect()
    wait_until(lambda: not active(postgres, "/* left"), "the cancels")


def test_a_stream_that_breaks_off_is_an_error_that_says_how_many_rows_came(db: DB) -> None:
    count = 0
    with pytest.raises(edb.DatabaseExecutionError) as caught:
        for _ in db.execute_stream("SELECT 1 / (50000 - i) AS x FROM generate_series(1, 100000) i"):
            count += 1
    assert caught.value.sqlstate == "22012" and caught.value.rows_delivered == count > 0
    with pytest.raises(edb.DatabaseExecutionError):
        list(db.execute_stream("SELECT nonsense"))


def test_the_timeout_bounds_the_reading(db: DB) -> None:
    with pytest.raises(edb.DatabaseTimeoutError):
        for _ in db.execute_stream("SELECT i, pg_sleep(0.01) FROM generate_series(1, 100000) i", timeout_ms=500):
            pass


def test_a_stream_that_a_gateway_leaves_in_the_middle_says_how_many_rows_came(
        db: DB, config: edb.ConnectionConfig, gateway: Gateway) -> None:
    stream = db.execute_stream(MANY, [1_000_000], timeout_ms=3000)
    count = len(next(stream.batches()))
    with gateway.standing_still(), pytest.raises(edb.DatabaseTimeoutError) as caught:
        for batch in stream.batches():
            count += len(batch)
    assert (caught.value.reason, caught.value.rows_delivered) == ("NO_ANSWER", count) and count > 0

    async def main() -> None:
        async with edb.PostgresAsyncConnector(config, gateway.address) as connector:
            batches = connector.async_execute_stream(MANY, [1_000_000], timeout_ms=3000).batches()
            count = len(await batches.__anext__())
            with gateway.standing_still(), pytest.raises(edb.DatabaseTimeoutError) as caught:
                async for batch in batches:
                    count += len(batch)
            assert (caught.value.reason, caught.value.rows_delivered) == ("NO_ANSWER", count) and count > 0

    asyncio.run(main())


def test_a_stream_runs_in_the_transaction(db: DB, items: str, postgres: Postgres) -> None:
    with db.transaction():
        db.execute("INSERT INTO items VALUES (1, 'a')")
        assert [row["id"] for row in db.execute_stream("SELECT id FROM items")] == [1]
        assert postgres.psql("SELECT count(*) FROM items") == "0"


def test_rows_without_columns_come_through(db: DB, config: edb.ConnectionConfig, gateway: Gateway) -> None:
    sql = "SELECT FROM generate_series(1, ?::int)"
    result = db.execute(sql, [3])
    assert (result.rowcount, len(result), result.rows, result.tuples) == (3, 3, [{}, {}, {}], [(), (), ()])
    assert db.execute_batch([edb.Statement(sql, [[2]])])[0].result.rows == [{}, {}] and db.execute(sql, [0]).rows == []
    stream = db.execute_stream(sql, [5000])
    assert stream.columns == stream.columns == ()
    assert list(stream) == [{}] * 5000 and stream.rowcount == 5000

    async def main() -> None:
        async with edb.PostgresAsyncConnector(config, gateway.address) as async_db:
            stream = async_db.async_execute_stream(sql, [5000])
            assert await stream.columns() == await stream.columns() == ()
            assert len([row async for row in stream.tuples()]) == 5000

    asyncio.run(main())


# As much as a stream's first credit holds.
@pytest.mark.parametrize("rows", [50, 3000])
def test_statements_run_within_the_loop_over_a_stream_of_their_transaction(db: DB, config: edb.ConnectionConfig, gateway: Gateway,
                                                                          items: str, postgres: Postgres, rows: int) -> None:
    sql = "SELECT i AS id, repeat('x', 200) AS padding FROM generate_series(1, ?::int) i"
    with db.transaction() as transaction:
        for row in db.execute_stream(sql, [rows], timeout_ms=60_000):
            if row["id"] % 500 == 1:
                db.execute("INSERT INTO items VALUES (?, 'x')", [row["id"]], timeout_ms=30_000)
                transaction.execute("SELECT 1", timeout_ms=30_000)

    async def main() -> None:
        async with edb.PostgresAsyncConnector(config, gateway.address) as async_db, async_db.transaction():
            async for row in async_db.async_execute_stream(sql, [rows], timeout_ms=60_000):
                if row["id"] % 500 == 1:
                    await async_db.async_execute("DELETE FROM items WHERE id = ?", [row["id"]], timeout_ms=30_000)

    assert postgres.psql("SELECT count(*) FROM items") == str((rows + 499) // 500)
    asyncio.run(main())
    assert postgres.psql("SELECT count(*) FROM items") == "0"


# More than that: the backend is busy with the stream, which is told soon, by name. The transaction goes on, and so does the stream.
@pytest.mark.parametrize("rows", [10_000, 100_000])
def test_a_statement_within_a_long_stream_of_its_transaction_is_refused(db: DB, items: str, postgres: Postgres, rows: int) -> None:
    read = 0
    with db.transaction():
        for row in db.execute_stream("SELECT i AS id, repeat('x', 200) AS padding FROM generate_series(1, ?::int) i", [rows],
                                     timeout_ms=120_000):
            if row["id"] == 1:
                with pytest.raises(edb.DatabaseTransactionError) as caught:
                    db.execute("INSERT INTO items VALUES (1, 'x')", timeout_ms=30_000)
                assert caught.value.reason == "STREAM_OPEN" and caught.value.outcome is edb.Outcome.NOT_EXECUTED
            read += 1
        db.execute("INSERT INTO items VALUES (2, 'x')")
    assert read == rows
    assert postgres.psql("SELECT id FROM items") == "2"


def test_a_row_of_many_megabytes(db: DB) -> None:
    rows = list(db.execute_stream("SELECT repeat('é', 20000000) AS t", timeout_ms=120_000))
    assert len(rows) == 1 and len(rows[0]["t"]) == 20_000_000


def test_async_streams(config: edb.ConnectionConfig, gateway: Gateway, postgres: Postgres, items: str) -> None:
    async def main() -> None:
        async with edb.PostgresAsyncConnector(config, gateway.address) as db:
            stream = db.async_execute_stream(MANY, [30_000])
            assert [column.name for column in await stream.columns()] == ["id", "name", "padding"]
            assert [row["id"] async for row in stream] == list(range(1, 30_001))
            assert (stream.rowcount, stream.command_tag) == (30_000, "SELECT 30000")
            assert [row[0] async for row in db.async_execute_stream(MANY, [5000]).tuples()] == list(range(1, 5001))

            async def read(count: int) -> List[int]:
                return [row["id"] async for row in db.async_execute_stream(MANY, [count])]

            for count, ids in zip((1, 2500, 9999), await asyncio.gather(*map(read, (1, 2500, 9999)))):
                assert ids == list(range(1, count + 1))

            async with db.async_execute_stream(MANY + " /* async-left */", [1_000_000], timeout_ms=120_000) as left:
                async for row in left:
                    assert row["id"] == 1
                    break
            await asyncio.get_running_loop().run_in_executor(
                None, wait_until, lambda: not active(postgres, "/* async-left"), "the cancel")

            reading = asyncio.create_task(read(3_000_000))
            await asyncio.sleep(0.2)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

            with pytest.raises(edb.DatabaseExecutionError) as caught:
                async for row in db.async_execute_stream("SELECT 1 / (50000 - i) AS x FROM generate_series(1, 100000) i"):
                    pass
            assert caught.value.rows_delivered > 0
            with pytest.raises(edb.DatabaseTimeoutError):
                async for row in db.async_execute_stream("SELECT i, pg_sleep(0.01) FROM generate_series(1, 100000) i",
                                                         timeout_ms=300):
                    pass
            async with db.transaction():
                await db.async_execute("INSERT INTO items VALUES (1, 'a')")
                assert [row["id"] async for row in db.async_execute_stream("SELECT id FROM items")] == [1]

    asyncio.run(main())
