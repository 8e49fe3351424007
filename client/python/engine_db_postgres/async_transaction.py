"""Transactions, for asyncio."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Collection, Iterable, List, Optional, Sequence, Type

from engine_db_postgres import _operations as operations
from engine_db_postgres import _transaction as transactions
from engine_db_postgres import _wire
from engine_db_postgres._blocks import AnyBlock
from engine_db_postgres._foreign import as_row
from engine_db_postgres._operation import Operation
from engine_db_postgres._operations import BatchItem, CallOptions
from engine_db_postgres._transaction import OpenTransaction, Scope
from engine_db_postgres.async_stream import AsyncRowStream
from engine_db_postgres.errors import DatabaseError, Outcome
from engine_db_postgres.options import BatchEntry, TransactionOptions
from engine_db_postgres.result import Result
from engine_db_postgres.values import Parameters

if TYPE_CHECKING:
    from engine_db_postgres.async_connector import PostgresAsyncConnector


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
        row = as_row(params, "parameters")
        return await self._connector._perform(
            self._scope, lambda left_ms: operations.execute(self._scope, sql, row, CallOptions(left_ms), text_columns), timeout_ms)

    def async_execute_stream(self, sql: str, params: Parameters = (), *, timeout_ms: Optional[int] = None,
                             text_columns: Collection[str] = ()) -> AsyncRowStream:
        """As PostgresAsyncConnector.async_execute_stream(), in this transaction."""
        row = as_row(params, "parameters")

        def make(scope: Scope, left_ms: Optional[int]) -> Operation[_wire.Summary]:
            return operations.execute_stream(scope, sql, row, CallOptions(left_ms))

        return AsyncRowStream(self._connector, make, self._scope, timeout_ms, text_columns)

    async def async_execute_batch(self, statements: Sequence[BatchItem], *,
                                  timeout_ms: Optional[int] = None) -> List[BatchEntry]:
        """As PostgresAsyncConnector.async_execute_batch(), in this transaction: the first failure fails it."""
        items = operations.batch(statements)
        return await self._connector._perform(
            self._scope, lambda left_ms: operations.execute_batch(self._scope, items, False, CallOptions(left_ms)), timeout_ms)

    async def async_savepoint(self, name: str) -> None:
        """Sets a savepoint: a letter or "_", then letters, digits and "_", at most 63."""
        await self._connector._run(transactions.savepoint(self._open, name, _wire.CALL_SAVEPOINT))

    async def async_rollback_to(self, name: str) -> None:
        """Undoes what came after the savepoint, which stays; mends a failed transaction."""
        await self._connector._run(transactions.savepoint(self._open, name, _wire.CALL_ROLLBACK_TO))

    async def async_release(self, name: str) -> None:
        """As Transaction.release()."""
        await self._connector._run(transactions.savepoint(self._open, name, _wire.CALL_RELEASE))

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
            return await self._connector._run(transactions.transaction_outcome(session, self._open, timeout_ms))
        if not self.recovery_token:
            return Outcome.UNKNOWN
        return await self._connector.async_transaction_outcome(self.recovery_token, timeout_ms=timeout_ms)


async def leave(transaction: AsyncTransaction, error: Optional[BaseException]) -> None:
    """Commits, or rolls back when there was an error."""
    if transaction._open.ended:
        return  # By the block itself.
    if error is None:
        await transaction.async_commit()
        return
    try:
        await transaction.async_rollback()
    except DatabaseError:
        pass  # The error that is on its way says more; the lease or the end of the session rolls back.


class AsyncTransactionBlock(AnyBlock):
    """What `async with connector.transaction()` enters and leaves. Inside another such block it is a savepoint."""

    def __init__(self, connector: PostgresAsyncConnector, options: TransactionOptions) -> None:
        super().__init__(connector._state.blocks)
        self._connector = connector
        self._options = options

    async def __aenter__(self) -> AsyncTransaction:
        nested = self.nest()
        if nested is None:
            handle = await self._connector.async_begin_transaction(self._options)
        else:
            try:
                await self._connector._run(nested[1])
            except BaseException:
                self.not_entered()
                raise
            handle = AsyncTransaction(self._connector, nested[0])
        self.entered(handle._open, handle)
        return handle

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        transaction = self.left(failed=error is not None)
        if transaction is not None:
            await leave(AsyncTransaction(self._connector, transaction), error)
            self.require_well_placed()


async def run_all(transaction: AsyncTransaction, batches: Iterable[BatchItem],
                  timeout_ms: Optional[int]) -> List[Result]:
    """One batch after the other."""
    results: List[Result] = []
    for batch in batches:
        results += [entry.result for entry in await transaction.async_execute_batch([batch], timeout_ms=timeout_ms)]
    return results
