"""The two interfaces that engine-core holds its connectors by. A connector stands for one database and has one current
transaction.

Both follow the same rules:

- ``connect()`` opens the pool on its first call and proves that the database answers; repeating it changes nothing.
  ``execute()`` and ``begin()`` before ``connect()``, or after ``close()``, fail with DatabaseConnectionError.
- Without a transaction each statement commits by itself (autocommit). After ``begin()``, every ``execute()`` runs in the
  transaction until ``commit()`` or ``rollback()``. A ``begin()`` while one is active, and a ``commit()`` or ``rollback()``
  without one, fail with DatabaseTransactionError. The current transaction is the connector's, not the thread's or task's.
- A transaction in which a statement failed takes only ``rollback()``.
- A transaction whose connection broke is lost (rolled back): ``execute()`` and ``commit()`` fail with
  DatabaseTransactionError, so that nothing is committed outside the transaction that its author thought it was in, until
  ``rollback()`` or that ``commit()`` has acknowledged it.
- ``close()`` rolls back an active transaction and gives the pool up. It may be repeated, and ``connect()`` may follow it.

Errors are those of ``errors``.
"""

from __future__ import annotations

import abc
from typing import Any, Optional, Sequence

from engine_db_postgres.options import TransactionOptions
from engine_db_postgres.result import Result


class DatabaseConnector(abc.ABC):
    """Blocks until each operation is done. Any thread may call, several at once too."""

    @abc.abstractmethod
    def connect(self) -> None:
        """Opens the pool on the first call."""

    @abc.abstractmethod
    def execute(self, sql: str, params: Sequence[Any] = (), *, timeout_ms: Optional[int] = None) -> Result:
        """Runs one statement with a parameter for each "?" and returns its whole result."""

    @abc.abstractmethod
    def begin(self, options: TransactionOptions = TransactionOptions()) -> None:
        """Starts the current transaction."""

    @abc.abstractmethod
    def commit(self) -> None:
        """Returns when the transaction is durable. When it fails with Outcome.UNKNOWN because of a timeout the
        transaction stays current, and a repeated commit() tells."""

    @abc.abstractmethod
    def rollback(self) -> None:
        """Undoes the transaction. Fails when a commit() whose answer did not come may have committed it."""

    @abc.abstractmethod
    def close(self) -> None:
        """Gives the pool up."""


class AsyncDatabaseConnector(abc.ABC):
    """The same for asyncio. Any task of one event loop may call, several at once too."""

    @abc.abstractmethod
    async def async_connect(self) -> None:
        """Opens the pool on the first call."""

    @abc.abstractmethod
    async def async_execute(self, sql: str, params: Sequence[Any] = (), *, timeout_ms: Optional[int] = None) -> Result:
        """Runs one statement with a parameter for each "?" and returns its whole result."""

    @abc.abstractmethod
    async def async_begin(self, options: TransactionOptions = TransactionOptions()) -> None:
        """Starts the current transaction."""

    @abc.abstractmethod
    async def async_commit(self) -> None:
        """As DatabaseConnector.commit()."""

    @abc.abstractmethod
    async def async_rollback(self) -> None:
        """Undoes the transaction."""

    @abc.abstractmethod
    async def async_close(self) -> None:
        """Gives the pool up."""
