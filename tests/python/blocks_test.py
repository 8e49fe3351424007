"""Blocks of transactions: within one another, in generators, in other contexts, and cancelled."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import gc
import time
from typing import Any, AsyncIterator, Awaitable, Callable, Coroutine, Iterator, List

import pytest
from support.processes import Gateway, Postgres, wait_until

import engine_db_postgres as edb

DB = edb.PostgresSyncConnector
AsyncDB = edb.PostgresAsyncConnector
Run = Callable[[Callable[[AsyncDB], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run(config: edb.ConnectionConfig, gateway: Gateway) -> Run:
    """Runs a coroutine function with a connected connector."""

    def runner(work: Callable[[AsyncDB], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with AsyncDB(config, gateway.address) as db:
                await work(db)

        asyncio.run(main())

    return runner


def ids(postgres: Postgres) -> str:
    return postgres.psql("SELECT string_agg(id::text, ',' ORDER BY id) FROM items")


def open_transactions(postgres: Postgres) -> int:
    return int(postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state LIKE 'idle in transaction%'"))


# Within one another.


def locks(transaction: edb.Transaction) -> int:
    """Which the transaction's server process holds on transaction ids: one for each subtransaction that has written."""
    result = transaction.execute("SELECT count(*) AS n FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'transactionid'")
    return int(result.rows[0]["n"])


def test_twenty_thousand_nested_blocks_leave_nothing_behind(db: DB, items: str, postgres: Postgres) -> None:
    with db.transaction(edb.TransactionOptions(max_duration_ms=600_000)) as transaction:
        for number in range(20_000):
            with db.transaction():
                db.execute("INSERT INTO items VALUES (?, 'x')", [number])
            if number in (500, 19_999):
                assert locks(transaction) <= 3
        for number in range(500):
            with contextlib.suppress(KeyError), db.transaction():
                db.execute("INSERT INTO items VALUES (?, 'x')", [-1 - number])
                raise KeyError
        assert locks(transaction) <= 3
    assert postgres.psql("SELECT count(*), min(id) FROM items") == "20000|0"


def test_async_nested_blocks_leave_nothing_behind(run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: AsyncDB) -> None:
        async with db.transaction():
            for number in range(2000):
                with contextlib.suppress(KeyError):
                    async with db.transaction():
                        await db.async_execute("INSERT INTO items VALUES (?, 'x')", [number])
                        if number % 2:
                            raise KeyError
            result = await db.async_execute("SELECT count(*) AS n FROM pg_locks WHERE pid = pg_backend_pid() AND"
                                            " locktype = 'transactionid'")
            assert result.rows[0]["n"] <= 3

    run(work)
    assert postgres.psql("SELECT count(*) FROM items") == "1000"


def test_a_savepoint_by_name_is_released(db: DB, items: str, postgres: Postgres) -> None:
    with db.transaction() as transaction:
        transaction.savepoint("here")
        transaction.execute("INSERT INTO items VALUES (1, 'a')")
        transaction.release("here")
        assert locks(transaction) <= 2
        transaction.savepoint("here")
        with pytest.raises(edb.DatabaseExecutionError):
            transaction.execute("INSERT INTO items VALUES (1, 'a')")
        transaction.rollback_to("here")
        transaction.release("here")
        transaction.execute("INSERT INTO items VALUES (2, 'b')")
    assert ids(postgres) == "1,2"


def test_async_a_savepoint_by_name_is_released(run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: AsyncDB) -> None:
        async with db.transaction() as transaction:
            await transaction.async_savepoint("here")
            await transaction.async_execute("INSERT INTO items VALUES (1, 'a')")
            await transaction.async_release("here")
            with pytest.raises(edb.DatabaseError):
                await transaction.async_release("here")
            await transaction.async_rollback()

    run(work)
    assert ids(postgres) == ""


def test_a_block_within_another_that_ends_well_after_a_failure_does_not_hide_it(db: DB, items: str, postgres: Postgres) -> None:
    with pytest.raises(edb.DatabaseTransactionError):
        with db.transaction():
            with db.transaction():
                with pytest.raises(edb.DatabaseExecutionError):
                    db.execute("SELECT 1 / 0")
            db.execute("INSERT INTO items VALUES (1, 'a')")
    assert ids(postgres) == ""


