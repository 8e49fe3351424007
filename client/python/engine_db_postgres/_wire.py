"""The messages of the hot path, written and read by hand: a statement's call and its answer. For the package's own use.

Everything else goes through the generated classes (_proto). The hot messages do not, since to make a Python object of
each cell's message, and of each column of each answer, would cost several times what the rest of a call does. What is
written and read here is protobuf as connector.proto and value.proto define it (fields of a later version are skipped);
a test compares both with the generated classes.
"""

from __future__ import annotations

import struct
from itertools import accumulate
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from engine_db_postgres.values import varint

# Kinds of calls and of replies: the fields' numbers in SessionCall and SessionReply.
CALL_CONNECT, CALL_EXECUTE, CALL_STREAM, CALL_BATCH, CALL_DESCRIBE, CALL_BEGIN = 2, 3, 4, 5, 6, 7
CALL_COMMIT, CALL_ROLLBACK, CALL_SAVEPOINT, CALL_ROLLBACK_TO, CALL_CLOSE = 8, 9, 10, 11, 13
CALL_CANCEL, CALL_CREDIT, CALL_OUTCOME, CALL_RELEASE = 14, 15, 16, 17
REPLY_ERROR = 2

PARAMETER_TAG = b"\x1a"  # ExecuteRequest.parameters
LIST_PARAMETER_TAG = b"\x0a"  # ParameterList.parameters
COLUMN_FORMAT = b"\x38\x02"  # result_format: RESULT_FORMAT_COLUMNS

_TRUTHS = (False, True)
_BITS = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))
_ONE_INT64 = struct.Struct("<q").unpack_from
_ONE_DOUBLE = struct.Struct("<d").unpack_from


def field(tag: bytes, data: bytes) -> bytes:
    """A field of a text, of bytes, or of a message."""
    return tag + varint(len(data)) + data


def reply_kind(call: int) -> int:
    """The kind of the replies to a kind of calls."""
    return call + 1 if call < CALL_CANCEL else call - 1  # CALL_CANCEL and CALL_CREDIT have none.


def session_call(correlation_id: int, kind: int, request: bytes) -> bytes:
    """One entry of SessionRequest.calls."""
    body = b"".join((b"\x08", varint(correlation_id), varint(kind << 3 | 2), varint(len(request)), request))
    return b"\x0a" + varint(len(body)) + body


def read_varint(data: bytes, at: int) -> Tuple[int, int]:
    """The number, and where it ends."""
    number = data[at]
    at += 1
    if number < 0x80:
        return number, at
    number &= 0x7F
    shift = 7
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _skip(data: bytes, tag: int, at: int) -> int:
    """Where the value ends that a field's tag announces."""
    wire_type = tag & 7
    if wire_type == 2:
        length, at = read_varint(data, at)
        return at + length
    if wire_type == 0:
        return read_varint(data, at)[1]
    if wire_type in (1, 5):
        return at + (8 if wire_type == 1 else 4)
    raise ValueError("a field of unknown wire type")


def read_replies(message: bytes) -> List[Tuple[int, int, bytes]]:
    """A SessionResponse: each reply's correlation id, kind, and the bytes of its answer."""
    replies: List[Tuple[int, int, bytes]] = []
    at, end = 0, len(message)
    while at < end:
        tag, at = read_varint(message, at)
        if tag != 0x0A:
            at = _skip(message, tag, at)
            continue
        length, at = read_varint(message, at)
        reply_end = at + length
        correlation_id, kind, body = 0, 0, b""
        while at < reply_end:
            tag = message[at]
            at += 1
            if tag == 0x08:
                correlation_id, at = read_varint(message, at)
                continue
            if tag >= 0x80:
                tag, at = read_varint(message, at - 1)
            if tag & 7 == 2:
                length, at = read_varint(message, at)
                kind, body = tag >> 3, message[at:at + length]
                at += length
            else:
                at = _skip(message, tag, at)
        replies.append((correlation_id, kind, body))
    return replies


class Answer(NamedTuple):
    """An ExecuteResponse, or a part of a streamed result."""

    columns: bytes  # As they came, for Schema.of(); empty for none.
    batch: Optional[Tuple[int, int]]  # Where in `data` the ColumnBatch is.
    rowcount: int
    command_tag: str
    bound_sql: str
    attempts: int
    data: bytes
    transaction: bytes = b""  # A TransactionStatus, as it came; empty outside of transactions.
    answered_before: bool = False


def _columns_end(data: bytes) -> int:
    """Columns are field 1, and so come first."""
    at, end = 0, len(data)
    while at < end and data[at] == 0x0A:
        length, at = read_varint(data, at + 1)
        at += length
    return at


def read_answer(data: bytes) -> Answer:
    """An ExecuteResponse."""
    at = _columns_end(data)
    columns = data[:at]
    batch: Optional[Tuple[int, int]] = None
    rowcount, attempts, answered_before = 0, 0, 0
    command_tag = bound_sql = ""
    transaction = b""
    end = len(data)
    while at < end:
        tag, at = read_varint(data, at)
        if tag == 0x20:
            rowcount, at = read_varint(data, at)
        elif tag == 0x40:
            attempts, at = read_varint(data, at)
        elif tag == 0x48:
            answered_before, at = read_varint(data, at)
        elif tag in (0x1A, 0x2A, 0x32, 0x3A):
            length, at = read_varint(data, at)
            stop = at + length
            if tag == 0x1A:
                batch = (at, stop)
            elif tag == 0x2A:
                command_tag = data[at:stop].decode()
            elif tag == 0x32:
                bound_sql = data[at:stop].decode()
            else:
                transaction = data[at:stop]
            at = stop
        else:
            at = _skip(data, tag, at)
    return Answer(columns, batch, rowcount, command_tag, bound_sql, attempts, data, transaction, bool(answered_before))


