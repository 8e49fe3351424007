"""One session against a peer that reads only when it is told to: what is sent, what is dropped, and that nobody waits for
it."""

from __future__ import annotations

import pathlib
import socket
import struct
import threading
import time
from typing import Iterator, List

import pytest
from support.processes import Gateway, wait_until

import engine_db_postgres as edb
from engine_db_postgres import _wire
from engine_db_postgres._proto import connector_pb2
from engine_db_postgres._session import Call, Reply, ThreadSession

# An initial window of 2^31 - 1 bytes for the stream, and as much for the connection.
WIDE_OPEN = (struct.pack(">IBIHI", 6 << 8 | 4, 0, 0, 4, (1 << 31) - 1)
             + struct.pack(">IBII", 4 << 8 | 8, 0, 0, (1 << 31) - 1 - 65_535))
LARGE = b"\x12" + b"l" * 4_000_000  # More than a socket holds.


class Peer:
    """Stands for the gateway."""

    def __init__(self, address: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen()
        self.received = b""

    def accept(self) -> None:
        self._link, _ = self._listener.accept()
        self._link.settimeout(30)
        self._link.sendall(WIDE_OPEN)

    def read_until(self, end: bytes) -> None:
        while end not in self.received[-100:]:
            piece = self._link.recv(1 << 20)
            assert piece, "the link was closed"
            self.received += piece

    @property
    def messages(self) -> bytes:
        """What the frames hold that carry data."""
        data, at = [], len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        while at < len(self.received):
            length, kind = int.from_bytes(self.received[at:at + 3], "big"), self.received[at + 3]
            at += 9
            data.append(self.received[at:at + length] if kind == 0 else b"")
            at += length
        return b"".join(data)

    def answer(self, call: Call, body: connector_pb2.BeginResponse) -> None:
        reply = connector_pb2.SessionReply(correlation_id=call.id, begin=body)
        message = connector_pb2.SessionResponse(replies=[reply]).SerializeToString()
        self._link.sendall(struct.pack(">IBIBI", len(message) + 5 << 8, 0, 1, 0, len(message)) + message)

    def close(self) -> None:
        self._listener.close()
        self._link.close()


class ReplyRecorder(Call):
    """A write of which nothing but its answer is asked."""

    def __init__(self) -> None:
        super().__init__(edb.Phase.EXECUTING, edb.Outcome.UNKNOWN)
        self.answers: List[Reply] = []

    def put(self, reply: Reply) -> None:
        self.answers.append(reply)


@pytest.fixture
def peer(tmp_path: pathlib.Path) -> Iterator[Peer]:
    standing_in = Peer(str(tmp_path / "peer"))
    yield standing_in
    standing_in.close()


@pytest.fixture
def session(peer: Peer, tmp_path: pathlib.Path) -> Iterator[ThreadSession]:
    opened = ThreadSession(f"unix:{tmp_path}/peer", 5.0)
    peer.accept()
    wait_until(lambda: opened._http2._connection_window > 65_535, "the window")
    yield opened
    opened.end("CLOSED", "the test has ended")


def submit(session: ThreadSession, request: bytes, kind: int = _wire.CALL_EXECUTE) -> ReplyRecorder:
    call = ReplyRecorder()
    session.submit(call, kind, request)
    return call


def test_nobody_waits_for_a_peer_that_does_not_read(peer: Peer, session: ThreadSession) -> None:
    begin = time.monotonic()
    large = submit(session, LARGE)
    assert session.abandon(large)
    assert time.monotonic() - begin < 5
    assert session.no_answer(large, 1).outcome is edb.Outcome.UNKNOWN  # The peer has a part of it.
    submit(session, b"the last")
    peer.read_until(b"the last")
    assert LARGE in peer.messages


def test_what_is_given_up_before_it_was_sent_is_never_sent(peer: Peer, session: ThreadSession) -> None:
    submit(session, LARGE)
    given_up = submit(session, b"given up")
    assert session.abandon(given_up)
    assert session.no_answer(given_up, 1).outcome is edb.Outcome.NOT_EXECUTED
    submit(session, b"the last")
    peer.read_until(b"the last")
    assert b"given up" not in peer.messages


def test_what_was_not_sent_when_the_link_broke_is_known_to_be_so(peer: Peer, session: ThreadSession) -> None:
    large, small = submit(session, LARGE), submit(session, b"small")
    peer.close()
    wait_until(lambda: large.answers and small.answers, "the loss")
    assert [call.answers[0].outcome for call in (large, small)] == [  # type: ignore[union-attr]
        edb.Outcome.UNKNOWN, edb.Outcome.NOT_EXECUTED]


def test_a_call_is_either_sent_or_given_up(peer: Peer, session: ThreadSession) -> None:
    def write(writer: int, unsent: List[bytes]) -> None:
        for number in range(300):
            request = b"<%d-%d>" % (writer, number)
            call = submit(session, request)
            assert session.abandon(call)
            if session.no_answer(call, 1).outcome is edb.Outcome.NOT_EXECUTED:
                unsent.append(request)

    not_executed: List[bytes] = []
    threads = [threading.Thread(target=write, args=(writer, not_executed)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    submit(session, b"the last")
    peer.read_until(b"the last")
    messages = peer.messages
    for writer in range(4):
        for number in range(300):
            request = b"<%d-%d>" % (writer, number)
            assert (request in messages) is (request not in not_executed)


def test_a_transaction_that_begins_too_late_is_rolled_back(peer: Peer, session: ThreadSession) -> None:
    late = submit(session, b"begin", _wire.CALL_BEGIN)
    assert session.abandon(late)
    peer.answer(late, connector_pb2.BeginResponse(transaction_id="nobody's"))
    peer.read_until(b"nobody's")
    rollback = connector_pb2.RollbackRequest(connection_id=session.connection_id, transaction_id="nobody's")
    request = connector_pb2.SessionCall(correlation_id=late.id + 1, rollback=rollback)
    assert connector_pb2.SessionRequest(calls=[request]).SerializeToString() in peer.messages


def test_an_interruption_while_sending_ends_the_session(session: ThreadSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(message: bytes) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(session._http2, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        submit(session, b"interrupted")
    assert session.ended  # The next call opens another.


def test_what_interrupts_a_thread_that_sends_is_told_so_at_once(peer: Peer, session: ThreadSession,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal's handler; here its place is taken by what is called in the middle of sending."""
    refused: List[edb.DatabaseError] = []
    write = session._http2.write

    def interrupted(message: bytes) -> bytes:
        monkeypatch.setattr(session._http2, "write", write)
        with pytest.raises(edb.DatabaseConnectionError) as caught:
            submit(session, b"from the handler")
        refused.append(caught.value)
        other = threading.Thread(target=submit, args=(session, b"from another thread"))
        other.start()
        other.join()
        return write(message)

    monkeypatch.setattr(session._http2, "write", interrupted)
    submit(session, b"interrupted")
    assert [(error.reason, error.outcome, error.retryable) for error in refused] == [
        ("INTERRUPTED_SENDER", edb.Outcome.NOT_EXECUTED, True)]
    submit(session, b"the last")
    peer.read_until(b"the last")
    assert b"interrupted" in peer.messages and b"from another thread" in peer.messages
    assert b"from the handler" not in peer.messages and len(session._calls) == 3


def test_a_session_that_could_not_be_opened_is_opened_later(config: edb.ConnectionConfig, gateway: Gateway,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    db = edb.PostgresSyncConnector(config, "unix:/nowhere/gateway.sock")
    start = threading.Thread.start

    def start_and_wait(thread: threading.Thread) -> None:  # It may well be done before its starter goes on.
        start(thread)
        thread.join() if thread.name == "engine-db-opening" else None

    monkeypatch.setattr(threading.Thread, "start", start_and_wait)
    with pytest.raises(edb.DatabaseConnectionError, match="can't reach"):
        db.connect()
    db._state.address = gateway.address
    assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]
    db._state.session.end("CLOSED", "by the test")  # type: ignore[union-attr]

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        db.execute("SELECT 1")
    monkeypatch.setattr(threading.Thread, "start", start)
    assert db.execute("SELECT 1 AS one").rows == [{"one": 1}]
    db.close()
