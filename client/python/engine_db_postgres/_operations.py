"""The statements that a session runs, and how it is opened and closed; the two connectors differ only in how they wait. For the
package's own use."""

from __future__ import annotations

import random
import time
from typing import Any, Callable, Collection, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from engine_db_postgres import _wire, reasons
from engine_db_postgres._foreign import as_row, rows_of
from engine_db_postgres._messages import checked_bool, checked_ms, connect_request, error_info, retry_settings
from engine_db_postgres._operation import Operation, nothing, require_text, send
from engine_db_postgres._proto import connector_pb2
from engine_db_postgres._session import MAX_REQUEST_BYTES, Session
from engine_db_postgres._transaction import Scope, savepoint
from engine_db_postgres.config import ConnectTarget, RetryConfig
from engine_db_postgres.errors import DatabaseError, Outcome, Phase, make_error, request_error
from engine_db_postgres.options import BatchEntry, Statement, StatementDescription
from engine_db_postgres.result import Column, Result
from engine_db_postgres.values import EmptyList, Parameters, empty_list, encode_parameters, varint

CLOSE_TIMEOUT_MS = 5000
# How long to wait before the gateway, which may be starting, is asked again what became of a COMMIT.
ASK_AGAIN_S = 0.05
MAX_RUNS_IN_BATCH = 10_000
_MAX_CACHED_PREFIXES = 1024
_MAX_IDEMPOTENCY_KEY_BYTES = 200


def connect(session: Session, target: ConnectTarget, timeout_ms: int) -> Operation[None]:
    """The session's first call."""

    def read(body: bytes) -> None:
        message = connector_pb2.ConnectResponse.FromString(body)
        session.connection_id = message.connection_id
        if message.settings.timeout_ms > 0:
            session.default_timeout_ms = message.settings.timeout_ms

    return Operation(session, _wire.CALL_CONNECT, connect_request(target), timeout_ms, Phase.CONNECTING,
                     Outcome.NOT_EXECUTED, read)


class CallOptions(NamedTuple):
    """What a caller may say about one call."""

    timeout_ms: Optional[int] = None
    retry: Optional[RetryConfig] = None
    exactly_once: bool = False
    idempotency_key: Optional[str] = None


def _statement(scope: Scope, sql: str, parameters: Parameters, options: CallOptions) -> bytes:
    """What ExecuteRequest and ExecuteStreamRequest have in common."""
    scope.require_open()
    session = scope.session
    prefix = session.prefixes.get(sql) if type(sql) is str else None
    if prefix is None:
        text = require_text(sql, "sql")
        prefix = _wire.field(b"\x0a", session.connection_id.encode()) + _wire.field(b"\x12", text) + _wire.COLUMN_FORMAT
        if len(session.prefixes) >= _MAX_CACHED_PREFIXES:
            session.prefixes.clear()
        if len(text) < 16_384:
            session.prefixes[sql] = prefix
    try:
        parts = [prefix, *encode_parameters(parameters, _wire.PARAMETER_TAG, empty_lists=_empty_lists(session, sql))]
    except EmptyList:
        raise PlacesUnknown(sql) from None
    if scope.transaction is not None:
        parts.append(_wire.field(b"\x22", scope.transaction.id.encode()))
    return b"".join(parts) + _options(scope, options)


# What PostgreSQL did not tell: for one time, as it may be another the next.
_NOT_TOLD: Tuple[bytes, ...] = (empty_list(""),)


def _empty_lists(session: Session, sql: str) -> Optional[Tuple[bytes, ...]]:
    """What an empty list is for each parameter of the statement; None: that is not known."""
    found = session.empty_lists.get(sql)
    if found is _NOT_TOLD:
        session.empty_lists.pop(sql, None)
    return found


class PlacesUnknown(Exception):
    """A parameter is an empty list, and what it is depends on the type of its place: PlacesOf finds out."""

    def __init__(self, sql: str) -> None:
        super().__init__(sql)
        self.sql = sql


def _options(scope: Scope, options: CallOptions) -> bytes:
    """The options, whose numbers are the same in all requests."""
    encoded = b""
    if options.timeout_ms is not None:
        encoded = b"\x40" + varint(checked_ms(options.timeout_ms, "timeout_ms"))
    if options.retry is not None:
        encoded += _wire.field(b"\x4a", retry_settings(options.retry))
    if options.exactly_once is not False or options.idempotency_key is not None:
        encoded += _once(scope, options)
    return encoded


