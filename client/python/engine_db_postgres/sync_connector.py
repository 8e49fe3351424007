"""PostgreSQL through the gateway, for threads."""

from __future__ import annotations

import _thread
import concurrent.futures
import queue
import time
import weakref
from types import TracebackType
from typing import Any, Callable, Collection, Iterator, List, Optional, Sequence, Tuple, Type, TypeVar

from engine_db_postgres import _operations as operations
from engine_db_postgres import _wire
from engine_db_postgres._operations import BatchItem, CallOptions, OpenTransaction, Operation, Scope, StreamState, StreamSummary
from engine_db_postgres._session import GRACE_S, Call, Reply, Session, ThreadSession, not_opened
from engine_db_postgres._state import ConnectorState
from engine_db_postgres.config import ConnectTarget, RetryConfig
from engine_db_postgres.connector import DatabaseConnector
from engine_db_postgres.errors import DatabaseError, DatabaseTransactionError, Outcome, make_error
from engine_db_postgres.local import LocalGateway
from engine_db_postgres.options import BatchEntry, StatementDescription, TransactionOptions
from engine_db_postgres.result import Column, Result, Row
from engine_db_postgres.values import Parameters

T = TypeVar("T")


class _WaitingCall(Call):
    """A thread waits for its one answer."""

    __slots__ = ("_done", "reply")

    def __init__(self, operation: Operation[Any]) -> None:
        super().__init__(operation.phase, operation.outcome_if_lost, operation.repeatable)
        self._done = _thread.allocate_lock()
        self._done.acquire()
        self.reply: Optional[Reply] = None

    def put(self, reply: Reply) -> None:
        self.reply = reply
        self._done.release()

    def wait(self, timeout_s: float) -> Optional[Reply]:
        """The answer; None when there was none in time."""
        return self.reply if self._done.acquire(True, timeout_s) else None


def _run(operation: Operation[T]) -> T:
    """Sends a request and waits for its answer."""
    call = _WaitingCall(operation)
    session = operation.session
    try:
        session.submit(call, operation.kind, operation.request)
        reply = call.wait(operation.guarded_ms / 1000 + GRACE_S)
        if reply is None:
            if session.abandon(call):
                raise make_error(session.no_answer(call, operation.guarded_ms))
            reply = call.wait(-1)  # It is being handed out just now.
            assert reply is not None
        return operation.finish(reply)
    except BaseException:  # KeyboardInterrupt, or whatever else interrupts a thread; it may come together with the answer.
        if not session.abandon(call):
            session.unheard(call.reply)
        raise


class _StreamedCall(Call):
    """A thread waits for one part after the other."""

    __slots__ = ("parts",)

    def __init__(self, operation: Operation[Any]) -> None:
        super().__init__(operation.phase, operation.outcome_if_lost)
        self.parts: queue.SimpleQueue[Reply] = queue.SimpleQueue()

    def put(self, reply: Reply) -> None:
        self.parts.put(reply)


class RowStream(StreamSummary):
    """A result that is read while it comes, in bounded memory: what has not been read yet is held back at the database.

    Iterate over it once: it gives dicts. A stream that breaks off raises an error, whose rows_delivered says how many rows
    came before it; it is never a short result. Leaving its ``with`` block, close(), or dropping it before its end
    cancels its statement (which fails the transaction that it runs in, if any). One thread at a time.
    """

    def __init__(self, operation: Operation[_wire.Summary], text_columns: Collection[str]) -> None:
        self._operation = operation
        self._state = StreamState(text_columns)
        self._call = _StreamedCall(operation)
        self._deadline = time.monotonic() + operation.guarded_ms / 1000 + GRACE_S
        self._ahead: Optional[Result] = None
        operation.session.submit(self._call, operation.kind, operation.request)

    def _next(self) -> Optional[Result]:
        if self._ahead is not None:
            rows, self._ahead = self._ahead, None
            return rows
        state, session = self._state, self._operation.session
        while not state.complete:
            credit = state.due_credit(must_wait=self._call.parts.empty())
            if credit:
                session.add_credit(self._call, credit)
            try:
                reply = self._call.parts.get(timeout=max(0.0, self._deadline - time.monotonic()))
            except queue.Empty:
                self.close()
                raise state.broken_off(session.no_answer(self._call, self._operation.guarded_ms)) from None
            except KeyboardInterrupt:
                self.close()
                raise
            try:
                rows_of_part = state.take(self._operation, reply)
            except BaseException:
                self.close()
                raise
            if state.complete:
                session.forget(self._call)
            if rows_of_part is not None:
                return rows_of_part
        return None

    def batches(self) -> Iterator[Result]:
        """Some consecutive rows at a time."""
        while True:
            rows = self._next()
            if rows is None:
                return
            yield rows

    def __iter__(self) -> Iterator[Row]:
        try:
            for batch in self.batches():
                yield from batch.rows
        finally:
            self.close()

    def tuples(self) -> Iterator[Tuple[Any, ...]]:
        """The rows as tuples, in the columns' order."""
        try:
            for batch in self.batches():
                yield from batch.tuples
        finally:
            self.close()

    @property
    def columns(self) -> Tuple[Column, ...]:
        """Waits for the first rows or the end."""
        if not self._state.columns and not self._state.complete:
            self._ahead = self._next()
        return self._state.columns

    def close(self) -> None:
        """Cancels the statement unless the end has come. May be repeated."""
        if not self._state.complete:
            self._state.complete = True
            self._operation.session.abandon(self._call)

    def __enter__(self) -> RowStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_call"):
            self.close()


