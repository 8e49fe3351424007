"""The errors of every connector. Catch ``DatabaseError`` for all of them, or one of the four kinds::

    DatabaseError
    ├── DatabaseConnectionError     the gateway or PostgreSQL could not be reached, refused the login or went away
    ├── DatabaseExecutionError      PostgreSQL refused the statement, or failed while it ran
    │   └── DatabaseRequestError    the request itself is wrong; nothing was sent to PostgreSQL
    │       └── ConfigurationError  a URL or an address is wrong
    ├── DatabaseTimeoutError        a deadline passed, or the caller cancelled
    └── DatabaseTransactionError    the transaction is unknown, lost, finished, or failed as a whole (serialization, deadlock)

``DatabaseRequestError`` is a ``DatabaseExecutionError`` so that a caller that handles the four kinds handles everything.
No message holds a password, a connection URL, a parameter's value or row data: all of it may be logged.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Dict, Tuple, Type

from engine_db_postgres import reasons


class ErrorKind(str, enum.Enum):
    """The kinds of failure that a caller tells apart."""

    CONNECTION = "connection"
    EXECUTION = "execution"
    TIMEOUT = "timeout"
    TRANSACTION = "transaction"
    INVALID_REQUEST = "invalid request"


class Outcome(str, enum.Enum):
    """What is known about the effects of a failed statement or transaction."""

    UNSPECIFIED = "unspecified"  # The failure has no effects to speak of.
    NOT_EXECUTED = "not executed"  # Nothing was sent to PostgreSQL, or it was refused before it ran.
    ROLLED_BACK = "rolled back"  # It ran and was undone.
    COMMITTED = "committed"  # It is committed, although the call failed.
    UNKNOWN = "unknown"  # Nobody knows. A write must not be repeated blindly.


class Phase(str, enum.Enum):
    """How far the call had come."""

    UNSPECIFIED = "unspecified"
    VALIDATING = "validating"
    QUEUED = "queued"
    CONNECTING = "connecting"
    EXECUTING = "executing"
    STREAMING = "streaming"
    COMMITTING = "committing"


@dataclass(frozen=True)
class ErrorInfo:
    """Everything that is known about a failure."""

    message: str  # What failed and what to do about it, for people.
    kind: ErrorKind = ErrorKind.EXECUTION
    outcome: Outcome = Outcome.UNSPECIFIED
    phase: Phase = Phase.UNSPECIFIED
    reason: str = ""  # A short constant for programs, one of reasons.py: "POOL_EXHAUSTED".
    sqlstate: str = ""  # PostgreSQL's, five characters; empty where PostgreSQL did not find the fault.
    hint: str = ""  # PostgreSQL's hint, if any.
    field: str = ""  # The field that is wrong, as a path ("parameters[0]"), for INVALID_REQUEST.
    constraint_name: str = ""  # What it concerns, as far as PostgreSQL says so.
    schema_name: str = ""
    table_name: str = ""
    column_name: str = ""
    data_type_name: str = ""
    position: int = 0  # Where in the statement's text, in characters from 1; 0 for nowhere.
    statement_index: int = 0  # Which statement of a batch, from 0.
    retryable: bool = False  # Whether the same call may be repeated without the risk of running anything twice.
    retry_after_ms: int = 0  # How long to wait before that, at the least.
    rows_delivered: int = 0  # How many rows of the result had been delivered before it failed.


class DatabaseError(Exception):
    """What every connector raises."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info

    def __reduce__(self) -> Tuple[Type[DatabaseError], Tuple[ErrorInfo]]:
        return type(self), (self.info,)

    @property
    def message(self) -> str:
        return self.info.message

    @property
    def kind(self) -> ErrorKind:
        return self.info.kind

    @property
    def outcome(self) -> Outcome:
        return self.info.outcome

    @property
    def phase(self) -> Phase:
        return self.info.phase

    @property
    def reason(self) -> str:
        return self.info.reason

    @property
    def sqlstate(self) -> str:
        return self.info.sqlstate

    @property
    def hint(self) -> str:
        return self.info.hint

    @property
    def field(self) -> str:
        return self.info.field

    @property
    def constraint_name(self) -> str:
        return self.info.constraint_name

    @property
    def schema_name(self) -> str:
        return self.info.schema_name

    @property
    def table_name(self) -> str:
        return self.info.table_name

    @property
    def column_name(self) -> str:
        return self.info.column_name

    @property
    def data_type_name(self) -> str:
        return self.info.data_type_name

    @property
    def position(self) -> int:
        return self.info.position

    @property
    def statement_index(self) -> int:
        return self.info.statement_index

    @property
    def retryable(self) -> bool:
        return self.info.retryable

    @property
    def rows_delivered(self) -> int:
        return self.info.rows_delivered


class DatabaseConnectionError(DatabaseError):
    """The gateway or PostgreSQL could not be reached, refused the login or went away."""


class DatabaseExecutionError(DatabaseError):
    """PostgreSQL refused the statement, or failed while it ran."""


class DatabaseTimeoutError(DatabaseError):
    """A deadline passed, or the caller cancelled."""


class DatabaseTransactionError(DatabaseError):
    """The transaction is unknown, lost, finished, or failed as a whole."""


class DatabaseRequestError(DatabaseExecutionError):
    """The request itself is wrong; nothing was sent to PostgreSQL."""


class ConfigurationError(DatabaseRequestError):
    """A URL, an address or an option is wrong. (A wrong field of a model is pydantic's ``ValidationError``.)"""


_CLASSES: Dict[ErrorKind, Type[DatabaseError]] = {
    ErrorKind.CONNECTION: DatabaseConnectionError,
    ErrorKind.EXECUTION: DatabaseExecutionError,
    ErrorKind.TIMEOUT: DatabaseTimeoutError,
    ErrorKind.TRANSACTION: DatabaseTransactionError,
    ErrorKind.INVALID_REQUEST: DatabaseRequestError,
}


def make_error(info: ErrorInfo) -> DatabaseError:
    """The error class for ``info.kind``, ready to be raised."""
    return _CLASSES[info.kind](info)


def request_error(reason: str, field: str, message: str) -> DatabaseRequestError:
    """``field`` of a request is wrong; nothing was sent."""
    return DatabaseRequestError(ErrorInfo(
        f"{field}: {message}", ErrorKind.INVALID_REQUEST, Outcome.NOT_EXECUTED, Phase.VALIDATING, reason, field=field))


def configuration_error(field: str, message: str) -> ConfigurationError:
    """``field`` of the configuration is wrong."""
    return ConfigurationError(ErrorInfo(
        f"the configuration is wrong: {field}: {message}", ErrorKind.INVALID_REQUEST, Outcome.NOT_EXECUTED,
        Phase.VALIDATING, reasons.INVALID_CONFIGURATION, field=field))


def connection_error(reason: str, message: str, *, retryable: bool = False) -> DatabaseConnectionError:
    """Nothing was sent."""
    return DatabaseConnectionError(ErrorInfo(
        message, ErrorKind.CONNECTION, Outcome.NOT_EXECUTED, reason=reason, retryable=retryable))


def transaction_error(reason: str, message: str, outcome: Outcome) -> DatabaseTransactionError:
    """The connector's own, about the state of a transaction."""
    return DatabaseTransactionError(ErrorInfo(message, ErrorKind.TRANSACTION, outcome, reason=reason))
