"""A streamed result, whoever waits for it. For the package's own use."""

from __future__ import annotations

from dataclasses import replace
from typing import Collection, Optional, Tuple

from engine_db_postgres import _wire
from engine_db_postgres._messages import read_error
from engine_db_postgres._operation import Operation, malformed
from engine_db_postgres._session import Reply
from engine_db_postgres.errors import DatabaseError, ErrorInfo, make_error
from engine_db_postgres.result import Column, Result


class StreamSummary:
    """What both kinds of row stream know of their result."""

    _state: StreamState

    @property
    def rowcount(self) -> int:
        """As Result.rowcount; 0 before the end."""
        return self._state.rowcount

    @property
    def command_tag(self) -> str:
        """As Result.command_tag; empty before the end."""
        return self._state.command_tag

    @property
    def bound_sql(self) -> str:
        """As Result.bound_sql; empty before the first rows."""
        return self._state.bound_sql


class StreamState:
    """A streamed result as its parts come; who waits for the parts is not its business. One thread at a time."""

    # Credit goes back in pieces of this size, a quarter of what a stream begins with; sooner when the reader has to wait.
    _CREDIT_PIECE = 256 << 10

    def __init__(self, text_columns: Collection[str]) -> None:
        self.columns: Tuple[Column, ...] = ()
        self.rowcount = 0
        self.command_tag = ""
        self.bound_sql = ""
        self.complete = False
        self._text_columns = text_columns
        self._columns_bytes = b""
        self._rows_arrived = 0
        self._consumed = 0

    def take(self, operation: Operation[_wire.Summary], reply: Reply) -> Optional[Result]:
        """The rows of one part, if it has some. Raises the error with which the stream broke off."""
        if isinstance(reply, ErrorInfo) or reply[0] == _wire.REPLY_ERROR:
            self.complete = True
            info = reply if isinstance(reply, ErrorInfo) else read_error(reply[1])
            raise self.broken_off(info)
        try:
            return self._take(operation, _wire.read_part(reply[1]))
        except (ValueError, IndexError) as fault:
            raise self.broken_off(malformed(operation.session, operation.phase, str(fault)).info) from fault

    def broken_off(self, info: ErrorInfo) -> DatabaseError:
        """The error of a stream that ends here, of which some rows may have been handed on."""
        return make_error(replace(info, rows_delivered=self._rows_arrived,
                                  retryable=info.retryable and self._rows_arrived == 0))

    def _take(self, operation: Operation[_wire.Summary], part: _wire.Part) -> Optional[Result]:
        self._consumed += len(part.data)
        if part.bound_sql:
            self.bound_sql = part.bound_sql
        rows: Optional[Result] = None
        if part.columns:
            self._columns_bytes = part.columns
        if part.batch is not None or part.columns:
            rows = Result(_wire.Answer(self._columns_bytes, part.batch, 0, "", self.bound_sql, 1, part.data),
                          self._text_columns)
            self.columns = rows.columns
        if part.batch is not None:
            self._rows_arrived += _wire.read_row_count(part.data, *part.batch)
        if part.summary is not None:
            summary = operation.read(part.summary)
            self.rowcount, self.command_tag = summary.rowcount, summary.command_tag
            if summary.rows_sent != self._rows_arrived:
                raise ValueError("rows are missing from the stream")
            self.complete = True
        return rows if part.batch is not None else None

    def due_credit(self, must_wait: bool) -> int:
        """How many bytes to give back now."""
        if self.complete or not self._consumed or (self._consumed < self._CREDIT_PIECE and not must_wait):
            return 0
        due, self._consumed = self._consumed, 0
        return due