def test_overlapping_blocks_of_one_transaction(run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: AsyncDB) -> None:
        async def insert(number: int, entered: asyncio.Event, leave: asyncio.Event, fails: bool) -> None:
            async with db.transaction():
                await db.async_execute("INSERT INTO items VALUES (?, 'x')", [number])
                entered.set()
                await leave.wait()
                if fails:
                    raise KeyError

        async def overlap(first: int, fails: bool) -> List[Any]:
            events = [asyncio.Event() for _ in range(4)]
            one = asyncio.create_task(insert(first, events[0], events[1], fails))
            await events[0].wait()
            two = asyncio.create_task(insert(first + 1, events[2], events[3], False))
            await events[2].wait()
            events[1].set()
            await asyncio.wait([one])
            events[3].set()
            return await asyncio.gather(one, two, return_exceptions=True)

        async with db.transaction():
            assert await overlap(1, False) == [None, None]
            one, two = await overlap(3, True)
            assert isinstance(one, KeyError) and isinstance(two, edb.DatabaseTransactionError)
            assert (two.reason, two.outcome) == ("SAVEPOINT_UNDONE", edb.Outcome.ROLLED_BACK)
            await db.async_execute("INSERT INTO items VALUES (5, 'x')")

    run(work)
    assert ids(postgres) == "1,2,5"


# Generators.


def test_leaving_an_async_generator_that_holds_a_block_leaves_the_block(run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: AsyncDB) -> None:
        async def numbers() -> AsyncIterator[int]:
            async with db.transaction():
                for number in range(3):
                    await db.async_execute("INSERT INTO items VALUES (?, 'generator')", [number])
                    yield number

        for _ in range(3):
            async for _ in numbers():
                break
            gc.collect()
            await asyncio.sleep(0.05)
            assert (await db.async_execute("SELECT count(*) AS n FROM items WHERE id < 3")).rows == [{"n": 0}]
        await db.async_execute("INSERT INTO items VALUES (10, 'after')")
        async with db.transaction():
            await db.async_execute("INSERT INTO items VALUES (11, 'after')")
        await db.async_begin()
        await db.async_execute("INSERT INTO items VALUES (12, 'after')")
        await db.async_commit()

    run(work)
    assert ids(postgres) == "10,11,12"
    wait_until(lambda: open_transactions(postgres) == 0, "the rollbacks")


def test_what_follows_a_generator_that_was_left_is_not_in_its_block(run: Run, items: str, postgres: Postgres) -> None:
    """The event loop closes the generator only some time later."""

    async def work(db: AsyncDB) -> None:
        @contextlib.asynccontextmanager
        async def block() -> AsyncIterator[None]:
            async with db.transaction():
                try:
                    yield
                finally:
                    await db.async_execute("INSERT INTO items VALUES (0, 'rolled back with its block')")

        async def numbers() -> AsyncIterator[int]:
            async with block():
                async for row in db.async_execute_stream("SELECT generate_series(1, 100000) AS n"):
                    yield row["n"]

        async for _ in numbers():
            break
        await db.async_execute("INSERT INTO items VALUES (1, 'after')")
        async for _ in numbers():
            break
        async with db.transaction():
            await db.async_execute("INSERT INTO items VALUES (2, 'after')")
        await asyncio.sleep(0.1)

    run(work)
    assert ids(postgres) == "1,2"


def test_a_generator_that_holds_a_block_may_end_on_another_thread(db: DB, items: str, postgres: Postgres) -> None:
    def numbers() -> Iterator[int]:
        with db.transaction():
            db.execute("INSERT INTO items VALUES (1, 'generator')")
            yield 1

    generator = numbers()
    next(generator)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        with db.transaction() as mine:  # A savepoint: this thread is inside of the generator's block.
            pass
        assert mine.execute("SELECT 1 AS one").rows == [{"one": 1}]
        threads.submit(generator.close).result()
    db.execute("INSERT INTO items VALUES (2, 'after')")
    assert ids(postgres) == "2"


def test_a_block_that_ends_in_another_context_leaves_that_one_s_own_block_alone(db: DB, items: str, postgres: Postgres) -> None:
    other = contextvars.copy_context()
    block = db.transaction()
    handle = block.__enter__()
    handle.execute("INSERT INTO items VALUES (1, 'a')")

    def inside_of_its_own() -> None:
        with db.transaction():
            block.__exit__(None, None, None)
            db.execute("INSERT INTO items VALUES (2, 'b')")
            raise KeyError

    with pytest.raises(KeyError):
        other.run(inside_of_its_own)
    assert ids(postgres) == "1"  # The second is rolled back: it was not executed outside of its block.
    db.execute("INSERT INTO items VALUES (3, 'c')")
    assert ids(postgres) == "1,3"


