"""Where the gateway is. For the package's own use."""

from __future__ import annotations

import os
import socket
from typing import Optional, Tuple, Union

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


def open_socket(address: str, timeout_s: float) -> socket.socket:
    """A connected socket that blocks. Raises OSError."""
    where = endpoint(address)
    if isinstance(where, tuple):
        connected = socket.create_connection(where, timeout_s)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(timeout_s)
            connected.connect(where)
        except BaseException:
            connected.close()
            raise
    connected.settimeout(None)
    return connected
