"""PostgreSQL through the gateway, for asyncio."""

from __future__ import annotations

import asyncio
import time
import weakref
from types import TracebackType
from typing import Any, AsyncIterator, Awaitable, Callable, Collection, List, Optional, Sequence, Tuple, Type, TypeVar

from engine_db_postgres import _operations as operations
from engine_db_postgres import _wire
from engine_db_postgres._awaited import AwaitedCall, StreamedCall, Watch
from engine_db_postgres._operations import BatchItem, CallOptions, OpenTransaction, Operation, Scope, StreamState, StreamSummary
from engine_db_postgres._session import GRACE_S, LoopSession, Session, not_opened
from engine_db_postgres._state import ConnectorState
from engine_db_postgres.config import ConnectTarget, RetryConfig
from engine_db_postgres.connector import AsyncDatabaseConnector
from engine_db_postgres.errors import DatabaseError, DatabaseTransactionError, Outcome, connection_error
from engine_db_postgres.local import LocalGateway
from engine_db_postgres.options import BatchEntry, StatementDescription, TransactionOptions
from engine_db_postgres.result import Column, Result, Row
from engine_db_postgres.values import Parameters

T = TypeVar("T")


class AsyncRowStream(StreamSummary):
    """A result that is read while it comes, in bounded memory: what has not been read yet is held back at the database.

    Iterate over it once, with ``async for``: it gives dicts. A stream that breaks off raises an error, whose
    rows_delivered says how many rows came before it; it is never a short result. Leaving its ``async with`` block, close(),
    or dropping it before its end cancels its statement (which fails the transaction that it runs in, if any). One task at
    a time.
    """

    def __init__(self, connector: PostgresAsyncConnector,
                 make: Callable[[Scope, Optional[int]], Operation[_wire.Summary]], scope: Optional[Scope],
                 timeout_ms: Optional[int], text_columns: Collection[str]) -> None:
        self._connector = connector
        self._make = make  # Of where it runs, and its timeout.
        self._scope = scope
        self._timeout_ms = timeout_ms
        self._state = StreamState(text_columns)
        self._operation: Optional[Operation[_wire.Summary]] = None
        self._call: Optional[StreamedCall] = None
        self._deadline = 0.0
        self._ahead: Optional[Result] = None

    async def _start(self) -> StreamedCall:
        scope, left_ms = self._scope, self._timeout_ms
        if scope is None:
            session, left_ms = await self._connector._session(left_ms)
            scope = Scope(session)
        operation = self._make(scope, left_ms)
        call = StreamedCall(operation)
        self._deadline = asyncio.get_running_loop().time() + operation.guarded_ms / 1000 + GRACE_S
        operation.session.submit(call, operation.kind, operation.request)
        self._operation, self._call = operation, call
        return call

    async def _next(self) -> Optional[Result]:
        if self._ahead is not None:
            rows, self._ahead = self._ahead, None
            return rows
        state = self._state
        while not state.complete:
            call = self._call or await self._start()
            operation = self._operation
            assert operation is not None
            credit = state.due_credit(must_wait=not call.parts)
            if credit:
                operation.session.add_credit(call, credit)
            try:
                await call.arrival(self._deadline)
                rows_of_part = state.take(operation, call.parts.popleft())
            except asyncio.TimeoutError:
                self._abandon()
                raise state.broken_off(operation.session.no_answer(call, operation.guarded_ms)) from None
            except BaseException:
                self._abandon()
                raise
            if state.complete:
                operation.session.forget(call)
            if rows_of_part is not None:
                return rows_of_part
        return None

    async def batches(self) -> AsyncIterator[Result]:
        """Some consecutive rows at a time."""
        while True:
            rows = await self._next()
            if rows is None:
                return
            yield rows

    async def _rows(self) -> AsyncIterator[Row]:
        try:
            while True:
                batch = await self._next()
                if batch is None:
                    return
                for row in batch.rows:
                    yield row
        finally:
            self._abandon()

    def __aiter__(self) -> AsyncIterator[Row]:
        return self._rows()

    async def tuples(self) -> AsyncIterator[Tuple[Any, ...]]:
        """The rows as tuples, in the columns' order."""
        try:
            while True:
                batch = await self._next()
                if batch is None:
                    return
                for row in batch.tuples:
                    yield row
        finally:
            self._abandon()

    async def columns(self) -> Tuple[Column, ...]:
        """Waits for the first rows or the end."""
        if not self._state.columns and not self._state.complete:
            self._ahead = await self._next()
        return self._state.columns

    def _abandon(self) -> None:
        if self._state.complete:
            return
        self._state.complete = True
        if self._call is not None and self._operation is not None:
            self._operation.session.abandon(self._call)

    async def close(self) -> None:
        """Cancels the statement unless the end has come. May be repeated."""
        self._abandon()

    async def __aenter__(self) -> AsyncRowStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._abandon()

    def __del__(self) -> None:
        if hasattr(self, "_ahead"):
            self._abandon()