class Transaction:
    """An open transaction, independent of all others on its connector.

    As a context manager (see PostgresSyncConnector.transaction()) it commits at the end of the block, and rolls back when
    the block raises.
    """

    def __init__(self, connector: PostgresSyncConnector, open_transaction: OpenTransaction) -> None:
        self._connector = connector
        self._open = open_transaction

    @property
    def _scope(self) -> Scope:
        return Scope(self._open.session, self._open)

    def execute(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                text_columns: Collection[str] = ()) -> Result:
        """As PostgresSyncConnector.execute(), in this transaction."""
        return _run(operations.execute(self._scope, sql, params, CallOptions(timeout_ms), text_columns))

    def execute_stream(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                       text_columns: Collection[str] = ()) -> RowStream:
        """As PostgresSyncConnector.execute_stream(), in this transaction."""
        return RowStream(operations.execute_stream(self._scope, sql, params, CallOptions(timeout_ms)), text_columns)

    def execute_batch(self, statements: Sequence[BatchItem], *, timeout_ms: Optional[int] = None) -> List[BatchEntry]:
        """As PostgresSyncConnector.execute_batch(), in this transaction: the first failure fails it."""
        return _run(operations.execute_batch(self._scope, statements, False, CallOptions(timeout_ms)))

    def savepoint(self, name: str) -> None:
        """Sets a savepoint: a letter or "_", then letters, digits and "_", at most 63."""
        _run(operations.savepoint(self._open, name, back=False))

    def rollback_to(self, name: str) -> None:
        """Undoes what came after the savepoint, which stays; mends a failed transaction."""
        _run(operations.savepoint(self._open, name, back=True))

    def commit(self, *, timeout_ms: Optional[int] = None) -> None:
        """Returns when the transaction is durable.

        When its answer is lost with the link to the gateway, or with the gateway itself, PostgreSQL is asked through another
        link, as soon as there is one, what became of the transaction. So it fails with Outcome.UNKNOWN only when `timeout_ms`
        was too short for that, when the transaction has no recovery_token, when PostgreSQL can't tell any more (a failover to
        a standby), or, with TransactionOptions.replay, unless the transaction is committed. outcome() asks again; after a
        DatabaseTimeoutError a repeated commit() does so, too."""
        self._connector._end_transaction(self._open, True, timeout_ms)

    def rollback(self) -> None:
        """Also right when the transaction is gone already; but not when it is committed. After a commit() whose answer did not
        come, it fails with the reason TRANSACTION_COMMITTED when that commit is found to be done, and with COMMIT_IN_DOUBT
        (Outcome.UNKNOWN) when that can't be found out."""
        self._connector._end_transaction(self._open, False)

    @property
    def recovery_token(self) -> str:
        """Names the transaction to PostgresSyncConnector.transaction_outcome(), also of another process: to be kept, by an
        engine that wants to know after its own crash, before it commits. Empty while the transaction has written nothing as
        far as the replies to its statements have come, and where the gateway can't tell (before PostgreSQL 13). With
        TransactionOptions.replay it may change with every reply."""
        return self._open.recovery_token

    def outcome(self, *, timeout_ms: Optional[int] = None) -> Outcome:
        """What became of the transaction: Outcome.COMMITTED, ROLLED_BACK, or UNKNOWN, when that can't be found out; UNSPECIFIED
        while it is open. For after a commit() that failed with Outcome.UNKNOWN.

        When the link to the gateway is lost, PostgreSQL is asked by the recovery_token over another (which may fail with
        DatabaseConnectionError: ask again). Without a token the outcome is UNKNOWN."""
        if not self._open.session.ended:
            return _run(operations.transaction_outcome(self._open.session, self._open, timeout_ms))
        if not self.recovery_token:
            return Outcome.UNKNOWN
        return self._connector.transaction_outcome(self.recovery_token, timeout_ms=timeout_ms)


