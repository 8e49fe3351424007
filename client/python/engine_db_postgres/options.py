"""What a caller may say about one transaction, and what a batch is made of and gives."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Iterable, List, NamedTuple, Optional, Tuple

from engine_db_postgres.errors import DatabaseError
from engine_db_postgres.result import Column, Result
from engine_db_postgres.values import Parameters


class IsolationLevel(str, enum.Enum):
    """How isolated a transaction is."""

    SERVER_DEFAULT = "server default"
    READ_COMMITTED = "read committed"
    REPEATABLE_READ = "repeatable read"
    SERIALIZABLE = "serializable"


@dataclass(frozen=True)
class TransactionOptions:
    """How a transaction begins and how long it may live."""

    isolation_level: IsolationLevel = IsolationLevel.SERVER_DEFAULT
    read_only: bool = False
    # Meaningful with SERIALIZABLE and read_only.
    deferrable: bool = False
    # Rolled back after so long without a statement: up to an hour; 0 for the gateway's default, a minute.
    idle_timeout_ms: int = 0
    # Rolled back after so long in all: up to a day; 0 for the gateway's default, half an hour.
    max_duration_ms: int = 0
    # Transparent replay. When the transaction fails with 40001 or 40P01, or its backend is lost before COMMIT was sent, the
    # gateway runs all of its statements again on another backend, and goes on if each of them comes to the very result that
    # was given before; else the caller gets the first error. As often as the connection's retry settings allow. Not past
    # 1,000 statements or 1 MiB of their text and parameters, nor in the middle of a stream. For transactions whose statements
    # have no effects outside of them.
    replay: bool = False


class Statement(NamedTuple):
    """A statement of a batch. It runs once for each parameter list, and once if there is none."""

    sql: str
    parameter_lists: Iterable[Parameters] = ()


@dataclass(frozen=True)
class BatchEntry:
    """What became of one run: its result or its error."""

    statement_index: int
    parameter_list_index: int  # 0 if the statement has no parameter lists.
    outcome: Optional[Result]
    error: Optional[DatabaseError]

    @property
    def ok(self) -> bool:
        return self.error is None

    @property
    def result(self) -> Result:
        """Raises this run's error."""
        if self.outcome is None:
            raise self.error or ValueError("neither a result nor an error")
        return self.outcome


class StatementDescription(NamedTuple):
    """What a statement would return and take."""

    columns: Tuple[Column, ...]  # Empty: it returns no rows.
    parameter_type_names: List[str]  # As SQL writes them: "bigint", "text[]".
    bound_sql: str  # As Result.bound_sql.
