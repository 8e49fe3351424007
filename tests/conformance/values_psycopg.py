"""Parameters through the gateway and through psycopg: the same values of Python's, into columns of every kind and into expressions.

values_psycopg.py GATEWAY CONNINFO_FIELDS… with the stubs of the contract in sys.path (PYTHONPATH). Prints the differences, and fails
when there is one. psycopg gives an int the smallest type that holds it, down to smallint, and the gateway integer or bigint, as PostgreSQL
does for a literal: where a cast exists from integer but not from smallint (boolean, money, "char") that is told apart below.
"""
import math
import random
import struct
import sys
import time

import grpc
import psycopg
from engine.db.v1 import config_pb2, connector_pb2, connector_pb2_grpc, value_pb2

SEED = 20240229
SECONDS = 40  # on a machine that does much else; a tenth of it will usually do

COLUMNS = {
    "i2": "int2", "i4": "int4", "i8": "int8", "o": "oid", "n": "numeric", "n2": "numeric(10,2)", "f4": "float4", "f8": "float8", "b": "bool",
    "t": "text", "vc": "varchar(10)", "c": "char(5)", "ch": '"char"', "nm": "name", "ba": "bytea", "d": "date", "ti": "time", "ts": "timestamp",
    "tz": "timestamptz", "iv": "interval", "u": "uuid", "j": "json", "jb": "jsonb", "ia": "int[]", "ta": "text[]", "r": "int4range",
    "mr": "int4multirange", "m": "money", "ip": "inet", "bi": "bit(4)", "vb": "varbit", "x": "xml", "p": "point", "tv": "tsvector",
}

VALUES = [
    None, True, False, 0, 1, -1, 32767, 32768, -32769, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63),
    0.0, -0.0, 0.5, 1.5, 2.5, -2.5, 0.1, 0.1 + 0.2, 1e15, 1e16, 1e22, 1e23, 1e300, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
    123456789.123456789, 3.4e38, 1e-45, math.nan, math.inf, -math.inf,
    "", " ", "abc", "ABC  ", "5", " 5 ", "-5.50", "1e5", "0x10", "t", "true", "off", "NaN", "-Infinity", "infinity", "é€🦣", "x" * 20, "\\", "'", '"', "\\x41", "\\x4",
    "{}", "{1,2}", "{NULL}", '{"a": 1}', "[1,2]", "[1,5)", "empty", "null", "2024-02-29", "2023-02-29", "2024-01-01 10:00:00.1234567+02", "0044-03-15 BC", "24:00:00",
    "10:00", "1 day -2 hours", "P1Y", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "$1.50", "10.0.0.0/8", "1010", "<a/>", "(1,2)", "a b:1", "%s", "?", "$1",
    b"", b"abc", b"\x00\xff", b"\\", bytes(range(256)),
]

EXPRESSIONS = [
    "?", "pg_typeof(?)::text = 'unknown'", "concat('a', ?)", "'[7,8,9]'::jsonb -> ?", "substring('foobar' from ?)", "date '2024-01-01' + ?",
    "? + 1", "1 - ?", "? * 1.5", "- ?", "? || 'x'", "ARRAY[?]", "ARRAY[1] || ?", "COALESCE(?, ?)", "CASE WHEN true THEN ? END", "GREATEST(?, 1)", "NULLIF(?, ?)",
    "to_json(?)", "json_build_array(?)", "format('%%s', ?)", "?::text", "?::numeric", "?::float8", "?::float4", "?::int", "?::bigint", "?::bytea", "?::jsonb", "?::date",
    "?::timestamptz", "?::interval", "?::int[]", "?::text[]", "?::uuid", "?::varchar(3)", "?::char(3)", "? = ?", "? IS NULL", "? IN (1, 2)", "1 = ANY (?)", "'x' = ?",
    "5 = ?", "1.5 = ?", "abs(?)", "round(?)", "length(?)", "upper(?)", "md5(?)", "repeat('x', ?)", "make_interval(secs => ?)", "to_timestamp(?)", "(SELECT ?)", "ROW(?)::text",
]


