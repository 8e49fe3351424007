"""gRPC's framing for one bidirectional stream on a connection of its own, without any I/O. For the package's own use.

Why not grpcio: there, a call from a thread passes through three other threads (the one that takes requests, the one that
polls, the one that reads), and each hand-over waits for the interpreter's lock. Measured with 16 threads, that cost more
than all the rest of the call. Here whoever has something to send writes it, and whoever reads hands out what came.

What is needed of HTTP/2 (RFC 9113) is little: one stream, requests of a few headers, answers whose headers matter only when
the stream ends, and flow control. HPACK's dynamic table is switched off, and text in its Huffman code is not decoded: it
could only be the wording of an error.
"""

from __future__ import annotations

import struct
from typing import Dict, List, Optional, Tuple, Union
from urllib.parse import unquote

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_STREAM = 1
# The contract's credit bounds what is on its way, so HTTP/2's own windows are as wide as they get.
_MAX_WINDOW = (1 << 31) - 1
_DEFAULT_WINDOW = 65_535
_WINDOW_PIECE = 1 << 30
_MAX_FRAME = 1 << 16  # That we take.
_SETTING_HEADER_TABLE, _SETTING_PUSH, _SETTING_WINDOW, _SETTING_FRAME = 1, 2, 4, 5
_MAX_HEADERS = 1 << 16

# What a gRPC server may end a stream with; for people.
_STATUS_NAMES = {"1": "CANCELLED", "4": "DEADLINE_EXCEEDED", "7": "PERMISSION_DENIED", "8": "RESOURCE_EXHAUSTED",
                 "12": "UNIMPLEMENTED", "13": "INTERNAL", "14": "UNAVAILABLE", "16": "UNAUTHENTICATED"}
# HPACK's static table (RFC 7541, appendix A), as far as names matter here.
_STATIC_STATUS = {8: "200", 9: "204", 10: "206", 11: "304", 12: "400", 13: "404", 14: "500"}


class ProtocolError(Exception):
    """The peer does not speak what it should."""


def _frame(kind: int, flags: int, stream: int, payload: Union[bytes, memoryview]) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def _integer(number: int, bits: int, first: int) -> bytes:
    """HPACK's integer (RFC 7541, section 5.1)."""
    limit = (1 << bits) - 1
    if number < limit:
        return bytes((first | number,))
    encoded = bytearray((first | limit,))
    number -= limit
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _header(name: bytes, value: bytes) -> bytes:
    """A literal field that no table remembers."""
    return b"\x00" + _integer(len(name), 7, 0) + name + _integer(len(value), 7, 0) + value


