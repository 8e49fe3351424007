"""Options of writes and of transactions: replay, and what is refused before anything is sent."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Dict, List, Tuple

import pytest
from support.processes import Gateway, Postgres

import engine_db_postgres as edb

DB = edb.PostgresSyncConnector


# replay.


@pytest.mark.parametrize("replay", [False, True])
def test_a_transaction_with_replay_outlives_its_backend(db: DB, items: str, postgres: Postgres, replay: bool) -> None:
    transaction = db.begin_transaction(edb.TransactionOptions(replay=replay))
    transaction.execute("INSERT INTO items VALUES (1, 'a')")
    postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'")
    if replay:
        transaction.execute("INSERT INTO items VALUES (2, 'b')")
        transaction.commit()
    else:
        with pytest.raises(edb.DatabaseTransactionError):
            transaction.execute("INSERT INTO items VALUES (2, 'b')")
        transaction.rollback()
    assert postgres.psql("SELECT count(*) FROM items") == ("2" if replay else "0")


# What is refused before anything is sent.

TOO_LONG = "ä" * 100 + "x"
WRONG: List[Tuple[Dict[str, Any], str, str]] = [
    ({"exactly_once": 1}, "UNSUPPORTED_TYPE", "exactly_once"),
    ({"exactly_once": None}, "UNSUPPORTED_TYPE", "exactly_once"),
    ({"idempotency_key": ""}, "MALFORMED_KEY", "idempotency_key"),
    ({"idempotency_key": TOO_LONG}, "MALFORMED_KEY", "idempotency_key"),
    ({"idempotency_key": "a\0"}, "NUL_IN_TEXT", "idempotency_key"),
    ({"idempotency_key": 7}, "UNSUPPORTED_TYPE", "idempotency_key"),
    ({"idempotency_key": b"key"}, "UNSUPPORTED_TYPE", "idempotency_key"),
]


@pytest.mark.parametrize("options, reason, field", WRONG)
def test_wrong_options_are_refused_before_anything_is_sent(db: DB, items: str, postgres: Postgres, options: Dict[str, Any],
                                                          reason: str, field: str) -> None:
    insert = "INSERT INTO items VALUES (1, 'a')"
    calls: List[Callable[[], object]] = [
        lambda: db.execute(insert, **options), lambda: db.execute_batch([insert], atomic=True, **options)]
    for call in calls:
        with pytest.raises(edb.DatabaseRequestError) as caught:
            call()
        error = caught.value
        assert (error.reason, error.field, error.phase) == (reason, field, edb.Phase.VALIDATING)
    assert postgres.psql("SELECT count(*) FROM items") == "0"


def test_once_is_for_autocommit_and_for_atomic_batches(db: DB, items: str) -> None:
    for field, value in (("exactly_once", True), ("idempotency_key", "k")):
        arguments: Dict[str, Any] = {field: value}
        with pytest.raises(edb.DatabaseRequestError) as caught:
            db.execute_batch(["SELECT 1"], **arguments)
        assert (caught.value.reason, caught.value.field) == ("EXACTLY_ONCE_NOT_ATOMIC", field)
        with db.transaction():
            calls: List[Callable[[], object]] = [
                lambda: db.execute("SELECT 1", **arguments),
                lambda: db.execute_batch(["SELECT 1"], atomic=True, **arguments)]
            for call in calls:
                with pytest.raises(edb.DatabaseRequestError) as caught:
                    call()
                assert (caught.value.reason, caught.value.field) == ("EXACTLY_ONCE_IN_TRANSACTION", field)
            db.execute("SELECT 1")  # The transaction has not heard of any of it.


@pytest.mark.parametrize("field", ["read_only", "deferrable", "replay"])
def test_a_wrong_transaction_option_is_refused(db: DB, field: str) -> None:
    arguments: Dict[str, Any] = {field: "yes"}
    with pytest.raises(edb.DatabaseRequestError, match=field):
        db.begin_transaction(edb.TransactionOptions(**arguments))


def test_async_is_the_same(config: edb.ConnectionConfig, gateway: Gateway, items: str, postgres: Postgres) -> None:
    insert = "INSERT INTO items VALUES (?, clock_timestamp()::text) RETURNING name"

    async def main() -> None:
        async with edb.PostgresAsyncConnector(config, gateway.address) as db:
            assert (await db.async_execute(insert, [1], exactly_once=True)).rowcount == 1
            first = await db.async_execute(insert, [2], idempotency_key="async-1")
            again = await db.async_execute(insert, [2], idempotency_key="async-1")
            assert (first.answered_before, again.answered_before, again.rows) == (False, True, first.rows)
            batch = [edb.Statement(insert, [(3,)])]
            for before in (False, True):
                (entry,) = await db.async_execute_batch(batch, atomic=True, exactly_once=True, idempotency_key="async-2")
                assert entry.result.answered_before is before
            for options, reason, field in WRONG:
                with pytest.raises(edb.DatabaseRequestError) as caught:
                    await db.async_execute(insert, [4], **options)
                assert (caught.value.reason, caught.value.field) == (reason, field)
            with pytest.raises(edb.DatabaseRequestError, match="atomic"):
                await db.async_execute_batch(batch, exactly_once=True)

            transaction = await db.async_begin_transaction(edb.TransactionOptions(replay=True))
            assert await transaction.async_outcome() is edb.Outcome.UNSPECIFIED
            await transaction.async_execute("INSERT INTO items VALUES (5, 'a')")
            postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'")
            async for row in transaction.async_execute_stream("SELECT count(*) AS n FROM items"):
                assert row == {"n": 4}
            await transaction.async_commit()
            assert await transaction.async_outcome() is edb.Outcome.COMMITTED
            assert await db.async_transaction_outcome(transaction.recovery_token) is edb.Outcome.COMMITTED

    asyncio.run(main())
    assert postgres.psql("SELECT count(*) FROM items") == "4"
