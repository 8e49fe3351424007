"""Where the gateway is. For the package's own use."""

from __future__ import annotations

import os
import socket
import weakref
from typing import Any, Optional, Tuple, Union

from engine_db_postgres.errors import configuration_error

_DEFAULT_ADDRESS = "127.0.0.1:50051"

# A unix socket's path, or host and port.
Endpoint = Union[str, Tuple[str, int]]


def gateway_address(address: Optional[str]) -> str:
    """`address`, or else the environment's ENGINE_DB_GATEWAY, or else 127.0.0.1:50051. Raises ConfigurationError."""
    chosen = address or os.environ.get("ENGINE_DB_GATEWAY") or _DEFAULT_ADDRESS
    if not _is_address(chosen):
        raise configuration_error("gateway", f'is HOST:PORT or unix:PATH, not "{chosen}"')
    return chosen


def _is_address(address: str) -> bool:
    if "\0" in address:
        return False
    if address.startswith("unix:"):
        return len(address) > len("unix:")
    host, colon, port = address.rpartition(":")
    return bool(colon and host.strip("[]")) and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535


def endpoint(address: str) -> Endpoint:
    """Where a valid address leads to. unix:PATH and unix:///PATH are the same, as gRPC has it."""
    if address.startswith("unix:"):
        path = address[len("unix:"):]
        return path[2:] if path.startswith("///") else path
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


_connecting: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def open_socket(address: str, timeout_s: float) -> socket.socket:
    """A connected socket that blocks. Raises OSError."""
    where = endpoint(address)
    if isinstance(where, tuple):
        fault: OSError = ConnectionError("it has no address")
        for family, kind, protocol, _, found in socket.getaddrinfo(*where, type=socket.SOCK_STREAM):
            try:
                return _connected(socket.socket(family, kind, protocol), found, timeout_s)
            except OSError as error:
                fault = error
        raise fault
    return _connected(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), where, timeout_s)


def _connected(opened: socket.socket, where: Any, timeout_s: float) -> socket.socket:
    _connecting.add(opened)
    try:
        opened.settimeout(timeout_s)
        opened.connect(where)
        if opened.family != socket.AF_UNIX:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.settimeout(None)
        return opened
    except BaseException:
        opened.close()
        raise
    finally:
        _connecting.discard(opened)


def detach(descriptor: int) -> None:
    """In a forked child: makes a descriptor that is the parent's as well lead nowhere. It is not closed: whatever has it may close
    it yet, when it would be something else."""
    if descriptor < 0:
        return  # It is closed already.
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)


def _after_fork_in_child() -> None:
    for opened in list(_connecting):
        detach(opened.fileno())


os.register_at_fork(after_in_child=_after_fork_in_child)