class Gateway:
    def __init__(self, address, fields):
        self.stub = connector_pb2_grpc.DatabaseConnectorStub(
            grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]))
        config = config_pb2.ConnectionConfig(host=fields["host"], port=int(fields["port"]), user=fields["user"], password=fields["password"],
                                             dbname=fields["dbname"])
        self.connection = self.stub.Connect(connector_pb2.ConnectRequest(config=config)).connection_id

    def execute_each(self, sql, lists):
        """The answers to one statement with each of the lists of values, in one round trip."""
        statement = connector_pb2.BatchStatement(sql=sql)
        for values in lists:
            statement.parameter_lists.add().parameters.extend(parameter(value) for value in values)
        request = connector_pb2.ExecuteBatchRequest(connection_id=self.connection, statements=[statement])
        return [self.answer(result) for result in self.stub.ExecuteBatch(request, timeout=60).results]

    @staticmethod
    def answer(result):
        if result.HasField("error"):
            return ("error", result.error.sqlstate or f"{result.error.reason}: {result.error.message}")
        return ("rows", [[cell(value) for value in row.values] for row in result.response.rows])


def parameter(value):
    if value is None:
        return value_pb2.Value(null_value=0)
    kinds = {bool: "bool_value", int: "int64_value", float: "double_value", str: "text_value", bytes: "bytes_value"}
    return value_pb2.Value(**{kinds[type(value)]: value})


def cell(value):
    kind = value.WhichOneof("kind")
    return None if kind == "null_value" else comparable(getattr(value, kind))


def comparable(value):
    return ("float", struct.pack("<d", math.nan if math.isnan(value) else value)) if isinstance(value, float) else value


class Psycopg:
    NATIVE = {16: lambda text: text == b"t", 17: lambda text: bytes.fromhex(text[2:].decode()), 20: int, 21: int, 23: int, 26: int, 700: float, 701: float}

    def __init__(self, fields):
        self.connection = psycopg.connect(**fields, autocommit=True)

    def execute(self, sql, values):
        cursor = self.connection.cursor()
        try:
            cursor.execute(sql.replace("?", "%s"), values)
        except psycopg.Error as error:
            return ("error", error.sqlstate)
        result = cursor.pgresult
        return ("rows", [[self.cell(result, row, column) for column in range(result.nfields)] for row in range(result.ntuples)])

    def cell(self, result, row, column):
        text = result.get_value(row, column)
        if text is None:
            return None
        return comparable(self.NATIVE.get(result.ftype(column), lambda other: bytes(other).decode())(bytes(text)))


def smallint_has_no_cast(sql, values, theirs):
    """psycopg's smallint, where our integer has a cast or an operator, or the arithmetic has more room."""
    small = any(type(value) is int and -32768 <= value <= 32767 for value in values)
    return small and theirs[0] == "error" and theirs[1] in ("42804", "42846", "42883", "22003")


def main():
    fields = dict(field.split("=", 1) for field in sys.argv[2:])
    gateway, psycopg_side = Gateway(sys.argv[1], fields), Psycopg(fields)
    psycopg_side.connection.execute("CREATE TABLE IF NOT EXISTS side_by_side (%s)" % ", ".join(f"{name} {sql}" for name, sql in COLUMNS.items()))
    compared = differences = explained = 0
    deadline = time.monotonic() + SECONDS
    statements = [(f"INSERT INTO side_by_side ({name}) VALUES (?) RETURNING {name}, {name}::text", 1) for name in COLUMNS]
    statements += [(f"SELECT {expression}", expression.count("?")) for expression in EXPRESSIONS]
    random.Random(SEED).shuffle(statements)
    for sql, count in statements:
        if time.monotonic() > deadline:
            print("out of time")
            break
        all_ours = gateway.execute_each(sql.replace("%%", "%"), [[value] * count for value in VALUES])
        for value, ours in zip(VALUES, all_ours):
            theirs = psycopg_side.execute(sql, [value] * count)
            compared += 1
            if ours == theirs:
                continue
            if smallint_has_no_cast(sql, [value], theirs):
                explained += 1
                continue
            # The gateway names text where PostgreSQL infers no type.
            if theirs == ("error", "42P18") and ours == psycopg_side.execute(sql.replace("?", "?::text"), [value] * count):
                explained += 1
                continue
            differences += 1
            print(f"{sql} with {value!r}:\n  gateway {ours!r:.300}\n  psycopg {theirs!r:.300}")
    print(f"{compared} compared, {differences} differences, {explained} explained by psycopg's smallint or by text that psycopg does not name")
    return 1 if differences or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
