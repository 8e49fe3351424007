"""What is asked of a session, and what its answers mean; the two connectors differ only in how they wait. For the package's
own use."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from typing import (Any, Callable, Collection, Generic, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, TypeVar,
                    Union)

from engine_db_postgres import _wire
from engine_db_postgres._foreign import as_row, rows_of
from engine_db_postgres._messages import (begin_request, checked_bool, checked_ms, connect_request, error_info, read_error,
                                          read_outcome, retry_settings)
from engine_db_postgres._proto import connector_pb2
from engine_db_postgres._session import MAX_REQUEST_BYTES, Call, Reply, Session
from engine_db_postgres.config import ConnectTarget, RetryConfig
from engine_db_postgres.errors import (DatabaseError, ErrorInfo, ErrorKind, Outcome, Phase, make_error, request_error,
                                       transaction_error)
from engine_db_postgres.options import BatchEntry, Statement, StatementDescription, TransactionOptions
from engine_db_postgres.result import Column, Result
from engine_db_postgres.values import EmptyList, Parameters, empty_list, encode_parameters, varint

T = TypeVar("T")

CLOSE_TIMEOUT_MS = 5000
# How long to wait before the gateway, which may be starting, is asked again what became of a COMMIT.
ASK_AGAIN_S = 0.05
MAX_RUNS_IN_BATCH = 10_000
_MAX_CACHED_PREFIXES = 1024
_MAX_IDEMPOTENCY_KEY_BYTES = 200


class OpenTransaction:
    """A transaction that is open, or (with `ended`) has been or is just being ended."""

    __slots__ = ("session", "id", "used", "recovery_token", "commits_sent", "_may_end")

    def __init__(self, session: Session, transaction_id: str) -> None:
        self.session = session
        self.id = transaction_id
        self.used = False  # Whether anything was to run in it.
        self.recovery_token = ""
        self.commits_sent = 0  # Without those of which is known that they were not executed.
        self._may_end = [True]  # Who takes it out, which is atomic, is the one to end the transaction.

    @property
    def ended(self) -> bool:
        return not self._may_end

    def heard(self, status: connector_pb2.TransactionStatus) -> None:
        """A reply to a statement has said where the transaction stands after it."""
        if status.recovery_token:
            self.recovery_token = status.recovery_token

    def begin_ending(self) -> None:
        """Only one may end it."""
        try:
            self._may_end.pop()
        except IndexError:
            raise transaction_error("NO_TRANSACTION", "the transaction has ended already", Outcome.UNSPECIFIED) from None

    def reopen(self) -> None:
        """The end has failed in a way that lets it be tried again."""
        self._may_end.append(True)


@dataclass(frozen=True)
class Scope:
    """Where a statement runs: on a session, in one of its transactions or in none."""

    session: Session
    transaction: Optional[OpenTransaction] = None

    def require_open(self) -> None:
        """Nothing runs outside the transaction that its author thought it was in."""
        if self.transaction is None:
            return
        if self.transaction.ended:
            raise transaction_error("NO_TRANSACTION", "the transaction has ended already", Outcome.NOT_EXECUTED)
        if self.session.ended:
            raise _in_doubt(Outcome.NOT_EXECUTED) if self.transaction.commits_sent else _lost()
        self.transaction.used = True

    def heard(self, status: bytes) -> None:
        """The TransactionStatus of a reply."""
        if self.transaction is not None:
            self.transaction.heard(connector_pb2.TransactionStatus.FromString(status))

    @property
    def outcome_if_lost(self) -> Outcome:
        """What a lost stream leaves of a statement."""
        return Outcome.UNKNOWN if self.transaction is None else _outcome_if_lost(self.transaction)


def _outcome_if_lost(transaction: OpenTransaction) -> Outcome:
    """What the end of its session leaves of a transaction."""
    return Outcome.UNKNOWN if transaction.commits_sent else Outcome.ROLLED_BACK


def _lost() -> DatabaseError:
    return transaction_error("TRANSACTION_LOST", "the link to the gateway broke, which rolled the transaction back: roll"
                             " back and run it again", Outcome.ROLLED_BACK)


def _in_doubt(outcome: Outcome) -> DatabaseError:
    return transaction_error("COMMIT_IN_DOUBT", "COMMIT was sent, and its answer was lost: whether the transaction is"
                             " committed is not known", outcome)


class Operation(Generic[T]):
    """A request, and how to read its answer."""

    __slots__ = ("session", "kind", "request", "guarded_ms", "phase", "outcome_if_lost", "read", "repeatable", "to_its_end")

    def __init__(self, session: Session, kind: int, request: bytes, timeout_ms: int, phase: Phase, outcome_if_lost: Outcome,
                 read: Callable[[bytes], T], repeatable: bool = False, to_its_end: bool = False) -> None:
        self.session = session
        self.kind = kind
        self.request = request
        # How long the gateway may take.
        self.guarded_ms = timeout_ms or session.default_timeout_ms
        self.phase = phase
        self.outcome_if_lost = outcome_if_lost
        self.read = read  # Of a streamed result, its summary.
        self.repeatable = repeatable
        self.to_its_end = to_its_end  # Whether it goes on when whoever waits for it is cancelled or interrupted.

    def finish(self, reply: Reply) -> T:
        """The answer's meaning, or its error."""
        if isinstance(reply, ErrorInfo):
            raise make_error(reply)
        kind, body = reply
        if kind == _wire.REPLY_ERROR:
            error = read_error(body)
            if error.sqlstate == "22P02" and self.session.empty_lists:
                self.session.empty_lists.clear()  # A column's type may have become another.
            raise make_error(error)
        if kind != _wire.reply_kind(self.kind):
            raise malformed(self.session, self.phase, "another method's answer")
        try:
            return self.read(body)
        except (ValueError, IndexError, ArithmeticError) as fault:
            raise malformed(self.session, self.phase, str(fault)) from fault


