"""A result that a thread reads while it comes."""

from __future__ import annotations

import queue
import time
from typing import Any, Collection, Iterator, Optional, Tuple

from engine_db_postgres import _wire
from engine_db_postgres._operation import Operation
from engine_db_postgres._session import GRACE_S
from engine_db_postgres._stream_state import StreamState, StreamSummary
from engine_db_postgres._waited import StreamedCall
from engine_db_postgres.result import Column, Result, Row


class RowStream(StreamSummary):
    """A result that is read while it comes, in bounded memory: what has not been read yet is held back at the database.

    Iterate over it once: it gives dicts. A stream that breaks off raises an error, whose rows_delivered says how many rows
    came before it; it is never a short result. Leaving its ``with`` block, close(), or dropping it before its end
    cancels its statement (which fails the transaction that it runs in, if any). One thread at a time.
    """

    def __init__(self, operation: Operation[_wire.Summary], text_columns: Collection[str]) -> None:
        self._operation = operation
        self._state = StreamState(text_columns)
        self._call = StreamedCall(operation)
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
        if not self._state.columns and not self._state.complete and self._ahead is None:
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