class _TransactionBlock:
    """What `with connector.transaction()` enters and leaves. Inside another such block it is a savepoint."""

    def __init__(self, connector: PostgresSyncConnector, options: TransactionOptions) -> None:
        self._connector = connector
        self._options = options
        self._outer: Optional[OpenTransaction] = None
        self._savepoint = ""
        self._transaction: Optional[Transaction] = None

    def __enter__(self) -> Transaction:
        state = self._connector._state
        self._outer = state.block.get()
        if self._outer is not None:
            self._outer.savepoints += 1
            self._savepoint = f"engine_db_{self._outer.savepoints}"
            self._transaction = Transaction(self._connector, self._outer)
            self._transaction.savepoint(self._savepoint)
            return self._transaction
        self._transaction = self._connector.begin_transaction(self._options)
        state.block.set(self._transaction._open)
        return self._transaction

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        assert self._transaction is not None
        if self._outer is None:
            self._connector._state.block.set(None)
            _leave(self._transaction, error)
        elif error is not None:
            try:
                self._transaction.rollback_to(self._savepoint)
            except DatabaseError:
                pass  # The error that is on its way says more.


def _leave(transaction: Transaction, error: Optional[BaseException]) -> None:
    if transaction._open.ended:
        return  # By the block itself.
    if error is None:
        transaction.commit()
        return
    try:
        transaction.rollback()
    except DatabaseError:
        pass  # The error that is on its way says more; the lease or the end of the session rolls back.


