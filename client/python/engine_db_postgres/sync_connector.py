"""PostgreSQL through the gateway, for threads."""

from __future__ import annotations

import concurrent.futures
import itertools
import pickle
import time
import weakref
from typing import Any, Callable, Collection, Iterable, List, Optional, Sequence, Tuple, Type, TypeVar

from engine_db_postgres import reasons
from engine_db_postgres import _operations as operations
from engine_db_postgres import _transaction as transactions
from engine_db_postgres._foreign import as_row
from engine_db_postgres._operations import BatchItem, CallOptions
from engine_db_postgres._session import Session, ThreadSession, not_opened
from engine_db_postgres._state import ConnectorState
from engine_db_postgres._transaction import OpenTransaction, Scope
from engine_db_postgres._waited import made, perform, run
from engine_db_postgres.config import ConnectTarget, RetryConfig
from engine_db_postgres.connector import DatabaseConnector
from engine_db_postgres.errors import DatabaseError, DatabaseTransactionError, Outcome
from engine_db_postgres.local import LocalGateway
from engine_db_postgres.options import BatchEntry, StatementDescription, TransactionOptions
from engine_db_postgres.result import Result
from engine_db_postgres.sync_stream import RowStream
from engine_db_postgres.sync_transaction import Own, Transaction, TransactionBlock
from engine_db_postgres.values import Parameters

