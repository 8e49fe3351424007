"""Calls whose answers a task waits for. For the package's own use."""

from __future__ import annotations

import asyncio
import collections
import contextvars
from typing import Any, Deque, Optional

from engine_db_postgres._operation import Operation
from engine_db_postgres._session import GRACE_S, Call, Reply

_SWEEP_EVERY_S = 0.05


class DeadlineSweeper:
    """Answers the calls itself that the gateway does not in time. A timer each would cost more than all the rest."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: Deque[AwaitedCall] = collections.deque()
        self._sweeping = False
        self._context = contextvars.Context()  # Of its own, so that it keeps nobody else's alive.

    def add(self, call: AwaitedCall) -> None:
        self._calls.append(call)
        if not self._sweeping:
            self._sweeping = True
            self.loop.call_later(_SWEEP_EVERY_S, self._sweep, context=self._context)

    def _sweep(self) -> None:
        now = self.loop.time()
        still: Deque[AwaitedCall] = collections.deque()
        for call in self._calls:
            if call.future.done():
                continue
            if call.deadline <= now:
                call.expire()
            else:
                still.append(call)
        self._calls = still
        self._sweeping = bool(still)
        if still:
            self.loop.call_later(_SWEEP_EVERY_S, self._sweep, context=self._context)


class AwaitedCall(Call):
    """A task waits for its one answer."""

    __slots__ = ("future", "reply", "deadline", "_operation")

    def __init__(self, operation: Operation[Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(operation.phase, operation.outcome_if_lost, operation.repeatable)
        self.future: asyncio.Future[Reply] = loop.create_future()
        self.reply: Optional[Reply] = None
        self.deadline = loop.time() + operation.guarded_ms / 1000 + GRACE_S
        self._operation = operation

    def put(self, reply: Reply) -> None:
        self.reply = reply
        if not self.future.done():
            self.future.set_result(reply)

    def expire(self) -> None:
        """The gateway has not answered in time."""
        session = self._operation.session
        if session.abandon(self):
            self.put(session.no_answer(self, self._operation.guarded_ms))


class StreamedCall(Call):
    """A task waits for one part after the other."""

    __slots__ = ("parts", "arrived", "_context")

    def __init__(self, operation: Operation[Any]) -> None:
        super().__init__(operation.phase, operation.outcome_if_lost)
        self.parts: Deque[Reply] = collections.deque()
        self.arrived = asyncio.Event()
        self._context = contextvars.Context()  # As DeadlineSweeper's.

    def put(self, reply: Reply) -> None:
        self.parts.append(reply)
        self.arrived.set()

    async def arrival(self, deadline: float) -> None:
        """Returns when there is a part; raises asyncio.TimeoutError at the loop's time `deadline`.

        asyncio.wait_for() would not do: up to Python 3.11 it loses a cancellation that comes together with the part.
        """
        loop = asyncio.get_running_loop()
        while not self.parts:
            if loop.time() >= deadline:
                raise asyncio.TimeoutError
            self.arrived.clear()
            alarm = loop.call_at(deadline, self.arrived.set, context=self._context)
            try:
                await self.arrived.wait()
            finally:
                alarm.cancel()