class PostgresSyncConnector(DatabaseConnector):
    """See DatabaseConnector for the rules.

    All calls travel on one stream to the gateway; calls made at the same time share messages, and the gateway shares round
    trips among them: many threads on one connector are the fast way. When the link to the gateway breaks, all calls in
    flight fail with DatabaseConnectionError, whose outcome tells whether they may have run, and the next call opens it anew.
    """

    def __init__(self, target: ConnectTarget, gateway: Optional[str] = None) -> None:
        """Opens nothing yet. `gateway` is "HOST:PORT" or "unix:PATH"; the environment's ENGINE_DB_GATEWAY, or else
        127.0.0.1:50051, when it is left out. Raises ConfigurationError."""
        self._state = ConnectorState(target, gateway)
        self._local: Optional[LocalGateway] = None
        weakref.finalize(self, self._state.shut_down)

    @classmethod
    def local(cls, target: ConnectTarget, *, program: Optional[str] = None,
              start_timeout_ms: int = 10_000) -> PostgresSyncConnector:
        """A connector with a gateway of its own, which connect() starts (and raises DatabaseConnectionError, with what the
        gateway said, when it does not start). It ends with close(), or with this process, however that ends. `program` is the
        gateway's binary: ENGINE_DB_GATEWAY_PATH, or what PATH has, when it is left out."""
        ConnectorState(target, None)  # Refuses what is wrong before anything is made.
        gateway = LocalGateway(program, start_timeout_ms=start_timeout_ms)
        connector = cls(target, gateway.address)
        connector._local = gateway
        return connector

    def _session(self, timeout_ms: Optional[int] = None) -> Tuple[Session, Optional[int]]:
        """The session, and what it leaves of the call's timeout."""
        session = self._state.live_session()
        if session is not None:
            return session, timeout_ms
        patience = self._state.patience(timeout_ms)
        try:
            session = self._state.opening(self._open).result(patience.for_session_s)
        except concurrent.futures.TimeoutError:
            raise not_opened(self._state.address, patience.for_session_s) from None
        return session, patience.left_ms(session)

    def _open(self) -> Session:
        if self._local is not None:
            self._local.start()
        patience = self._state.patience(self._state.connect_timeout_ms)
        session = ThreadSession(self._state.address, patience.for_session_s)
        try:
            _run(operations.connect(session, self._state.target, patience.left_ms(session)))
        except BaseException:
            session.end("CLOSED", "the connection could not be opened")
            raise
        return session

    def _scope(self, timeout_ms: Optional[int]) -> Tuple[Scope, Optional[int]]:
        """Where a statement runs now, and what remains of its timeout."""
        scope = self._state.scope()
        if scope is not None:
            return scope, timeout_ms
        session, left_ms = self._session(timeout_ms)
        return Scope(session), left_ms

    def connect(self) -> None:
        self._state.wanted = True
        if self._state.live_session() is None:
            self._state.opening(self._open).result()

    def execute(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                retry: Optional[RetryConfig] = None, text_columns: Collection[str] = (), exactly_once: bool = False,
                idempotency_key: Optional[str] = None) -> Result:
        """Runs one statement with a parameter for each "?" and returns its whole result.

        `timeout_ms` bounds the call: waiting for a backend, running, and reading; None: the connection's. `retry` replaces
        the connection's. `text_columns` names columns ("*": all) whose values are given as PostgreSQL's text.

        `exactly_once` is for a write in autocommit: it takes effect once or not at all, and a failure says which, even if
        PostgreSQL or the link to it breaks at the worst moment, at the price of a second round trip to it. Needs PostgreSQL
        13. Of no effect on reads; refused within a transaction. What it does not cover is the gateway itself: when that is
        lost while the call runs, the outcome is UNKNOWN.

        `idempotency_key`, 1 to 200 bytes, is for a call that may be repeated, by whom and when ever, be it after the gateway
        or this process was lost: the first call with the key runs, and every other one gets its result, which says so
        (answered_before). Implies exactly_once, with its conditions. Keys belong to the database user, and are kept for 24
        hours, with the response, in the table engine_db.calls of the database itself, which the first such call makes. A call
        that fails leaves no key; a key that was used for another statement or other parameters is refused.
        """
        scope, left_ms = self._scope(timeout_ms)
        options = CallOptions(left_ms, retry, exactly_once, idempotency_key)
        return _run(operations.execute(scope, sql, params, options, text_columns))

    def execute_stream(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                       retry: Optional[RetryConfig] = None, text_columns: Collection[str] = ()) -> RowStream:
        """Runs one statement; its rows are read while they come. Errors come with the first rows. `timeout_ms` bounds the
        reading too."""
        scope, left_ms = self._scope(timeout_ms)
        return RowStream(operations.execute_stream(scope, sql, params, CallOptions(left_ms, retry)), text_columns)

    def execute_batch(self, statements: Sequence[BatchItem], *, atomic: bool = False, timeout_ms: Optional[int] = None,
                      retry: Optional[RetryConfig] = None, exactly_once: bool = False,
                      idempotency_key: Optional[str] = None) -> List[BatchEntry]:
        """Runs many statements in one round trip: 1 to 10,000 runs, one result each.

        `atomic`: all in one transaction; either every statement is committed or none, and the first failure is raised.
        Otherwise each run commits by itself, and one that fails leaves the others alone. In a transaction the first
        failure is raised, too.

        `exactly_once` and `idempotency_key` are for the batch as a whole, and need `atomic`; see execute().
        """
        scope, left_ms = self._scope(timeout_ms)
        options = CallOptions(left_ms, retry, exactly_once, idempotency_key)
        return _run(operations.execute_batch(scope, statements, atomic, options))

    def execute_many(self, sql: str, params_list: Sequence[Parameters], *,
                     timeout_ms: Optional[int] = None) -> List[Result]:
        """Runs one statement once for each list of parameters, all in one transaction (the current one if there is one):
        either all are done, or the first failure is raised and none is."""
        batches = operations.split_runs(sql, params_list)
        if not batches:
            return []
        scope, left_ms = self._scope(timeout_ms)
        if len(batches) == 1:
            entries = _run(operations.execute_batch(scope, batches, True, CallOptions(left_ms)))
            return [entry.result for entry in entries]
        if scope.transaction is not None:
            transaction = Transaction(self, scope.transaction)
            return [entry.result for batch in batches for entry in transaction.execute_batch([batch], timeout_ms=timeout_ms)]
        with _Own(self.begin_transaction()) as own:
            return [entry.result for batch in batches for entry in own.execute_batch([batch], timeout_ms=timeout_ms)]

    def describe(self, sql: str, *, timeout_ms: Optional[int] = None) -> StatementDescription:
        """What a statement would return and take, without running it."""
        scope, left_ms = self._scope(timeout_ms)
        return _run(operations.describe(scope, sql, left_ms))

    def begin(self, options: TransactionOptions = TransactionOptions()) -> None:
        self._state.live_session()
        self._state.start_begin()
        begun: Optional[OpenTransaction] = None
        try:
            begun = self._begin(options)
        finally:
            self._state.end_begin(begun)

    def commit(self) -> None:
        self._end("commit")

    def rollback(self) -> None:
        self._end("rollback")

    def _end(self, name: str) -> None:
        transaction = self._state.current(name)
        try:
            self._end_transaction(transaction, name == "commit")
        finally:
            self._state.end_current(transaction)

    def _end_transaction(self, transaction: OpenTransaction, commit: bool, timeout_ms: Optional[int] = None) -> None:
        deadline = time.monotonic() + operations.begin_ending(transaction, timeout_ms)
        try:
            operation = operations.end(transaction, commit, timeout_ms)
            if operation is not None:
                _run(operation)
        except DatabaseError as error:
            failure = operations.end_failed(transaction, commit, error)
            if failure is None:
                return
            if not operations.can_be_asked_about(transaction, failure):
                raise failure
            self._find_out(transaction, commit, failure, deadline)

    def _find_out(self, transaction: OpenTransaction, commit: bool, loss: DatabaseError, deadline: float) -> None:
        """Ends a transaction whose commit's answer was lost. Waits for a gateway that is being started."""
        while True:
            left_ms = int((deadline - time.monotonic()) * 1000)
            if left_ms <= 0:
                raise loss
            try:
                outcome = self.transaction_outcome(transaction.recovery_token, timeout_ms=left_ms)
            except DatabaseError as error:
                if not operations.may_ask_again(error):
                    raise loss from error
            else:
                return operations.conclude(commit, outcome, loss)
            time.sleep(operations.ASK_AGAIN_S)

    def begin_transaction(self, options: TransactionOptions = TransactionOptions()) -> Transaction:
        """A transaction as an object, whether or not there is a current one. Its commit() or rollback() ends it."""
        return Transaction(self, self._begin(options))

    def _begin(self, options: TransactionOptions) -> OpenTransaction:
        session, left_ms = self._session()
        return _run(operations.begin(session, options, left_ms))

    def transaction_outcome(self, recovery_token: str, *, timeout_ms: Optional[int] = None) -> Outcome:
        """What became of the transaction whose Transaction.recovery_token this is, on this connector's database cluster: of
        this process or another, now or after a restart of everything. Outcome.COMMITTED or ROLLED_BACK, for good; or UNKNOWN:
        PostgreSQL can't tell any more. One that is still open, or committing, is waited for, then DatabaseTimeoutError."""
        session, left_ms = self._session(timeout_ms)
        return _run(operations.transaction_outcome(session, recovery_token, left_ms))

    def transaction(self, options: TransactionOptions = TransactionOptions()) -> _TransactionBlock:
        """``with connector.transaction():`` runs what this thread executes inside the block in a transaction of its own,
        commits at the end, and rolls back when the block raises. Other threads are not in it. Inside such a block, another
        one is a savepoint. Use ``as t`` for savepoints by name."""
        return _TransactionBlock(self, options)

    def run_transaction(self, work: Callable[[Transaction], T], options: TransactionOptions = TransactionOptions(),
                        retry: RetryConfig = RetryConfig()) -> T:
        """Runs work(transaction), commits, and returns what work returned. When the transaction fails as a whole because of
        others (serialization failure, deadlock), all of it runs again, as `retry` says; so work must have no effects outside
        the transaction that do harm when repeated. Any other exception rolls back and is passed on."""
        began = time.monotonic()
        attempt = 1
        while True:
            try:
                with _Own(self.begin_transaction(options)) as transaction:
                    returned = work(transaction)
                return returned
            except DatabaseTransactionError as error:
                pause = operations.pause_before_repeating(retry, attempt, began, error)
                if pause is None:
                    raise
            time.sleep(pause)
            attempt += 1

    def close(self) -> None:
        session = self._state.take_session()
        if session is not None:
            try:
                _run(operations.close(session))
            except DatabaseError:
                pass  # The handle ends with the session.
            session.end("CLOSED", "the connector was closed")
        if self._local is not None:
            self._local.close()

    def __enter__(self) -> PostgresSyncConnector:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Own:
    """A transaction that no thread's block is told of."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def __enter__(self) -> Transaction:
        return self._transaction

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        _leave(self._transaction, error)
