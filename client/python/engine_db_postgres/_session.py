"""One Session stream to the gateway. For the package's own use."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import Callable, Dict, Iterator, List, Optional, Tuple, Union
from dataclasses import replace

import grpc

from engine_db_postgres import _wire
from engine_db_postgres._gateway import is_forked, open_channel
from engine_db_postgres.errors import (DatabaseError, ErrorInfo, ErrorKind, Outcome, Phase, connection_error, make_error,
                                       request_error)

_METHOD = "/engine.db.v1.DatabaseConnector/Session"
# The contract's limit of calls in a message; and how large one grows by gathering calls, so that the first of them need
# not wait long.
_MAX_CALLS_IN_MESSAGE = 1024
_MAX_GATHERED_BYTES = 1 << 20
# The gateway takes messages up to 4 MiB. A larger one would end the session for everybody, so that call is refused here.
MAX_REQUEST_BYTES = (4 << 20) - 64
_MAX_CALLS_IN_FLIGHT = 65_536
# The gateway keeps the deadlines; this is for when it does not answer.
GRACE_S = 0.175

# What a call hears: a reply's kind and bytes, or why there is none.
Reply = Union[Tuple[int, bytes], ErrorInfo]


class Call:
    """One call, as the session sees it. What waits for its answer is added by whoever makes it."""

    __slots__ = ("id", "sent", "phase", "outcome_if_lost")

    def __init__(self, phase: Phase, outcome_if_lost: Outcome) -> None:
        self.id = 0
        self.sent = False  # Whether gRPC may have it.
        self.phase = phase
        self.outcome_if_lost = outcome_if_lost

    def put(self, reply: Reply) -> None:
        """Hears of an answer, on whichever thread answers are handed out."""
        raise NotImplementedError


# Hands answers out: on the reader's thread as they are, or on an event loop.
HandOut = Callable[[List[Tuple[Call, Reply]]], None]


def hand_out_here(answers: List[Tuple[Call, Reply]]) -> None:
    """On this very thread."""
    for call, reply in answers:
        call.put(reply)


class Session:
    """Carries many calls at once on one stream.

    While a message is being written, calls gather in the next: the busier, the fewer messages. When the stream breaks the
    session has ended: every call in flight fails, and so does each later one. It is never mended; whoever needs another
    opens one. Any thread may call. Nothing here blocks.

    No lock: what several threads touch is a SimpleQueue, a counter, and a dict of which each single operation is atomic.
    A call is entered before the end is looked for, and the end is set before the calls are failed; so no call is missed,
    and whoever pops it is the one to answer it.
    """

    def __init__(self, address: str, hand_out: HandOut) -> None:
        self.address = address
        self.connection_id = ""  # Set once Connect is answered.
        self.default_timeout_ms = 30_000
        self.prefixes: Dict[str, bytes] = {}  # What the requests of one statement begin with.
        self._hand_out = hand_out
        self._calls: Dict[int, Call] = {}
        self._ids = itertools.count(1)
        self._outgoing: queue.SimpleQueue[Optional[Tuple[Call, bytes]]] = queue.SimpleQueue()
        self._end: Optional[ErrorInfo] = None
        self._channel = open_channel(address)
        method = self._channel.stream_stream(_METHOD, request_serializer=None, response_deserializer=None)
        self._stream = method(self._messages())
        threading.Thread(target=self._read, name="engine-db-session", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether no call can succeed any more."""
        return self._end is not None

    def submit(self, call: Call, kind: int, request: bytes) -> None:
        """Sends a request; `call` hears of the answer. Raises DatabaseError when it can't be sent."""
        if self._end is not None:
            raise make_error(self._failure(call))
        if len(request) > MAX_REQUEST_BYTES:
            raise request_error("REQUEST_TOO_LARGE", "sql", f"the statement with its parameters has {len(request)} "
                                f"bytes; at most {MAX_REQUEST_BYTES} go in a call")
        if len(self._calls) >= _MAX_CALLS_IN_FLIGHT:
            raise connection_error("TOO_MANY_CALLS", f"this connector has {_MAX_CALLS_IN_FLIGHT} calls in flight, its "
                                   "limit; wait for some to end", retryable=True)
        call.id = next(self._ids)
        self._calls[call.id] = call
        self._outgoing.put((call, _wire.session_call(call.id, kind, request)))
        if self._end is not None and self._calls.pop(call.id, None) is not None:
            raise make_error(self._failure(call))

    def abandon(self, call: Call) -> bool:
        """Asks the gateway to cancel the call, which hears nothing more. False: it has been answered already."""
        if self._calls.pop(call.id, None) is None:
            return False
        if self._end is None:
            self._tell(call, _wire.CALL_CANCEL, b"")
        return True

    def forget(self, call: Call) -> None:
        """A streamed result has come to its end."""
        self._calls.pop(call.id, None)

    def add_credit(self, call: Call, size: int) -> None:
        """Allows so many more bytes of a streamed result."""
        self._tell(call, _wire.CALL_CREDIT, b"\x08" + _wire.varint(size))

    def _tell(self, call: Call, kind: int, request: bytes) -> None:
        self._outgoing.put((call, _wire.session_call(call.id, kind, request)))

    def no_answer(self, call: Call, timeout_ms: int) -> ErrorInfo:
        """What becomes of a call that the gateway has not answered within its deadline, and that was abandoned."""
        outcome = Outcome.NOT_EXECUTED
        if call.sent:
            # A stream that breaks rolls back what runs in its transactions; a late statement may still be running.
            outcome = call.outcome_if_lost if call.outcome_if_lost is Outcome.UNSPECIFIED else Outcome.UNKNOWN
        kind = ErrorKind.CONNECTION if call.phase is Phase.CONNECTING else ErrorKind.TIMEOUT
        return ErrorInfo(f"the gateway at {self.address} gave no answer within {timeout_ms} ms", kind, outcome,
                         call.phase, "NO_ANSWER")

    def end(self, reason: str, message: str) -> None:
        """Fails every call with DatabaseConnectionError, and ends the stream."""
        if self._end is None:
            self._end = ErrorInfo(message, ErrorKind.CONNECTION, reason=reason)
        if is_forked():  # The stream is the parent's.
            return
        self._outgoing.put(None)
        self._stream.cancel()
        self._channel.close()
        self._fail_all()

    def _failure(self, call: Call) -> ErrorInfo:
        assert self._end is not None
        if not call.sent:
            return replace(self._end, outcome=Outcome.NOT_EXECUTED)
        return replace(self._end, outcome=call.outcome_if_lost, phase=call.phase,
                       retryable=self._end.retryable and call.outcome_if_lost is Outcome.UNSPECIFIED)

    def _fail_all(self) -> None:
        failed: List[Tuple[Call, Reply]] = []
        for call_id in list(self._calls):
            call = self._calls.pop(call_id, None)
            if call is not None:
                failed.append((call, self._failure(call)))
        if failed:
            self._hand_out(failed)

    def _messages(self) -> Iterator[bytes]:
        """SessionRequests, on gRPC's own thread; it asks for the next when it has written the one before."""
        take, take_now = self._outgoing.get, self._outgoing.get_nowait
        entry = take()
        while entry is not None:
            call, data = entry
            call.sent = True
            gathered, size = [data], len(data)
            try:
                entry = take_now()
                while (entry is not None and len(gathered) < _MAX_CALLS_IN_MESSAGE
                       and size + len(entry[1]) <= _MAX_GATHERED_BYTES):
                    call, data = entry
                    call.sent = True
                    gathered.append(data)
                    size += len(data)
                    entry = take_now()
                have_next = True
            except queue.Empty:
                have_next = False
            yield b"".join(gathered)
            if not have_next:
                entry = take()

    def _read(self) -> None:
        """The reader's thread."""
        calls = self._calls
        try:
            for message in self._stream:
                answers: List[Tuple[Call, Reply]] = []
                for call_id, kind, body in _wire.read_replies(message):
                    call = calls.get(call_id) if kind == _wire.CALL_STREAM + 1 else calls.pop(call_id, None)
                    if call is not None:  # Otherwise it was abandoned.
                        answers.append((call, (kind, body)))
                if answers:
                    self._hand_out(answers)
            self._lost("")
        except grpc.RpcError as failure:
            details = failure.details() if isinstance(failure, grpc.Call) else ""
            self._lost(details or "")
        except DatabaseError:
            raise
        except Exception as fault:  # A broken message, or an event loop that was closed.
            if self._end is None:
                self._end = ErrorInfo(f"the gateway at {self.address} sent an answer that can't be read: {fault}",
                                      ErrorKind.CONNECTION, reason="MALFORMED_REPLY")
        finally:
            if not is_forked():
                self._outgoing.put(None)
                self._stream.cancel()
                self._channel.close()
                try:
                    self._fail_all()
                except RuntimeError:
                    pass  # The event loop is closed: nobody waits any more.

    def _lost(self, details: str) -> None:
        if self._end is not None:
            return
        connected = bool(self.connection_id)
        message = f"the link to the gateway at {self.address} was lost" if connected else \
            f"can't reach the gateway at {self.address}"
        self._end = ErrorInfo(message + (f": {details}" if details else ""), ErrorKind.CONNECTION, retryable=True,
                              phase=Phase.UNSPECIFIED if connected else Phase.CONNECTING,
                              reason="GATEWAY_LOST" if connected else "GATEWAY_UNREACHABLE")
