"""One Session stream to the gateway. For the package's own use."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import itertools
import os
import socket
import threading
import weakref
from dataclasses import replace
from typing import Deque, Dict, List, Optional, Set, Tuple, Union, cast

from google.protobuf.message import DecodeError

from engine_db_postgres import _wire, reasons
from engine_db_postgres._gateway import detach, endpoint, open_socket
from engine_db_postgres._http2 import Http2Stream, ProtocolError
from engine_db_postgres._messages import rollback_of
from engine_db_postgres.errors import (DatabaseConnectionError, ErrorInfo, ErrorKind, Outcome, Phase, connection_error,
                                       make_error, request_error)
from engine_db_postgres.values import varint

_METHOD = "/engine.db.v1.DatabaseConnector/Session"
# The contract's limit of calls in a message; and how large one grows by gathering calls, so that the first of them need
# not wait long.
_MAX_CALLS_IN_MESSAGE = 1024
_MAX_GATHERED_BYTES = 1 << 20
# The gateway takes messages up to 4 MiB. A larger one would end the session for everybody, so that call is refused here.
MAX_REQUEST_BYTES = (4 << 20) - 64
_MAX_CALLS_IN_FLIGHT = 65_536
_BEGUN = _wire.reply_kind(_wire.CALL_BEGIN)
# The gateway keeps the deadlines; this is for when it does not answer.
GRACE_S = 0.125
# More is read at a time only when it is there; a larger buffer costs page faults in each read.
_READ_BYTES = 64 << 10

# The answer to a call: a reply's kind and bytes, or the error in its place.
Reply = Union[Tuple[int, bytes], ErrorInfo]
# What is to be written, until it is taken out: by who writes it, or by who gives it up. Taking it out is atomic.
Request = List[bytes]


class Call:
    """One call, as the session sees it. Its waiter is added by the subclass."""

    __slots__ = ("id", "request", "sent", "phase", "outcome_if_lost", "repeatable")

    def __init__(self, phase: Phase, outcome_if_lost: Outcome, repeatable: bool = False) -> None:
        self.id = 0
        self.request: Request = []
        self.sent = False  # Whether the gateway may have it, or may get it yet.
        self.phase = phase
        self.outcome_if_lost = outcome_if_lost
        self.repeatable = repeatable  # By the caller, whatever its outcome is.

    def drop(self) -> None:
        """Sees to it that the call is not sent any more. From then on `sent` tells whether it has been."""
        try:
            self.request.pop()
        except IndexError:
            return
        self.sent = False

    def put(self, reply: Reply) -> None:
        """Hears of an answer, on the thread that reads. Must not block."""
        raise NotImplementedError


class Session:
    """Carries many calls at once on one stream.

    While a message is being written, calls gather in the next: the busier, the fewer messages. When the stream breaks the
    session has ended: every call in flight fails, and so does each later one. It never recovers; a caller that needs another
    opens one. Any thread may call.

    No lock: what several threads touch is a deque, a counter, and a dict, of which each single operation is atomic.
    A call is entered before the end is looked for, and the end is set before the calls are failed; so no call is missed,
    and whoever pops it is the one to answer it.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.connection_id = ""  # Set once Connect is answered.
        self.default_timeout_ms = 30_000
        self.prefixes: Dict[str, bytes] = {}  # What the requests of one statement begin with.
        self.empty_lists: Dict[str, Tuple[bytes, ...]] = {}  # What an empty list is, for each parameter of a statement.
        self._calls: Dict[int, Call] = {}
        self._ids = itertools.count(1)
        self._outgoing: Deque[Request] = collections.deque()
        self._end: Optional[ErrorInfo] = None
        where = endpoint(address)
        self._http2 = Http2Stream(_METHOD, address if isinstance(where, tuple) else "localhost", "engine-db-postgres")
        _sessions.add(self)

    @property
    def ended(self) -> bool:
        """Whether no call can succeed any more."""
        return self._end is not None

    def submit(self, call: Call, kind: int, request: bytes) -> None:
        """Sends a request; `call` receives the answer. Raises DatabaseError when it can't be sent."""
        if self._end is not None:
            raise make_error(self._failure(call))
        self._require_writable()
        if len(request) > MAX_REQUEST_BYTES:
            raise request_error(reasons.REQUEST_TOO_LARGE, "sql", f"the statement with its parameters has {len(request)} "
                                f"bytes; at most {MAX_REQUEST_BYTES} go in a call")
        # What was given up leaves its place in _outgoing only when the socket takes something again.
        if len(self._calls) >= _MAX_CALLS_IN_FLIGHT or len(self._outgoing) >= _MAX_CALLS_IN_FLIGHT:
            raise connection_error(reasons.TOO_MANY_CALLS, f"this connector has {_MAX_CALLS_IN_FLIGHT} calls in flight, its "
                                   "limit; wait for some to end", retryable=True)
        call.id = next(self._ids)
        call.request, call.sent = [_wire.session_call(call.id, kind, request)], True
        self._calls[call.id] = call
        self._outgoing.append(call.request)
        self._flush()
        if self._end is not None and self._calls.pop(call.id, None) is not None:
            raise make_error(self._failure(call))

    def abandon(self, call: Call) -> bool:
        """Abandons the call, which receives nothing more: it is not sent, or else the gateway is asked to cancel it. False: it
        has been answered already."""
        if self._calls.pop(call.id, None) is None:
            return False
        call.drop()
        if call.sent and self._end is None:
            self._tell(call.id, _wire.CALL_CANCEL, b"")
        return True

    def discard_reply(self, reply: Optional[Reply]) -> None:
        """An answer has come for a call that was abandoned. A transaction that it begins would stay open for as long as its
        lease, so it is rolled back."""
        if isinstance(reply, tuple) and reply[0] == _BEGUN and self._end is None:
            self._tell(next(self._ids), _wire.CALL_ROLLBACK, rollback_of(reply[1], self.connection_id))

    def forget(self, call: Call) -> None:
        """A streamed result has come to its end."""
        self._calls.pop(call.id, None)

    def add_credit(self, call: Call, size: int) -> None:
        """Allows so many more bytes of a streamed result."""
        self._tell(call.id, _wire.CALL_CREDIT, b"\x08" + varint(size))

    def _tell(self, call_id: int, kind: int, request: bytes) -> None:
        self._outgoing.append([_wire.session_call(call_id, kind, request)])
        self._flush()

    def no_answer(self, call: Call, timeout_ms: int) -> ErrorInfo:
        """What becomes of a call that the gateway has not answered within its deadline, and that was abandoned."""
        outcome = Outcome.UNKNOWN  # A stream that breaks rolls back what runs in its transactions; here it may run yet.
        if not call.sent or call.phase is Phase.CONNECTING:
            outcome = Outcome.NOT_EXECUTED
        elif call.outcome_if_lost is Outcome.UNSPECIFIED:
            outcome = Outcome.UNSPECIFIED
        kind = ErrorKind.CONNECTION if call.phase is Phase.CONNECTING else ErrorKind.TIMEOUT
        return ErrorInfo(f"the gateway at {self.address} gave no answer within {timeout_ms} ms", kind, outcome,
                         call.phase, reasons.NO_ANSWER, retryable=call.repeatable or outcome is Outcome.NOT_EXECUTED)

    def end(self, reason: str, message: str) -> None:
        """Fails every call with DatabaseConnectionError, and ends the stream."""
        self._set_end(ErrorInfo(message, ErrorKind.CONNECTION, reason=reason))
        self._disconnect()
        self._fail_all()

    def leave_to_parent(self) -> None:
        """In a forked child: the connection is its parent's, and so are the calls and transactions on it."""
        self._outgoing.clear()
        self._calls.clear()
        self._set_end(ErrorInfo("this process was forked, and the connection is its parent's", ErrorKind.CONNECTION,
                                reason=reasons.FORKED))

    def _set_end(self, info: ErrorInfo) -> None:
        if self._end is None:
            self._end = info

    def _failure(self, call: Call) -> ErrorInfo:
        end = self._end or ErrorInfo("the session has ended", ErrorKind.CONNECTION)
        call.drop()
        if not call.sent:
            return replace(end, outcome=Outcome.NOT_EXECUTED)
        return replace(end, outcome=call.outcome_if_lost, phase=call.phase,
                       retryable=end.retryable
                       and (call.repeatable or call.phase is Phase.CONNECTING
                            or call.outcome_if_lost is Outcome.UNSPECIFIED))

    def _fail_all(self) -> None:
        self._outgoing.clear()
        for call_id in list(self._calls):
            call = self._calls.pop(call_id, None)
            if call is not None:
                call.put(self._failure(call))

    def _require_writable(self) -> None:
        """Raises DatabaseConnectionError when what is submitted now would wait for this very thread to be sent."""

    def _flush(self) -> None:
        """Sees to it that what is in _outgoing gets written. Does not wait for that."""
        raise NotImplementedError

    def _disconnect(self) -> None:
        """Ends the connection. May be repeated."""
        raise NotImplementedError

    def _gather(self) -> bytes:
        """Of what is to be written, as much as goes in a message, as bytes on the wire. One thread at a time."""
        outgoing = self._outgoing
        gathered: List[bytes] = []
        size = 0
        while outgoing and len(gathered) < _MAX_CALLS_IN_MESSAGE:
            try:
                request = outgoing.popleft()
                if gathered and size + len(request[0]) > _MAX_GATHERED_BYTES:
                    outgoing.appendleft(request)
                    break
                data = request.pop()
            except IndexError:  # It was given up, or the session has just ended.
                continue
            gathered.append(data)
            size += len(data)
        return self._http2.write(b"".join(gathered) if gathered else None)

    def _take(self, data: bytes) -> bool:
        """Hands out the answers in bytes that came. False: the stream has ended."""
        calls = self._calls
        try:
            for message in self._http2.receive(data):
                for call_id, kind, body in _wire.read_replies(message):
                    call = calls.get(call_id) if kind == _wire.CALL_STREAM + 1 else calls.pop(call_id, None)
                    if call is not None:
                        call.put((kind, body))
                    else:  # It was abandoned.
                        self.discard_reply((kind, body))
        except (ProtocolError, ValueError, IndexError, DecodeError) as fault:
            self._set_end(ErrorInfo(f"the gateway at {self.address} sent an answer that can't be read: {fault}",
                                    ErrorKind.CONNECTION, reason=reasons.MALFORMED_REPLY))
            return False
        if self._http2.ended is not None:
            self._lost(self._http2.ended)
            return False
        return True

    def _lost(self, details: str) -> None:
        if self.connection_id:
            self._set_end(ErrorInfo(f"the link to the gateway at {self.address} was lost: {details}", ErrorKind.CONNECTION,
                                    retryable=True, reason=reasons.GATEWAY_LOST))
        else:
            self._set_end(unreachable(self.address, details).info)


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for session in list(_sessions):
        session.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)


