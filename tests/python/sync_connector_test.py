"""US-003, US-005, US-007, US-009 and US-010 with the synchronous connector."""

from __future__ import annotations

import concurrent.futures
import os
import threading
import time
from typing import Any, List

import pytest
from support.processes import Gateway, Postgres, wait_until

import engine_db_postgres as edb

DB = edb.PostgresSyncConnector


def backends(postgres: Postgres, application: str) -> int:
    return int(postgres.psql(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'"))


def named(config: edb.ConnectionConfig, name: str, **fields: Any) -> edb.ConnectionConfig:
    """The same, with a pool of its own."""
    known = {"host": config.host, "port": config.port, "user": config.user, "password": config.password,
             "dbname": config.dbname, "application_name": name}
    return edb.ConnectionConfig(**{**known, **fields})


# US-003: the synchronous connector.


def test_pool_initializes_and_connections_are_taken_and_returned(config: edb.ConnectionConfig, gateway: Gateway,
                                                                 postgres: Postgres) -> None:
    with DB(named(config, "pool-of-2", max_pool_size=2), gateway.address) as db:
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            pids = set(threads.map(lambda _: db.execute("SELECT pg_backend_pid() AS pid").rows[0]["pid"], range(100)))
        assert 1 <= len(pids) <= 2 and backends(postgres, "pool-of-2") <= 2


def test_select_returns_dict_rows_and_a_rowcount(db: DB, items: str) -> None:
    db.execute("INSERT INTO items VALUES (?, ?), (?, ?)", [1, "one", 2, None])
    result = db.execute("SELECT * FROM items WHERE id >= ? ORDER BY id", [1])
    assert result.rows == [{"id": 1, "name": "one"}, {"id": 2, "name": None}]
    assert result.rowcount == 2 and [column.name for column in result.columns] == ["id", "name"]
    assert result.tuples == [(1, "one"), (2, None)] and list(result) == result.rows and len(result) == 2


def test_insert_update_delete(db: DB, items: str) -> None:
    assert db.execute("INSERT INTO items VALUES (?, ?), (?, ?)", [1, "a", 2, "b"]).rowcount == 2
    updated = db.execute("UPDATE items SET name = ? WHERE id = ? RETURNING name", ["c", 2])
    assert (updated.rowcount, updated.rows, updated.command_tag) == (1, [{"name": "c"}], "UPDATE 1")
    deleted = db.execute("DELETE FROM items")
    assert (deleted.rowcount, deleted.rows, deleted.columns) == (2, [], ())


def test_an_empty_result_has_columns_and_no_rows(db: DB, items: str) -> None:
    result = db.execute("SELECT id, name FROM items")
    assert (result.rows, result.tuples, result.rowcount, len(result)) == ([], [], 0, 0)
    assert [column.type_name for column in result.columns] == ["integer", "text"]


def test_columns_of_one_name_can_be_told_apart_as_tuples_only(db: DB) -> None:
    result = db.execute("SELECT 1 AS id, 2 AS id")
    with pytest.raises(edb.DatabaseRequestError, match='"id"') as caught:
        result.rows
    assert caught.value.reason == "AMBIGUOUS_COLUMN"
    assert result.tuples == [(1, 2)]


def test_to_pandas(db: DB) -> None:
    pandas = pytest.importorskip("pandas")
    frame = db.execute("SELECT i AS id, 'x' || i AS name FROM generate_series(1, 3) i").to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["id", "name"] and frame["id"].sum() == 6 and frame["name"][2] == "x3"


# US-005: placeholders.


def test_placeholders_become_numbered_and_keep_their_order(db: DB) -> None:
    result = db.execute("SELECT ?::int - ?::int AS d, '?' AS q, 1 /* ? */ AS c -- ?", [10, 3])
    assert result.rows == [{"d": 7, "q": "?", "c": 1}]
    assert result.bound_sql == "SELECT $1::int - $2::int AS d, '?' AS q, 1 /* ? */ AS c -- ?"


@pytest.mark.parametrize("params", [[], [1], [1, 2, 3]])
def test_too_many_or_too_few_parameters_are_a_clear_error(db: DB, params: List[int]) -> None:
    with pytest.raises(edb.DatabaseRequestError) as caught:
        db.execute("SELECT ?::int, ?::int", params)
    assert caught.value.reason == "PARAMETER_COUNT" and "2" in str(caught.value) and str(len(params)) in str(caught.value)
    assert caught.value.outcome is edb.Outcome.NOT_EXECUTED


def test_expressions_take_no_slot_and_are_never_guessed_from_texts(db: DB) -> None:
    result = db.execute("SELECT ? AS a, ? = now() AS b, ? AS c, ? AS d", ["x", edb.CURRENT_TIMESTAMP, "CURRENT_TIMESTAMP",
                                                                         "currentdatetime()"])
    assert result.rows == [{"a": "x", "b": True, "c": "CURRENT_TIMESTAMP", "d": "currentdatetime()"}]
    assert result.bound_sql == "SELECT $1 AS a, CURRENT_TIMESTAMP = now() AS b, $2 AS c, $3 AS d"
    assert db.execute("SELECT ? = now() AS now", [edb.currentdatetime()]).rows == [{"now": True}]


def test_literal_only_parameters_consume_no_placeholder_slots(db: DB, items: str) -> None:
    db.execute("ALTER TABLE items ALTER name SET DEFAULT 'none'")
    result = db.execute("INSERT INTO items VALUES (1, ?) RETURNING name", [edb.DEFAULT])
    assert result.rows == [{"name": "none"}] and "$" not in result.bound_sql


# US-007: transactions.


def test_begin_execute_commit_persists(db: DB, items: str, postgres: Postgres) -> None:
    db.begin()
    db.execute("INSERT INTO items VALUES (1, 'a')")
    db.execute("INSERT INTO items VALUES (2, 'b')")
    assert postgres.psql("SELECT count(*) FROM items") == "0"
    db.commit()
    assert postgres.psql("SELECT count(*) FROM items") == "2"


def test_begin_execute_rollback_discards(db: DB, items: str, postgres: Postgres) -> None:
    db.begin()
    db.execute("INSERT INTO items VALUES (1, 'a')")
    assert db.execute("SELECT count(*) AS n FROM items").rows == [{"n": 1}]
    db.rollback()
    assert postgres.psql("SELECT count(*) FROM items") == "0"
    db.execute("INSERT INTO items VALUES (1, 'a')")  # Autocommit again.
    assert postgres.psql("SELECT count(*) FROM items") == "1"


def test_a_second_begin_and_an_end_without_begin_are_errors(db: DB) -> None:
    db.begin()
    with pytest.raises(edb.DatabaseTransactionError, match="active"):
        db.begin()
    db.rollback()
    for operation in (db.commit, db.rollback):
        with pytest.raises(edb.DatabaseTransactionError, match="without begin"):
            operation()


def test_a_failed_transaction_takes_only_rollback(db: DB, items: str) -> None:
    db.begin()
    with pytest.raises(edb.DatabaseExecutionError):
        db.execute("SELECT 1 / 0")
    with pytest.raises(edb.DatabaseTransactionError):
        db.execute("SELECT 1")
    with pytest.raises(edb.DatabaseTransactionError):
        db.commit()
    with pytest.raises(edb.DatabaseTransactionError, match="without begin"):
        db.rollback()  # The failed commit has rolled back.
    assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]


def test_a_block_commits_or_rolls_back_and_nests_as_savepoints(db: DB, items: str, postgres: Postgres) -> None:
    with db.transaction():
        db.execute("INSERT INTO items VALUES (1, 'a')")
        with pytest.raises(edb.DatabaseExecutionError):
            with db.transaction():
                db.execute("INSERT INTO items VALUES (2, 'b')")
                db.execute("INSERT INTO items VALUES (1, 'a')")
        with db.transaction() as inner:
            inner.execute("INSERT INTO items VALUES (3, 'c')")
        with pytest.raises(edb.DatabaseTransactionError):
            db.commit()
        assert postgres.psql("SELECT count(*) FROM items") == "0"
    assert postgres.psql("SELECT string_agg(id::text, ',' ORDER BY id) FROM items") == "1,3"
    with pytest.raises(KeyError):
        with db.transaction():
            db.execute("DELETE FROM items")
            raise KeyError("mine")
    assert postgres.psql("SELECT count(*) FROM items") == "2"


def test_blocks_of_several_threads_do_not_meet(db: DB, items: str, postgres: Postgres) -> None:
    def work(number: int) -> None:
        try:
            with db.transaction():
                db.execute("INSERT INTO items VALUES (?, ?)", [number, "x"])
                if number % 2:
                    raise KeyError(number)
        except KeyError:
            pass

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(40)))
    assert postgres.psql("SELECT count(*), count(*) FILTER (WHERE id % 2 = 1) FROM items") == "20|0"


