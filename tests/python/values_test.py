"""Every value arrives as PostgreSQL means it: compared with psycopg, which nobody here wrote, and between the connectors."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import ipaddress
import math
import re
import uuid
from typing import Any, Iterator, List, Tuple

import pytest
from support.processes import Gateway, Postgres

import engine_db_postgres as edb

psycopg = pytest.importorskip("psycopg")

DB = edb.PostgresSyncConnector
UTC = datetime.timezone.utc


@pytest.fixture(scope="module")
def oracle(postgres: Postgres) -> Iterator[Any]:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        yield connection


def same(ours: Any, theirs: Any) -> bool:
    """Equal in type and value; NaN is NaN, and -0.0 is not 0.0."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        return (math.isnan(ours) and math.isnan(theirs)) or (ours == theirs and
                                                            math.copysign(1, ours) == math.copysign(1, theirs))
    if isinstance(ours, decimal.Decimal) and isinstance(theirs, decimal.Decimal):
        return str(ours) == str(theirs)
    return type(ours) is type(theirs) and bool(ours == theirs)


# What psycopg gives another type than this package (documented in the README) is not here.
CELLS: List[str] = [
    "NULL::int", "true", "false", "1::int2", "(-32768)::int2", "2147483647", "9223372036854775807", "(-9223372036854775808)",
    "4294967295::oid", "1.5::float4", "0.1::float8", "'NaN'::float8", "'-Infinity'::float8", "'-0'::float8", "1e308::float8",
    "5e-324::float8", "0::numeric", "1.10::numeric", "'NaN'::numeric", "'Infinity'::numeric", "'-Infinity'::numeric",
    "repeat('9', 1000)::numeric", "('0.' || repeat('1', 500))::numeric", "-0.000001::numeric", "''::text", "'a'::text",
    "'héllo \U0001F600'", "'x'::char(5)", "'x'::varchar(5)", "'n'::name", "''::bytea", "'\\x00ff10'::bytea",
    "'2024-02-29'::date", "'0001-01-01'::date", "'9999-12-31'::date", "'00:00:00'::time", "'23:59:59.999999'::time",
    "'12:30:00.5'::time", "'12:30:00+02'::timetz", "'12:30:00.25-05:30'::timetz", "'2024-02-29 12:30:00'::timestamp",
    "'2024-02-29 12:30:00.000001'::timestamp", "'2024-02-29 12:30:00.5'::timestamp", "'9999-12-31 23:59:59.999999'::timestamp",
    "'2024-02-29 12:30:00+02'::timestamptz", "'0001-01-02 00:00:00+00'::timestamptz",
    "'1 day'::interval", "'-1 day 02:03:04.5'::interval", "'1 year 2 mons 3 days'::interval", "'-00:00:00.000001'::interval",
    "'0'::interval", "'1000 hours'::interval", "'-1 mons +3 days -04:05:06'::interval",
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "'{\"a\": [1, 2.5, null, \"ä\"]}'::json", "'[]'::jsonb", "'null'::jsonb",
    "'{\"b\": {\"c\": true}}'::jsonb", "'1.2.3.4'::inet", "'1.2.3.4/24'::inet", "'::1'::inet", "'10.0.0.0/8'::cidr",
    "'{}'::int[]", "'{1,NULL,3}'::int[]", "'{{1,2},{3,4}}'::int[]", "'{{{1},{2}},{{3},{4}}}'::int8[]",
    "'{a,\"b,c\",\"d\\\"e\",\"f\\\\\\\\g\",NULL,\"NULL\",\"\",\"{x}\"}'::text[]", "'{1.5,NaN}'::numeric[]", "'{t,f}'::bool[]",
    "'{2024-01-01,2024-12-31}'::date[]", "array['2024-01-01 00:00:00+00'::timestamptz]", "array['1 day'::interval]",
    "array['\\x00ff'::bytea]", "array['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid]", "array['{\"a\": 1}'::jsonb]",
    "'[0:2]={1,2,3}'::int[]", "array['1.5'::float8, 'NaN']", "'{x,y}'::varchar[]", "'(1,2)'::point", "B'101'", "'abc'::xml",
    "'08:00:2b:01:02:03'::macaddr", "'a b'::tsvector", "'1 year'::interval::text", "row(1, 'a')::text",
]


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_what_psycopg_makes_of_it(db: DB, oracle: Any, cell: str) -> None:
    ours = db.execute(f"SELECT {cell} AS v").rows[0]["v"]
    theirs = oracle.execute(f"SELECT {cell} AS v").fetchone()[0]
    assert same(ours, theirs), (type(ours), type(theirs), ours, theirs)


