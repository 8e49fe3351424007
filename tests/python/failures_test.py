"""US-006 and what else goes wrong: servers that go away, many threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import threading
import time
from typing import Any, Awaitable, Callable, Iterator, List

import pytest
from support.processes import Gateway, Postgres, hold_port, port_of, running_postgres, wait_until

import engine_db_postgres as edb

DB = edb.PostgresSyncConnector


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        server.psql("GRANT ALL ON SCHEMA public TO app; CREATE TABLE ledger (id int PRIMARY KEY); ALTER TABLE ledger OWNER TO"
                    " app")
        yield server


def target(server: Postgres, **fields: Any) -> edb.ConnectionConfig:
    known = {"host": server.host, "port": server.port, "user": server.user, "password": server.password,
             "dbname": server.dbname}
    return edb.ConnectionConfig(**{**known, **fields})


# US-006.


def test_a_dropped_backend_is_retried_without_a_word(db: DB, postgres: Postgres) -> None:
    db.execute("SELECT 1")
    for _ in range(5):
        postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
        assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]


def test_attempts_are_counted_and_a_syntax_error_has_but_one(db: DB, items: str) -> None:
    assert db.execute("SELECT 1").attempts == 1
    begin = time.monotonic()
    with pytest.raises(edb.DatabaseExecutionError):
        db.execute("SELEC 1", retry=edb.RetryConfig(max_attempts=10, initial_delay_ms=20_000, max_delay_ms=60_000))
    assert time.monotonic() - begin < 20


def test_after_the_last_attempt_the_error_is_raised(gateway: Gateway, config: edb.ConnectionConfig) -> None:
    retry = edb.RetryConfig(max_attempts=2, initial_delay_ms=1, max_delay_ms=2)
    with hold_port() as held, pytest.raises(edb.DatabaseConnectionError) as caught:
        DB(edb.ConnectionConfig(host="127.0.0.1", port=port_of(held), user="x", dbname="x", timeout_ms=20_000, retry=retry),
           gateway.address).connect()
    assert caught.value.outcome is edb.Outcome.NOT_EXECUTED


def test_nothing_is_retried_past_its_budget(db: DB) -> None:
    retry = edb.RetryConfig(max_attempts=100, initial_delay_ms=20, max_delay_ms=20, budget_ms=300)
    fail = "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$"
    for call in (lambda: db.execute(fail, retry=retry),
                 lambda: db.run_transaction(lambda transaction: transaction.execute(fail), retry=retry)):
        begin = time.monotonic()
        with pytest.raises(edb.DatabaseTransactionError) as caught:
            call()
        assert caught.value.sqlstate == "40001"
        assert 0.3 <= time.monotonic() - begin < 15


def test_serialization_failures_are_retried(db: DB, items: str, postgres: Postgres) -> None:
    postgres.psql("INSERT INTO items VALUES (1, '0')")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        retry = edb.RetryConfig(max_attempts=100, initial_delay_ms=1, max_delay_ms=20)
        options = edb.TransactionOptions(edb.IsolationLevel.REPEATABLE_READ)

        def add(transaction: edb.Transaction) -> None:
            value = transaction.execute("SELECT name::int AS n FROM items").rows[0]["n"]
            transaction.execute("UPDATE items SET name = ?", [str(value + 1)])

        list(threads.map(lambda _: db.run_transaction(add, options, retry), range(40)))
    assert postgres.psql("SELECT name FROM items") == "40"


# Servers that go away.


def test_postgresql_restarted(own_postgres: Postgres, gateway: Gateway) -> None:
    retry = edb.RetryConfig(max_attempts=100, initial_delay_ms=50, max_delay_ms=500)
    with DB(target(own_postgres, retry=retry, timeout_ms=60_000), gateway.address) as db:
        db.begin()
        db.execute("INSERT INTO ledger VALUES (1)")
        own_postgres.restart()
        with pytest.raises(edb.DatabaseTransactionError):
            db.execute("INSERT INTO ledger VALUES (2)")
        db.rollback()
        assert db.execute("SELECT count(*) AS n FROM ledger").rows == [{"n": 0}]


def test_the_gateway_killed_and_started_again(postgres: Postgres, own_gateway: Gateway, items: str) -> None:
    with DB(target(postgres), own_gateway.address) as db:
        db.begin()
        db.execute("INSERT INTO items VALUES (1, 'a')")
        own_gateway.kill()
        # A call that is under way when the link breaks fails with it; every later one knows that the transaction is lost.
        with contextlib.suppress(edb.DatabaseConnectionError, edb.DatabaseTransactionError):
            wait_until(lambda: db.execute("INSERT INTO items VALUES (2, 'a')") and None, "the loss")
        with pytest.raises(edb.DatabaseTransactionError) as lost:
            db.execute("INSERT INTO items VALUES (3, 'a')")
        assert lost.value.reason == "TRANSACTION_LOST"
        with pytest.raises(edb.DatabaseTransactionError):
            db.commit()
        with pytest.raises(edb.DatabaseConnectionError) as away:
            db.execute("SELECT 1")
        assert away.value.outcome is edb.Outcome.NOT_EXECUTED and away.value.reason == "GATEWAY_UNREACHABLE"
        own_gateway.start()
        assert db.execute("SELECT count(*) AS n FROM items").rows == [{"n": 0}]


def test_calls_under_way_when_the_gateway_is_killed(postgres: Postgres, own_gateway: Gateway) -> None:
    with DB(target(postgres), own_gateway.address) as db, concurrent.futures.ThreadPoolExecutor(4) as threads:
        mark = f"killed-with-{own_gateway.pid}"  # PostgreSQL goes on with those of a gateway that was killed.
        calls = [threads.submit(db.execute, f"SELECT pg_sleep(60), '{mark}', {n}") for n in range(3)]
        stream = db.execute_stream("SELECT i, pg_sleep(0.001) FROM generate_series(1, 1000000) i")
        assert stream.columns
        # Not how many run: of a read that the gateway has moved from one pipeline to another, PostgreSQL may run both.
        wait_until(lambda: postgres.psql("SELECT count(DISTINCT query) FROM pg_stat_activity WHERE state = 'active' AND query"
                                         f" LIKE '%{mark}%' AND pid <> pg_backend_pid()") == "3", "the statements")
        own_gateway.kill()
        for call in calls:
            with pytest.raises(edb.DatabaseConnectionError) as caught:
                call.result(timeout=60)
            assert caught.value.outcome is edb.Outcome.UNKNOWN and not caught.value.retryable
        with pytest.raises(edb.DatabaseConnectionError):
            list(stream)


def test_every_acknowledged_write_is_there_once(own_postgres: Postgres, own_gateway: Gateway) -> None:
    known: List[int] = []
    unknown: List[int] = []
    stop = threading.Event()

    def write(db: DB, first: int) -> None:
        number = first
        while not stop.is_set():
            try:
                db.execute("INSERT INTO ledger VALUES (?)", [number])
                known.append(number)
            except edb.DatabaseError as error:
                assert isinstance(error, edb.DatabaseConnectionError), error
                if error.outcome is not edb.Outcome.NOT_EXECUTED:
                    unknown.append(number)
                time.sleep(0.01)
            number += 1

    with DB(target(own_postgres), own_gateway.address) as db, concurrent.futures.ThreadPoolExecutor(8) as threads:
        writers = [threads.submit(write, db, 1_000_000 * (thread + 1)) for thread in range(8)]
        for _ in range(3):
            enough = len(known) + 100
            wait_until(lambda: len(known) > enough or any(writer.done() for writer in writers), "some writes")
            own_gateway.kill()
            own_gateway.start()
        stop.set()
        for writer in writers:
            writer.result(timeout=60)
    there = set(map(int, own_postgres.psql("SELECT id FROM ledger").split()))
    assert set(known) <= there <= set(known) | set(unknown)


def test_async_gateway_killed(postgres: Postgres, own_gateway: Gateway, items: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with edb.PostgresAsyncConnector(target(postgres), own_gateway.address) as db:
            calls = [asyncio.create_task(db.async_execute("SELECT pg_sleep(60)")) for _ in range(3)]
            await asyncio.sleep(0)  # They are on their way, outside the transaction.
            await db.async_begin()
            await db.async_execute("INSERT INTO items VALUES (1, 'a')")
            own_gateway.kill()
            for result in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(result, edb.DatabaseConnectionError) and result.outcome is edb.Outcome.UNKNOWN
            with pytest.raises(edb.DatabaseTransactionError):
                await db.async_execute("SELECT 1")
            await db.async_rollback()
            await loop.run_in_executor(None, own_gateway.start)
            assert (await db.async_execute("SELECT count(*) AS n FROM items")).rows == [{"n": 0}]

    asyncio.run(main())


def test_a_gateway_that_never_answers(config: edb.ConnectionConfig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        patient = edb.ConnectionConfig(host=config.host, user="x", dbname="x", timeout_ms=500)
        with pytest.raises(edb.DatabaseConnectionError, match=r"no answer within \d+ ms"):
            DB(patient, address).connect()

        async def main() -> None:
            with pytest.raises(edb.DatabaseConnectionError, match=r"no answer within \d+ ms"):
                await edb.PostgresAsyncConnector(patient, address).async_connect()

        asyncio.run(main())


def test_a_gateway_that_hangs_is_given_up_at_the_deadline(postgres: Postgres, own_gateway: Gateway) -> None:
    with DB(target(postgres), own_gateway.address) as db:
        with own_gateway.standing_still():
            with pytest.raises(edb.DatabaseTimeoutError) as caught:
                db.execute("SELECT 1", timeout_ms=300)
            assert (caught.value.reason, caught.value.outcome) == ("NO_ANSWER", edb.Outcome.UNKNOWN)
        assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]


# A call is to be 250 ms late at most. Here the machine may be busy, and what waits for a gateway that stands still would wait
# for as long as it does.
LATE_S = 2.0


def outcome_in_time(call: Callable[[], object], timeout_ms: int) -> edb.Outcome:
    """How a call failed that the gateway did not answer."""
    begin = time.monotonic()
    with pytest.raises(edb.DatabaseTimeoutError) as caught:
        call()
    assert time.monotonic() - begin < timeout_ms / 1000 + LATE_S
    return caught.value.outcome


def test_a_gateway_that_hangs_holds_up_nobody_and_gets_nothing_later(own_postgres: Postgres, own_gateway: Gateway) -> None:
    own_postgres.psql("CREATE TABLE bulk (t text); ALTER TABLE bulk OWNER TO app")
    bulk, small = "INSERT INTO bulk VALUES (?)", "INSERT INTO ledger VALUES (?)"
    with DB(target(own_postgres), own_gateway.address) as db, concurrent.futures.ThreadPoolExecutor(1) as threads:
        for _ in range(20):  # The gateway gives more and more credit.
            db.execute(bulk, ["x" * 900_000])
        with own_gateway.standing_still():
            large = threads.submit(outcome_in_time, lambda: db.execute(bulk, ["y" * 900_000], timeout_ms=500), 500)
            outcomes = [outcome_in_time(lambda: db.execute(small, [number], timeout_ms=100), 100) for number in range(8)]
            assert large.result(timeout=60) is edb.Outcome.UNKNOWN
        db.execute(small, [100])
        there = set(own_postgres.psql("SELECT id FROM ledger").split())
        assert not there & {str(n) for n, outcome in enumerate(outcomes) if outcome is edb.Outcome.NOT_EXECUTED}


IDLE_IN_TRANSACTION = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
# Much less than a transaction's lease.
SOON_S = 20.0


def test_a_begin_that_was_given_up_leaves_no_transaction(own_postgres: Postgres, own_gateway: Gateway) -> None:
    # Within the time a new server is logged in to as well, on a busy machine.
    with DB(target(own_postgres, timeout_ms=1_500), own_gateway.address) as db:
        db.execute("SELECT 1")
        with own_gateway.standing_still():
            assert outcome_in_time(db.begin, 1_500) is edb.Outcome.UNKNOWN
        db.execute("SELECT 1", timeout_ms=20_000)  # The gateway has read what was sent before.
        wait_until(lambda: own_postgres.psql(IDLE_IN_TRANSACTION) == "0", "the rollback", SOON_S)


async def rolled_back(postgres: Postgres) -> None:
    """Waits, while the loop goes on, until no transaction is open."""
    await asyncio.get_running_loop().run_in_executor(None, lambda: wait_until(
        lambda: postgres.psql(IDLE_IN_TRANSACTION) == "0", "the rollback", SOON_S))


def test_async_a_begin_that_was_cancelled_leaves_no_transaction(own_postgres: Postgres, own_gateway: Gateway) -> None:
    async def main() -> None:
        async with edb.PostgresAsyncConnector(target(own_postgres), own_gateway.address) as db:
            await db.async_execute("SELECT 1")
            for _ in range(2):
                beginning = asyncio.create_task(db.async_begin_transaction())
                for _ in range(3):
                    await asyncio.sleep(0)
                # The loop is busy while the answer comes.
                wait_until(lambda: own_postgres.psql(IDLE_IN_TRANSACTION) != "0", "the transaction")
                beginning.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await beginning
                await rolled_back(own_postgres)

    asyncio.run(main())


def test_async_a_begin_whose_answer_comes_with_the_cancellation_leaves_no_transaction(
        own_postgres: Postgres, own_gateway: Gateway) -> None:
    async def main() -> None:
        async with edb.PostgresAsyncConnector(target(own_postgres), own_gateway.address) as db:
            beginning = asyncio.create_task(db.async_begin_transaction())
            session = db._state.session
            assert session is not None
            while not session._calls:
                await asyncio.sleep(0)
            while session._calls:  # What has been answered is no call under way any more.
                await asyncio.sleep(0)
            beginning.cancel()
            with pytest.raises(asyncio.CancelledError):
                await beginning
            await rolled_back(own_postgres)

    asyncio.run(main())


def not_opened_in_time(call: Callable[[], object], timeout_ms: int) -> None:
    begin = time.monotonic()
    with pytest.raises(edb.DatabaseConnectionError) as caught:
        call()
    assert time.monotonic() - begin < timeout_ms / 1000 + LATE_S
    assert caught.value.outcome is edb.Outcome.NOT_EXECUTED and caught.value.retryable


def test_a_call_that_has_to_open_the_session_keeps_its_deadline(postgres: Postgres, own_gateway: Gateway) -> None:
    patient = target(postgres, timeout_ms=20_000)
    with DB(patient, own_gateway.address) as db, concurrent.futures.ThreadPoolExecutor(4) as threads:
        transaction = db.begin_transaction()
        transaction.execute("CREATE TEMPORARY TABLE t (n int) ON COMMIT DROP")
        token = transaction.recovery_token
        own_gateway.kill()
        own_gateway.start()
        wait_until(lambda: transaction._open.session.ended, "the loss")
        calls: List[Callable[[], object]] = [
            lambda: db.execute("SELECT 1", timeout_ms=200), lambda: db.execute_batch(["SELECT 1"], timeout_ms=200),
            lambda: db.execute_stream("SELECT 1", timeout_ms=200), lambda: db.transaction_outcome(token, timeout_ms=200)]
        with own_gateway.standing_still():
            list(threads.map(lambda call: not_opened_in_time(call, 200), calls))
        assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]


def test_what_opening_the_session_took_is_not_given_to_the_call_again(postgres: Postgres, own_gateway: Gateway) -> None:
    with DB(target(postgres), own_gateway.address) as db, concurrent.futures.ThreadPoolExecutor(1) as threads:
        session = db._state.session
        assert session is not None
        own_gateway.kill()
        own_gateway.start()
        wait_until(lambda: session.ended, "the loss")
        began = time.monotonic()
        with own_gateway.standing_still():
            call = threads.submit(db.execute, "SELECT pg_sleep(60)", timeout_ms=2000)
            wait_until(lambda: time.monotonic() > began + 1.3, "some time")
        assert isinstance(call.exception(timeout=60), edb.DatabaseTimeoutError)
        assert time.monotonic() - began < 3


def test_those_who_wait_for_a_session_share_its_failure(config: edb.ConnectionConfig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, concurrent.futures.ThreadPoolExecutor(4) as threads:
        hasty = edb.ConnectionConfig(host=config.host, user="x", dbname="x", timeout_ms=1000)
        db = DB(hasty, f"127.0.0.1:{silent.getsockname()[1]}")
        for failed in [threads.submit(db.connect) for _ in range(4)]:
            assert isinstance(failed.exception(timeout=60), edb.DatabaseConnectionError)
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_async_a_call_that_has_to_open_the_session_keeps_its_deadline(postgres: Postgres, own_gateway: Gateway) -> None:
    async def not_opened(call: Awaitable[object]) -> float:
        begin = time.monotonic()
        with pytest.raises(edb.DatabaseConnectionError) as caught:
            await call
        assert caught.value.outcome is edb.Outcome.NOT_EXECUTED and caught.value.retryable
        return time.monotonic() - begin

    async def main() -> None:
        async with edb.PostgresAsyncConnector(target(postgres, timeout_ms=20_000), own_gateway.address) as db:
            session = db._state.session
            own_gateway.kill()
            own_gateway.start()
            while session is not None and not session.ended:
                await asyncio.sleep(0.01)
            with own_gateway.standing_still():
                took = await asyncio.gather(not_opened(db.async_execute("SELECT 1", timeout_ms=200)),
                                            not_opened(db.async_execute_batch(["SELECT 1"], timeout_ms=200)),
                                            not_opened(db.async_execute_stream("SELECT 1", timeout_ms=200).columns()))
            assert max(took) < 0.2 + LATE_S
            assert (await db.async_execute("SELECT 1 AS one")).rows == [{"one": 1}]

    asyncio.run(main())


def test_what_is_no_gateway_says_so(config: edb.ConnectionConfig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(edb.DatabaseConnectionError, match="can't be read|can't reach|was lost"):
            DB(config, f"127.0.0.1:{server.getsockname()[1]}").connect()
        thread.join()


# Threads.


def test_many_threads_share_a_connector(db: DB) -> None:
    def work(seed: int) -> None:
        for step in range(40):
            n = seed * 1000 + step
            assert db.execute("SELECT ?::int AS n, ?::text AS t", [n, "x" * (n % 300)]).rows == [{"n": n, "t": "x" * (n % 300)}]
            if step % 10 == 0:
                assert sum(1 for _ in db.execute_stream("SELECT generate_series(1, ?::int)", [n % 3000])) == n % 3000

    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        list(threads.map(work, range(32)))


def test_threads_that_connect_at_once_share_one_session(config: edb.ConnectionConfig, gateway: Gateway) -> None:
    db = DB(config, gateway.address)
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: db.connect(), range(16)))
        assert len({id(db._state.live_session()) for _ in range(3)}) == 1
    db.close()
