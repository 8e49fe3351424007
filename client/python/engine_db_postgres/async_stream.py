"""A result that a task reads while it comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Collection, Optional, Tuple

from engine_db_postgres import _wire
from engine_db_postgres._awaited import StreamedCall
from engine_db_postgres._operation import Operation
from engine_db_postgres._session import GRACE_S
from engine_db_postgres._stream_state import StreamState, StreamSummary
from engine_db_postgres._transaction import Scope
from engine_db_postgres.result import Column, Result, Row

if TYPE_CHECKING:
    from engine_db_postgres.async_connector import PostgresAsyncConnector


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

    async def _start(self) -> None:
        scope, left_ms = self._scope, self._timeout_ms
        if scope is None:
            session, left_ms = await self._connector._session(left_ms)
            scope = Scope(session)
        where = scope
        operation = await self._connector._made(where, lambda left_ms: self._make(where, left_ms), left_ms)
        call = StreamedCall(operation)
        self._deadline = asyncio.get_running_loop().time() + operation.guarded_ms / 1000 + GRACE_S
        operation.session.submit(call, operation.kind, operation.request)
        self._operation, self._call = operation, call

    async def _next(self) -> Optional[Result]:
        if self._ahead is not None:
            rows, self._ahead = self._ahead, None
            return rows
        state = self._state
        while not state.complete:
            if self._call is None or self._operation is None:
                await self._start()
                continue
            call, operation = self._call, self._operation
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
        if not self._state.columns and not self._state.complete and self._ahead is None:
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