def test_the_current_transaction_is_the_connector_s_whatever_the_thread(db: DB, items: str, postgres: Postgres) -> None:
    db.begin()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        threads.submit(db.execute, "INSERT INTO items VALUES (1, 'a')").result()
    db.rollback()
    assert postgres.psql("SELECT count(*) FROM items") == "0"


def test_isolation_and_read_only(db: DB, items: str) -> None:
    db.begin(edb.TransactionOptions(edb.IsolationLevel.SERIALIZABLE, read_only=True))
    assert db.execute("SHOW transaction_isolation").rows == [{"transaction_isolation": "serializable"}]
    with pytest.raises(edb.DatabaseExecutionError) as caught:
        db.execute("INSERT INTO items VALUES (1, 'a')")
    assert caught.value.sqlstate == "25006"
    db.rollback()


def test_run_transaction_repeats_what_was_serialized_away(config: edb.ConnectionConfig, gateway: Gateway, items: str,
                                                          postgres: Postgres) -> None:
    postgres.psql("INSERT INTO items VALUES (1, '0')")
    with DB(config, gateway.address) as db:
        attempts: List[int] = []

        def add(transaction: edb.Transaction) -> int:
            attempts.append(1)
            value = int(transaction.execute("SELECT name FROM items WHERE id = 1").rows[0]["name"]) + 1
            if len(attempts) == 1:  # Another comes in between.
                db.execute("UPDATE items SET name = '10' WHERE id = 1")
            transaction.execute("UPDATE items SET name = ? WHERE id = 1", [str(value)])
            return value

        options = edb.TransactionOptions(edb.IsolationLevel.SERIALIZABLE)
        assert db.run_transaction(add, options) == 11
        assert len(attempts) == 2 and postgres.psql("SELECT name FROM items") == "11"