def unreachable(address: str, details: str) -> DatabaseConnectionError:
    """There is no gateway, or it does not take the stream."""
    return DatabaseConnectionError(ErrorInfo(
        f"can't reach the gateway at {address}: {details}", ErrorKind.CONNECTION, Outcome.NOT_EXECUTED, Phase.CONNECTING,
        reasons.GATEWAY_UNREACHABLE, retryable=True))


def not_opened(address: str, timeout_s: float) -> DatabaseConnectionError:
    """There is no session yet, and the caller can't wait for it any longer."""
    return DatabaseConnectionError(ErrorInfo(
        f"no connection could be opened through the gateway at {address} within {timeout_s * 1000:.0f} ms",
        ErrorKind.CONNECTION, Outcome.NOT_EXECUTED, Phase.CONNECTING, reasons.NO_ANSWER, retryable=True))


class ThreadSession(Session):
    """For threads: a thread that has something to send writes it, together with what others have put there meanwhile, as far as
    the socket takes it at once; a thread of the session's own reads."""

    def __init__(self, address: str, timeout_s: float) -> None:
        """Blocks until the socket is connected. Raises DatabaseConnectionError."""
        super().__init__(address)
        try:
            self._socket = open_socket(address, timeout_s)
        except (OSError, UnicodeError) as fault:
            raise unreachable(address, getattr(fault, "strerror", None) or str(fault)) from None
        self._writing = threading.Lock()
        self._flushing: Set[int] = set()  # The threads that are in _flush().
        threading.Thread(target=self._read, name="engine-db-session", daemon=True).start()

    def _require_writable(self) -> None:
        if threading.get_ident() in self._flushing:
            raise connection_error(reasons.INTERRUPTED_SENDER, "a signal's handler, or a destructor, uses the connector on the thread that"
                                   " it interrupts while it sends: nothing can be sent before it returns; let another thread do"
                                   " it, or do it later", retryable=True)

    def _flush(self) -> None:
        thread = threading.get_ident()
        first = thread not in self._flushing
        self._flushing.add(thread)
        try:
            self._write()
        finally:
            if first:
                self._flushing.discard(thread)

    def _write(self) -> None:
        # A thread that can't get the lock leaves its call to the thread that has it, which looks again after releasing it.
        try:
            while (self._outgoing or self._http2.has_to_write) and self._writing.acquire(False):
                rest = self._send(self._gather())
                if rest:
                    threading.Thread(target=self._send_rest, args=(rest,), name="engine-db-sending", daemon=True).start()
                    return
                self._writing.release()
        except BaseException as fault:
            # The link has broken, or this thread was interrupted in the middle of a frame, which nobody can complete.
            if isinstance(fault, OSError):
                return self._disconnect()  # The reader, who sees it too, hands out what came before.
            self._lost("a thread was interrupted while it sent")
            self._disconnect()
            raise

    def _send(self, data: bytes) -> bytes:
        """Without waiting. Returns what there was no room for."""
        try:
            sent = self._socket.send(data, socket.MSG_DONTWAIT) if data else 0
        except BlockingIOError:
            sent = 0
        return data[sent:]

    def _send_rest(self, rest: bytes) -> None:
        """Completes a message with the lock that _flush() took, on a thread of its own: how long that takes is up to the
        gateway, and no caller may have to wait so long."""
        try:
            self._socket.sendall(rest)
        except OSError:
            return self._disconnect()
        self._writing.release()
        self._flush()

    def _read(self) -> None:
        receive, take, http2 = self._socket.recv, self._take, self._http2
        details = "it closed the connection"
        try:
            while True:
                data = receive(_READ_BYTES)
                if not data or not take(data):
                    break
                if http2.has_to_write:
                    self._flush()
        except OSError as fault:
            details = fault.strerror or str(fault)
        self._lost(details)
        self._disconnect()
        self._fail_all()
        self._socket.close()

    def leave_to_parent(self) -> None:
        super().leave_to_parent()
        opened: Optional[socket.socket] = getattr(self, "_socket", None)  # None while it is being connected.
        if opened is not None:
            opened.close()  # Only this process's copy.

    def _disconnect(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It is down already.


class LoopSession(Session, asyncio.Protocol):
    """For one event loop: reads and writes on it. What is submitted in one turn of the loop leaves together."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.loop = asyncio.get_running_loop()
        self._transport: Optional[asyncio.Transport] = None
        self._flushing = False
        self._context = contextvars.Context()  # Of its own, so that it keeps nobody else's alive.

    async def open(self, timeout_s: float) -> None:
        """Connects. Raises DatabaseConnectionError."""
        where = endpoint(self.address)
        try:
            if isinstance(where, tuple):
                opening = self.loop.create_connection(lambda: self, *where)
            else:
                opening = self.loop.create_unix_connection(lambda: self, where)
            await asyncio.wait_for(opening, timeout_s)
        except asyncio.TimeoutError:
            raise unreachable(self.address, "no connection in time") from None
        except (OSError, UnicodeError) as fault:
            raise unreachable(self.address, getattr(fault, "strerror", None) or str(fault)) from None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # As it says: uvloop's do not derive from it.
        if self._end is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._take(data):
            self._disconnect()
            self._fail_all()
        elif self._http2.has_to_write:
            self._flush()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._transport = None
        self._lost(str(exc) if exc else "it closed the connection")
        self._fail_all()

    def _flush(self) -> None:
        if self._flushing:
            return
        self._flushing = True
        if self._on_loop():
            self.loop.call_soon(self._write, context=self._context)
        else:  # What is garbage is collected on any thread.
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                self.loop.call_soon_threadsafe(self._write, context=self._context)

    def _on_loop(self) -> bool:
        return asyncio._get_running_loop() is self.loop

    def _write(self) -> None:
        self._flushing = False
        if self._transport is None or self._end is not None:
            return
        while self._outgoing or self._http2.has_to_write:
            data = self._gather()
            if not data:
                break
            self._transport.write(data)

    def leave_to_parent(self) -> None:
        super().leave_to_parent()
        transport, self._transport = self._transport, None
        if transport is not None:
            # Not closed: the loop's epoll instance, with what is registered there, is still the parent's as well.
            detach(transport.get_extra_info("socket").fileno())

    def _disconnect(self) -> None:
        if self._transport is None or self.loop.is_closed():
            return
        if self._on_loop():
            self._transport.abort()
        else:
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._transport.abort)
