"""Database URLs, read as the SDK and the gateway read them (tests/unit/config/urls.txt)."""

from __future__ import annotations

import re
import urllib.parse
from typing import Dict, Optional

from engine_db_postgres.errors import ConfigurationError, configuration_error

_LEAVE_OUT = "has no meaning for the gateway: leave it out"
_SEARCH_PATH = "can't be given in a URL: set it for the role (ALTER ROLE name IN DATABASE name SET search_path = ...)"
_OWN_CERTIFICATE = "is for a data source of the gateway, which has the files (tlsCertificate, tlsKey)"

# Parameters that have no meaning here, and what to do instead.
_ADVICE: Dict[str, str] = {
    "options": "can't be given in a URL: set them for the role (ALTER ROLE name IN DATABASE name SET ...); a CockroachDB "
               "cluster is named in front of the database (cluster.database), and a Neon endpoint is known by its host "
               "name",
    "schema": _SEARCH_PATH,
    "currentSchema": _SEARCH_PATH,
    "search_path": _SEARCH_PATH,
    "pgbouncer": "a pooler in transaction mode can't stand behind the gateway: give the direct address",
    "target_session_attrs": "can only be any: name the server that is meant as the host",
    "hostaddr": "give the address as the host",
    "gssencmode": "can only be disable: links are protected by TLS (sslmode)",
    "sslaccept": "use sslmode",
    "sslrootcert": "can only be system: the gateway checks the certificate, and its configuration names the authorities "
                   "(databaseRootCertificate)",
    "sslcert": _OWN_CERTIFICATE,
    "sslkey": _OWN_CERTIFICATE,
    "pool_timeout": "use timeout_ms",
    "socket_timeout": "use timeout_ms",
    "statement_timeout": "use timeout_ms",
    "pool_max_conns": "use max_pool_size",
    "pool_min_conns": "use min_pool_size",
    "fallback_application_name": "use application_name",
    **dict.fromkeys(("client_encoding", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
                     "tcp_user_timeout", "load_balance_hosts", "sslnegotiation", "sslsni", "sslcompression", "sslcrl",
                     "sslpassword", "require_auth", "statement_cache_size", "uselibpqcompat"), _LEAVE_OUT),
}
# Unless they say what is so anyway.
_HARMLESS: Dict[str, str] = {
    "pgbouncer": "false", "target_session_attrs": "any", "gssencmode": "disable", "sslrootcert": "system",
    "client_encoding": "UTF8", "keepalives": "1", "load_balance_hosts": "disable", "sslnegotiation": "postgres",
    "sslsni": "1", "sslcompression": "0",
}
_ENCODED = {"/": "%2F", "?": "%3F", "#": "%23"}


def settings_of_url(url: str) -> Dict[str, str]:
    """What from_map() takes."""
    scheme, found, rest = url.partition("://")
    if not found or scheme not in ("postgresql", "postgres"):
        raise configuration_error("url", "begins with postgresql:// or postgres://")
    settings: Dict[str, str] = {}

    def put(field: str, value: str) -> None:
        if value:
            _put(settings, field, _decoded(value))

    if "#" in rest:
        raise configuration_error("url", 'has no "#" unless percent-encoded (%23)')
    path, _, query = rest.partition("?")
    authority, _, dbname = path.partition("/")
    if "@" in dbname:
        raise configuration_error("url", 'has an "@" in the database\'s name: write %40')
    login, at, address = authority.rpartition("@")
    if at:
        user, _, password = login.partition(":")
        put("user", user)
        put("password", password)
    if address.startswith("["):  # An IPv6 address.
        host, _, after = address[1:].partition("]")
        port = after[1:] if after.startswith(":") else after
    else:
        host, _, port = address.partition(":")
    put("host", host)
    put("port", port)
    put("dbname", dbname)
    for pair in filter(None, query.split("&")):
        field, _, value = pair.partition("=")
        put(field, value)
    if settings.pop("sslrootcert", None) and settings.get("tls_mode") != "verify-full":
        raise configuration_error("url", "sslrootcert=system needs sslmode=verify-full")
    return settings


def misplaced_at(url: str) -> Optional[ConfigurationError]:
    """What is wrong with a faulty URL that has an "@" behind the first of "/?#": that is a piece of its password."""
    rest = url.partition("://")[2]
    end = re.search("[/?#]", rest)
    if end is None or "@" not in rest[end.start():]:
        return None
    return configuration_error(
        "url", f'has a "{end[0]}" in front of an "@": in a user name or password it is written {_ENCODED[end[0]]} '
               '(and an "@" that stands elsewhere %40)')


def _put(settings: Dict[str, str], field: str, value: str) -> None:
    if field == "sslmode":
        settings["tls_mode"] = value
    elif field == "ssl":
        if value != "true":
            raise configuration_error("url", "ssl can only be true: use sslmode")
        settings["tls_mode"] = "require"
    elif field == "connection_limit":
        settings["max_pool_size"] = value
    elif field == "connect_timeout":  # In seconds, or negative or 0 for as long as it takes.
        is_number = re.fullmatch("-?[0-9]{1,9}", value) is not None
        settings["connect_timeout_ms"] = str(1000 * max(int(value), 0)) if is_number else "x"
    elif field not in _ADVICE or field == "sslrootcert" and value == "system":
        settings[field] = value
    elif value != _HARMLESS.get(field):
        raise configuration_error("url", f"{field}: {_ADVICE[field]}")


def _decoded(value: str) -> str:
    pieces = value.split("%")[1:]
    try:
        if all(re.match("[0-9a-fA-F]{2}", piece) for piece in pieces):
            return urllib.parse.unquote(value, errors="strict")
    except UnicodeDecodeError:
        pass
    raise configuration_error("url", "has a broken %XX") from None