def test_savepoints_by_name(db: DB, items: str, postgres: Postgres) -> None:
    transaction = db.begin_transaction()
    transaction.execute("INSERT INTO items VALUES (1, 'a')")
    transaction.savepoint("here")
    with pytest.raises(edb.DatabaseExecutionError):
        transaction.execute("INSERT INTO items VALUES (1, 'a')")
    transaction.rollback_to("here")
    transaction.commit()
    with pytest.raises(edb.DatabaseTransactionError, match="ended"):
        transaction.execute("SELECT 1")
    assert postgres.psql("SELECT count(*) FROM items") == "1"


# Batches.


def test_execute_many_is_all_or_nothing(db: DB, items: str, postgres: Postgres) -> None:
    results = db.execute_many("INSERT INTO items VALUES (?, ?) RETURNING id", [(i, f"n{i}") for i in range(100)])
    assert [result.rows[0]["id"] for result in results] == list(range(100))
    with pytest.raises(edb.DatabaseExecutionError) as caught:
        db.execute_many("INSERT INTO items VALUES (?, ?)", [(200, "a"), (5, "b")])
    assert caught.value.sqlstate == "23505" and caught.value.constraint_name == "items_pkey"
    assert postgres.psql("SELECT count(*) FROM items") == "100" and db.execute_many("SELECT 1", []) == []


def test_execute_many_of_more_than_a_batch_holds(db: DB, items: str, postgres: Postgres) -> None:
    results = db.execute_many("INSERT INTO items VALUES (?, ?)", [(i, "x") for i in range(25_000)], timeout_ms=120_000)
    assert len(results) == 25_000 and postgres.psql("SELECT count(*) FROM items") == "25000"
    with pytest.raises(edb.DatabaseExecutionError):
        db.execute_many("INSERT INTO items VALUES (?, ?)", [(i, "x") for i in range(30_000, 5_000, -1)],
                        timeout_ms=120_000)
    assert postgres.psql("SELECT count(*) FROM items") == "25000"