def test_two_generators_whose_blocks_cross_run_nothing_outside(db: DB, items: str, postgres: Postgres) -> None:
    def insert(number: int) -> Iterator[None]:
        with db.transaction():
            yield
            db.execute("INSERT INTO items VALUES (?, 'x')", [number])

    first, second = insert(1), insert(2)
    next(first)
    next(second)
    with contextlib.suppress(StopIteration):
        next(first)
    with pytest.raises(edb.DatabaseTransactionError):
        next(second)
    assert ids(postgres) == "1"
    db.execute("INSERT INTO items VALUES (3, 'x')")


# Other contexts.


@contextlib.contextmanager
def dependency(db: DB) -> Iterator[None]:
    """What a web framework enters on one of its pool's threads, or in a context of its own, before it calls the handler."""
    with db.transaction():
        yield


def test_no_statement_runs_outside_of_a_block_that_was_entered_in_a_copied_context(db: DB, items: str, postgres: Postgres) -> None:
    for context in (contextvars.copy_context(), None):  # The one lives on.
        manager = dependency(db)
        (context or contextvars.copy_context()).run(manager.__enter__)
        calls: List[Callable[[], Any]] = [
            lambda: db.execute("INSERT INTO items VALUES (1, 'a')"), lambda: db.execute_stream("SELECT 1"),
            lambda: db.execute_batch(["INSERT INTO items VALUES (1, 'a')"]),
            lambda: db.execute_many("INSERT INTO items VALUES (?, 'a')", [[1]]), lambda: db.transaction().__enter__()]
        for call in calls:
            with pytest.raises(edb.DatabaseTransactionError, match="another context") as caught:
                call()
            assert (caught.value.reason, caught.value.outcome) == ("TRANSACTION_ELSEWHERE", edb.Outcome.NOT_EXECUTED)
        with pytest.raises(edb.DatabaseTransactionError, match="another context"):
            manager.__exit__(None, None, None)
        assert ids(postgres) == ""
    db.execute("INSERT INTO items VALUES (2, 'b')")
    assert ids(postgres) == "2"


def test_no_statement_runs_outside_of_a_block_that_was_entered_by_a_pool_s_thread(db: DB, items: str, postgres: Postgres) -> None:
    async def request() -> int:
        """How many errors there were. One there is: by the statement, or, when the pool's thread has not let go of its context yet, at
        the block's end."""
        errors = 0
        manager = dependency(db)
        calls: List[Any] = [(manager.__enter__,), (db.execute, "INSERT INTO items VALUES (1, 'a')"),
                            (manager.__exit__, None, None, None)]
        for call in calls:
            try:
                await asyncio.to_thread(*call)
            except edb.DatabaseTransactionError as error:
                assert error.reason == "TRANSACTION_ELSEWHERE"
                errors += 1
        await asyncio.to_thread(db.execute, "DELETE FROM items")
        return errors

    for _ in range(10):
        assert asyncio.run(request()) >= 1


def test_a_block_s_object_is_used_wherever(db: DB, items: str, postgres: Postgres) -> None:
    @contextlib.contextmanager
    def explicit() -> Iterator[edb.Transaction]:
        with db.transaction() as transaction:
            yield transaction

    async def request(number: int, fails: bool) -> None:
        manager = explicit()
        transaction = await asyncio.to_thread(manager.__enter__)
        await asyncio.to_thread(transaction.execute, "INSERT INTO items VALUES (?, 'x')", [number])
        await asyncio.to_thread(db.execute, "INSERT INTO items VALUES (?, 'autocommit')", [number + 100])
        with contextlib.suppress(KeyError):
            failure = KeyError() if fails else None
            await asyncio.to_thread(manager.__exit__, failure and KeyError, failure, None)

    async def main() -> None:
        await asyncio.gather(*(request(number, number % 2 == 1) for number in range(8)))

    asyncio.run(main())
    assert ids(postgres) == "0,2,4,6," + ",".join(str(number + 100) for number in range(8))


