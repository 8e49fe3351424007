"""Calls whose answers a thread waits for. For the package's own use."""

from __future__ import annotations

import _thread
import queue
import time
from typing import Any, Callable, Optional, TypeVar

from engine_db_postgres import _operations as operations
from engine_db_postgres._operation import Operation
from engine_db_postgres._session import GRACE_S, Call, Reply
from engine_db_postgres._transaction import Scope
from engine_db_postgres.errors import DatabaseExecutionError, DatabaseTransactionError, make_error

T = TypeVar("T")


class _WaitingCall(Call):
    """A thread waits for its one answer."""

    __slots__ = ("_done", "reply")

    def __init__(self, operation: Operation[Any]) -> None:
        super().__init__(operation.phase, operation.outcome_if_lost, operation.repeatable)
        self._done = _thread.allocate_lock()
        self._done.acquire()
        self.reply: Optional[Reply] = None

    def put(self, reply: Reply) -> None:
        self.reply = reply
        self._done.release()

    def wait(self, timeout_s: float) -> Optional[Reply]:
        """The answer; None when there was none in time."""
        return self.reply if self._done.acquire(True, timeout_s) else None

    def wait_on(self) -> Reply:
        """The answer, which is sure to come."""
        while True:
            reply = self.wait(-1)
            if reply is not None:
                return reply


def run(operation: Operation[T]) -> T:
    """Sends a request and waits for its answer."""
    call = _WaitingCall(operation)
    session = operation.session
    try:
        session.submit(call, operation.kind, operation.request)
        reply = call.wait(operation.guarded_ms / 1000 + GRACE_S)
        if reply is None:
            if session.abandon(call):
                raise make_error(session.no_answer(call, operation.guarded_ms))
            reply = call.wait_on()  # It is being handed out just now.
        return operation.finish(reply)
    except BaseException:  # KeyboardInterrupt, or whatever else interrupts a thread; it may come together with the answer.
        if not operation.to_its_end and not session.abandon(call):
            session.discard_reply(call.reply)
        raise


def made(scope: Scope, make: Callable[[Optional[int]], Operation[T]], timeout_ms: Optional[int]) -> Operation[T]:
    """What make(timeout_ms) makes, once it is known what the empty lists among its parameters are."""
    began = time.monotonic()
    left_ms = timeout_ms
    while True:
        try:
            return make(left_ms)
        except operations.PlacesUnknown as unknown:
            places = operations.PlacesOf(scope, unknown, left_ms)
        try:
            places.known(run(places.question))
        except (DatabaseExecutionError, DatabaseTransactionError) as error:
            places.known(error)
        left_ms = operations.left_ms(timeout_ms, began)


def perform(scope: Scope, make: Callable[[Optional[int]], Operation[T]], timeout_ms: Optional[int]) -> T:
    """Makes a request, sends it, and waits for its answer."""
    return run(made(scope, make, timeout_ms))


class StreamedCall(Call):
    """A thread waits for one part after the other."""

    __slots__ = ("parts",)

    def __init__(self, operation: Operation[Any]) -> None:
        super().__init__(operation.phase, operation.outcome_if_lost)
        self.parts: queue.SimpleQueue[Reply] = queue.SimpleQueue()

    def put(self, reply: Reply) -> None:
        self.parts.put(reply)