class AsyncTransaction:
    """An open transaction, independent of all others on its connector.

    As a context manager (see PostgresAsyncConnector.transaction()) it commits at the end of the block, and rolls back when
    the block raises.
    """

    def __init__(self, connector: PostgresAsyncConnector, open_transaction: OpenTransaction) -> None:
        self._connector = connector
        self._open = open_transaction

    @property
    def _scope(self) -> Scope:
        return Scope(self._open.session, self._open)

    async def async_execute(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                            text_columns: Collection[str] = ()) -> Result:
        """As PostgresAsyncConnector.async_execute(), in this transaction."""
        options = CallOptions(timeout_ms)
        return await self._connector._run(operations.execute(self._scope, sql, params, options, text_columns))

    def async_execute_stream(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                             text_columns: Collection[str] = ()) -> AsyncRowStream:
        """As PostgresAsyncConnector.async_execute_stream(), in this transaction."""
        def make(scope: Scope, left_ms: Optional[int]) -> Operation[_wire.Summary]:
            return operations.execute_stream(scope, sql, params, CallOptions(left_ms))

        return AsyncRowStream(self._connector, make, self._scope, timeout_ms, text_columns)

    async def async_execute_batch(self, statements: Sequence[BatchItem], *,
                                  timeout_ms: Optional[int] = None) -> List[BatchEntry]:
        """As PostgresAsyncConnector.async_execute_batch(), in this transaction: the first failure fails it."""
        options = CallOptions(timeout_ms)
        return await self._connector._run(operations.execute_batch(self._scope, statements, False, options))

    async def async_savepoint(self, name: str) -> None:
        """Sets a savepoint: a letter or "_", then letters, digits and "_", at most 63."""
        await self._connector._run(operations.savepoint(self._open, name, back=False))

    async def async_rollback_to(self, name: str) -> None:
        """Undoes what came after the savepoint, which stays; mends a failed transaction."""
        await self._connector._run(operations.savepoint(self._open, name, back=True))

    async def async_commit(self, *, timeout_ms: Optional[int] = None) -> None:
        """As Transaction.commit()."""
        await self._connector._end_transaction(self._open, True, timeout_ms)

    async def async_rollback(self) -> None:
        """As Transaction.rollback()."""
        await self._connector._end_transaction(self._open, False)

    @property
    def recovery_token(self) -> str:
        """As Transaction.recovery_token."""
        return self._open.recovery_token

    async def async_outcome(self, *, timeout_ms: Optional[int] = None) -> Outcome:
        """As Transaction.outcome()."""
        session = self._open.session
        if not session.ended:
            return await self._connector._run(operations.transaction_outcome(session, self._open, timeout_ms))
        if not self.recovery_token:
            return Outcome.UNKNOWN
        return await self._connector.async_transaction_outcome(self.recovery_token, timeout_ms=timeout_ms)


async def _leave(transaction: AsyncTransaction, error: Optional[BaseException]) -> None:
    if transaction._open.ended:
        return  # By the block itself.
    if error is None:
        await transaction.async_commit()
        return
    try:
        await transaction.async_rollback()
    except DatabaseError:
        pass  # The error that is on its way says more; the lease or the end of the session rolls back.


class _TransactionBlock:
    """What `async with connector.transaction()` enters and leaves. Inside another such block it is a savepoint."""

    def __init__(self, connector: PostgresAsyncConnector, options: TransactionOptions) -> None:
        self._connector = connector
        self._options = options
        self._outer: Optional[OpenTransaction] = None
        self._savepoint = ""
        self._transaction: Optional[AsyncTransaction] = None

    async def __aenter__(self) -> AsyncTransaction:
        state = self._connector._state
        self._outer = state.block.get()
        if self._outer is not None:
            self._outer.savepoints += 1
            self._savepoint = f"engine_db_{self._outer.savepoints}"
            self._transaction = AsyncTransaction(self._connector, self._outer)
            await self._transaction.async_savepoint(self._savepoint)
            return self._transaction
        self._transaction = await self._connector.async_begin_transaction(self._options)
        state.block.set(self._transaction._open)
        return self._transaction

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        assert self._transaction is not None
        if self._outer is None:
            self._connector._state.block.set(None)
            await _leave(self._transaction, error)
        elif error is not None:
            try:
                await self._transaction.async_rollback_to(self._savepoint)
            except DatabaseError:
                pass  # The error that is on its way says more.