def _once(scope: Scope, options: CallOptions) -> bytes:
    """exactly_once and idempotency_key."""
    encoded = b"\x50\x01" if checked_bool(options.exactly_once, "exactly_once") else b""
    if options.idempotency_key is not None:
        key = require_text(options.idempotency_key, "idempotency_key")
        if not 1 <= len(key) <= _MAX_IDEMPOTENCY_KEY_BYTES:
            raise request_error(reasons.MALFORMED_KEY, "idempotency_key",
                                f"is 1 to {_MAX_IDEMPOTENCY_KEY_BYTES} bytes, not {len(key)}")
        encoded += _wire.field(b"\x5a", key)
    if scope.transaction is not None:
        raise _once_error(reasons.EXACTLY_ONCE_IN_TRANSACTION, options,
                          "is for autocommit: a transaction's commit always knows as much")
    return encoded


def _once_error(reason: str, options: CallOptions, message: str) -> DatabaseError:
    return request_error(reason, "exactly_once" if options.exactly_once else "idempotency_key", message)


def execute(scope: Scope, sql: str, parameters: Parameters, options: CallOptions,
            text_columns: Collection[str]) -> Operation[Result]:
    """One statement and its whole result."""

    def read(body: bytes) -> Result:
        answer = _wire.read_answer(body)
        scope.record(answer.transaction)
        return Result(answer, text_columns)

    return Operation(scope.session, _wire.CALL_EXECUTE, _statement(scope, sql, parameters, options), options.timeout_ms or 0,
                     Phase.EXECUTING, scope.outcome_if_lost, read, options.idempotency_key is not None)


def execute_stream(scope: Scope, sql: str, parameters: Parameters, options: CallOptions) -> Operation[_wire.Summary]:
    """One statement whose rows come in parts."""

    def read(body: bytes) -> _wire.Summary:
        summary = _wire.read_summary(body)
        scope.record(summary.transaction)
        return summary

    return Operation(scope.session, _wire.CALL_STREAM, _statement(scope, sql, parameters, options), options.timeout_ms or 0,
                     Phase.STREAMING, scope.outcome_if_lost, read)


BatchItem = Union[Statement, str, Tuple[str, Iterable[Parameters]]]


def batch(statements: Iterable[BatchItem]) -> List[Statement]:
    """What is given as a batch, as it can be read more than once."""
    items: List[Statement] = []
    for index, item in enumerate(statements):
        sql, lists = (item, ()) if isinstance(item, str) else item
        items.append(Statement(sql, [as_row(parameters, f"statements[{index}].parameter_lists[{number}].parameters")
                                     for number, parameters in enumerate(rows_of(lists))]))
    return items


def execute_batch(scope: Scope, statements: Sequence[Statement], atomic: bool,
                  options: CallOptions) -> Operation[List[BatchEntry]]:
    """Many statements in one round trip."""
    scope.require_open()
    parts = [_wire.field(b"\x0a", scope.session.connection_id.encode())]
    for index, (sql, lists) in enumerate(statements):
        path = f"statements[{index}]"
        body = [_wire.field(b"\x0a", require_text(sql, path + ".sql"))]
        empty_lists = _empty_lists(scope.session, sql)
        for number, parameters in enumerate(lists):
            try:
                encoded = encode_parameters(parameters, _wire.LIST_PARAMETER_TAG,
                                            f"{path}.parameter_lists[{number}].parameters", empty_lists)
            except EmptyList:
                raise PlacesUnknown(sql) from None
            body.append(_wire.field(b"\x1a", b"".join(encoded)))
        parts.append(_wire.field(b"\x12", b"".join(body)))
    if scope.transaction is not None:
        parts.append(_wire.field(b"\x1a", scope.transaction.id.encode()))
    elif atomic:
        parts.append(b"\x30\x01")
    elif options.exactly_once or options.idempotency_key is not None:
        raise _once_error(reasons.EXACTLY_ONCE_NOT_ATOMIC, options, "is for a batch that is one transaction of its own: set atomic")
    parts += (_wire.COLUMN_FORMAT, _options(scope, options))

    def read_result(response: connector_pb2.ExecuteResponse, answered_before: bool) -> Result:
        return Result(_wire.read_answer(response.SerializeToString())._replace(answered_before=answered_before))

    def read(body: bytes) -> List[BatchEntry]:
        message = connector_pb2.ExecuteBatchResponse.FromString(body)
        if scope.transaction is not None:
            scope.transaction.record(message.transaction)
        return [
            BatchEntry(entry.statement_index, entry.parameter_list_index, None, make_error(error_info(entry.error)))
            if entry.WhichOneof("result") == "error" else
            BatchEntry(entry.statement_index, entry.parameter_list_index,
                       read_result(entry.response, message.answered_before), None)
            for entry in message.results]

    return Operation(scope.session, _wire.CALL_BATCH, b"".join(parts), options.timeout_ms or 0, Phase.EXECUTING,
                     scope.outcome_if_lost, read, options.idempotency_key is not None)


