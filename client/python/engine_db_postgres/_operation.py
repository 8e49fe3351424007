"""One request of a session and how its answer is read. For the package's own use."""

from __future__ import annotations

from typing import Any, Callable, Generic, TypeVar

from engine_db_postgres import _wire, reasons
from engine_db_postgres._messages import read_error
from engine_db_postgres._session import Call, Reply, Session
from engine_db_postgres.errors import DatabaseError, ErrorInfo, ErrorKind, Outcome, Phase, make_error, request_error

T = TypeVar("T")


class Operation(Generic[T]):
    """A request, and how to read its answer."""

    __slots__ = ("session", "kind", "request", "guarded_ms", "phase", "outcome_if_lost", "read", "repeatable", "to_its_end")

    def __init__(self, session: Session, kind: int, request: bytes, timeout_ms: int, phase: Phase, outcome_if_lost: Outcome,
                 read: Callable[[bytes], T], repeatable: bool = False, to_its_end: bool = False) -> None:
        self.session = session
        self.kind = kind
        self.request = request
        # How long the gateway may take.
        self.guarded_ms = timeout_ms or session.default_timeout_ms
        self.phase = phase
        self.outcome_if_lost = outcome_if_lost
        self.read = read  # Of a streamed result, its summary.
        self.repeatable = repeatable
        self.to_its_end = to_its_end  # Whether it goes on when whoever waits for it is cancelled or interrupted.

    def finish(self, reply: Reply) -> T:
        """The answer's meaning, or its error."""
        if isinstance(reply, ErrorInfo):
            raise make_error(reply)
        kind, body = reply
        if kind == _wire.REPLY_ERROR:
            error = read_error(body)
            if error.sqlstate == "22P02" and self.session.empty_lists:
                self.session.empty_lists.clear()  # A column's type may have become another.
            raise make_error(error)
        if kind != _wire.reply_kind(self.kind):
            raise malformed(self.session, self.phase, "another method's answer")
        try:
            return self.read(body)
        except (ValueError, IndexError, ArithmeticError) as fault:
            raise malformed(self.session, self.phase, str(fault)) from fault


def malformed(session: Session, phase: Phase, fault: str) -> DatabaseError:
    """An answer that no gateway of this contract sends."""
    return make_error(ErrorInfo(f"the gateway at {session.address} sent an answer that can't be read: {fault}",
                                ErrorKind.CONNECTION, Outcome.UNKNOWN, phase, reasons.MALFORMED_REPLY))


def nothing(_: bytes) -> None:
    """Reads an answer that says no more than that it came."""
    return None


def require_text(text: str, field: str) -> bytes:
    if not isinstance(text, str):
        raise request_error(reasons.UNSUPPORTED_TYPE, field, f"is a str, not a {type(text).__name__}")
    if "\0" in text:
        raise request_error(reasons.NUL_IN_TEXT, field, "has a NUL character, which PostgreSQL's text can't hold")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise request_error(reasons.INVALID_UTF8, field, "has a lone surrogate, which no UTF-8 text can hold") from None


class _DiscardedReply(Call):
    """Nobody waits for its answer."""

    __slots__ = ()

    def put(self, reply: Reply) -> None:
        pass


def send(operation: Operation[Any]) -> None:
    """Sends a request whose answer says nothing that the next one's does not."""
    operation.session.submit(_DiscardedReply(operation.phase, operation.outcome_if_lost), operation.kind, operation.request)