class PostgresAsyncConnector(AsyncDatabaseConnector):
    """See AsyncDatabaseConnector for the rules.

    All calls travel on one stream to the gateway; calls made at the same time share messages, and the gateway shares round
    trips among them: many tasks on one connector are the fast way. A cancelled task cancels its statement. When the link to
    the gateway breaks, all calls in flight fail with DatabaseConnectionError, whose outcome tells whether they may have run,
    and the next call opens it anew.
    """

    def __init__(self, target: ConnectTarget, gateway: Optional[str] = None) -> None:
        """Opens nothing yet. `gateway` is "HOST:PORT" or "unix:PATH"; the environment's ENGINE_DB_GATEWAY, or else
        127.0.0.1:50051, when it is left out. Raises ConfigurationError."""
        self._state = ConnectorState(target, gateway)
        self._on_loop: Optional[LoopSession] = None
        self._watch: Optional[Watch] = None
        self._opening: Optional[asyncio.Task[Session]] = None
        self._local: Optional[LocalGateway] = None
        weakref.finalize(self, self._state.shut_down)

    @classmethod
    def local(cls, target: ConnectTarget, *, program: Optional[str] = None,
              start_timeout_ms: int = 10_000) -> PostgresAsyncConnector:
        """As PostgresSyncConnector.local(): with a gateway of its own, which async_connect() starts."""
        ConnectorState(target, None)  # Refuses what is wrong before anything is made.
        gateway = LocalGateway(program, start_timeout_ms=start_timeout_ms)
        connector = cls(target, gateway.address)
        connector._local = gateway
        return connector

    async def _session(self, timeout_ms: Optional[int] = None) -> Tuple[Session, Optional[int]]:
        """The session, and what it leaves of the call's timeout."""
        session = self._live_session()
        if session is not None:
            return session, timeout_ms
        patience = self._state.patience(timeout_ms)
        opening = self._started_opening()
        # One of several waiters that is cancelled, or has no more time, leaves it to the others.
        await asyncio.wait((opening,), timeout=patience.for_session_s)
        if not opening.done():
            raise not_opened(self._state.address, patience.for_session_s)
        session = opening.result()
        return session, patience.left_ms(session)

    def _live_session(self) -> Optional[Session]:
        """The session, unless this loop has to open another."""
        session = self._state.live_session()
        if session is None or (self._on_loop is not None and self._on_loop.loop is asyncio.get_running_loop()):
            return session
        self._leave_loop(session)
        return None

    def _started_opening(self) -> asyncio.Task[Session]:
        loop = asyncio.get_running_loop()
        if self._opening is None or self._opening.get_loop() is not loop:
            self._opening = loop.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        return self._opening

    def _leave_loop(self, session: Session) -> None:
        if self._on_loop is not None and not self._on_loop.loop.is_closed():
            raise connection_error("OTHER_EVENT_LOOP", "the connector is connected on another event loop: close it there, or"
                                   " make a connector for each loop")
        session.end("CLOSED", "the event loop was closed")

    def _opened(self, opening: asyncio.Task[Session]) -> None:
        if self._opening is opening:
            self._opening = None
        if not opening.cancelled():
            opening.exception()  # Told to those who wait, if there still are any.

    async def _open(self) -> Session:
        if self._local is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._local.start)
        patience = self._state.patience(self._state.connect_timeout_ms)
        session = LoopSession(self._state.address)
        self._on_loop, self._watch = session, Watch(session.loop)
        try:
            await session.open(patience.for_session_s)
            await self._run(operations.connect(session, self._state.target, patience.left_ms(session)))
        except BaseException:
            session.end("CLOSED", "the connection could not be opened")
            raise
        self._state.session = session
        if not self._state.wanted:  # Closed meanwhile.
            self._state.shut_down()
            self._state.live_session()
        return session

    async def _run(self, operation: Operation[T]) -> T:
        """Sends a request and waits for its answer."""
        watch = self._watch
        assert watch is not None
        call = AwaitedCall(operation, watch.loop)
        operation.session.submit(call, operation.kind, operation.request)
        watch.add(call)
        try:
            reply = await call.future
        except BaseException:  # asyncio.CancelledError, mostly; it may come together with the answer.
            if not operation.session.abandon(call):
                operation.session.unheard(call.reply)
            raise
        return operation.finish(reply)

    async def _end_transaction(self, transaction: OpenTransaction, commit: bool,
                               timeout_ms: Optional[int] = None) -> None:
        deadline = time.monotonic() + operations.begin_ending(transaction, timeout_ms)
        try:
            operation = operations.end(transaction, commit, timeout_ms)
            if operation is not None:
                await self._run(operation)
        except DatabaseError as error:
            failure = operations.end_failed(transaction, commit, error)
            if failure is None:
                return
            if not operations.can_be_asked_about(transaction, failure):
                raise failure
            await self._find_out(transaction, commit, failure, deadline)

    async def _find_out(self, transaction: OpenTransaction, commit: bool, loss: DatabaseError, deadline: float) -> None:
        """Ends a transaction whose commit's answer was lost. Waits for a gateway that is being started."""
        while True:
            left_ms = int((deadline - time.monotonic()) * 1000)
            if left_ms <= 0:
                raise loss
            try:
                outcome = await self.async_transaction_outcome(transaction.recovery_token, timeout_ms=left_ms)
            except DatabaseError as error:
                if not operations.may_ask_again(error):
                    raise loss from error
            else:
                return operations.conclude(commit, outcome, loss)
            await asyncio.sleep(operations.ASK_AGAIN_S)

    def _scope_now(self) -> Optional[Scope]:
        """Where a statement runs, unless a session has to be opened first."""
        scope = self._state.scope()
        on_loop = self._on_loop
        if scope is None or on_loop is None or on_loop.loop is asyncio.get_running_loop():
            return scope
        self._leave_loop(scope.session)
        scope.require_open()
        return None

    async def _scope(self, timeout_ms: Optional[int]) -> Tuple[Scope, Optional[int]]:
        """Where a statement runs now, and what remains of its timeout."""
        scope = self._scope_now()
        if scope is not None:
            return scope, timeout_ms
        session, left_ms = await self._session(timeout_ms)
        return Scope(session), left_ms

    async def async_connect(self) -> None:
        self._state.wanted = True
        if self._live_session() is None:
            await asyncio.shield(self._started_opening())

    async def async_execute(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                            retry: Optional[RetryConfig] = None, text_columns: Collection[str] = (),
                            exactly_once: bool = False, idempotency_key: Optional[str] = None) -> Result:
        """As PostgresSyncConnector.execute()."""
        scope, left_ms = self._scope_now(), timeout_ms
        if scope is None:
            scope, left_ms = await self._scope(timeout_ms)
        options = CallOptions(left_ms, retry, exactly_once, idempotency_key)
        return await self._run(operations.execute(scope, sql, params, options, text_columns))

    def async_execute_stream(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                             retry: Optional[RetryConfig] = None, text_columns: Collection[str] = ()) -> AsyncRowStream:
        """As PostgresSyncConnector.execute_stream(). Not awaited itself; errors come with the first rows. It runs in the
        transaction that is the current one now."""
        def make(scope: Scope, left_ms: Optional[int]) -> Operation[_wire.Summary]:
            return operations.execute_stream(scope, sql, params, CallOptions(left_ms, retry))

        return AsyncRowStream(self, make, self._scope_now(), timeout_ms, text_columns)

    async def async_execute_batch(self, statements: Sequence[BatchItem], *, atomic: bool = False,
                                  timeout_ms: Optional[int] = None, retry: Optional[RetryConfig] = None,
                                  exactly_once: bool = False, idempotency_key: Optional[str] = None) -> List[BatchEntry]:
        """As PostgresSyncConnector.execute_batch()."""
        scope, left_ms = await self._scope(timeout_ms)
        options = CallOptions(left_ms, retry, exactly_once, idempotency_key)
        return await self._run(operations.execute_batch(scope, statements, atomic, options))

    async def async_execute_many(self, sql: str, params_list: Sequence[Parameters], *,
                                 timeout_ms: Optional[int] = None) -> List[Result]:
        """As PostgresSyncConnector.execute_many()."""
        batches = operations.split_runs(sql, params_list)
        if not batches:
            return []
        scope, left_ms = await self._scope(timeout_ms)
        if len(batches) == 1:
            entries = await self._run(operations.execute_batch(scope, batches, True, CallOptions(left_ms)))
            return [entry.result for entry in entries]
        if scope.transaction is not None:
            return await _execute_all(AsyncTransaction(self, scope.transaction), batches, timeout_ms)

        async def work(transaction: AsyncTransaction) -> List[Result]:
            return await _execute_all(transaction, batches, timeout_ms)

        return await self._in_transaction(work, TransactionOptions())

    async def async_describe(self, sql: str, *, timeout_ms: Optional[int] = None) -> StatementDescription:
        """What a statement would return and take, without running it."""
        scope, left_ms = await self._scope(timeout_ms)
        return await self._run(operations.describe(scope, sql, left_ms))

    async def async_begin(self, options: TransactionOptions = TransactionOptions()) -> None:
        self._state.live_session()
        self._state.start_begin()
        begun: Optional[OpenTransaction] = None
        try:
            begun = await self._begin(options)
        finally:
            self._state.end_begin(begun)

    async def async_commit(self) -> None:
        await self._end("commit")

    async def async_rollback(self) -> None:
        await self._end("rollback")

    async def _end(self, name: str) -> None:
        transaction = self._state.current(name)
        try:
            await self._end_transaction(transaction, name == "commit")
        finally:
            self._state.end_current(transaction)

    async def _begin(self, options: TransactionOptions) -> OpenTransaction:
        session, left_ms = await self._session()
        return await self._run(operations.begin(session, options, left_ms))

    async def async_begin_transaction(self, options: TransactionOptions = TransactionOptions()) -> AsyncTransaction:
        """A transaction as an object, whether or not there is a current one. Its async_commit() or async_rollback() ends
        it."""
        return AsyncTransaction(self, await self._begin(options))

    async def async_transaction_outcome(self, recovery_token: str, *, timeout_ms: Optional[int] = None) -> Outcome:
        """As PostgresSyncConnector.transaction_outcome()."""
        session, left_ms = await self._session(timeout_ms)
        return await self._run(operations.transaction_outcome(session, recovery_token, left_ms))

    def transaction(self, options: TransactionOptions = TransactionOptions()) -> _TransactionBlock:
        """``async with connector.transaction():`` runs what this task, and those that it starts inside, execute in the block
        in a transaction of its own, commits at the end, and rolls back when the block raises. Other tasks are not in it.
        Inside such a block, another one is a savepoint. Use ``as t`` for savepoints by name."""
        return _TransactionBlock(self, options)

    async def async_run_transaction(self, work: Callable[[AsyncTransaction], Awaitable[T]],
                                    options: TransactionOptions = TransactionOptions(),
                                    retry: RetryConfig = RetryConfig()) -> T:
        """As PostgresSyncConnector.run_transaction(); work is a coroutine function."""
        began = time.monotonic()
        attempt = 1
        while True:
            try:
                return await self._in_transaction(work, options)
            except DatabaseTransactionError as error:
                pause = operations.pause_before_repeating(retry, attempt, began, error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)
            attempt += 1

    async def _in_transaction(self, work: Callable[[AsyncTransaction], Awaitable[T]], options: TransactionOptions) -> T:
        transaction = await self.async_begin_transaction(options)
        try:
            returned = await work(transaction)
        except BaseException as error:
            await _leave(transaction, error)
            raise
        await _leave(transaction, None)
        return returned

    async def async_close(self) -> None:
        session = self._state.take_session()
        if session is not None:
            on_loop = self._on_loop
            if on_loop is not None and on_loop.loop is asyncio.get_running_loop():
                try:
                    await self._run(operations.close(session))
                except DatabaseError:
                    pass  # The handle ends with the session.
            session.end("CLOSED", "the connector was closed")
        if self._local is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._local.close)

    async def __aenter__(self) -> PostgresAsyncConnector:
        await self.async_connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.async_close()


async def _execute_all(transaction: AsyncTransaction, batches: Sequence[BatchItem],
                       timeout_ms: Optional[int]) -> List[Result]:
    results: List[Result] = []
    for batch in batches:
        results += [entry.result for entry in await transaction.async_execute_batch([batch], timeout_ms=timeout_ms)]
    return results