def split_runs(sql: str, parameter_lists: Iterable[Parameters]) -> Iterator[Statement]:
    """The runs of one statement, in as few batches as the contract's limits allow. Takes no more of `parameter_lists` than the
    next batch holds."""
    batch: List[Parameters] = []
    size = 0
    limit = MAX_REQUEST_BYTES // 2
    for index, parameters in enumerate(rows_of(parameter_lists)):
        path = f"parameter_lists[{index}]"
        row = as_row(parameters, path)
        length = sum(map(len, encode_parameters(row, _wire.LIST_PARAMETER_TAG, path, ()))) + 8
        if batch and (size + length > limit or len(batch) == MAX_RUNS_IN_BATCH):
            yield Statement(sql, batch)
            batch, size = [], 0
        batch.append(tuple(row))  # What gives the rows may use the same list for all of them.
        size += length
    if batch:
        yield Statement(sql, batch)


def describe(scope: Scope, sql: str, timeout_ms: Optional[int]) -> Operation[StatementDescription]:
    """What a statement would return and take."""
    scope.require_open()
    require_text(sql, "sql")
    request = connector_pb2.DescribeRequest(
        connection_id=scope.session.connection_id, sql=sql, timeout_ms=checked_ms(timeout_ms, "timeout_ms"),
        transaction_id=scope.transaction.id if scope.transaction is not None else "")

    def read(body: bytes) -> StatementDescription:
        message = connector_pb2.DescribeResponse.FromString(body)
        columns = tuple(Column(column.name, column.type_name, column.type_oid, column.type_modifier)
                        for column in message.columns)
        return StatementDescription(columns, list(message.parameter_type_names), message.bound_sql)

    return Operation(scope.session, _wire.CALL_DESCRIBE, request.SerializeToString(), timeout_ms or 0, Phase.EXECUTING,
                     Outcome.UNSPECIFIED, read)


class PlacesOf:
    """Learns what an empty list is for each parameter of a statement, in the transaction that it is about to run in, if any: there
    within a savepoint, so that the failure (mostly of a statement whose types cannot all be told without its values) is of no
    consequence. With `known` the statement is ready to be made again."""

    _SAVEPOINT = "engine_db_describe"

    def __init__(self, scope: Scope, unknown: PlacesUnknown, timeout_ms: Optional[int]) -> None:
        self._scope = scope
        self._sql = unknown.sql
        self.question = describe(scope, unknown.sql, timeout_ms)
        transaction = scope.transaction
        if transaction is not None:
            send(savepoint(transaction, self._SAVEPOINT, _wire.CALL_SAVEPOINT))

    def known(self, answer: Union[StatementDescription, DatabaseError]) -> None:
        """The answer has come."""
        cache = self._scope.session.empty_lists
        if len(cache) >= _MAX_CACHED_PREFIXES:
            cache.clear()
        cache[self._sql] = (_NOT_TOLD if isinstance(answer, DatabaseError)
                            else tuple(map(empty_list, answer.parameter_type_names)))
        transaction = self._scope.transaction
        if transaction is not None and not self._scope.session.ended:
            if isinstance(answer, DatabaseError):
                send(savepoint(transaction, self._SAVEPOINT, _wire.CALL_ROLLBACK_TO))
            send(savepoint(transaction, self._SAVEPOINT, _wire.CALL_RELEASE))


def left_ms(timeout_ms: Optional[int], began: float) -> Optional[int]:
    """What is left of a call's timeout; `began` is of time.monotonic()."""
    return None if not timeout_ms else max(1, timeout_ms - int((time.monotonic() - began) * 1000))


def close(session: Session) -> Operation[None]:
    """Gives the handle up. It ends with the session, whatever the answer is."""
    request = connector_pb2.CloseRequest(connection_id=session.connection_id)
    return Operation(session, _wire.CALL_CLOSE, request.SerializeToString(), CLOSE_TIMEOUT_MS, Phase.UNSPECIFIED,
                     Outcome.UNSPECIFIED, nothing)


def may_ask_again(error: DatabaseError) -> bool:
    """Whether the next gateway may be asked the same question: it changes nothing, so that it does not matter how far it had
    come."""
    return error.retryable or error.reason in (reasons.GATEWAY_LOST, reasons.GATEWAY_UNREACHABLE)


def pause_before_repeating(retry: RetryConfig, attempt: int, began: float, error: DatabaseError) -> Optional[float]:
    """How many seconds to wait before the next attempt when `attempt`, counted from 1, failed, and the first one began at
    `began` (time.monotonic()); None for no more."""
    if not error.retryable or attempt >= retry.max_attempts:
        return None
    # "Full jitter": those who collided come back at different times.
    pause = max(random.uniform(0, retry.max_delay_before(attempt + 1)), float(error.info.retry_after_ms)) / 1000
    if retry.budget_ms == 0:
        return pause
    left = began + retry.budget_ms / 1000 - time.monotonic()
    return min(pause, left) if left > 0 else None