def test_all_cells_of_a_type_in_columns_with_nulls(db: DB, oracle: Any) -> None:
    sql = ("SELECT i, CASE WHEN i % 3 = 0 THEN i END AS n, CASE WHEN i % 7 <> 0 THEN 't' || i END AS t,"
           " CASE WHEN i % 2 = 0 THEN i / 8.0 END AS d, (i / 3.0)::float8 AS f, i % 5 = 0 AS b, NULL AS nothing,"
           " '2024-01-01'::date + i AS day, array[i, NULL, i * 2] AS a, CASE WHEN i % 11 = 0 THEN 'ü' || i ELSE '' END AS u"
           " FROM generate_series(1, 1000) i")
    ours, theirs = db.execute(sql).tuples, oracle.execute(sql).fetchall()
    assert all(same(list(mine), list(other)) for mine, other in zip(ours, theirs)) and len(ours) == len(theirs) == 1000
    assert [tuple(row) for row in db.execute_stream(sql).tuples()] == ours


def test_both_connectors_and_streams_give_the_same(db: DB, config: edb.ConnectionConfig, gateway: Gateway) -> None:
    cells = [cell for cell in CELLS if "NaN" not in cell]
    sql = "SELECT " + ", ".join(f"{cell} AS c{i}" for i, cell in enumerate(cells))
    rows = db.execute(sql).rows

    async def main() -> Tuple[Any, Any]:
        async with edb.PostgresAsyncConnector(config, gateway.address) as async_db:
            return (await async_db.async_execute(sql)).rows, [row async for row in async_db.async_execute_stream(sql)]

    assert asyncio.run(main()) == (rows, list(db.execute_stream(sql))) and rows == list(db.execute_stream(sql))
    assert list(map(type, rows[0].values())) == list(map(type, next(iter(db.execute_stream(sql))).values()))


class Color(enum.Enum):
    RED = 5


class Level(str, enum.Enum):
    HIGH = "high level"


# A value, the type of the column it is stored in, and what comes back.
PARAMETERS: List[Tuple[Any, str, Any]] = [
    (value, kind, value) for value, kind in [
        (None, "int"), (True, "bool"), (0, "int"), (127, "int"), (128, "int"), (-1, "int"), (2**63 - 1, "bigint"),
        (-2**63, "bigint"), (2.5, "float8"), (math.inf, "float8"), ("", "text"), ("ä'\"\\?$1 \U0001F600", "text"),
        (b"", "bytea"), (b"\0\xff?", "bytea"), (decimal.Decimal("1.10"), "numeric"), (decimal.Decimal("1E+5"), "numeric"),
        (decimal.Decimal("-Infinity"), "numeric"), (datetime.date(1, 1, 1), "date"), (datetime.date(9999, 12, 31), "date"),
        (datetime.datetime(2024, 2, 29, 12, 30, 0, 1), "timestamp"), (datetime.datetime(1, 1, 1), "timestamp"),
        (datetime.datetime(2024, 2, 29, 12, 30, tzinfo=UTC), "timestamptz"),
        (datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))), "timestamptz"),
        (datetime.time(23, 59, 59, 999999), "time"),
        (datetime.time(1, 2, tzinfo=datetime.timezone(-datetime.timedelta(hours=3))), "timetz"),
        (datetime.timedelta(days=-1, microseconds=1), "interval"), (datetime.timedelta(days=400, seconds=3), "interval"),
        (uuid.UUID(int=5), "uuid"), ({"a": [1, None, "ü"]}, "jsonb"), ({"b": {}}, "json"), ([1, None, 3], "int[]"),
        ([], "text[]"), ([["a", "b,"], ['"', "\\"]], "text[]"), ([b"\0", b"x"], "bytea[]"), ([True, False], "bool[]"),
        (["NULL", "null", "", " "], "text[]"), ([uuid.UUID(int=1)], "uuid[]"), ([datetime.date(2024, 1, 1)], "date[]"),
        ([datetime.datetime(2024, 1, 1, 5, tzinfo=UTC)], "timestamptz[]"), ([decimal.Decimal("1.5")], "numeric[]"),
        ([datetime.timedelta(hours=1)], "interval[]"), ([1.5, -math.inf], "float8[]"), ([{"a": 1}], "jsonb[]"),
        (ipaddress.ip_address("1.2.3.4"), "inet"), (ipaddress.ip_interface("1.2.3.4/24"), "inet"),
        (ipaddress.ip_network("10.0.0.0/8"), "cidr"), (ipaddress.ip_address("::1"), "inet"),
    ]
] + [
    (edb.Json([1, "a"]), "json", [1, "a"]), (edb.Jsonb([1]), "jsonb", [1]), (edb.Jsonb("x"), "jsonb", "x"),
    (edb.Typed("jsonb", "[1]"), "jsonb", [1]), (2**70, "numeric", decimal.Decimal(2**70)), (Color.RED, "text", "RED"),
    (Level.HIGH, "text", "high level"), (bytearray(b"x"), "bytea", b"x"), (memoryview(b"y"), "bytea", b"y"),
    ((1, 2), "int[]", [1, 2]), (5, "text", "5"), ("5", "int", 5), (1, "numeric", decimal.Decimal(1)),
    ([[1, 2], [3, 4]], "jsonb[]", [[1, 2], [3, 4]]),
]


