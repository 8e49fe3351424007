"""``with connector.transaction()``: who is in which block, and the blocks within blocks. For the package's own use."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
import threading
import weakref
from types import FrameType
from typing import Any, Iterator, List, Optional, Set, Tuple

from engine_db_postgres import _wire, reasons
from engine_db_postgres._operation import Operation, send
from engine_db_postgres._transaction import OpenTransaction, Scope, savepoint
from engine_db_postgres.errors import DatabaseError, Outcome, transaction_error

# Each of them runs several flows of control, with contexts of their own, on one thread.
_SWITCHERS = frozenset({"greenlet", "trio", "curio"})


def _task() -> Optional[asyncio.Task[Any]]:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _frames(flag: int) -> Iterator[FrameType]:
    """Those that call or await this, whose code is of that kind."""
    frame: Optional[FrameType] = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_flags & flag:
            yield frame
        frame = frame.f_back


class _Generators:
    """The asynchronous generators that hold a block. One that nobody has any more is closed by the event loop, but not at once: what
    whoever has left it executes before that is not the block's. Known are those of asyncio's loop, and from Python 3.14 on all."""

    __slots__ = ("_frames", "_references")

    def __init__(self) -> None:
        frames = list(_frames(inspect.CO_ASYNC_GENERATOR))
        self._frames = frozenset(map(id, frames))  # They live as long as the generators are not closed.
        found: List[Any] = [frame.f_generator for frame in frames if hasattr(frame, "f_generator")]
        if frames and not found:
            found = [generator for generator in list(getattr(asyncio._get_running_loop(), "_asyncgens", ()))
                     if generator.ag_frame in frames]
        self._references = tuple(weakref.ref(generator) for generator in found)

    def are_dropped(self) -> bool:
        """Of one of them there is nothing left but its end, which is not where this is called."""
        return any(reference() is None for reference in self._references) and not any(
            id(frame) in self._frames for frame in _frames(inspect.CO_ASYNC_GENERATOR))


class _Inside:
    """What the contexts hold that are inside of a block."""

    __slots__ = ("transaction", "savepoints", "generators", "left", "_thread", "_task", "__weakref__")

    def __init__(self, transaction: OpenTransaction) -> None:
        self.transaction = transaction
        self.savepoints = Savepoints(transaction)
        self.generators = _Generators()
        self.left = False
        self._thread = threading.get_ident()
        task = _task()
        self._task = None if task is None else weakref.ref(task)

    def is_over(self) -> bool:
        """Whether the block has been left, or is about to be."""
        return self.left or self.generators.are_dropped()

    def was_entered_here(self) -> bool:
        """By this thread or task."""
        entered = None if self._task is None else self._task()
        return self._thread == threading.get_ident() and entered is _task()

    def was_entered_by_a_task_that_has_ended(self) -> bool:
        """Its context may not be gone yet."""
        entered = None if self._task is None else self._task()
        return self._task is not None and (entered is None or entered.done())


class _Entered:
    """A block that has been entered and not been left."""

    __slots__ = ("_inside", "_handle", "_generators")

    def __init__(self, inside: _Inside, handle: object) -> None:
        self._inside = weakref.ref(inside)  # So that it goes when no context has it any more.
        self._handle = weakref.ref(handle)
        self._generators = inside.generators

    @property
    def inside(self) -> Optional[_Inside]:
        return self._inside()

    @property
    def has_handle(self) -> bool:
        """Whether somebody has the transaction's object."""
        return self._handle() is not None

    def is_astray(self) -> bool:
        """Whether no statement can reach the block, as seen from a context that is not inside: nobody has its transaction object,
        and the context in which it was entered is gone, or was one of this very thread or task."""
        if self.has_handle or self._generators.are_dropped():
            return False
        inside = self._inside()
        return (inside is None or inside.left or inside.was_entered_by_a_task_that_has_ended()
                or (inside.was_entered_here() and not _SWITCHERS & sys.modules.keys()))


def _elsewhere(what: str) -> DatabaseError:
    return transaction_error(
        reasons.TRANSACTION_ELSEWHERE, "a transaction's block was entered in another context (by a thread pool, a generator, a task that has"
        f" ended), so that {what} outside of it: enter the block where its statements run, or keep its object (`with"
        " connector.transaction() as t`) and call that", Outcome.NOT_EXECUTED)


class Blocks:
    """The blocks of one connector. Any thread may call; nothing waits."""

    def __init__(self) -> None:
        self._inside: contextvars.ContextVar[Optional[_Inside]] = contextvars.ContextVar("inside", default=None)
        self._open: Set[_Entered] = set()

    def current(self) -> Optional[OpenTransaction]:
        """The transaction of the block that this context is inside of. Raises when its statements would run outside of the
        block that their author thought they were in."""
        inside = self._inside.get()
        if inside is None:
            if self._open and any(entered.is_astray() for entered in tuple(self._open)):
                raise _elsewhere("this statement, which was not executed, would run")
            return None
        if not inside.is_over():
            return inside.transaction
        self._inside.set(None)  # It is nobody's any more: who is told below is told once.
        if not inside.was_entered_here():
            raise transaction_error(
                reasons.NO_TRANSACTION, "the transaction's block has ended in which this task was started, so that this statement,"
                " which was not executed, would run outside of it, as those after it do", Outcome.NOT_EXECUTED)
        return None

    def inside(self) -> Optional[_Inside]:
        """Of the block that this context is inside of."""
        inside = self._inside.get()
        return None if inside is None or inside.is_over() else inside

    def enter(self, inside: _Inside, handle: object) -> _Entered:
        """`handle` is what the block's author is given."""
        self._inside.set(inside)
        return self.enter_nested(inside, handle)

    def enter_nested(self, inside: _Inside, handle: object) -> _Entered:
        """This context is inside already."""
        entered = _Entered(inside, handle)
        self._open.add(entered)
        return entered

    def leave(self, entered: _Entered) -> bool:
        """In whatever context; whether that was inside."""
        self._open.discard(entered)
        inside = entered.inside
        if inside is None:
            return False
        inside.left = True
        if self._inside.get() is not inside:
            return False
        self._inside.set(None)
        return True

    def leave_nested(self, entered: _Entered) -> None:
        """The outer block goes on."""
        self._open.discard(entered)

    def forget(self) -> None:
        """In a forked child, which has none of the threads that were in a block."""
        self._open.clear()