T = TypeVar("T")


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

    def __reduce__(self) -> Tuple[Any, ...]:
        """Another process (multiprocessing) gets a connector to the same gateway, with a connection of its own."""
        if self._local is not None and not self._local.is_running:
            raise pickle.PicklingError("the connector's local() gateway does not run: connect it first, or make a connector in the"
                                       " other process")
        return _another, (type(self), self._state.target, self._state.address, self._state.wanted)

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
        time_limit = self._state.time_limit(timeout_ms)
        try:
            session = self._state.opening(self._open).result(time_limit.for_session_s)
        except concurrent.futures.TimeoutError:
            raise not_opened(self._state.address, time_limit.for_session_s) from None
        return session, time_limit.left_ms(session)

    def _open(self) -> Session:
        if self._local is not None:
            self._local.start()
            self._state.address = self._local.address  # A forked child may have another than its parent.
        time_limit = self._state.time_limit(self._state.connect_timeout_ms)
        session = ThreadSession(self._state.address, time_limit.for_session_s)
        try:
            run(operations.connect(session, self._state.target, time_limit.left_ms(session)))
        except BaseException:
            session.end(reasons.CLOSED, "the connection could not be opened")
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

        `idempotency_key`, 1 to 200 bytes, is for a call that may be repeated, by anyone, at any time, be it after the gateway
        or this process was lost: the first call with the key runs, and every other one gets its result, which says so
        (answered_before). Implies exactly_once, with its conditions. Keys belong to the database user, and are kept for 24
        hours, with the response, in the table engine_db.calls of the database itself, which the first such call makes. A call
        that fails leaves no key; a key that was used for another statement or other parameters is refused.
        """
        row = as_row(params, "parameters")
        scope, left_ms = self._scope(timeout_ms)
        return perform(scope, lambda left_ms: operations.execute(
            scope, sql, row, CallOptions(left_ms, retry, exactly_once, idempotency_key), text_columns), left_ms)

    def execute_stream(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                       retry: Optional[RetryConfig] = None, text_columns: Collection[str] = ()) -> RowStream:
        """Runs one statement; its rows are read while they come. Errors come with the first rows. `timeout_ms` bounds the
        reading too."""
        row = as_row(params, "parameters")
        scope, left_ms = self._scope(timeout_ms)
        operation = made(scope, lambda left_ms: operations.execute_stream(scope, sql, row, CallOptions(left_ms, retry)), left_ms)
        return RowStream(operation, text_columns)

    def execute_batch(self, statements: Sequence[BatchItem], *, atomic: bool = False, timeout_ms: Optional[int] = None,
                      retry: Optional[RetryConfig] = None, exactly_once: bool = False,
                      idempotency_key: Optional[str] = None) -> List[BatchEntry]:
        """Runs many statements in one round trip: 1 to 10,000 runs, one result each.

        `atomic`: all in one transaction; either every statement is committed or none, and the first failure is raised.
        Otherwise each run commits by itself, and one that fails leaves the others alone. In a transaction the first
        failure is raised, too.

        `exactly_once` and `idempotency_key` are for the batch as a whole, and need `atomic`; see execute().
        """
        items = operations.batch(statements)
        scope, left_ms = self._scope(timeout_ms)
        return perform(scope, lambda left_ms: operations.execute_batch(
            scope, items, atomic, CallOptions(left_ms, retry, exactly_once, idempotency_key)), left_ms)

    def execute_many(self, sql: str, params_list: Iterable[Parameters], *,
                     timeout_ms: Optional[int] = None) -> List[Result]:
        """Runs one statement once for each list of parameters, all in one transaction (the current one if there is one):
        either all are done, or the first failure is raised and none is. `params_list` may be any iterable, also a generator or a
        DataFrame, and is read as its rows are sent."""
        batches = operations.split_runs(sql, params_list)
        first = list(itertools.islice(batches, 2))
        if not first:
            return []
        scope, left_ms = self._scope(timeout_ms)
        if len(first) == 1:
            entries = perform(scope, lambda left_ms: operations.execute_batch(scope, first, True, CallOptions(left_ms)), left_ms)
            return [entry.result for entry in entries]
        if scope.transaction is not None:
            return _run_all(Transaction(self, scope.transaction), itertools.chain(first, batches), timeout_ms)
        with Own(self.begin_transaction()) as own:
            return _run_all(own, itertools.chain(first, batches), timeout_ms)

    def describe(self, sql: str, *, timeout_ms: Optional[int] = None) -> StatementDescription:
        """What a statement would return and take, without running it."""
        scope, left_ms = self._scope(timeout_ms)
        return run(operations.describe(scope, sql, left_ms))

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
        deadline = time.monotonic() + transactions.begin_ending(transaction, timeout_ms)
        try:
            operation = transactions.end(transaction, commit, timeout_ms)
            if operation is not None:
                run(operation)
        except DatabaseError as error:
            failure = transactions.end_failed(transaction, commit, error)
            if failure is None:
                return
            if not transactions.can_be_asked_about(transaction, failure):
                raise failure
            self._find_out(transaction, commit, failure, deadline)
        except BaseException:
            if commit:
                transactions.give_up(transaction)
            raise

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
                return transactions.conclude(commit, outcome, loss)
            time.sleep(operations.ASK_AGAIN_S)

    def begin_transaction(self, options: TransactionOptions = TransactionOptions()) -> Transaction:
        """A transaction as an object, whether or not there is a current one. Its commit() or rollback() ends it."""
        return Transaction(self, self._begin(options))

    def _begin(self, options: TransactionOptions) -> OpenTransaction:
        session, left_ms = self._session()
        return run(transactions.begin(session, options, left_ms))

    def transaction_outcome(self, recovery_token: str, *, timeout_ms: Optional[int] = None) -> Outcome:
        """What became of the transaction whose Transaction.recovery_token this is, on this connector's database cluster: of
        this process or another, now or after a restart of everything. Outcome.COMMITTED or ROLLED_BACK, for good; or UNKNOWN:
        PostgreSQL can't tell any more. One that is still open, or committing, is waited for, then DatabaseTimeoutError."""
        session, left_ms = self._session(timeout_ms)
        return run(transactions.transaction_outcome(session, recovery_token, left_ms))

    def transaction(self, options: TransactionOptions = TransactionOptions()) -> TransactionBlock:
        """``with connector.transaction():`` runs what this thread executes inside the block in a transaction of its own,
        commits at the end, and rolls back when the block raises. Other threads are not in it. Inside such a block, another
        one is a savepoint. Use ``as t`` for savepoints by name."""
        return TransactionBlock(self, options)

    def run_transaction(self, work: Callable[[Transaction], T], options: TransactionOptions = TransactionOptions(),
                        retry: RetryConfig = RetryConfig()) -> T:
        """Runs work(transaction), commits, and returns what work returned. When the transaction fails as a whole because of
        others (serialization failure, deadlock), all of it runs again, as `retry` says; so work must have no effects outside
        the transaction that do harm when repeated. Any other exception rolls back and is passed on."""
        began = time.monotonic()
        attempt = 1
        while True:
            try:
                with Own(self.begin_transaction(options)) as transaction:
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
                run(operations.close(session))
            except DatabaseError:
                pass  # The handle ends with the session.
            session.end(reasons.CLOSED, "the connector was closed")
        if self._local is not None:
            self._local.close()

    def __enter__(self) -> PostgresSyncConnector:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _run_all(transaction: Transaction, batches: Iterable[BatchItem], timeout_ms: Optional[int]) -> List[Result]:
    return [entry.result for batch in batches for entry in transaction.execute_batch([batch], timeout_ms=timeout_ms)]


def _another(kind: Type[PostgresSyncConnector], target: ConnectTarget, address: str, wanted: bool) -> PostgresSyncConnector:
    connector = kind(target, address)
    connector._state.wanted = wanted
    return connector