@pytest.mark.parametrize("value, kind, expected", PARAMETERS)
def test_a_parameter_comes_back_as_it_went(db: DB, value: Any, kind: str, expected: Any) -> None:
    with db.transaction():
        db.execute(f"CREATE TEMPORARY TABLE stored (v {kind}) ON COMMIT DROP")
        result = db.execute("INSERT INTO stored VALUES (?) RETURNING v", [value])
        found = result.rows[0]["v"]
    assert found == expected and (type(found) is type(expected) or kind == "timestamptz")
    # The same in a batch, and where nothing tells the type but a cast.
    assert db.execute_batch([edb.Statement(f"SELECT ?::{kind} AS v", [[value]])])[0].result.rows[0]["v"] == expected


def test_a_parameter_whose_type_nothing_tells_is_what_it_is_in_python(db: DB) -> None:
    moment = datetime.datetime(2024, 1, 1, 12, tzinfo=UTC)
    row = db.execute("SELECT ? + interval '1 day' AS a, ? AS b, ? AS c, ? AS d",
                     [moment, uuid.UUID(int=7), decimal.Decimal("2.50"), edb.Typed("int[]", [1])]).tuples[0]
    assert row == (moment + datetime.timedelta(days=1), uuid.UUID(int=7), decimal.Decimal("2.50"), [1])
    day = db.execute("SELECT '2024-01-01'::date < ? AS later", [datetime.datetime(2024, 1, 1, 12)])
    assert day.rows == [{"later": True}]  # Not cut to a date.


def test_an_array_in_a_condition(db: DB) -> None:
    result = db.execute("SELECT i FROM generate_series(1, 9) i WHERE i = ANY(?) ORDER BY i", [[7, 3, 11]])
    assert [row["i"] for row in result] == [3, 7]


@pytest.mark.parametrize("cell, kind", [
    ("'infinity'::timestamptz", "timestamp with time zone"), ("'-infinity'::date", "date"),
    ("'0044-03-15 BC'::date", "date"), ("'0044-03-15 12:00:00 BC'::timestamp", "timestamp without time zone"),
    ("'10000-01-01'::date", "date"), ("'12345-01-01 00:00:00'::timestamp", "timestamp without time zone"),
    ("'24:00:00'::time", "time without time zone"), ("'3000000 years'::interval", "interval"),
    ("array['infinity'::date]", "date[]"),
])
def test_what_python_can_t_hold_is_an_error_that_offers_the_text(db: DB, postgres: Postgres, cell: str, kind: str) -> None:
    result = db.execute(f"SELECT 1 AS one, {cell} AS odd")
    with pytest.raises(edb.DatabaseRequestError, match=re.escape(f'"odd" of type {kind}')) as caught:
        result.rows
    assert caught.value.reason == "VALUE_OUT_OF_RANGE" and "text_columns" in str(caught.value)
    row = db.execute(f"SELECT 1 AS one, {cell} AS odd", text_columns=["odd"]).rows[0]
    assert row == {"one": 1, "odd": postgres.psql(f"SELECT {cell}")}
    assert list(db.execute_stream(f"SELECT {cell} AS odd", text_columns=["*"]))[0]["odd"] == row["odd"]


def test_text_columns_must_exist(db: DB) -> None:
    with pytest.raises(edb.DatabaseRequestError, match="nonsense"):
        db.execute("SELECT 1 AS one", text_columns=["nonsense"]).rows


def test_numpy_s_numbers(db: DB) -> None:
    numpy = pytest.importorskip("numpy")
    row = db.execute("SELECT ?::int AS a, ?::float8 AS b", [numpy.int64(5), numpy.float64(2.5)]).tuples[0]
    assert row == (5, 2.5)
