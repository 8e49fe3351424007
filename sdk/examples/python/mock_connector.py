"""Connectors that need no database: for the tests of whatever holds a connector by its interface."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

from engine_db_postgres import (AsyncDatabaseConnector, DatabaseConnectionError, DatabaseConnector,
                                DatabaseTransactionError, ErrorInfo, ErrorKind, Outcome, Result, Row, TransactionOptions)


class MockConnector(DatabaseConnector):
    """Answers each statement with the rows it was given for it, and remembers what was called."""

    def __init__(self, answers: Optional[Dict[str, List[Row]]] = None) -> None:
        self.answers = answers or {}
        self.calls: List[Tuple[str, Sequence[Any]]] = []
        self._connected = self._in_transaction = False

    def connect(self) -> None:
        self.calls.append(("connect", ()))
        self._connected = True

    def execute(self, sql: str, params: Sequence[Any] = (), *, timeout_ms: Optional[int] = None) -> Result:
        self._require_connected()
        self.calls.append((sql, tuple(params)))
        return Result.from_rows(self.answers.get(sql, []))

    def begin(self, options: TransactionOptions = TransactionOptions()) -> None:
        self._require_connected()
        self._require_transaction(False, "a transaction is active")
        self._in_transaction = True
        self.calls.append(("begin", ()))

    def commit(self) -> None:
        self._end("commit")

    def rollback(self) -> None:
        self._end("rollback")

    def close(self) -> None:
        self.calls.append(("close", ()))
        self._connected = self._in_transaction = False

    def _end(self, name: str) -> None:
        self._require_transaction(True, f"{name} without begin")
        self._in_transaction = False
        self.calls.append((name, ()))

    def _require_connected(self) -> None:
        if not self._connected:
            raise DatabaseConnectionError(ErrorInfo("not connected", ErrorKind.CONNECTION, Outcome.NOT_EXECUTED))

    def _require_transaction(self, wanted: bool, message: str) -> None:
        if self._in_transaction is not wanted:
            raise DatabaseTransactionError(ErrorInfo(message, ErrorKind.TRANSACTION, Outcome.NOT_EXECUTED))


class MockAsyncConnector(AsyncDatabaseConnector):
    """The same for asyncio."""

    def __init__(self, answers: Optional[Dict[str, List[Row]]] = None) -> None:
        self.mock = MockConnector(answers)

    async def async_connect(self) -> None:
        self.mock.connect()

    async def async_execute(self, sql: str, params: Sequence[Any] = (), *, timeout_ms: Optional[int] = None) -> Result:
        return self.mock.execute(sql, params, timeout_ms=timeout_ms)

    async def async_begin(self, options: TransactionOptions = TransactionOptions()) -> None:
        self.mock.begin(options)

    async def async_commit(self) -> None:
        self.mock.commit()

    async def async_rollback(self) -> None:
        self.mock.rollback()

    async def async_close(self) -> None:
        self.mock.close()
