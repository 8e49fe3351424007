"""PostgreSQL through the gateway, for asyncio."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import pickle
import time
import weakref
from typing import Any, Awaitable, Callable, Collection, Iterable, List, Optional, Sequence, Tuple, Type, TypeVar

from engine_db_postgres import reasons
from engine_db_postgres import _operations as operations
from engine_db_postgres import _transaction as transactions
from engine_db_postgres import _wire
from engine_db_postgres._awaited import AwaitedCall, DeadlineSweeper
from engine_db_postgres._foreign import as_row
from engine_db_postgres._operation import Operation
from engine_db_postgres._operations import BatchItem, CallOptions
from engine_db_postgres._session import LoopSession, Session, not_opened
from engine_db_postgres._state import ConnectorState
from engine_db_postgres._transaction import OpenTransaction, Scope
from engine_db_postgres.async_stream import AsyncRowStream
from engine_db_postgres.async_transaction import AsyncTransaction, AsyncTransactionBlock, leave, run_all
from engine_db_postgres.config import ConnectTarget, RetryConfig
from engine_db_postgres.connector import AsyncDatabaseConnector
from engine_db_postgres.errors import (DatabaseError, DatabaseExecutionError, DatabaseTransactionError, Outcome,
                                       connection_error)
from engine_db_postgres.local import LocalGateway
from engine_db_postgres.options import BatchEntry, StatementDescription, TransactionOptions
from engine_db_postgres.result import Result
from engine_db_postgres.values import Parameters

T = TypeVar("T")


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
        self._watch: Optional[DeadlineSweeper] = None
        self._opening: Optional[asyncio.Task[Session]] = None
        self._local: Optional[LocalGateway] = None
        weakref.finalize(self, self._state.shut_down)

    def __reduce__(self) -> Tuple[Any, ...]:
        """Another process (multiprocessing) gets a connector to the same gateway, with a connection of its own."""
        if self._local is not None and not self._local.is_running:
            raise pickle.PicklingError("the connector's local() gateway does not run: connect it first, or make a connector in the"
                                       " other process")
        return _another, (type(self), self._state.target, self._state.address, self._state.wanted)

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
        time_limit = self._state.time_limit(timeout_ms)
        opening = self._started_opening()
        # One of several waiters that is cancelled, or has no more time, leaves it to the others.
        await asyncio.wait((opening,), timeout=time_limit.for_session_s)
        if not opening.done():
            raise not_opened(self._state.address, time_limit.for_session_s)
        session = opening.result()
        return session, time_limit.left_ms(session)

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
            # In a context of its own: the link outlives whatever the caller is inside of.
            self._opening = contextvars.Context().run(lambda: loop.create_task(self._open()))
            self._opening.add_done_callback(self._opened)
        return self._opening

    def _leave_loop(self, session: Session) -> None:
        if self._on_loop is not None and not self._on_loop.loop.is_closed():
            raise connection_error(reasons.OTHER_EVENT_LOOP, "the connector is connected on another event loop: close it there, or"
                                   " make a connector for each loop")
        session.end(reasons.CLOSED, "the event loop was closed")

    def _opened(self, opening: asyncio.Task[Session]) -> None:
        if self._opening is opening:
            self._opening = None
        if not opening.cancelled():
            opening.exception()  # Told to those who wait, if there still are any.

    async def _open(self) -> Session:
        if self._local is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._local.start)
            self._state.address = self._local.address  # A forked child may have another than its parent.
        time_limit = self._state.time_limit(self._state.connect_timeout_ms)
        session = LoopSession(self._state.address)
        self._on_loop, self._watch = session, DeadlineSweeper(session.loop)
        try:
            await session.open(time_limit.for_session_s)
            await self._run(operations.connect(session, self._state.target, time_limit.left_ms(session)))
        except BaseException:
            session.end(reasons.CLOSED, "the connection could not be opened")
            raise
        self._state.session = session
        if not self._state.wanted:  # Closed meanwhile.
            self._state.shut_down()
            self._state.live_session()
        return session

    async def _run(self, operation: Operation[T]) -> T:
        """Sends a request and waits for its answer."""
        watch = self._watch
        if watch is None:  # Not before a session, whose operation this is, was opened.
            raise connection_error(reasons.NOT_CONNECTED, "the connector is not connected: call async_connect() first")
        call = AwaitedCall(operation, watch.loop)
        operation.session.submit(call, operation.kind, operation.request)
        watch.add(call)
        try:
            reply = await call.future
        except BaseException:  # asyncio.CancelledError, mostly; it may come together with the answer.
            if not operation.to_its_end and not operation.session.abandon(call):
                operation.session.discard_reply(call.reply)
            raise
        return operation.finish(reply)

    async def _made(self, scope: Scope, make: Callable[[Optional[int]], Operation[T]],
                    timeout_ms: Optional[int]) -> Operation[T]:
        """What make(timeout_ms) makes, once it is known what the empty lists among its parameters are."""
        began = time.monotonic()
        left_ms = timeout_ms
        while True:
            try:
                return make(left_ms)
            except operations.PlacesUnknown as unknown:
                places = operations.PlacesOf(scope, unknown, left_ms)
            try:
                description = await self._run(places.question)
                places.known(description)
            except (DatabaseExecutionError, DatabaseTransactionError) as error:
                places.known(error)
            left_ms = operations.left_ms(timeout_ms, began)

    def _perform(self, scope: Scope, make: Callable[[Optional[int]], Operation[T]], timeout_ms: Optional[int]) -> Awaitable[T]:
        """Makes a request, sends it, and waits for its answer. No coroutine itself, since the usual case is the hot path."""
        try:
            return self._run(make(timeout_ms))
        except operations.PlacesUnknown:
            return self._perform_later(scope, make, timeout_ms)

    async def _perform_later(self, scope: Scope, make: Callable[[Optional[int]], Operation[T]], timeout_ms: Optional[int]) -> T:
        return await self._run(await self._made(scope, make, timeout_ms))

    async def _end_transaction(self, transaction: OpenTransaction, commit: bool,
                               timeout_ms: Optional[int] = None) -> None:
        deadline = time.monotonic() + transactions.begin_ending(transaction, timeout_ms)
        try:
            operation = transactions.end(transaction, commit, timeout_ms)
            if operation is not None:
                await self._run(operation)
        except DatabaseError as error:
            failure = transactions.end_failed(transaction, commit, error)
            if failure is None:
                return
            if not transactions.can_be_asked_about(transaction, failure):
                raise failure
            await self._find_out(transaction, commit, failure, deadline)
        except BaseException:
            if commit:
                transactions.give_up(transaction)
            raise

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
                return transactions.conclude(commit, outcome, loss)
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
        row = as_row(params, "parameters")
        scope, left_ms = self._scope_now(), timeout_ms
        if scope is None:
            scope, left_ms = await self._scope(timeout_ms)
        where = scope
        return await self._perform(where, lambda left_ms: operations.execute(
            where, sql, row, CallOptions(left_ms, retry, exactly_once, idempotency_key), text_columns), left_ms)

    def async_execute_stream(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                             retry: Optional[RetryConfig] = None, text_columns: Collection[str] = ()) -> AsyncRowStream:
        """As PostgresSyncConnector.execute_stream(). Not awaited itself; errors come with the first rows. It runs in the
        transaction that is the current one now."""
        row = as_row(params, "parameters")

        def make(scope: Scope, left_ms: Optional[int]) -> Operation[_wire.Summary]:
            return operations.execute_stream(scope, sql, row, CallOptions(left_ms, retry))

        return AsyncRowStream(self, make, self._scope_now(), timeout_ms, text_columns)

    async def async_execute_batch(self, statements: Sequence[BatchItem], *, atomic: bool = False,
                                  timeout_ms: Optional[int] = None, retry: Optional[RetryConfig] = None,
                                  exactly_once: bool = False, idempotency_key: Optional[str] = None) -> List[BatchEntry]:
        """As PostgresSyncConnector.execute_batch()."""
        items = operations.batch(statements)
        scope, left_ms = await self._scope(timeout_ms)
        return await self._perform(scope, lambda left_ms: operations.execute_batch(
            scope, items, atomic, CallOptions(left_ms, retry, exactly_once, idempotency_key)), left_ms)

    async def async_execute_many(self, sql: str, params_list: Iterable[Parameters], *,
                                 timeout_ms: Optional[int] = None) -> List[Result]:
        """As PostgresSyncConnector.execute_many()."""
        batches = operations.split_runs(sql, params_list)
        first = list(itertools.islice(batches, 2))
        if not first:
            return []
        scope, left_ms = await self._scope(timeout_ms)
        if len(first) == 1:
            entries = await self._perform(
                scope, lambda left_ms: operations.execute_batch(scope, first, True, CallOptions(left_ms)), left_ms)
            return [entry.result for entry in entries]
        if scope.transaction is not None:
            return await run_all(AsyncTransaction(self, scope.transaction), itertools.chain(first, batches), timeout_ms)

        async def work(transaction: AsyncTransaction) -> List[Result]:
            return await run_all(transaction, itertools.chain(first, batches), timeout_ms)

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
        return await self._run(transactions.begin(session, options, left_ms))

    async def async_begin_transaction(self, options: TransactionOptions = TransactionOptions()) -> AsyncTransaction:
        """A transaction as an object, whether or not there is a current one. Its async_commit() or async_rollback() ends
        it."""
        return AsyncTransaction(self, await self._begin(options))

    async def async_transaction_outcome(self, recovery_token: str, *, timeout_ms: Optional[int] = None) -> Outcome:
        """As PostgresSyncConnector.transaction_outcome()."""
        session, left_ms = await self._session(timeout_ms)
        return await self._run(transactions.transaction_outcome(session, recovery_token, left_ms))

    def transaction(self, options: TransactionOptions = TransactionOptions()) -> AsyncTransactionBlock:
        """``async with connector.transaction():`` runs what this task, and those that it starts inside, execute in the block
        in a transaction of its own, commits at the end, and rolls back when the block raises. Other tasks are not in it.
        Inside such a block, another one is a savepoint. Use ``as t`` for savepoints by name."""
        return AsyncTransactionBlock(self, options)

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
            await leave(transaction, error)
            raise
        await leave(transaction, None)
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
            session.end(reasons.CLOSED, "the connector was closed")
        if self._local is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._local.close)

    async def __aenter__(self) -> PostgresAsyncConnector:
        await self.async_connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.async_close()


def _another(kind: Type[PostgresAsyncConnector], target: ConnectTarget, address: str, wanted: bool) -> PostgresAsyncConnector:
    connector = kind(target, address)
    connector._state.wanted = wanted
    return connector
