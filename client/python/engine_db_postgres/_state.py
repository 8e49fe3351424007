"""What a connector knows, whichever way it waits. For the package's own use."""

from __future__ import annotations

import contextvars
import os
import threading
import weakref
from typing import Optional

from engine_db_postgres._gateway import gateway_address
from engine_db_postgres._operations import OpenTransaction, Scope
from engine_db_postgres._session import Session
from engine_db_postgres.config import ConnectionConfig, ConnectTarget, DataSource
from engine_db_postgres.errors import Outcome, configuration_error, connection_error, transaction_error


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
        self.opening = threading.Lock()  # Held by the thread that opens the session.
        self._lock = threading.Lock()
        self._beginning = False
        self._current: Optional[OpenTransaction] = None
        # The transaction whose `with` block this thread or task is in.
        self.block: contextvars.ContextVar[Optional[OpenTransaction]] = contextvars.ContextVar("block", default=None)
        _states.add(self)

    def live_session(self) -> Optional[Session]:
        """The session, unless another has to be opened. Raises DatabaseConnectionError when there is to be none."""
        session = self.session
        if session is not None and not session.ended:
            return session
        if not self.wanted:
            raise connection_error("NOT_CONNECTED", "the connector is not connected: call connect() first")
        return None

    def renew_locks(self) -> None:
        """In a forked child: another thread of the parent may have held them."""
        self.opening = threading.Lock()
        self._lock = threading.Lock()
        self._beginning = False

    def transaction(self) -> Optional[OpenTransaction]:
        """The one in which a statement of this thread or task runs now. Raises when it is being begun or ended."""
        block = self.block.get()
        if block is not None:
            return block
        current = self._current
        if current is None and not self._beginning:
            return None
        if current is None or current.ended:
            raise transaction_error("TRANSACTION_PENDING", "the transaction is just being begun or ended: wait for that"
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
                raise transaction_error("TRANSACTION_ACTIVE", "a transaction is active: commit or roll back before the"
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
        raise transaction_error("TRANSACTION_LOST", "the connector was closed while the transaction began",
                                Outcome.ROLLED_BACK)

    def current(self, operation: str) -> OpenTransaction:
        """What commit() and rollback() are about."""
        self._refuse_in_block(operation)
        current = self._current
        if current is None:
            raise transaction_error("NO_TRANSACTION", f"{operation} without begin: no transaction is active",
                                    Outcome.NOT_EXECUTED)
        return current

    def end_current(self, transaction: OpenTransaction) -> None:
        """commit() or rollback() is done."""
        with self._lock:
            if transaction.ended and self._current is transaction:
                self._current = None

    def _refuse_in_block(self, operation: str) -> None:
        if self.block.get() is not None:
            raise transaction_error("TRANSACTION_ACTIVE", f"{operation}() inside a transaction's `with` block, which ends"
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
            session.end("CLOSED", "the connector was destroyed")


_states: weakref.WeakSet[ConnectorState] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for state in list(_states):
        state.renew_locks()


os.register_at_fork(after_in_child=_after_fork_in_child)
