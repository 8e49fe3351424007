"""Transactions, for threads."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Collection, List, Optional, Sequence, Type

from engine_db_postgres import _operations as operations
from engine_db_postgres import _transaction as transactions
from engine_db_postgres import _wire
from engine_db_postgres._blocks import AnyBlock
from engine_db_postgres._foreign import as_row
from engine_db_postgres._operations import BatchItem, CallOptions
from engine_db_postgres._transaction import OpenTransaction, Scope
from engine_db_postgres._waited import made, perform, run
from engine_db_postgres.errors import DatabaseError, Outcome
from engine_db_postgres.options import BatchEntry, TransactionOptions
from engine_db_postgres.result import Result
from engine_db_postgres.sync_stream import RowStream
from engine_db_postgres.values import Parameters

if TYPE_CHECKING:
    from engine_db_postgres.sync_connector import PostgresSyncConnector


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
        row = as_row(params, "parameters")
        return perform(self._scope, lambda left_ms: operations.execute(self._scope, sql, row, CallOptions(left_ms), text_columns),
                       timeout_ms)

    def execute_stream(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                       text_columns: Collection[str] = ()) -> RowStream:
        """As PostgresSyncConnector.execute_stream(), in this transaction."""
        row = as_row(params, "parameters")
        operation = made(self._scope, lambda left_ms: operations.execute_stream(self._scope, sql, row, CallOptions(left_ms)),
                         timeout_ms)
        return RowStream(operation, text_columns)

    def execute_batch(self, statements: Sequence[BatchItem], *, timeout_ms: Optional[int] = None) -> List[BatchEntry]:
        """As PostgresSyncConnector.execute_batch(), in this transaction: the first failure fails it."""
        items = operations.batch(statements)
        return perform(self._scope, lambda left_ms: operations.execute_batch(self._scope, items, False, CallOptions(left_ms)),
                       timeout_ms)

    def savepoint(self, name: str) -> None:
        """Sets a savepoint: a letter or "_", then letters, digits and "_", at most 63."""
        run(transactions.savepoint(self._open, name, _wire.CALL_SAVEPOINT))

    def rollback_to(self, name: str) -> None:
        """Undoes what came after the savepoint, which stays; mends a failed transaction."""
        run(transactions.savepoint(self._open, name, _wire.CALL_ROLLBACK_TO))

    def release(self, name: str) -> None:
        """Forgets the savepoint, and those set after it, and keeps what came after it. One that is never released holds memory of
        the server's that all sessions share, until the transaction ends: with thousands of them that runs out."""
        run(transactions.savepoint(self._open, name, _wire.CALL_RELEASE))

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
        engine that wants to know after its own crash, before it commits. Empty while only reads have run in the transaction,
        as far as the replies to its statements have come, and where the gateway can't tell (before PostgreSQL 13). With
        TransactionOptions.replay it may change with every reply."""
        return self._open.recovery_token

    def outcome(self, *, timeout_ms: Optional[int] = None) -> Outcome:
        """What became of the transaction: Outcome.COMMITTED, ROLLED_BACK, or UNKNOWN, when that can't be found out; UNSPECIFIED
        while it is open. For after a commit() that failed with Outcome.UNKNOWN.

        When the link to the gateway is lost, PostgreSQL is asked by the recovery_token over another (which may fail with
        DatabaseConnectionError: ask again). Without a token the outcome is UNKNOWN."""
        if not self._open.session.ended:
            return run(transactions.transaction_outcome(self._open.session, self._open, timeout_ms))
        if not self.recovery_token:
            return Outcome.UNKNOWN
        return self._connector.transaction_outcome(self.recovery_token, timeout_ms=timeout_ms)


class TransactionBlock(AnyBlock):
    """What `with connector.transaction()` enters and leaves. Inside another such block it is a savepoint."""

    def __init__(self, connector: PostgresSyncConnector, options: TransactionOptions) -> None:
        super().__init__(connector._state.blocks)
        self._connector = connector
        self._options = options

    def __enter__(self) -> Transaction:
        nested = self.nest()
        if nested is None:
            handle = self._connector.begin_transaction(self._options)
        else:
            try:
                run(nested[1])
            except BaseException:
                self.not_entered()
                raise
            handle = Transaction(self._connector, nested[0])
        self.entered(handle._open, handle)
        return handle

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        transaction = self.left(failed=error is not None)
        if transaction is not None:
            leave(Transaction(self._connector, transaction), error)
            self.require_well_placed()


def leave(transaction: Transaction, error: Optional[BaseException]) -> None:
    """Commits, or rolls back when there was an error."""
    if transaction._open.ended:
        return  # By the block itself.
    if error is None:
        transaction.commit()
        return
    try:
        transaction.rollback()
    except DatabaseError:
        pass  # The error that is on its way says more; the lease or the end of the session rolls back.


class Own:
    """A transaction that no thread's block is told of."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def __enter__(self) -> Transaction:
        return self._transaction

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        leave(self._transaction, error)
