"""Where the gateway is, and the channel to it. For the package's own use."""

from __future__ import annotations

import os
from typing import Optional

import grpc

from engine_db_postgres.errors import DatabaseConnectionError, configuration_error, connection_error

_DEFAULT_ADDRESS = "127.0.0.1:50051"
_RECONNECT_BACKOFF_MIN_MS = 50
_RECONNECT_BACKOFF_MAX_MS = 1000


def gateway_address(address: Optional[str]) -> str:
    """`address`, or else the environment's ENGINE_DB_GATEWAY, or else 127.0.0.1:50051. Raises ConfigurationError."""
    chosen = address or os.environ.get("ENGINE_DB_GATEWAY") or _DEFAULT_ADDRESS
    if not _is_address(chosen):
        raise configuration_error("gateway", f'is HOST:PORT or unix:PATH, not "{chosen}"')
    return chosen


def _is_address(address: str) -> bool:
    """Whether gRPC would make of it what the caller means; it takes much for a host name, and 443 for the port."""
    if address.startswith("unix:"):
        return len(address) > len("unix:")
    host, colon, port = address.rpartition(":")
    return bool(colon and host) and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535


def open_channel(address: str) -> grpc.Channel:
    """A channel of the caller's own. Raises DatabaseConnectionError in a process where gRPC no longer works."""
    if _Fork.poisoned:
        raise forked_error()
    _Fork.in_use = True
    return grpc.insecure_channel(address, options=(
        ("grpc.max_receive_message_length", -1),  # A single row may be as large as PostgreSQL lets it.
        ("grpc.use_local_subchannel_pool", 1),  # Each connector has a connection of its own.
        # A gateway beside the application restarts in a moment; gRPC's own backoff grows to two minutes.
        ("grpc.initial_reconnect_backoff_ms", _RECONNECT_BACKOFF_MIN_MS),
        ("grpc.min_reconnect_backoff_ms", _RECONNECT_BACKOFF_MIN_MS),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_BACKOFF_MAX_MS),
        ("grpc.enable_http_proxy", 0),
    ))


class _Fork:
    """gRPC's threads do not live on in a forked child, so once it was in use nothing of it works there."""

    in_use = False
    poisoned = False


def _after_fork_in_child() -> None:
    _Fork.poisoned = _Fork.poisoned or _Fork.in_use


os.register_at_fork(after_in_child=_after_fork_in_child)


def is_forked() -> bool:
    """Whether this process was forked from one that had connected."""
    return _Fork.poisoned


def forked_error() -> DatabaseConnectionError:
    """What every operation raises then."""
    return connection_error(
        "FORKED", "this process was forked after its parent had connected, and gRPC does not work in such a child: "
        "connect after the fork only, or start processes by the methods spawn or forkserver")
