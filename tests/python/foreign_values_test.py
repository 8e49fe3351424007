"""Values of numpy and pandas, of classes that derive from others, lists that are empty, and rows from anywhere."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import json
import sqlite3
import uuid
from typing import Any, Callable, Iterator, List, NamedTuple, Sequence, Tuple

import pytest
from support.processes import Gateway, Postgres

import engine_db_postgres as edb

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")

DB = edb.PostgresSyncConnector
UTC = datetime.timezone.utc


class Metres(float):
    """A unit, which shows itself so."""

    def __repr__(self) -> str:
        return f"{float.__repr__(self)} m"

    __str__ = __repr__


class Count(int):
    def __repr__(self) -> str:
        return "many"

    __str__ = __repr__


class Code(str):
    def __str__(self) -> str:
        return "secret"


class Amount(decimal.Decimal):
    def __str__(self) -> str:
        return "EUR"


class Moment(datetime.datetime):
    def isoformat(self, *_: Any, **__: Any) -> str:
        return "soon"


class Day(datetime.date):
    def isoformat(self) -> str:
        return "today"


class Key(uuid.UUID):
    def __str__(self) -> str:
        return "key"


class Level(enum.IntEnum):
    HIGH = 7


class Flags(enum.IntFlag):
    BOTH = 3


class Ratio(float, enum.Enum):
    HALF = 0.5


class Price(decimal.Decimal, enum.Enum):
    LOW = "1.50"


class Bounds(NamedTuple):
    low: int
    high: int


# A value, the type of the place where it goes, and what comes back.
VALUES: List[Tuple[Any, str, Any]] = [
    (Metres(1.5), "float8", 1.5), (Count(5), "int", 5), (Count(2**80), "numeric", decimal.Decimal(2**80)),
    (Code("a"), "text", "a"),
    (Amount("1.10"), "numeric", decimal.Decimal("1.10")), (Moment(2024, 1, 1), "timestamp", datetime.datetime(2024, 1, 1)),
    (Day(2024, 1, 1), "date", datetime.date(2024, 1, 1)), (Key(int=5), "uuid", uuid.UUID(int=5)), (Level.HIGH, "int", 7),
    (Flags.BOTH, "int", 3), (Ratio.HALF, "float8", 0.5), (Price.LOW, "numeric", decimal.Decimal("1.50")),
    (Bounds(1, 9), "int[]", [1, 9]),
    (numpy.int8(-5), "int", -5), (numpy.uint64(2**64 - 1), "numeric", decimal.Decimal(2**64 - 1)),
    (numpy.float64(0.1), "float8", 0.1),
    (numpy.float32(0.5), "float8", 0.5), (numpy.float16(0.5), "float8", 0.5), (numpy.longdouble(0.5), "float8", 0.5),
    (numpy.bool_(True), "bool", True), (numpy.str_("ä"), "text", "ä"), (numpy.bytes_(b"\xff"), "bytea", b"\xff"),
    (numpy.array(3), "int", 3), (numpy.datetime64("2024-02-29"), "date", datetime.date(2024, 2, 29)),
    (numpy.datetime64("2024-02-29T12:00:00.123456789"), "timestamp", datetime.datetime(2024, 2, 29, 12, 0, 0, 123456)),
    (numpy.datetime64("NaT"), "timestamp", None), (numpy.timedelta64(90, "m"), "interval", datetime.timedelta(minutes=90)),
    (numpy.timedelta64(1500, "ns"), "interval", datetime.timedelta(microseconds=1)), (numpy.timedelta64("NaT"), "interval", None),
    (pandas.NA, "int", None), (pandas.NaT, "timestamptz", None),
    (pandas.Timestamp("2024-01-01T05:00:00.5Z"), "timestamptz", datetime.datetime(2024, 1, 1, 5, 0, 0, 500000, UTC)),
    (pandas.Timestamp("2024-01-01 05:00"), "timestamp", datetime.datetime(2024, 1, 1, 5)),
    (pandas.Timedelta("1 day 2 hours"), "interval", datetime.timedelta(days=1, hours=2)),
    (numpy.array([1, 2, 3]), "int[]", [1, 2, 3]),
    (numpy.array([[1.5, 2], [3, float("inf")]]), "float8[]", [[1.5, 2.0], [3.0, float("inf")]]),
    (numpy.array([True, False]), "bool[]", [True, False]), (numpy.array(["a", "b,"]), "text[]", ["a", "b,"]),
    (numpy.array(["2024-01-01", "NaT"], dtype="M8[ns]"), "timestamp[]", [datetime.datetime(2024, 1, 1), None]),
    (numpy.array(["2024-01-01"], dtype="M8[D]"), "date[]", [datetime.date(2024, 1, 1)]), (numpy.array([]), "float8[]", []),
    (numpy.array([1, None, "x"], dtype=object), "text[]", ["1", None, "x"]),
    (pandas.Series([1, 2]), "int[]", [1, 2]), (pandas.Series([1, None], dtype="Int64"), "int[]", [1, None]),
    (pandas.Series([pandas.Timestamp("2024-01-01"), pandas.NaT]), "timestamp[]", [datetime.datetime(2024, 1, 1), None]),
    (pandas.Index(["a", "b"]), "text[]", ["a", "b"]), (pandas.array([True, None], dtype="boolean"), "bool[]", [True, None]),
    ([Metres(1.5), numpy.float64(2.5), numpy.float32(0.5)], "float8[]", [1.5, 2.5, 0.5]),
    ([Count(1), numpy.int64(2), Level.HIGH], "int[]", [1, 2, 7]), ([numpy.bool_(True), pandas.NA], "bool[]", [True, None]),
    ([Code("a"), numpy.str_("b")], "text[]", ["a", "b"]),
    ([pandas.NaT, Moment(2024, 1, 1)], "timestamp[]", [None, datetime.datetime(2024, 1, 1)]),
    ([Ratio.HALF], "float8[]", [0.5]), ([Bounds(1, 2), numpy.array([3, 4])], "int[]", [[1, 2], [3, 4]]),
    (edb.Typed("jsonb", [1, "a", None]), "jsonb", [1, "a", None]), (edb.Typed("json", []), "json", []),
    (edb.Typed("int[]", []), "int[]", []),
]


@pytest.mark.parametrize("value, kind, expected", VALUES, ids=lambda item: item if isinstance(item, str) else None)
def test_a_value_arrives_as_what_it_is(db: DB, value: Any, kind: str, expected: Any) -> None:
    found = db.execute(f"SELECT ?::{kind} AS v", [value]).rows[0]["v"]
    assert found == expected and (type(found) is type(expected) or kind == "timestamptz")
    assert db.execute_batch([edb.Statement(f"SELECT ?::{kind} AS v", [[value]])])[0].result.rows[0]["v"] == expected


def test_a_value_whose_type_nothing_tells_is_what_it_is(db: DB) -> None:
    row = db.execute("SELECT pg_typeof(?), pg_typeof(?), pg_typeof(?), pg_typeof(?), pg_typeof(?)", [
        numpy.bool_(True), numpy.int64(1), numpy.float32(1), Metres(1), 2**70], text_columns=["*"])
    assert row.tuples == [("boolean", "integer", "double precision", "double precision", "numeric")]


@pytest.mark.parametrize("value", [1j, numpy.complex128(1), numpy.timedelta64(1, "Y"), numpy.zeros(1, dtype="i4,f4"), [1j],
                                   numpy.datetime64("20000-01-01"), object(), pandas.DataFrame({"a": [1]}), {1}])
def test_what_has_no_type_is_refused_by_its_place(db: DB, value: Any) -> None:
    with pytest.raises(edb.DatabaseRequestError) as caught:
        db.execute("SELECT ?, ?", [1, value])
    assert caught.value.field == "parameters[1]"


# Lists of parameters.


@dataclasses.dataclass
class Item:
    id: int
    name: str


def generated(count: int) -> Iterator[Tuple[int, str]]:
    for number in range(count):
        yield number, f"n{number}"


def sqlite_row() -> Any:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    return connection.execute("SELECT 1 AS id, 'a' AS name").fetchone()


LISTS: List[Callable[[], Any]] = [
    lambda: [1, "a"], lambda: (1, "a"), lambda: iter([1, "a"]), lambda: (value for value in (1, "a")), lambda: Item(1, "a"),
    lambda: numpy.array([1, "a"], dtype=object), lambda: pandas.Series([1, "a"]), lambda: {"id": 1, "name": "a"}.values(),
    lambda: map(str, "1a"), lambda: sqlite_row(),
]


@pytest.mark.parametrize("make", LISTS)
def test_parameters_may_be_any_iterable(db: DB, config: edb.ConnectionConfig, gateway: Gateway, make: Callable[[], Any]) -> None:
    sql = "SELECT ?::int AS id, ?::text AS name"
    expected = [{"id": 1, "name": "a"}]
    assert db.execute(sql, make()).rows == list(db.execute_stream(sql, make())) == expected
    assert db.execute_batch([edb.Statement(sql, [make()])])[0].result.rows == expected
    assert db.execute_many(sql, [make(), make()])[1].rows == expected
    with db.transaction() as transaction:
        assert transaction.execute(sql, make()).rows == list(transaction.execute_stream(sql, make())) == expected

    async def main() -> None:
        async with edb.PostgresAsyncConnector(config, gateway.address) as async_db:
            assert (await async_db.async_execute(sql, make())).rows == expected
            assert [row async for row in async_db.async_execute_stream(sql, make())] == expected
            assert (await async_db.async_execute_many(sql, iter([make()])))[0].rows == expected

    asyncio.run(main())


@pytest.mark.parametrize("params", ["ab", b"ab", {"a": 1}, {1, 2}, 5, pandas.DataFrame({"a": [1]}), Item, memoryview(b"ab")])
def test_what_is_no_list_of_parameters_is_refused(db: DB, params: Any) -> None:
    with pytest.raises(edb.DatabaseRequestError) as caught:
        db.execute("SELECT ?, ?", params)
    assert caught.value.field == "parameters"


def test_none_and_nothing_are_no_parameters(db: DB) -> None:
    for nothing in (None, [], (), numpy.array([]), iter(())):
        assert db.execute("SELECT 1 AS one", nothing).rows == [{"one": 1}]  # type: ignore[arg-type]


ROWS: List[Callable[[], Any]] = [
    lambda: generated(3), lambda: [Item(number, name) for number, name in generated(3)],
    lambda: pandas.DataFrame({"id": [0, 1, 2], "name": ["n0", "n1", "n2"]}),
    lambda: numpy.array([[0, "n0"], [1, "n1"], [2, "n2"]], dtype=object), lambda: (iter(row) for row in generated(3)),
]


@pytest.mark.parametrize("make", ROWS)
def test_rows_may_come_from_anywhere(db: DB, config: edb.ConnectionConfig, gateway: Gateway, items: str, postgres: Postgres,
                                     make: Callable[[], Any]) -> None:
    assert len(db.execute_many("INSERT INTO items VALUES (?, ?)", make())) == 3
    assert postgres.psql("SELECT string_agg(id || name, ',' ORDER BY id) FROM items") == "0n0,1n1,2n2"
    db.execute("TRUNCATE items")
    db.execute_batch([edb.Statement("INSERT INTO items VALUES (?, ?)", make())], atomic=True)

    async def main() -> None:
        async with edb.PostgresAsyncConnector(config, gateway.address) as async_db:
            await async_db.async_execute("TRUNCATE items")
            assert len(await async_db.async_execute_many("INSERT INTO items VALUES (?, ?)", make())) == 3

    asyncio.run(main())
    assert postgres.psql("SELECT string_agg(id || name, ',' ORDER BY id) FROM items") == "0n0,1n1,2n2"


def test_a_generator_of_more_than_a_batch_holds_is_read_as_it_is_sent(db: DB, items: str, postgres: Postgres) -> None:
    assert len(db.execute_many("INSERT INTO items VALUES (?, ?)", generated(25_000), timeout_ms=120_000)) == 25_000

    def failing() -> Iterator[Sequence[Any]]:
        yield from ((number + 100_000, "x") for number in range(25_000))
        raise KeyError("mine")

    with pytest.raises(KeyError):
        db.execute_many("INSERT INTO items VALUES (?, ?)", failing(), timeout_ms=120_000)
    with pytest.raises(edb.DatabaseRequestError) as caught:
        db.execute_many("INSERT INTO items VALUES (?, ?)", ((number + 100_000, 1j if number == 22_222 else "x")
                                                            for number in range(25_000)), timeout_ms=120_000)
    assert caught.value.field == "parameter_lists[22222][1]"
    assert postgres.psql("SELECT count(*) FROM items") == "25000" and db.execute_many("SELECT 1", iter(())) == []


def test_a_generator_may_give_the_same_list_again_and_again(db: DB, items: str, postgres: Postgres) -> None:
    def reusing() -> Iterator[List[Any]]:
        row: List[Any] = [0, "x"]
        for row[0] in range(3):
            yield row

    db.execute_many("INSERT INTO items VALUES (?, ?)", reusing())
    assert postgres.psql("SELECT string_agg(id::text, ',' ORDER BY id) FROM items") == "0,1,2"


def test_a_frame_with_gaps_has_nulls(db: DB, items: str, postgres: Postgres) -> None:
    frame = pandas.DataFrame({"id": pandas.array([1, 2], dtype="Int64"), "at": [pandas.Timestamp("2024-01-01"), pandas.NaT]})
    results = db.execute_many("SELECT ?::int AS id, ?::timestamp AS at", frame)
    assert [result.tuples[0] for result in results] == [(1, datetime.datetime(2024, 1, 1)), (2, None)]


# Empty lists.


PLACES = [("jsonb", []), ("json", []), ("int[]", []), ("text[]", []), ("uuid[]", []), ("jsonb[]", []), ("text", "{}"),
          ("varchar", "{}")]


@pytest.mark.parametrize("kind, expected", PLACES)
def test_an_empty_list_is_what_its_place_wants(db: DB, config: edb.ConnectionConfig, gateway: Gateway, kind: str,
                                               expected: Any) -> None:
    db.execute("DROP TABLE IF EXISTS places")
    db.execute(f"CREATE TABLE places (id int, v {kind})")
    insert = "INSERT INTO places VALUES (?, ?) RETURNING v"
    for _ in range(2):
        assert db.execute(insert, [1, []]).rows == [{"v": expected}]
        assert db.execute(f"SELECT ?::{kind} AS v", [()]).rows == [{"v": expected}]
    assert list(db.execute_stream(insert, [1, []])) == [{"v": expected}]
    assert db.execute_many(insert, [[1, None], [2, []]])[1].rows == [{"v": expected}]
    assert db.execute_batch([edb.Statement(insert, [[1, []]]), edb.Statement(f"SELECT ?::{kind} AS v", [[[]]])])[1].result.rows == [
        {"v": expected}]
    with db.transaction() as transaction:
        assert db.execute(insert + " AS w", [1, numpy.array([])]).rows == [{"w": expected}]
        assert transaction.execute(insert + " AS x", [1, []]).rows == [{"x": expected}]
        assert list(transaction.execute_stream(insert + " AS y", [1, []])) == [{"y": expected}]

    async def main() -> None:
        async with edb.PostgresAsyncConnector(config, gateway.address) as async_db:
            assert (await async_db.async_execute(insert, [1, []])).rows == [{"v": expected}]
            assert [row async for row in async_db.async_execute_stream(insert, [1, []])] == [{"v": expected}]
            async with async_db.transaction():
                assert (await async_db.async_execute_many(insert, [[1, []]]))[0].rows == [{"v": expected}]

    asyncio.run(main())


def test_an_empty_list_where_only_values_tell_the_types(db: DB) -> None:
    """Describe, which knows no values, can't tell the types of `? + ?`; it must do no harm to the transaction."""
    sql = "SELECT ? + ? AS sum, 5 = ANY(?::int[]) AS v"
    with pytest.raises(edb.DatabaseExecutionError, match="operator is not unique"):
        db.describe(sql)
    with db.transaction():
        db.execute("CREATE TEMPORARY TABLE placed (a int[], j jsonb) ON COMMIT DROP")
        assert db.execute(sql, [1, 2, []]).rows == [{"sum": 3, "v": False}]
        assert db.execute("INSERT INTO placed VALUES (?, ?) RETURNING a, j", [[], []]).rows == [{"a": [], "j": []}]
    with pytest.raises(edb.DatabaseExecutionError):
        db.execute("INSERT INTO later VALUES (?) RETURNING v", [[]])
    db.execute("CREATE TABLE later (v jsonb)")  # What could not be told is asked again.
    assert db.execute("INSERT INTO later VALUES (?) RETURNING v", [[]]).rows == [{"v": []}]
    db.execute("DROP TABLE later")
    with pytest.raises(edb.DatabaseExecutionError) as caught, db.transaction():
        db.execute("SELECT ? + ? AS sum, ?::jsonb", [1, 2, []])  # Not an empty object in silence.
    assert caught.value.sqlstate == "22P02"


