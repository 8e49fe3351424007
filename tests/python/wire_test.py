"""What is written and read by hand, against the generated classes, and HTTP/2 against its own rules."""

from __future__ import annotations

import pickle
import random
import struct
from typing import Any, List

import pytest

from engine_db_postgres import _http2, _wire
from engine_db_postgres._operation import Operation
from engine_db_postgres._proto import connector_pb2, value_pb2
from engine_db_postgres._stream_state import StreamState
from engine_db_postgres.errors import Outcome, Phase
from engine_db_postgres.result import Result
from engine_db_postgres.values import Expression, Typed, encode_parameters, encode_value, varint


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**31, 2**32, 2**63 - 1, 2**64 - 1])
def test_varints(number: int) -> None:
    call = connector_pb2.SessionCall(correlation_id=number)
    assert b"\x08" + varint(number) == (call.SerializeToString() or b"\x08\x00")
    assert _wire.read_varint(varint(number), 0) == (number, len(varint(number)))


@pytest.mark.parametrize("value, expected", [
    (None, {"null_value": 0}), (True, {"bool_value": True}), (False, {"bool_value": False}), (-1, {"int64_value": -1}),
    (5, {"int64_value": 5}), (300, {"int64_value": 300}), (2**63, {"text_value": str(2**63), "type_name": "numeric"}), (0.5, {"double_value": 0.5}),
    ("", {"text_value": ""}), ("ä" * 100, {"text_value": "ä" * 100}), (b"\0", {"bytes_value": b"\0"}),
    (Expression.DEFAULT, {"expression_value": value_pb2.EXPRESSION_DEFAULT}),
    (Typed("jsonb", "1"), {"text_value": "1", "type_name": "jsonb"}),
])
def test_values_are_written_as_the_generated_classes_read_them(value: Any, expected: Any) -> None:
    assert value_pb2.Value.FromString(encode_value(value)) == value_pb2.Value(**expected)


def test_every_expression_of_the_contract_is_there() -> None:
    names = {name[len("EXPRESSION_"):]: number for name, number in value_pb2.Expression.items() if number}
    assert {expression.name: expression.value for expression in Expression} == names


def test_a_call_is_written_as_the_generated_classes_read_it() -> None:
    request = connector_pb2.ExecuteRequest(connection_id="c", sql="SELECT ?", result_format=2)
    body = request.SerializeToString() + b"".join(encode_parameters([1, "x"], _wire.PARAMETER_TAG))
    message = connector_pb2.SessionRequest.FromString(_wire.session_call(700, _wire.CALL_EXECUTE, body))
    request.parameters.add(int64_value=1)
    request.parameters.add(text_value="x")
    assert message.calls[0].correlation_id == 700 and message.calls[0].execute == request


def test_the_kinds_of_calls_and_replies_are_those_of_the_contract() -> None:
    calls, replies = connector_pb2.SessionCall.DESCRIPTOR, connector_pb2.SessionReply.DESCRIPTOR
    for name, field in calls.fields_by_name.items():
        if name in replies.fields_by_name and field.message_type is not None:
            assert _wire.reply_kind(field.number) == replies.fields_by_name[name].number, name
    request = connector_pb2.GetTransactionOutcomeRequest(connection_id="c", recovery_token="t")
    encoded = _wire.session_call(5, _wire.CALL_OUTCOME, request.SerializeToString())
    (call,) = connector_pb2.SessionRequest.FromString(encoded).calls
    assert call.get_transaction_outcome == request


def test_summaries_are_read_as_the_generated_classes_write_them() -> None:
    summary = connector_pb2.StreamSummary(rows_affected=300, command_tag="SELECT 300", row_count=300, attempts=2)
    summary.transaction.recovery_token = "token"
    assert _wire.read_summary(summary.SerializeToString()) == (
        300, "SELECT 300", 300, summary.transaction.SerializeToString())
    assert _wire.read_summary(b"") == (0, "", 0, b"")