def malformed(session: Session, phase: Phase, fault: str) -> DatabaseError:
    """An answer that no gateway of this contract sends."""
    return make_error(ErrorInfo(f"the gateway at {session.address} sent an answer that can't be read: {fault}",
                                ErrorKind.CONNECTION, Outcome.UNKNOWN, phase, "MALFORMED_REPLY"))


def _nothing(_: bytes) -> None:
    return None


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


def _require_text(text: str, field: str) -> bytes:
    if not isinstance(text, str):
        raise request_error("UNSUPPORTED_TYPE", field, f"is a str, not a {type(text).__name__}")
    if "\0" in text:
        raise request_error("NUL_IN_TEXT", field, "has a NUL character, which PostgreSQL's text can't hold")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise request_error("INVALID_UTF8", field, "has a lone surrogate, which no UTF-8 text can hold") from None


def _statement(scope: Scope, sql: str, parameters: Parameters, options: CallOptions) -> bytes:
    """What ExecuteRequest and ExecuteStreamRequest have in common."""
    scope.require_open()
    session = scope.session
    prefix = session.prefixes.get(sql) if type(sql) is str else None
    if prefix is None:
        text = _require_text(sql, "sql")
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
        key = _require_text(options.idempotency_key, "idempotency_key")
        if not 1 <= len(key) <= _MAX_IDEMPOTENCY_KEY_BYTES:
            raise request_error("MALFORMED_KEY", "idempotency_key",
                                f"is 1 to {_MAX_IDEMPOTENCY_KEY_BYTES} bytes, not {len(key)}")
        encoded += _wire.field(b"\x5a", key)
    if scope.transaction is not None:
        raise _once_error("EXACTLY_ONCE_IN_TRANSACTION", options,
                          "is for autocommit: a transaction's commit always knows as much")
    return encoded


def _once_error(reason: str, options: CallOptions, message: str) -> DatabaseError:
    return request_error(reason, "exactly_once" if options.exactly_once else "idempotency_key", message)


def execute(scope: Scope, sql: str, parameters: Parameters, options: CallOptions,
            text_columns: Collection[str]) -> Operation[Result]:
    """One statement and its whole result."""

    def read(body: bytes) -> Result:
        answer = _wire.read_answer(body)
        scope.heard(answer.transaction)
        return Result(answer, text_columns)

    return Operation(scope.session, _wire.CALL_EXECUTE, _statement(scope, sql, parameters, options), options.timeout_ms or 0,
                     Phase.EXECUTING, scope.outcome_if_lost, read, options.idempotency_key is not None)


