"""What a connector knows, whichever way it waits. For the package's own use."""

from __future__ import annotations

import concurrent.futures
import math
import os
import threading
import time
import weakref
from typing import Callable, Optional

from engine_db_postgres import reasons
from engine_db_postgres._blocks import Blocks
from engine_db_postgres._gateway import gateway_address
from engine_db_postgres._messages import checked_ms
from engine_db_postgres._session import Session
from engine_db_postgres._transaction import OpenTransaction, Scope
from engine_db_postgres.config import ConnectionConfig, ConnectTarget, DataSource
from engine_db_postgres.errors import DatabaseError, Outcome, configuration_error, connection_error, transaction_error


class TimeLimit:
    """How long a call may take that has to wait for a session first."""

    def __init__(self, timeout_ms: Optional[int], connect_timeout_ms: int) -> None:
        """Counts from here. Raises DatabaseRequestError."""
        self._timeout_ms = checked_ms(timeout_ms, "timeout_ms")
        self._began = time.monotonic()
        self.for_session_s = (self._timeout_ms or connect_timeout_ms) / 1000

    def left_ms(self, session: Session) -> int:
        """What remains for the call itself."""
        waited_ms = (time.monotonic() - self._began) * 1000
        return max(1, math.ceil((self._timeout_ms or session.default_timeout_ms) - waited_ms))


class ConnectorState:
    """The session to the gateway, and which transaction is the current one. Any thread may call; nothing waits."""

    def __init__(self, target: ConnectTarget, gateway: Optional[str]) -> None:
        if not isinstance(target, (ConnectionConfig, DataSource)):
            raise configuration_error("target", f"is a ConnectionConfig or a DataSource, not a {type(target).__name__}")
        self.target = target
        self.address = gateway_address(gateway)
        # A data source's own is known to the gateway only.
        self.connect_timeout_ms = target.timeout_ms if isinstance(target, ConnectionConfig) else 30_000
        self.wanted = False  # Between connect() and close().
        self.session: Optional[Session] = None
        self._opening: Optional[concurrent.futures.Future[Session]] = None
        self._lock = threading.RLock()  # A signal's handler, on the thread that has it, may use the connector, too.
        self._beginning = False
        self._current: Optional[OpenTransaction] = None
        self.blocks = Blocks()
        _states.add(self)

    def live_session(self) -> Optional[Session]:
        """The session, unless another has to be opened. Raises DatabaseConnectionError when there is to be none."""
        session = self.session
        if session is not None and not session.ended:
            return session
        if not self.wanted:
            raise _not_connected()
        return None

    def time_limit(self, timeout_ms: Optional[int]) -> TimeLimit:
        """The time limit of a call that begins now."""
        return TimeLimit(timeout_ms, self.connect_timeout_ms)

    def opening(self, open_session: Callable[[], Session]) -> concurrent.futures.Future[Session]:
        """The session that open_session() opens, on a thread of its own. All who need one while it does so wait for that one
        attempt, each as long as it may, and hear of its failure."""
        with self._lock:
            if self._opening is not None:
                return self._opening
            opening: concurrent.futures.Future[Session] = concurrent.futures.Future()
            session = self.live_session()
            if session is not None:
                opening.set_result(session)
                return opening
            self._opening = opening  # Before the thread, which takes it away, begins.
            thread = threading.Thread(target=self._open, args=(opening, open_session), name="engine-db-opening", daemon=True)
            try:
                thread.start()
            except BaseException:
                if thread.ident is None:  # There are too many threads, or it was interrupted.
                    self._opening = None
                    opening.set_exception(connection_error(reasons.NOT_OPENED, "no thread could be started to open a connection"))
                raise
            return opening

    def _open(self, opening: concurrent.futures.Future[Session], open_session: Callable[[], Session]) -> None:
        """Without the lock: a signal's handler may wait for this on the very thread that has it."""
        try:
            session = open_session()
        except BaseException as fault:
            self._opening = None
            return opening.set_exception(fault)
        existing, self._opening = self.session, None
        if existing is not None and not existing.ended:  # A signal's handler has come in between, and opened one, too.
            session.end(reasons.CLOSED, "another connection was opened at the same time")
            return opening.set_result(existing)
        self.session = session
        if self.wanted:
            return opening.set_result(session)
        self.shut_down()
        opening.set_exception(_not_connected())

    def reset_after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock, or have been opening a session."""
        self._lock = threading.RLock()
        self._opening = None
        self._beginning = False
        self.blocks.forget()

    def transaction(self) -> Optional[OpenTransaction]:
        """The one in which a statement of this thread or task runs now. Raises when it is being begun or ended."""
        block = self.blocks.current()
        if block is not None:
            return block
        current = self._current
        if current is None and not self._beginning:
            return None
        if current is None or current.ended:
            raise transaction_error(reasons.TRANSACTION_PENDING, "the transaction is just being begun or ended: wait for that"
                                    " first", Outcome.NOT_EXECUTED)
        return current

    def scope(self) -> Optional[Scope]:
        """Where a statement runs now; None: outside transactions, on a session yet to be opened."""
        if not self.wanted:
            self.live_session()
        transaction = self.transaction()
        if transaction is not None:
            return Scope(transaction.session, transaction)
        session = self.live_session()
        return Scope(session) if session is not None else None

    def start_begin(self) -> None:
        """begin() has been called."""
        self._refuse_in_block("begin")
        with self._lock:
            if self._current is not None or self._beginning:
                raise transaction_error(reasons.TRANSACTION_ACTIVE, "a transaction is active: commit or roll back before the"
                                        " next begin", Outcome.NOT_EXECUTED)
            self._beginning = True

    def end_begin(self, begun: Optional[OpenTransaction]) -> None:
        """It has worked, or not."""
        with self._lock:
            self._beginning = False
            if begun is None:
                return
            if self.session is begun.session:
                self._current = begun
                return
        raise transaction_error(reasons.TRANSACTION_LOST, "the connector was closed while the transaction began",
                                Outcome.ROLLED_BACK)

    def current(self, operation: str) -> OpenTransaction:
        """What commit() and rollback() are about."""
        self._refuse_in_block(operation)
        current = self._current
        if current is None:
            raise transaction_error(reasons.NO_TRANSACTION, f"{operation} without begin: no transaction is active",
                                    Outcome.NOT_EXECUTED)
        return current

    def end_current(self, transaction: OpenTransaction) -> None:
        """commit() or rollback() is done."""
        with self._lock:
            if transaction.ended and self._current is transaction:
                self._current = None

    def _refuse_in_block(self, operation: str) -> None:
        if self.blocks.inside() is not None:
            raise transaction_error(reasons.TRANSACTION_ACTIVE, f"{operation}() inside a transaction's `with` block, which ends"
                                    " the transaction itself", Outcome.NOT_EXECUTED)

    def take_session(self) -> Optional[Session]:
        """close(): what is to be closed."""
        self.wanted = False
        session, self.session = self.session, None
        with self._lock:
            self._current = None
        return session if session is not None and not session.ended else None

    def shut_down(self) -> None:
        """Ends the session without waiting."""
        session = self.take_session()
        if session is not None:
            session.end(reasons.CLOSED, "the connector was destroyed")


def _not_connected() -> DatabaseError:
    return connection_error(reasons.NOT_CONNECTED, "the connector is not connected: call connect() first")


_states: weakref.WeakSet[ConnectorState] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for state in list(_states):
        state.reset_after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