def random_answer(source: random.Random) -> Any:
    """An ExecuteResponse in columns, and the cells it holds."""
    response = connector_pb2.ExecuteResponse(
        rows_affected=source.choice([0, 1, 2**40]), command_tag="SELECT 5", bound_sql="SELECT 'ä'", attempts=3)
    rows = source.choice([0, 1, 2, 9, 300])
    kinds = [source.choice("idbtxn") for _ in range(source.randrange(0, 6))]
    cells: List[List[Any]] = []
    for index, kind in enumerate(kinds):
        response.columns.add(name=f"c{index}", type_name="text", type_oid=0 if kind != "x" else 17, type_modifier=-1)
        column = response.column_batch.columns.add()
        make = {"i": lambda: source.getrandbits(64) - 2**63, "d": source.random, "b": lambda: source.random() < 0.5,
                "t": lambda: source.choice(["", "x", "ä€", "a\n", "y" * 200]),
                "x": lambda: source.randbytes(source.randrange(4)), "n": lambda: None}[kind]
        values: List[Any] = [make() for _ in range(rows)]
        nulls = [kind == "n" or source.random() < 0.2 for _ in range(rows)] if source.random() < 0.5 or kind == "n" else []
        if any(nulls):
            bits = sum(1 << row for row, null in enumerate(nulls) if null)
            column.null_bitmap = bits.to_bytes((rows + 7) // 8, "little")
            values = [None if null else value for value, null in zip(values, nulls)]
        if kind == "i":
            column.int64_values.extend(value or 0 for value in values)
        elif kind == "d":
            column.double_values.extend(value or 0 for value in values)
        elif kind == "b":
            column.bool_values.extend(bool(value) for value in values)
        elif kind in "tx":
            encoded = [value.encode() if isinstance(value, str) else value or b"" for value in values]
            column.data = b"".join(encoded)
            column.lengths.extend(map(len, encoded))
            column.data_kind = value_pb2.DATA_KIND_TEXT if kind == "t" else value_pb2.DATA_KIND_BYTES
        cells.append(values)
    if kinds:
        response.column_batch.row_count = rows
    return response, cells


@pytest.mark.parametrize("seed", range(200))
def test_answers_are_read_as_the_generated_classes_write_them(seed: int) -> None:
    response, cells = random_answer(random.Random(seed))
    response.transaction.transaction_id = "t" * 200
    response.answered_before = seed % 2 == 0
    reply = connector_pb2.SessionReply(correlation_id=2**40 + seed, execute=response)
    other = connector_pb2.SessionReply(correlation_id=1, begin=connector_pb2.BeginResponse(transaction_id="x"))
    message = connector_pb2.SessionResponse(replies=[other, reply]).SerializeToString()
    (first, second) = _wire.read_replies(message)
    assert first == (1, _wire.CALL_BEGIN + 1, other.begin.SerializeToString())
    assert second[:2] == (2**40 + seed, _wire.CALL_EXECUTE + 1)
    answer = _wire.read_answer(second[2])
    assert answer.transaction == response.transaction.SerializeToString()
    result = Result(answer)
    assert (result.rowcount, result.command_tag, result.bound_sql, result.attempts, result.answered_before) == (
        response.rows_affected, "SELECT 5", "SELECT 'ä'", 3, response.answered_before)
    assert [column.name for column in result.columns] == [column.name for column in response.columns]
    assert result.tuples == list(zip(*cells))
    names = [column.name for column in result.columns]
    assert result.rows == [dict(zip(names, row)) for row in zip(*cells)]


def test_rows_without_columns_are_counted() -> None:
    response = connector_pb2.ExecuteResponse(rows_affected=3, command_tag="SELECT 3", attempts=1)
    response.column_batch.row_count = 3
    result = Result(_wire.read_answer(response.SerializeToString()))
    assert (result.rowcount, len(result), result.columns) == (3, 3, ())
    assert result.rows == list(result) == [{}, {}, {}] and result.tuples == [(), (), ()]
    assert result.rows[0] is not result.rows[1]
    again = pickle.loads(pickle.dumps(result))
    assert (len(again), again.tuples) == (3, [(), (), ()])
    assert len(Result.from_rows([{}, {}])) == 2 and Result.from_rows([{}, {}]).rows == [{}, {}]
    none = Result(_wire.read_answer(connector_pb2.ExecuteResponse(rows_affected=3, command_tag="INSERT 0 3").SerializeToString()))
    assert (none.rowcount, len(none), none.rows, none.tuples) == (3, 0, [], [])


def test_streamed_rows_without_columns_are_counted() -> None:
    operation: Any = Operation(None, _wire.CALL_STREAM, b"", 1, Phase.STREAMING, Outcome.UNKNOWN, _wire.read_summary)  # type: ignore
    state = StreamState(())
    parts = [connector_pb2.ExecuteStreamResponse() for _ in range(3)]
    parts[0].column_batch.row_count = 2
    parts[1].column_batch.row_count = 1
    parts[2].summary.row_count = 3
    parts[2].summary.rows_affected = 3
    rows = [state.take(operation, (_wire.CALL_STREAM + 1, part.SerializeToString())) for part in parts]
    assert [None if batch is None else (len(batch), batch.tuples) for batch in rows] == [(2, [(), ()]), (1, [()]), None]
    assert state.complete and state.rowcount == 3


def test_broken_answers_are_errors_and_nothing_else() -> None:
    source = random.Random(1)
    for seed in range(300):
        data = bytearray(random_answer(random.Random(seed))[0].SerializeToString())
        for _ in range(source.randrange(1, 4)):
            if data:
                data[source.randrange(len(data))] = source.randrange(256)
        cut = bytes(data[:source.randrange(len(data) + 1)])
        try:
            answer = _wire.read_answer(cut)
            if answer.batch is not None:
                _wire.read_batch(answer.data, *answer.batch)
        except (ValueError, IndexError, struct.error):
            pass


# HTTP/2.


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def data(message: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(message)) + message


def opened() -> _http2.Http2Stream:
    stream = _http2.Http2Stream("/p", "a", "u")
    assert stream.write(None).startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    return stream


@pytest.mark.parametrize("step", [1, 3, 9, 100, 10_000])
def test_messages_come_whole_however_they_are_cut(step: int) -> None:
    messages = [b"", b"x", b"y" * 70_000, b"z" * 10]
    body = b"".join(map(data, messages))
    wire = b"".join(frame(0, 0, 1, body[at:at + 5000]) for at in range(0, len(body), 5000))
    wire += frame(0, 8, 1, b"\x03" + data(b"padded") + b"\0\0\0") + frame(200, 7, 1, b"unknown")
    stream = opened()
    found = [message for at in range(0, len(wire), step) for message in stream.receive(wire[at:at + step])]
    assert found == [*messages, b"padded"] and stream.ended is None


def test_the_peer_s_window_is_kept_to() -> None:
    stream = opened()
    message = bytes(100_000)
    first = stream.write(message)
    assert 65_535 <= len(first) < 65_535 + 9 * 10 and not stream.has_to_write
    stream.receive(frame(8, 0, 0, struct.pack(">I", 50_000)))
    assert not stream.has_to_write  # The stream's own window is still spent.
    stream.receive(frame(8, 0, 1, struct.pack(">I", 20_000)))
    second = stream.write(None)
    stream.receive(frame(4, 0, 0, struct.pack(">HI", 4, 65_535 + 30_000)))  # A setting that widens the window.
    third = stream.write(None)
    payload = b"".join(piece[9:] for chunk in (first, second, third) for piece in split(chunk) if piece[3] == 0)
    assert payload == data(message)


def split(wire: bytes) -> List[bytes]:
    frames = []
    while wire:
        length = int.from_bytes(wire[:3], "big") + 9
        frames.append(wire[:length])
        wire = wire[length:]
    return frames


def test_pings_and_settings_are_acknowledged() -> None:
    stream = opened()
    stream.receive(frame(6, 0, 0, b"12345678") + frame(4, 0, 0, b"") + frame(6, 1, 0, b"87654321") + frame(4, 1, 0, b""))
    assert stream.has_to_write
    assert stream.write(None) == frame(6, 1, 0, b"12345678") + frame(4, 1, 0, b"") and not stream.has_to_write


def text(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def test_trailers_end_the_stream_with_their_status() -> None:
    stream = opened()
    stream.receive(frame(1, 4, 1, b"\x88\x5f" + text(b"application/grpc")))
    assert stream.ended is None
    block = b"\x00" + text(b"grpc-status") + text(b"14") + b"\x00" + text(b"grpc-message") + text(b"shutting%20down")
    stream.receive(frame(1, 1, 1, block[:7]) + frame(9, 4, 1, block[7:]))
    assert stream.ended == "UNAVAILABLE: shutting down"


@pytest.mark.parametrize("wire, why", [
    (frame(3, 0, 1, b"\0\0\0\x08"), "reset"), (frame(7, 0, 0, bytes(8)), "going away"), (frame(0, 1, 1, b""), "ended"),
    (frame(1, 4, 1, b"\x8d"), "HTTP status 404"),
])
def test_other_ends(wire: bytes, why: str) -> None:
    stream = opened()
    stream.receive(wire)
    assert stream.ended is not None and why in stream.ended


@pytest.mark.parametrize("wire", [b"HTTP/1.1 400 Bad Request\r\n\r\n", frame(0, 0, 1, b"\1\0\0\0\0"), frame(1, 4, 1, b"\x00\x7f"),
                                  frame(1, 4, 1, b"\x7f\xff\xff\xff\xff\xff\xff\xff")])
def test_what_is_no_grpc_is_an_error(wire: bytes) -> None:
    with pytest.raises(_http2.ProtocolError):
        opened().receive(wire)