def execute_stream(scope: Scope, sql: str, parameters: Parameters, options: CallOptions) -> Operation[_wire.Summary]:
    """One statement whose rows come in parts."""

    def read(body: bytes) -> _wire.Summary:
        summary = _wire.read_summary(body)
        scope.heard(summary.transaction)
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
        body = [_wire.field(b"\x0a", _require_text(sql, path + ".sql"))]
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
        raise _once_error("EXACTLY_ONCE_NOT_ATOMIC", options, "is for a batch that is one transaction of its own: set atomic")
    parts += (_wire.COLUMN_FORMAT, _options(scope, options))

    def read_result(response: connector_pb2.ExecuteResponse, answered_before: bool) -> Result:
        return Result(_wire.read_answer(response.SerializeToString())._replace(answered_before=answered_before))

    def read(body: bytes) -> List[BatchEntry]:
        message = connector_pb2.ExecuteBatchResponse.FromString(body)
        if scope.transaction is not None:
            scope.transaction.heard(message.transaction)
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
    _require_text(sql, "sql")
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


class _Unheard(Call):
    """Nobody waits for its answer."""

    __slots__ = ()

    def put(self, reply: Reply) -> None:
        pass


def send(operation: Operation[Any]) -> None:
    """Sends a request whose answer says nothing that the next one's does not."""
    operation.session.submit(_Unheard(operation.phase, operation.outcome_if_lost), operation.kind, operation.request)


def begin(session: Session, options: TransactionOptions, timeout_ms: Optional[int]) -> Operation[OpenTransaction]:
    """Opens a transaction."""

    def read(body: bytes) -> OpenTransaction:
        return OpenTransaction(session, connector_pb2.BeginResponse.FromString(body).transaction_id)

    timeout = checked_ms(timeout_ms, "timeout_ms")
    return Operation(session, _wire.CALL_BEGIN, begin_request(session.connection_id, options, timeout), timeout,
                     Phase.EXECUTING, Outcome.ROLLED_BACK, read)


def begin_ending(transaction: OpenTransaction, timeout_ms: Optional[int]) -> float:
    """A commit or rollback begins. From here on the transaction has ended, unless end_failed() says otherwise. Returns how
    many seconds that may take."""
    timeout = checked_ms(timeout_ms, "timeout_ms")
    transaction.begin_ending()
    return (timeout or transaction.session.default_timeout_ms) / 1000


def end(transaction: OpenTransaction, commit: bool, timeout_ms: Optional[int]) -> Optional[Operation[None]]:
    """Commits or rolls back, after begin_ending(). None: there is nothing left to do."""
    timeout = timeout_ms or 0
    session = transaction.session
    if session.ended:
        if transaction.commits_sent:
            raise _in_doubt(Outcome.UNKNOWN)
        if commit:
            raise _lost()
        return None
    if commit:
        message = connector_pb2.CommitRequest(connection_id=session.connection_id, transaction_id=transaction.id,
                                              timeout_ms=timeout)
        transaction.commits_sent += 1
        return Operation(session, _wire.CALL_COMMIT, message.SerializeToString(), timeout, Phase.COMMITTING,
                         Outcome.UNKNOWN, _nothing)
    request = connector_pb2.RollbackRequest(connection_id=session.connection_id, transaction_id=transaction.id,
                                            timeout_ms=timeout)
    return Operation(session, _wire.CALL_ROLLBACK, request.SerializeToString(), timeout, Phase.EXECUTING,
                     _outcome_if_lost(transaction), _nothing, to_its_end=True)


def give_up(transaction: OpenTransaction) -> None:
    """Whoever waited for the end of a commit was cancelled or interrupted: what is not committed yet never is."""
    request = connector_pb2.RollbackRequest(connection_id=transaction.session.connection_id, transaction_id=transaction.id)
    try:
        send(Operation(transaction.session, _wire.CALL_ROLLBACK, request.SerializeToString(), 0, Phase.EXECUTING,
                       Outcome.UNKNOWN, _nothing))
    except DatabaseError:
        pass  # The session has ended, and with it the transaction; or its lease does.


def end_failed(transaction: OpenTransaction, commit: bool, error: DatabaseError) -> Optional[DatabaseError]:
    """What a commit or rollback that ended with `error` comes to; None: the transaction is gone, which is what a rollback
    wants."""
    if not commit and _is_gone(transaction, error):
        return None
    not_executed = error.outcome is Outcome.NOT_EXECUTED
    if commit and not_executed:
        transaction.commits_sent -= 1
    failure = error
    if not_executed and transaction.commits_sent and error.reason != "TRANSACTION_COMMITTED":
        # That this one was not executed proves nothing about the commit before it.
        failure = make_error(replace(error.info, outcome=Outcome.UNKNOWN, retryable=False))
    # A repeated commit brings light, or does what this one has not done.
    repeatable = error.kind is not ErrorKind.TRANSACTION if not_executed else (
        error.outcome is Outcome.UNKNOWN and error.kind is ErrorKind.TIMEOUT)
    if commit and repeatable and not transaction.session.ended and not can_be_asked_about(transaction, failure):
        transaction.reopen()
    return failure