def test_an_empty_list_is_never_an_object_though_the_column_s_type_changes(db: DB) -> None:
    db.execute("DROP TABLE IF EXISTS changing")
    db.execute("CREATE TABLE changing (v int[])")
    insert = "INSERT INTO changing VALUES (?) RETURNING v"
    assert db.execute(insert, [[]]).rows == [{"v": []}]
    db.execute("ALTER TABLE changing ALTER v TYPE jsonb USING '1'")
    with pytest.raises(edb.DatabaseExecutionError) as caught:
        db.execute(insert, [[]])
    assert caught.value.sqlstate == "22P02"
    assert db.execute(insert, [[]]).rows == [{"v": []}]  # It was looked up anew.


def test_the_pool_s_last_backend_is_enough_for_an_empty_list(config: edb.ConnectionConfig, gateway: Gateway) -> None:
    alone = edb.ConnectionConfig.from_map({**{name: str(getattr(config, name)) for name in ("host", "port", "user", "dbname")},
                                           "password": config.password.get_secret_value(), "max_pool_size": "1",
                                           "application_name": "alone"})
    with DB(alone, gateway.address) as db, db.transaction():
        assert db.execute("SELECT ?::jsonb AS v", [[]], timeout_ms=5000).rows == [{"v": []}]


# JSON.