def test_a_batch_gives_each_run_its_own_result(db: DB, items: str) -> None:
    entries = db.execute_batch([edb.Statement("INSERT INTO items VALUES (?, ?)", [(1, "a"), (1, "b"), (2, "c")]),
                                "SELECT count(*) AS n FROM items"])
    assert [(entry.statement_index, entry.parameter_list_index, entry.ok) for entry in entries] == [
        (0, 0, True), (0, 1, False), (0, 2, True), (1, 0, True)]
    assert entries[3].result.rows == [{"n": 2}]
    with pytest.raises(edb.DatabaseExecutionError):
        entries[1].result


def test_describe(db: DB, items: str) -> None:
    description = db.describe("SELECT id, name FROM items WHERE name = ?")
    assert [column.type_name for column in description.columns] == ["integer", "text"]
    assert description.parameter_type_names == ["text"]


# US-009: errors.


def test_invalid_sql_is_an_execution_error_with_its_position(db: DB) -> None:
    with pytest.raises(edb.DatabaseExecutionError) as caught:
        db.execute("SELECT ?, nonsense FROM items", [1])
    error = caught.value
    assert (error.sqlstate, error.position, error.retryable) == ("42703", 11, False)
    assert error.kind is edb.ErrorKind.EXECUTION and "nonsense" in str(error)


def test_a_timeout_is_a_timeout_error_and_cancels_the_statement(db: DB, postgres: Postgres) -> None:
    begin = time.monotonic()
    with pytest.raises(edb.DatabaseTimeoutError):
        db.execute("SELECT pg_sleep(60), 'canary-timeout'", timeout_ms=200)
    assert time.monotonic() - begin < 30
    wait_until(lambda: postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE"
                                     " '%canary-timeout%' AND pid <> pg_backend_pid()") == "0", "the cancel")


@pytest.mark.parametrize("timeout_ms", [-1, 86_400_001, 1.5, "5", True])
def test_a_wrong_timeout_is_refused(db: DB, timeout_ms: Any) -> None:
    with pytest.raises(edb.DatabaseRequestError, match="timeout_ms"):
        db.execute("SELECT 1", timeout_ms=timeout_ms)


def test_a_lost_connection_is_a_connection_error(db: DB) -> None:
    with pytest.raises(edb.DatabaseConnectionError) as caught:
        db.execute("SELECT pg_terminate_backend(pg_backend_pid())", retry=edb.RetryConfig(max_attempts=1))
    assert caught.value.outcome in (edb.Outcome.UNKNOWN, edb.Outcome.ROLLED_BACK)
    assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]


def test_a_refused_login_and_a_missing_server_are_connection_errors(config: edb.ConnectionConfig, gateway: Gateway) -> None:
    for wrong in (named(config, "x", password="canary-wrong"), named(config, "x", port=1, timeout_ms=3000)):
        with pytest.raises(edb.DatabaseConnectionError) as caught:
            DB(wrong, gateway.address).connect()
        assert "canary" not in str(caught.value)


def test_no_gateway_is_a_connection_error(config: edb.ConnectionConfig) -> None:
    for address in ("unix:/nowhere/gateway.sock", "127.0.0.1:1"):
        with pytest.raises(edb.DatabaseConnectionError, match="can't reach the gateway") as caught:
            DB(config, address).connect()
        assert caught.value.outcome is edb.Outcome.NOT_EXECUTED and caught.value.retryable


def test_errors_travel_between_processes(db: DB) -> None:
    import pickle

    with pytest.raises(edb.DatabaseError) as caught:
        db.execute("SELECT 1 / 0")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value) and again.info == caught.value.info


def test_no_error_shows_a_parameter_or_a_row(db: DB, items: str) -> None:
    db.execute("INSERT INTO items VALUES (1, 'canary-row')")
    db.execute("CREATE UNIQUE INDEX ON items (name)")
    for sql, params in (("INSERT INTO items VALUES (2, ?)", ["canary-row"]), ("SELECT ?::int", ["canary-p"]),
                        ("SELECT ? FROM items", ["canary\0"]), ("SELECT ?", [object()])):
        with pytest.raises(edb.DatabaseError) as caught:
            db.execute(sql, params)
        assert "canary" not in str(caught.value.info)