def _is_gone(transaction: OpenTransaction, error: DatabaseError) -> bool:
    """Whether the error of a rollback says that there is nothing to roll back any more."""
    if transaction.commits_sent:
        return error.kind is ErrorKind.TRANSACTION and error.outcome is Outcome.ROLLED_BACK
    if transaction.session.ended:
        return True
    may_be_committed = (error.outcome in (Outcome.UNKNOWN, Outcome.COMMITTED)
                        or error.reason == "TRANSACTION_COMMITTED")
    return error.kind is ErrorKind.TRANSACTION and not may_be_committed


def can_be_asked_about(transaction: OpenTransaction, failure: DatabaseError) -> bool:
    """Whether the answer to a COMMIT went with the gateway, and PostgreSQL can be asked through the next one."""
    return (failure.outcome is Outcome.UNKNOWN and transaction.recovery_token != ""
            and (transaction.session.ended or failure.reason == "DRAINING"))


def conclude(commit: bool, outcome: Outcome, loss: DatabaseError) -> None:
    """The end of a commit or rollback that failed with `loss`, of a transaction that was found to have `outcome`."""
    if outcome not in (Outcome.COMMITTED, Outcome.ROLLED_BACK):
        raise loss
    if commit and outcome is Outcome.ROLLED_BACK:
        raise _lost() from loss
    if not commit and outcome is Outcome.COMMITTED:  # As the gateway says it.
        raise transaction_error("TRANSACTION_COMMITTED", "the transaction was committed already",
                                Outcome.NOT_EXECUTED) from loss


def transaction_outcome(session: Session, transaction: Union[OpenTransaction, str],
                        timeout_ms: Optional[int]) -> Operation[Outcome]:
    """What became of a transaction: one of this session, or one that is named by its recovery token."""
    timeout = checked_ms(timeout_ms, "timeout_ms")
    request = connector_pb2.GetTransactionOutcomeRequest(connection_id=session.connection_id, timeout_ms=timeout)
    if isinstance(transaction, OpenTransaction):
        request.transaction_id = transaction.id
    else:
        if not _require_text(transaction, "recovery_token"):
            raise request_error("MALFORMED_TOKEN", "recovery_token", "is empty: there is none while only reads have run in a transaction")
        request.recovery_token = transaction

    def read(body: bytes) -> Outcome:
        return read_outcome(connector_pb2.GetTransactionOutcomeResponse.FromString(body).outcome)

    return Operation(session, _wire.CALL_OUTCOME, request.SerializeToString(), timeout, Phase.EXECUTING, Outcome.UNSPECIFIED,
                     read)


def savepoint(transaction: OpenTransaction, name: str, kind: int) -> Operation[None]:
    """Sets a savepoint, goes back to one, or releases one."""
    Scope(transaction.session, transaction).require_open()
    if not isinstance(name, str) or "\0" in name:
        raise request_error("SAVEPOINT_NAME", "name", "is a letter or \"_\", then letters, digits and \"_\", at most 63")
    # The other two's requests have the same fields.
    request = connector_pb2.SavepointRequest(connection_id=transaction.session.connection_id,
                                             transaction_id=transaction.id, name=name)
    return Operation(transaction.session, kind, request.SerializeToString(), 0, Phase.EXECUTING, Outcome.ROLLED_BACK, _nothing)


def close(session: Session) -> Operation[None]:
    """Gives the handle up. It ends with the session, whatever the answer is."""
    request = connector_pb2.CloseRequest(connection_id=session.connection_id)
    return Operation(session, _wire.CALL_CLOSE, request.SerializeToString(), CLOSE_TIMEOUT_MS, Phase.UNSPECIFIED,
                     Outcome.UNSPECIFIED, _nothing)


def may_ask_again(error: DatabaseError) -> bool:
    """Whether a question whose answer did not come may have one from the next gateway: it changes nothing, so that it does
    not matter how far it had come."""
    return error.retryable or error.reason in ("GATEWAY_LOST", "GATEWAY_UNREACHABLE")


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