def test_async_no_statement_runs_outside_of_a_block_that_was_entered_by_a_task_that_has_ended(
        run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: AsyncDB) -> None:
        async def fixture() -> AsyncIterator[None]:
            async with db.transaction():
                yield

        generator = fixture()
        await asyncio.create_task(generator.__anext__())  # type: ignore[arg-type]
        with pytest.raises(edb.DatabaseTransactionError, match="another context"):
            await db.async_execute("INSERT INTO items VALUES (1, 'a')")
        with pytest.raises(edb.DatabaseTransactionError, match="another context"):
            await asyncio.create_task(generator.__anext__())  # type: ignore[arg-type]
        await db.async_execute("INSERT INTO items VALUES (2, 'b')")

    run(work)
    assert ids(postgres) == "2"


def test_others_go_on_in_autocommit_while_somebody_is_in_a_block(db: DB, items: str, postgres: Postgres) -> None:
    with db.transaction(), concurrent.futures.ThreadPoolExecutor(1) as threads:
        db.execute("INSERT INTO items VALUES (1, 'a')")
        threads.submit(db.execute, "INSERT INTO items VALUES (2, 'b')").result()
        assert ids(postgres) == "2"
    assert ids(postgres) == "1,2"


def test_a_task_that_outlives_the_block_is_told_once(run: Run, items: str, postgres: Postgres) -> None:
    async def work(db: AsyncDB) -> None:
        after = asyncio.Event()

        async def worker() -> None:
            await after.wait()
            with pytest.raises(edb.DatabaseTransactionError, match="ended"):
                await db.async_execute("INSERT INTO items VALUES (1, 'a')")
            await db.async_execute("INSERT INTO items VALUES (2, 'b')")

        async with db.transaction():
            task = asyncio.create_task(worker())
        after.set()
        await task

    run(work)
    assert ids(postgres) == "2"


def test_a_block_whose_transaction_was_ended_inside_runs_nothing_more(db: DB, items: str, postgres: Postgres) -> None:
    with db.transaction() as transaction:
        transaction.commit()
        for _ in range(2):
            with pytest.raises(edb.DatabaseTransactionError, match="ended"):
                db.execute("INSERT INTO items VALUES (1, 'a')")
    assert ids(postgres) == ""


# Cancellation.


@pytest.mark.parametrize("pause_s", [0, 0.0005, 0.002])
def test_a_transaction_is_rolled_back_however_often_its_task_is_cancelled(run: Run, items: str, postgres: Postgres,
                                                                         pause_s: float) -> None:
    async def work(db: AsyncDB) -> None:
        inside = 0

        async def writes(number: int) -> None:
            nonlocal inside
            async with db.transaction():
                await db.async_execute("INSERT INTO items VALUES (?, 'x')", [number])
                async with db.transaction():
                    inside += 1
                    await db.async_execute("SELECT pg_sleep(60)")

        tasks = [asyncio.create_task(writes(number)) for number in range(5)]
        while inside < 5:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        for _ in range(4):
            for task in tasks:
                task.cancel()
            await asyncio.sleep(pause_s)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        begin = time.monotonic()
        await asyncio.get_running_loop().run_in_executor(None, wait_until, lambda: open_transactions(postgres) == 0, "the rollbacks")
        assert time.monotonic() - begin < 10
        assert (await db.async_execute("SELECT count(*) AS n FROM items")).rows == [{"n": 0}]

    for _ in range(3):
        run(work)


def test_a_transaction_does_not_stay_open_when_its_end_is_cancelled(run: Run, items: str, postgres: Postgres) -> None:
    postgres.psql("CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.5); RETURN NULL;"
                  " END$$; CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
                  " EXECUTE FUNCTION slow()")

    async def work(db: AsyncDB) -> None:
        async def ends(end: Callable[[edb.AsyncTransaction], Awaitable[None]]) -> None:
            transaction = await db.async_begin_transaction()
            await transaction.async_execute("INSERT INTO items VALUES (1, 'a')")
            task = asyncio.ensure_future(end(transaction))
            await asyncio.sleep(0.1)
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0)
            with contextlib.suppress(asyncio.CancelledError):
                await task
            begin = time.monotonic()
            await asyncio.get_running_loop().run_in_executor(
                None, wait_until, lambda: postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND"
                                                        " xact_start IS NOT NULL") == "0", "the end")
            assert time.monotonic() - begin < 10

        await ends(lambda transaction: transaction.async_commit())  # Committed or not: PostgreSQL is not stopped while it commits.
        await db.async_execute("TRUNCATE items")
        await ends(lambda transaction: transaction.async_rollback())

    run(work)
    assert ids(postgres) == ""