class Http2Stream:
    """One gRPC stream: bytes that came go in, messages come out, and the other way round. One thread may write and another
    receive at the same time; each of them is to be one at a time."""

    def __init__(self, path: str, authority: str, user_agent: str) -> None:
        self._opening = b"".join((
            _PREFACE,
            _frame(_SETTINGS, 0, 0, struct.pack(">HIHIHIHI", _SETTING_HEADER_TABLE, 0, _SETTING_PUSH, 0, _SETTING_WINDOW,
                                                _MAX_WINDOW, _SETTING_FRAME, _MAX_FRAME)),
            _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _MAX_WINDOW - _DEFAULT_WINDOW)),
            _frame(_HEADERS, _END_HEADERS, _STREAM, b"".join((
                b"\x83\x86",  # :method POST, :scheme http
                _header(b":path", path.encode()), _header(b":authority", authority.encode()),
                _header(b"te", b"trailers"), _header(b"content-type", b"application/grpc"),
                _header(b"user-agent", user_agent.encode())))),
        ))
        # Why the stream ended, for people; None while it has not.
        self.ended: Optional[str] = None
        # What the receiver has to say: acknowledgements. For the writer.
        self.control: List[bytes] = []

        # The writer's. The windows are also the receiver's, who only adds to them.
        self._peer_frame = 16_384
        self._connection_window = _DEFAULT_WINDOW
        self._stream_window = _DEFAULT_WINDOW
        self._spent = 0
        self._blocked: List[Union[bytes, memoryview]] = []

        # The receiver's.
        self._peer_initial_window = _DEFAULT_WINDOW
        self._rest = b""
        self._pieces: List[bytes] = []
        self._have = 0
        self._need = 5
        self._received = 0
        self._headers = b""
        self._headers_flags = 0

    # Writing.

    def write(self, message: Optional[bytes]) -> bytes:
        """What to send for `message`, or for what has been held back; nothing when the peer's window is too small."""
        parts: List[bytes] = []
        if self._opening:
            parts.append(self._opening)
            self._opening = b""
        while self.control:
            parts.append(self.control.pop(0))
        if message is not None:
            self._blocked.append(b"\0" + struct.pack(">I", len(message)) + message)
        while self._blocked:
            data = self._blocked[0]
            room = min(self._connection_window, self._stream_window) - self._spent
            size = min(len(data), self._peer_frame, room)
            if size <= 0:
                break
            parts.append(_frame(_DATA, 0, _STREAM, data if size == len(data) else data[:size]))
            self._spent += size
            if size == len(data):
                self._blocked.pop(0)
            else:
                self._blocked[0] = memoryview(data)[size:]  # Copies of the rest would add up to many times the message.
        return b"".join(parts)

    @property
    def has_to_write(self) -> bool:
        """Whether write(None) may have something."""
        return bool(self.control) or (bool(self._blocked)
                                      and min(self._connection_window, self._stream_window) > self._spent)

    # Receiving.

    def receive(self, data: bytes) -> List[bytes]:
        """The messages that are complete now. Raises ProtocolError."""
        if self._rest:
            data = self._rest + data
        messages: List[bytes] = []
        at, end = 0, len(data)
        while end - at >= 9:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if length > _MAX_FRAME:
                raise ProtocolError("a frame that is too large; is this a gRPC server?")
            begin = at + 9
            stop = begin + length
            if stop > end:
                break
            kind, flags = data[at + 3], data[at + 4]
            if kind == _DATA:
                self._take_data(flags, data[begin:stop], messages)
            else:
                self._take(kind, flags, data[at + 5:begin], data[begin:stop])
            at = stop
        self._rest = data[at:]
        return messages

    def _take_data(self, flags: int, payload: bytes, messages: List[bytes]) -> None:
        self._received += len(payload)
        if self._received >= _WINDOW_PIECE:
            more = struct.pack(">I", self._received)
            self.control.append(_frame(_WINDOW_UPDATE, 0, 0, more) + _frame(_WINDOW_UPDATE, 0, _STREAM, more))
            self._received = 0
        if flags & _PADDED:
            payload = payload[1:len(payload) - payload[0]]
        self._pieces.append(payload)
        self._have += len(payload)
        if self._have >= self._need:
            body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            at, end = 0, len(body)
            self._need = 5
            while end - at >= 5:
                if body[at]:
                    raise ProtocolError("a compressed message")
                length = int.from_bytes(body[at + 1:at + 5], "big")
                if end - at - 5 < length:
                    self._need = 5 + length
                    break
                at += 5
                messages.append(body[at:at + length])
                at += length
            rest = body[at:]
            self._pieces = [rest] if rest else []
            self._have = len(rest)
        if flags & _END_STREAM:
            self._end("the stream ended")

    def _take(self, kind: int, flags: int, stream: bytes, payload: bytes) -> None:
        if kind == _SETTINGS:
            if not flags & _ACK:
                self._take_settings(payload)
        elif kind == _PING:
            if not flags & _ACK:
                self.control.append(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW_UPDATE:
            more = int.from_bytes(payload, "big") & _MAX_WINDOW
            if stream[3]:
                self._stream_window += more
            else:
                self._connection_window += more
        elif kind in (_HEADERS, _CONTINUATION):
            self._take_headers(kind, flags, payload)
        elif kind == _RST_STREAM:
            self._end(f"the stream was reset (code {int.from_bytes(payload, 'big')})")
        elif kind == _GOAWAY:
            # Calls under way may still be answered, until the stream ends.
            if int.from_bytes(payload[:4], "big") & _MAX_WINDOW < _STREAM:
                self._end("the server is going away")

    def _take_settings(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload[:len(payload) // 6 * 6]):
            if name == _SETTING_WINDOW:
                self._stream_window += value - self._peer_initial_window
                self._peer_initial_window = value
            elif name == _SETTING_FRAME:
                self._peer_frame = min(value, 1 << 20)
        self.control.append(_frame(_SETTINGS, _ACK, 0, b""))

    def _take_headers(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == _HEADERS:
            if flags & _PADDED:
                payload = payload[1:len(payload) - payload[0]]
            if flags & _PRIORITY:
                payload = payload[5:]
            self._headers, self._headers_flags = b"", flags
        self._headers += payload
        if len(self._headers) > _MAX_HEADERS:
            raise ProtocolError("headers that are too large")
        if not flags & _END_HEADERS:
            return
        fields = read_headers(self._headers)
        status = fields.get("grpc-status", "")
        if self._headers_flags & _END_STREAM:
            name = _STATUS_NAMES.get(status, f"status {status}" if status not in ("", "0") else "the stream ended")
            message = unquote(fields.get("grpc-message", ""))
            self._end(f"{name}: {message}" if message else name)
        elif fields.get(":status", "200") != "200":
            self._end(f"HTTP status {fields[':status']}; is this the gateway?")

    def _end(self, why: str) -> None:
        if self.ended is None:
            self.ended = why


def read_headers(block: bytes) -> Dict[str, str]:
    """The fields of a header block that are written out (RFC 7541, section 6); others are left out. Raises ProtocolError."""
    fields: Dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            first = block[at]
            if first & 0x80:  # Indexed.
                index, at = _read_integer(block, at, 7)
                if index in _STATIC_STATUS:
                    fields[":status"] = _STATIC_STATUS[index]
                continue
            if first & 0xE0 == 0x20:  # The size of the dynamic table.
                _, at = _read_integer(block, at, 5)
                continue
            index, at = _read_integer(block, at, 6 if first & 0x40 else 4)
            name = ":status" if index in _STATIC_STATUS else ""
            if index == 0:
                name, at = _read_text(block, at)
            value, at = _read_text(block, at)
            if name:
                fields[name] = value
    except IndexError:
        raise ProtocolError("broken headers") from None
    return fields


def _read_integer(block: bytes, at: int, bits: int) -> Tuple[int, int]:
    limit = (1 << bits) - 1
    number = block[at] & limit
    at += 1
    if number < limit:
        return number, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        number += (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at
        if shift > 28:
            raise ProtocolError("broken headers")


def _read_text(block: bytes, at: int) -> Tuple[str, int]:
    """A text; empty if it is in the Huffman code."""
    huffman = block[at] & 0x80
    length, at = _read_integer(block, at, 7)
    if at + length > len(block):
        raise ProtocolError("broken headers")
    return "" if huffman else block[at:at + length].decode("utf-8", "replace"), at + length
