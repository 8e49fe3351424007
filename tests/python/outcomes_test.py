"""What became of a write: exactly_once, idempotency keys, and COMMITs whose answer was lost with the gateway."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from typing import Any, Callable, Dict, Iterator, List

import pytest
from support.processes import Gateway, Postgres, hold_port, port_of, running_gateway, wait_until

import engine_db_postgres as edb

DB = edb.PostgresSyncConnector
THREADS = concurrent.futures.ThreadPoolExecutor

IN_COMMIT = "SELECT pid FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active' AND wait_event_type = 'Lock'"


@pytest.fixture
def own_gateway() -> Iterator[Gateway]:
    with hold_port() as held, running_gateway(f"127.0.0.1:{port_of(held)}") as process:
        yield process


class Gate:
    """Where COMMITs that inserted into `gated` wait in PostgreSQL: for a lock that this holds."""

    def __init__(self, holder: DB, postgres: Postgres) -> None:
        self._transaction = holder.begin_transaction()
        self._transaction.execute("SELECT pg_advisory_xact_lock(4711)")
        self._postgres = postgres

    def wait_for_commit(self) -> str:
        """Returns the process id of the backend whose COMMIT waits here."""
        return wait_until(lambda: self._postgres.psql(IN_COMMIT), "the COMMIT")

    def open(self) -> None:
        self._transaction.rollback()


@pytest.fixture
def gate(db: DB, postgres: Postgres) -> Iterator[Gate]:
    """With the table gated (id int primary key)."""
    postgres.psql("""
        DROP TABLE IF EXISTS gated;
        CREATE TABLE gated (id int PRIMARY KEY);
        ALTER TABLE gated OWNER TO app;
        CREATE OR REPLACE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON gated DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION wait_at_gate();""")
    closed = Gate(db, postgres)
    yield closed
    with contextlib.suppress(edb.DatabaseTransactionError):  # It is open already.
        closed.open()


def gated(postgres: Postgres) -> str:
    return postgres.psql("SELECT count(*) FROM gated")


# COMMITs whose answer was lost.


def test_a_commit_that_was_lost_with_the_gateway_and_done_succeeds(config: edb.ConnectionConfig, own_gateway: Gateway,
                                                                  postgres: Postgres, gate: Gate) -> None:
    with DB(config, own_gateway.address) as db, THREADS(1) as threads:
        transaction = db.begin_transaction()
        transaction.execute("INSERT INTO gated VALUES (1)")
        committing = threads.submit(transaction.commit)
        gate.wait_for_commit()
        own_gateway.kill()
        own_gateway.start()
        gate.open()
        committing.result(timeout=60)
        assert gated(postgres) == "1" and transaction.outcome() is edb.Outcome.COMMITTED


def test_a_commit_that_was_lost_with_the_gateway_and_undone_is_rolled_back(
        config: edb.ConnectionConfig, own_gateway: Gateway, postgres: Postgres, gate: Gate) -> None:
    with DB(config, own_gateway.address) as db, THREADS(1) as threads:
        db.begin()  # The current transaction has no other rules.
        db.execute("INSERT INTO gated VALUES (1)")
        committing = threads.submit(db.commit)
        backend = gate.wait_for_commit()
        own_gateway.kill()
        own_gateway.start()
        postgres.psql(f"SELECT pg_terminate_backend({backend})")
        with pytest.raises(edb.DatabaseTransactionError) as caught:
            committing.result(timeout=60)
        assert (caught.value.reason, caught.value.outcome) == ("TRANSACTION_LOST", edb.Outcome.ROLLED_BACK)
        assert gated(postgres) == "0" and db.execute("SELECT 1 AS one").rows == [{"one": 1}]


def test_a_lost_commit_is_unknown_while_no_gateway_is_there_and_known_to_whoever_has_the_token(
        config: edb.ConnectionConfig, own_gateway: Gateway, db: DB, gate: Gate) -> None:
    with DB(config, own_gateway.address) as lost, THREADS(1) as threads:
        transaction = lost.begin_transaction()
        transaction.execute("INSERT INTO gated VALUES (1)")
        committing = threads.submit(lambda: transaction.commit(timeout_ms=2000))
        gate.wait_for_commit()
        own_gateway.kill()
        with pytest.raises(edb.DatabaseConnectionError) as caught:
            committing.result(timeout=60)
        assert caught.value.outcome is edb.Outcome.UNKNOWN and not caught.value.retryable
        with pytest.raises(edb.DatabaseConnectionError):
            transaction.outcome()
        with pytest.raises(edb.DatabaseTimeoutError):  # PostgreSQL is still committing.
            db.transaction_outcome(transaction.recovery_token, timeout_ms=200)
        gate.open()
        assert db.transaction_outcome(transaction.recovery_token) is edb.Outcome.COMMITTED
        own_gateway.start()
        assert transaction.outcome() is edb.Outcome.COMMITTED


def test_a_commit_that_took_too_long_is_known_by_its_handle(config: edb.ConnectionConfig, own_gateway: Gateway,
                                                           gate: Gate) -> None:
    with DB(config, own_gateway.address) as db:
        transaction = db.begin_transaction()
        transaction.execute("INSERT INTO gated VALUES (1)")
        with pytest.raises(edb.DatabaseTimeoutError) as caught:
            transaction.commit(timeout_ms=200)
        assert caught.value.outcome is edb.Outcome.UNKNOWN
        with pytest.raises(edb.DatabaseTimeoutError):
            transaction.outcome(timeout_ms=200)
        gate.open()
        assert transaction.outcome() is edb.Outcome.COMMITTED
        transaction.commit()  # Gets the stored answer.


def test_async_lost_commits(config: edb.ConnectionConfig, own_gateway: Gateway, postgres: Postgres, gate: Gate) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with edb.PostgresAsyncConnector(config, own_gateway.address) as db:
            async def commit_while_the_gateway_dies(number: int) -> "tuple[asyncio.Task[None], edb.AsyncTransaction, str]":
                transaction = await db.async_begin_transaction()
                await transaction.async_execute("INSERT INTO gated VALUES (?)", [number])
                committing = asyncio.create_task(transaction.async_commit())
                backend = await loop.run_in_executor(None, gate.wait_for_commit)
                own_gateway.kill()
                await loop.run_in_executor(None, own_gateway.start)
                return committing, transaction, backend

            committing, transaction, backend = await commit_while_the_gateway_dies(1)
            postgres.psql(f"SELECT pg_terminate_backend({backend})")
            with pytest.raises(edb.DatabaseTransactionError) as caught:
                await committing
            assert caught.value.outcome is edb.Outcome.ROLLED_BACK
            assert await transaction.async_outcome() is edb.Outcome.ROLLED_BACK
            committing, transaction, _ = await commit_while_the_gateway_dies(2)
            gate.open()
            await committing
            assert await transaction.async_outcome() is edb.Outcome.COMMITTED
            assert await db.async_transaction_outcome(transaction.recovery_token) is edb.Outcome.COMMITTED

    asyncio.run(main())
    assert postgres.psql("SELECT id FROM gated") == "2"


# What follows a COMMIT whose answer did not come.


def gave_up_committing(db: DB, number: int) -> edb.Transaction:
    """A transaction whose COMMIT waits at the gate, and was not waited for."""
    transaction = db.begin_transaction()
    transaction.execute("INSERT INTO gated VALUES (?)", [number])
    with pytest.raises(edb.DatabaseTimeoutError) as caught:
        transaction.commit(timeout_ms=200)
    assert caught.value.outcome is edb.Outcome.UNKNOWN
    return transaction


def lose(gateway: Gateway, transaction: edb.Transaction) -> None:
    gateway.kill()
    wait_until(lambda: transaction._open.session.ended, "the loss")


def refused(call: Callable[[], object]) -> "tuple[str, edb.Outcome]":
    with pytest.raises(edb.DatabaseTransactionError) as caught:
        call()
    return caught.value.reason, caught.value.outcome


IN_DOUBT = ("COMMIT_IN_DOUBT", edb.Outcome.UNKNOWN)
COMMITTED_ALREADY = ("TRANSACTION_COMMITTED", edb.Outcome.NOT_EXECUTED)
LOST = ("TRANSACTION_LOST", edb.Outcome.ROLLED_BACK)


def test_a_rollback_of_what_was_committed_meanwhile_fails(config: edb.ConnectionConfig, own_gateway: Gateway,
                                                          postgres: Postgres, gate: Gate) -> None:
    with DB(config, own_gateway.address) as db:
        transaction = gave_up_committing(db, 1)
        gate.open()
        wait_until(lambda: gated(postgres) == "1", "the COMMIT")
        assert refused(transaction.rollback) == COMMITTED_ALREADY


@pytest.mark.parametrize("done", [True, False])
def test_the_end_of_a_transaction_whose_commit_was_lost_is_found_out(
        config: edb.ConnectionConfig, own_gateway: Gateway, postgres: Postgres, gate: Gate, done: bool) -> None:
    with DB(config, own_gateway.address) as db, THREADS(2) as threads:
        to_commit, to_roll_back = gave_up_committing(db, 1), gave_up_committing(db, 2)
        lose(own_gateway, to_commit)
        assert refused(lambda: to_commit.execute("SELECT 1")) == ("COMMIT_IN_DOUBT", edb.Outcome.NOT_EXECUTED)
        own_gateway.start()
        committing, rolling_back = threads.submit(to_commit.commit), threads.submit(to_roll_back.rollback)
        if done:
            gate.open()
            committing.result(timeout=60)
            assert refused(lambda: rolling_back.result(timeout=60)) == COMMITTED_ALREADY
        else:
            postgres.psql(f"SELECT pg_terminate_backend(pid) FROM ({IN_COMMIT}) AS waiting")
            assert refused(lambda: committing.result(timeout=60)) == LOST
            rolling_back.result(timeout=60)
        assert gated(postgres) == ("2" if done else "0")


def test_the_end_of_a_transaction_whose_commit_was_lost_is_unknown_while_nobody_can_be_asked(
        config: edb.ConnectionConfig, own_gateway: Gateway, gate: Gate) -> None:
    with DB(config, own_gateway.address) as db:
        to_commit, to_roll_back = gave_up_committing(db, 1), gave_up_committing(db, 2)
        lose(own_gateway, to_commit)
        assert refused(lambda: to_commit.commit(timeout_ms=200)) == IN_DOUBT
        to_roll_back._open.recovery_token = ""
        assert refused(to_roll_back.rollback) == IN_DOUBT


def test_a_repeated_commit_that_was_not_sent_proves_nothing_about_the_first(
        config: edb.ConnectionConfig, own_gateway: Gateway, gate: Gate) -> None:
    with DB(config, own_gateway.address) as db:
        transaction = gave_up_committing(db, 1)
        with pytest.raises(edb.DatabaseTimeoutError) as caught:
            transaction.commit(timeout_ms=200)  # Waits behind the first.
        assert caught.value.outcome is edb.Outcome.UNKNOWN and not caught.value.retryable
        lose(own_gateway, transaction)
        own_gateway.start()
        gate.open()
        transaction.commit()


def test_a_commit_that_was_not_sent_leaves_no_doubt(config: edb.ConnectionConfig, own_gateway: Gateway) -> None:
    with DB(config, own_gateway.address) as db, THREADS(2) as threads:
        transactions = [db.begin_transaction(), db.begin_transaction()]
        sleeping = [threads.submit(transaction.execute, "SELECT pg_sleep(60)") for transaction in transactions]
        for transaction in transactions:
            with pytest.raises(edb.DatabaseTimeoutError) as caught:
                transaction.commit(timeout_ms=200)  # Waits behind the statement.
            assert caught.value.outcome is edb.Outcome.NOT_EXECUTED
        lose(own_gateway, transactions[0])
        for call in sleeping:
            assert isinstance(call.exception(timeout=60), edb.DatabaseConnectionError)
        assert refused(transactions[0].commit) == LOST
        transactions[1].rollback()


def test_a_commit_that_a_gateway_leaves_behind_when_it_shuts_down_is_found_out(
        config: edb.ConnectionConfig, postgres: Postgres, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_DB_DRAIN_GRACE", "300ms")
    with hold_port() as held, running_gateway(f"127.0.0.1:{port_of(held)}") as leaving:
        with DB(config, leaving.address) as db, THREADS(2) as threads:
            transaction = db.begin_transaction()
            transaction.execute("INSERT INTO gated VALUES (1)")
            committing = threads.submit(transaction.commit)
            gate.wait_for_commit()
            leaving.stop()
            leaving.start()
            gate.open()
            # The gateway may have ended the backend, to learn what becomes of it.
            committed = committing.exception(timeout=60) is None
            assert committed or refused(committing.result) == LOST
            assert gated(postgres) == ("1" if committed else "0")


def test_async_ends_of_a_transaction_whose_commit_was_lost(config: edb.ConnectionConfig, own_gateway: Gateway,
                                                           postgres: Postgres, gate: Gate) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with edb.PostgresAsyncConnector(config, own_gateway.address) as db:
            transactions: List[edb.AsyncTransaction] = []
            for number in range(3):
                transactions.append(await db.async_begin_transaction())
                await transactions[number].async_execute("INSERT INTO gated VALUES (?)", [number])
                with pytest.raises(edb.DatabaseTimeoutError):
                    await transactions[number].async_commit(timeout_ms=200)
            own_gateway.kill()
            await loop.run_in_executor(None, own_gateway.start)
            with pytest.raises(edb.DatabaseTransactionError) as caught:
                await transactions[0].async_execute("SELECT 1")
            assert caught.value.reason == "COMMIT_IN_DOUBT"
            gate.open()
            await transactions[0].async_commit()
            with pytest.raises(edb.DatabaseTransactionError) as caught:
                await transactions[1].async_rollback()
            assert (caught.value.reason, caught.value.outcome) == COMMITTED_ALREADY
            transactions[2]._open.recovery_token = ""
            with pytest.raises(edb.DatabaseTransactionError) as caught:
                await transactions[2].async_rollback()
            assert (caught.value.reason, caught.value.outcome) == IN_DOUBT

    asyncio.run(main())
    assert gated(postgres) == "3"


# Outcomes that are asked for.


def test_a_token_is_there_once_something_was_written_whichever_the_call(db: DB, items: str) -> None:
    insert = "INSERT INTO items VALUES (1, 'a') RETURNING id"
    writes: List[Callable[[edb.Transaction], object]] = [
        lambda t: t.execute(insert), lambda t: t.execute_batch([insert]), lambda t: list(t.execute_stream(insert))]
    for write in writes:
        transaction = db.begin_transaction()
        transaction.execute("SELECT 1")
        assert transaction.recovery_token == "" and transaction.outcome() is edb.Outcome.UNSPECIFIED
        write(transaction)
        token = transaction.recovery_token
        assert token
        with pytest.raises(edb.DatabaseTimeoutError):  # It is open.
            db.transaction_outcome(token, timeout_ms=100)
        transaction.rollback()
        assert transaction.outcome() is edb.Outcome.ROLLED_BACK
        assert db.transaction_outcome(token) is edb.Outcome.ROLLED_BACK
        assert transaction.recovery_token == token
    with db.transaction() as block:
        block.execute(insert)
        with db.transaction() as savepoint:
            assert savepoint.recovery_token == block.recovery_token != ""
    assert db.transaction_outcome(block.recovery_token) is edb.Outcome.COMMITTED


def test_a_transaction_that_wrote_nothing_and_was_lost_is_unknown(config: edb.ConnectionConfig, own_gateway: Gateway) -> None:
    with DB(config, own_gateway.address) as db:
        transaction = db.begin_transaction()
        transaction.execute("SELECT 1")
        own_gateway.kill()
        with pytest.raises((edb.DatabaseTransactionError, edb.DatabaseConnectionError)):
            transaction.execute("SELECT 1")
        assert transaction.outcome() is edb.Outcome.UNKNOWN


@pytest.mark.parametrize("token, reason", [("", "MALFORMED_TOKEN"), ("no token", "MALFORMED_TOKEN"), ("a\0b", "NUL_IN_TEXT"),
                                           ("\ud800", "INVALID_UTF8"), (5, "UNSUPPORTED_TYPE"), (None, "UNSUPPORTED_TYPE")])
def test_a_wrong_token_is_refused(db: DB, token: Any, reason: str) -> None:
    with pytest.raises(edb.DatabaseRequestError) as caught:
        db.transaction_outcome(token)
    assert (caught.value.reason, caught.value.field) == (reason, "recovery_token")


# exactly_once.


def test_exactly_once_tells_what_became_of_a_write(db: DB, postgres: Postgres, gate: Gate) -> None:
    with THREADS(1) as threads:
        retry = edb.RetryConfig(max_attempts=1)
        insert = threads.submit(lambda: db.execute("INSERT INTO gated VALUES (1)", exactly_once=True, retry=retry))
        postgres.psql(f"SELECT pg_terminate_backend({gate.wait_for_commit()})")
        with pytest.raises(edb.DatabaseError) as caught:
            insert.result(timeout=60)
        assert caught.value.outcome is edb.Outcome.ROLLED_BACK and gated(postgres) == "0"
    gate.open()
    assert db.execute("INSERT INTO gated VALUES (?)", [1], exactly_once=True).rowcount == 1
    entries = db.execute_batch([edb.Statement("INSERT INTO gated VALUES (?)", [(2,), (3,)])], atomic=True, exactly_once=True)
    assert len(entries) == 2 and gated(postgres) == "3"
    assert db.execute("SELECT 1 AS one", exactly_once=True).rows == [{"one": 1}]


# Idempotency keys.


def test_a_repeated_call_with_a_key_gets_the_first_one_s_result(db: DB, config: edb.ConnectionConfig, gateway: Gateway,
                                                               items: str, postgres: Postgres) -> None:
    insert = "INSERT INTO items VALUES (?, clock_timestamp()::text) RETURNING id, name"
    first = db.execute(insert, [1], idempotency_key="käse-1")
    assert not first.answered_before
    with DB(config, gateway.address) as other:
        again = other.execute(insert, [1], idempotency_key="käse-1")
    assert again.answered_before and again.rows == first.rows and again.command_tag == "INSERT 0 1"
    with pytest.raises(edb.DatabaseRequestError) as caught:
        db.execute(insert, [2], idempotency_key="käse-1")
    assert caught.value.reason == "IDEMPOTENCY_KEY_REUSED"

    batch: List[Any] = [edb.Statement(insert, [(2,), (3,)]), "SELECT count(*) AS n FROM items"]
    answers = [db.execute_batch(batch, atomic=True, idempotency_key="batch-1") for _ in range(2)]
    assert [[entry.result.answered_before for entry in entries] for entries in answers] == [[False] * 3, [True] * 3]
    assert [entry.result.rows for entry in answers[0]] == [entry.result.rows for entry in answers[1]]
    assert postgres.psql("SELECT count(*) FROM items") == "3"


def test_a_call_with_a_key_that_was_lost_with_the_gateway_may_be_repeated(config: edb.ConnectionConfig, own_gateway: Gateway,
                                                                         postgres: Postgres, gate: Gate) -> None:
    insert: Dict[str, Any] = {"sql": "INSERT INTO gated VALUES (1)", "idempotency_key": "lost-1"}
    with DB(config, own_gateway.address) as db, THREADS(1) as threads:
        under_way = threads.submit(lambda: db.execute(**insert))
        gate.wait_for_commit()
        own_gateway.kill()
        with pytest.raises(edb.DatabaseConnectionError) as caught:
            under_way.result(timeout=60)
        assert caught.value.outcome is edb.Outcome.UNKNOWN and caught.value.retryable
        own_gateway.start()
        gate.open()
        assert db.execute(**insert).answered_before and gated(postgres) == "1"