class Nested:
    """A block within a transaction's block: a savepoint."""

    __slots__ = ("level", "done", "undone")

    def __init__(self, level: int) -> None:
        self.level = level
        self.done = self.undone = False

    @property
    def name(self) -> str:
        """The savepoint's. The same names again and again are few texts for the gateway and PostgreSQL to remember."""
        return f"engine_db_{self.level}"


class Savepoints:
    """The savepoints of a transaction's nested blocks, the innermost last.

    Neither end of such a block is waited for: they say nothing that the next statement's answer does not, and so nobody can cancel
    them. Blocks of several tasks may overlap. One that ended well before those that began after it is released with these; one
    that failed undoes them.
    """

    def __init__(self, transaction: OpenTransaction) -> None:
        self._transaction = transaction
        self._open: List[Nested] = []

    def enter(self) -> Tuple[Nested, Operation[None]]:
        """To be set by the operation; if that fails, to be forgotten."""
        nested = Nested(self._open[-1].level + 1 if self._open else 1)
        operation = savepoint(self._transaction, nested.name, _wire.CALL_SAVEPOINT)
        self._open.append(nested)
        return nested, operation

    def forget(self, nested: Nested) -> None:
        """It is not set, or the transaction is of no use any more."""
        if nested in self._open:
            self._open.remove(nested)

    def release(self, nested: Nested) -> None:
        """The block has ended well."""
        if self._transaction.ended:
            return  # By the block itself.
        Scope(self._transaction.session, self._transaction).require_open()
        if nested.undone:
            raise transaction_error(reasons.SAVEPOINT_UNDONE, "what this block did was undone by an overlapping block of the same"
                                    " transaction, which began before it and failed", Outcome.ROLLED_BACK)
        nested.done = True
        self._release_done()

    def undo(self, nested: Nested) -> None:
        """The block has failed."""
        if nested not in self._open:
            return
        at = self._open.index(nested)
        for inner in self._open[at:]:
            inner.undone = True
        del self._open[at + 1:]
        nested.done = True
        try:
            send(savepoint(self._transaction, nested.name, _wire.CALL_ROLLBACK_TO))
            self._release_done()
        except DatabaseError:
            pass  # The transaction is over. The error that is on its way says more.

    def _release_done(self) -> None:
        lowest: Optional[Nested] = None
        while self._open and self._open[-1].done:
            lowest = self._open.pop()
        if lowest is not None:
            send(savepoint(self._transaction, lowest.name, _wire.CALL_RELEASE))


class AnyBlock:
    """What both connectors' blocks do without waiting."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._entered: Optional[_Entered] = None
        self._transaction: Optional[OpenTransaction] = None
        self._outer: Optional[_Inside] = None
        self._nested: Optional[Nested] = None
        self._misplaced = False

    def nest(self) -> Optional[Tuple[OpenTransaction, Operation[None]]]:
        """Of a block within another: the transaction, and what sets the savepoint."""
        self._blocks.current()
        inside = self._blocks.inside()
        if inside is None:
            return None
        self._outer = inside
        self._nested, operation = inside.savepoints.enter()
        return inside.transaction, operation

    def entered(self, transaction: OpenTransaction, handle: object) -> None:
        """The transaction has begun, or the savepoint is set."""
        self._transaction = transaction
        self._entered = (self._blocks.enter(_Inside(transaction), handle) if self._outer is None
                         else self._blocks.enter_nested(self._outer, handle))

    def not_entered(self) -> None:
        """The savepoint is not set."""
        if self._outer is not None and self._nested is not None:
            self._outer.savepoints.forget(self._nested)
        self._outer = self._nested = None

    def left(self, failed: bool) -> Optional[OpenTransaction]:
        """The transaction that is to be ended; None for a block within another, which has ended by this."""
        transaction, entered, outer, nested = self._transaction, self._entered, self._outer, self._nested
        self._transaction = self._entered = self._outer = self._nested = None
        if transaction is None or entered is None:
            raise transaction_error(reasons.NO_TRANSACTION, "the block has not been entered", Outcome.NOT_EXECUTED)
        if outer is None or nested is None:
            if not self._blocks.leave(entered) and not failed and not entered.has_handle and not transaction.used:
                self._misplaced = True
            return transaction
        self._blocks.leave_nested(entered)
        if failed:
            outer.savepoints.undo(nested)
        else:
            outer.savepoints.release(nested)
        return None

    def require_well_placed(self) -> None:
        """After the end. Whoever's statements have run since the block was entered, none was in it, or could have been."""
        misplaced, self._misplaced = self._misplaced, False
        if misplaced:
            raise _elsewhere("whatever ran since then ran")

    def __del__(self) -> None:
        if getattr(self, "_entered", None) is not None:  # Its end was never told.
            self._blocks.leave_nested(self._entered)  # type: ignore[arg-type]