def test_json_has_what_json_dumps_takes(db: DB) -> None:
    for value in ("\ud800", {"a": "\ud800ä"}, ["\ud83d\ude00"], "ä"):
        stored = db.execute("SELECT ?::json::text AS t", [edb.Json(value)]).rows[0]["t"]
        assert json.loads(stored) == json.loads(json.dumps(value))
    assert db.execute("SELECT ?::json::text AS t", [{"a": "\ud800"}]).rows == [{"t": '{"a": "\\ud800"}'}]
    assert db.execute("SELECT ?::json::text AS t", [edb.Json("ä")]).rows == [{"t": '"ä"'}]


@pytest.mark.parametrize("kind", ["jsonb", "json", "jsonb[]"])
def test_json_that_is_nested_very_deeply_is_given_as_text(db: DB, kind: str) -> None:
    deep = "[" * 5000 + "]" * 5000
    sql = f"SELECT '{deep}'::jsonb::{kind} AS deep" if kind != "jsonb[]" else f"SELECT ARRAY['{deep}'::jsonb] AS deep"
    result = db.execute(sql)
    with pytest.raises(edb.DatabaseRequestError, match="text_columns") as caught:
        result.rows
    assert caught.value.reason == "VALUE_OUT_OF_RANGE"
    text = db.execute(sql, text_columns=["deep"]).rows[0]["deep"]
    assert deep in text
    with pytest.raises(edb.DatabaseRequestError, match="nested too deeply"):
        nested: Any = []
        for _ in range(5000):
            nested = [nested]
        db.execute("SELECT ?", [edb.Json(nested)])