class Part(NamedTuple):
    """An ExecuteStreamResponse."""

    columns: bytes
    batch: Optional[Tuple[int, int]]
    bound_sql: str
    summary: Optional[bytes]  # A StreamSummary, as it came; only in the last part.
    data: bytes


def read_part(data: bytes) -> Part:
    """A part of a streamed result."""
    at = _columns_end(data)
    columns = data[:at]
    batch: Optional[Tuple[int, int]] = None
    summary: Optional[bytes] = None
    bound_sql = ""
    end = len(data)
    while at < end:
        tag, at = read_varint(data, at)
        if tag & 7 != 2:
            at = _skip(data, tag, at)
            continue
        length, at = read_varint(data, at)
        stop = at + length
        if tag == 0x1A:
            batch = (at, stop)
        elif tag == 0x22:
            bound_sql = data[at:stop].decode()
        elif tag == 0x2A:
            summary = data[at:stop]
        at = stop
    return Part(columns, batch, bound_sql, summary, data)


class Summary(NamedTuple):
    """A StreamSummary."""

    rowcount: int
    command_tag: str
    rows_sent: int
    transaction: bytes  # As in Answer.


def read_summary(data: bytes) -> Summary:
    """A StreamSummary."""
    rowcount = rows_sent = 0
    command_tag = ""
    transaction = b""
    at, end = 0, len(data)
    while at < end:
        tag, at = read_varint(data, at)
        if tag == 0x08:
            rowcount, at = read_varint(data, at)
        elif tag == 0x18:
            rows_sent, at = read_varint(data, at)
        elif tag in (0x12, 0x22):
            length, at = read_varint(data, at)
            stop = at + length
            if tag == 0x12:
                command_tag = data[at:stop].decode()
            else:
                transaction = data[at:stop]
            at = stop
        else:
            at = _skip(data, tag, at)
    return Summary(rowcount, command_tag, rows_sent, transaction)


class Cells(NamedTuple):
    """One column's cells."""

    values: List[Any]  # None for NULL; int, float, bool, bytes, or str.
    is_text: bool  # Whether those that are not None are str.
    has_nulls: bool


def read_batch(data: bytes, at: int, end: int) -> Tuple[int, List[Cells]]:
    """A ColumnBatch: how many rows, and the columns' cells."""
    row_count = 0
    spans: List[Tuple[int, int]] = []
    while at < end:
        tag, at = read_varint(data, at)
        if tag == 0x08:
            row_count, at = read_varint(data, at)
        elif tag == 0x12:
            length, at = read_varint(data, at)
            spans.append((at, at + length))
            at += length
        else:
            at = _skip(data, tag, at)
    return row_count, [_read_column(data, start, stop, row_count) for start, stop in spans]


def read_row_count(data: bytes, at: int, end: int) -> int:
    """How many rows a ColumnBatch has; its first field, unless it is 0."""
    return read_varint(data, at + 1)[0] if at < end and data[at] == 0x08 else 0


def _read_column(data: bytes, at: int, end: int, row_count: int) -> Cells:
    values: Optional[Sequence[Any]] = None
    nulls = lengths = None
    text_at = text_end = 0
    is_bytes = False
    while at < end:
        tag, at = read_varint(data, at)
        if tag & 7 != 2:
            if tag == 0x38:
                kind, at = read_varint(data, at)
                is_bytes = kind == 2
            else:
                at = _skip(data, tag, at)
            continue
        length, at = read_varint(data, at)
        stop = at + length
        if tag == 0x12:
            values = _ONE_INT64(data, at) if length == 8 else struct.unpack_from(f"<{length >> 3}q", data, at)
        elif tag == 0x32:
            lengths = struct.unpack_from(f"<{length >> 2}I", data, at)
        elif tag == 0x2A:
            text_at, text_end = at, stop
        elif tag == 0x0A:
            nulls = data[at:stop]
        elif tag == 0x1A:
            values = _ONE_DOUBLE(data, at) if length == 8 else struct.unpack_from(f"<{length >> 3}d", data, at)
        elif tag == 0x22:
            values = list(map(_TRUTHS.__getitem__, data[at:stop]))
        at = stop

    if lengths is not None:
        cells = _cut(data[text_at:text_end], lengths, is_bytes)
    elif values is not None:
        cells = list(values)
    else:
        return Cells([None] * row_count, False, True)
    if len(cells) != row_count:
        raise ValueError("a column with too few or too many cells")
    if nulls:
        for index, byte in enumerate(nulls):
            if byte:
                for bit in _BITS[byte]:
                    cells[index << 3 | bit] = None
    return Cells(cells, lengths is not None and not is_bytes, bool(nulls))


def _cut(data: bytes, lengths: Sequence[int], is_bytes: bool) -> List[Any]:
    """The cells whose bytes lie one after the other."""
    if len(lengths) == 1:
        return [data if is_bytes else data.decode()]
    ends = list(accumulate(lengths))
    if ends and ends[-1] != len(data):
        raise ValueError("cells whose lengths do not add up")
    starts = [0, *ends]
    if is_bytes:
        return [data[start:end] for start, end in zip(starts, ends)]
    if data.isascii():
        text = data.decode("ascii")
        return [text[start:end] for start, end in zip(starts, ends)]
    return [data[start:end].decode() for start, end in zip(starts, ends)]