@pytest.mark.parametrize("params, path", [
    ([1, object()], "parameters[1]"), (["a\0b"], "parameters[0]"), (["\ud800"], "parameters[0]"),
    ([["x", ["\0"]]], "parameters[0]"), ([{"a": object()}], "parameters[0]"), ("text", "parameters"), ({"a": 1}, "parameters"),
    ([edb.Typed("", 1)], "parameters[0]"), ([edb.Typed("int", edb.DEFAULT)], "parameters[0]"),
])
def test_a_wrong_parameter_is_refused_by_its_place(db: DB, params: Any, path: str) -> None:
    with pytest.raises(edb.DatabaseRequestError) as caught:
        db.execute("SELECT ?", params)
    assert caught.value.field == path and caught.value.outcome is edb.Outcome.NOT_EXECUTED


@pytest.mark.parametrize("sql", ["", "SELECT 1; SELECT 2", "BEGIN", "SELECT '\0'", "SELECT '\ud800'", None, b"SELECT 1"])
def test_wrong_sql_is_refused(db: DB, sql: Any) -> None:
    with pytest.raises(edb.DatabaseExecutionError):
        db.execute(sql)
    assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]


def test_a_request_that_is_too_large_is_refused_and_harms_nobody(db: DB) -> None:
    with pytest.raises(edb.DatabaseRequestError) as caught:
        db.execute("SELECT length(?)", ["x" * (5 << 20)])
    assert caught.value.reason == "REQUEST_TOO_LARGE"
    assert db.execute("SELECT length(?) AS n", ["x" * (3 << 20)]).rows == [{"n": 3 << 20}]


# US-010: life cycle.


def test_not_connected_and_closed_are_connection_errors(config: edb.ConnectionConfig, gateway: Gateway) -> None:
    db = DB(config, gateway.address)
    with pytest.raises(edb.DatabaseConnectionError, match="connect"):
        db.execute("SELECT 1")
    with pytest.raises(edb.DatabaseConnectionError, match="connect"):
        db.begin()
    db.connect()
    db.connect()
    db.close()
    db.close()
    with pytest.raises(edb.DatabaseConnectionError, match="connect"):
        db.execute("SELECT 1")
    db.connect()
    assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]
    db.close()


def test_close_rolls_back_and_releases_the_backends(config: edb.ConnectionConfig, gateway: Gateway, items: str,
                                                    postgres: Postgres) -> None:
    db = DB(named(config, "released"), gateway.address)
    db.connect()
    db.begin()
    db.execute("INSERT INTO items VALUES (1, 'a')")
    assert backends(postgres, "released") == 1
    db.close()
    wait_until(lambda: backends(postgres, "released") == 0, "the pool to close")
    assert postgres.psql("SELECT count(*) FROM items") == "0"
    db.connect()
    assert db.execute("SELECT count(*) AS n FROM items").rows == [{"n": 0}]
    db.close()


def test_a_dropped_connector_leaves_nothing_behind(config: edb.ConnectionConfig, gateway: Gateway,
                                                   postgres: Postgres) -> None:
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        db = DB(named(config, "dropped"), gateway.address)
        db.connect()
        db.execute("SELECT 1")
        del db
    wait_until(lambda: backends(postgres, "dropped") == 0, "the pool to close")
    wait_until(lambda: threading.active_count() <= threads and len(os.listdir("/proc/self/fd")) <= files, "the threads")


def test_close_ends_the_calls_of_other_threads(config: edb.ConnectionConfig, gateway: Gateway, postgres: Postgres) -> None:
    db = DB(named(config, "cut-off"), gateway.address)
    db.connect()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        call = threads.submit(db.execute, "SELECT pg_sleep(60)")
        wait_until(lambda: postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cut-off' AND"
                                         " state = 'active'") == "1", "the statement")
        db.close()
        with pytest.raises(edb.DatabaseError):
            call.result(timeout=60)
