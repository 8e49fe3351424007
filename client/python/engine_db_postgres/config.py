"""How to reach a database, checked before anything is opened.

A wrong field is pydantic's ``ValidationError``, with every fault at once. Works with pydantic 1 and 2 alike. Numbers are
numbers: a port given as text is refused, except by ``from_map()`` and ``from_url()``, which read texts.
"""

from __future__ import annotations

import enum
import math
import re
import urllib.parse
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Union

from pydantic import SecretStr

from engine_db_postgres._pydantic import Model, integer, real, text
from engine_db_postgres.errors import ConfigurationError, configuration_error

_MAX_HOST = 255
_MAX_NAME = 63  # PostgreSQL's NAMEDATALEN - 1.
_MAX_PASSWORD = 16_384
_MAX_DELAY = 2000
_HOST = re.compile(r"[A-Za-z0-9\-._:%]+")

if TYPE_CHECKING:
    from builtins import float as _Multiplier
    from builtins import int as _Attempts
    from builtins import int as _Budget
    from builtins import int as _InitialDelay
    from builtins import int as _MaxDelay
    from builtins import int as _MaxPool
    from builtins import int as _MinPool
    from builtins import int as _Port
    from builtins import int as _Timeout
    from builtins import str as _Required
    from builtins import str as _Text
else:
    _Port = integer(1, 65535)
    _MinPool = integer(0, 1000)
    _MaxPool = integer(1, 1000)
    _Timeout = integer(1, 86_400_000)
    _Attempts = integer(1, 100)
    _InitialDelay = integer(0, 60_000)
    _MaxDelay = integer(0, 600_000)
    _Budget = integer(0, 86_400_000)
    _Multiplier = real(1.0, 10.0)
    _Required = text(required=True)
    _Text = text()


class TlsMode(str, enum.Enum):
    """How the link to PostgreSQL is protected: libpq's sslmode."""

    DISABLE = "disable"  # Never TLS.
    PREFER = "prefer"  # TLS if the server offers it.
    REQUIRE = "require"  # TLS or nothing, without a look at the certificate.
    VERIFY_CA = "verify-ca"  # TLS with a certificate that a trusted authority signed.
    VERIFY_FULL = "verify-full"  # The same, and the certificate names the host. Recommended.


class RetryConfig(Model):
    """What is repeated after a transient failure, and how often.

    The delay before attempt n is a random time up to min(max_delay_ms, initial_delay_ms * multiplier**(n-2))
    ("full jitter").
    """

    # Attempts in all, the first included: 1 (never repeat) to 100.
    max_attempts: _Attempts = 3
    # 0 to 60,000.
    initial_delay_ms: _InitialDelay = 50
    # initial_delay_ms to 600,000. Left out, it is 2,000, or initial_delay_ms where that is more.
    max_delay_ms: _MaxDelay = _MAX_DELAY
    # 1.0 to 10.0.
    multiplier: _Multiplier = 2.0
    # No retry begins later than so long after the call (or run_transaction): 0 to 86,400,000. 0: no limit but the call's
    # timeout, which holds anyway.
    budget_ms: _Budget = 0

    @classmethod
    def filled(cls, values: Dict[str, Any]) -> Dict[str, Any]:
        """With a max_delay_ms that leaves the other its way."""
        initial = values.get("initial_delay_ms")
        if "max_delay_ms" not in values and type(initial) is int and initial > _MAX_DELAY:
            return {**values, "max_delay_ms": initial}
        return values

    def faults(self) -> List[str]:
        """What no single field can tell."""
        if self.max_delay_ms < self.initial_delay_ms:
            return [f"max_delay_ms: is initial_delay_ms ({self.initial_delay_ms}) to 600000, not {self.max_delay_ms}"]
        return []

    def max_delay_before(self, attempt: int) -> float:
        """The longest wait before `attempt` (from 2 on; 0 before the first), in milliseconds."""
        if attempt < 2:
            return 0.0
        exponent = min(attempt - 2, 100) if self.multiplier > 1 else 0
        return min(self.initial_delay_ms * math.pow(self.multiplier, exponent), float(self.max_delay_ms))


class PoolConfig(Model):
    """How many backends the gateway keeps for a target. Those who give the same settings share one pool."""

    # Backends kept open when idle: 0 to max_pool_size.
    min_pool_size: _MinPool = 0
    # Backends at most: 1 to 1000.
    max_pool_size: _MaxPool = 10
    # How long connecting may take, and a statement whose call names no timeout: 1 to 86,400,000.
    timeout_ms: _Timeout = 30_000

    def faults(self) -> List[str]:
        """What no single field can tell."""
        if self.min_pool_size > self.max_pool_size:
            return [f"min_pool_size: is 0 to max_pool_size ({self.max_pool_size}), not {self.min_pool_size}"]
        return []


class ConnectionConfig(PoolConfig):
    """One PostgreSQL server and database, how to log in, and how large a pool to keep."""

    # Host name, IP address, or the folder of a unix socket (begins with "/"). At most 255 bytes.
    host: _Required
    # 1 to 65535.
    port: _Port = 5432
    # Role to log in as. At most 63 bytes.
    user: _Required
    # Its password, at most 16,384 bytes; may be empty where the server asks for none. Never shown.
    password: SecretStr = SecretStr("")
    # At most 63 bytes.
    dbname: _Required
    tls_mode: TlsMode = TlsMode.PREFER
    # What pg_stat_activity shows. At most 63 bytes. Empty: the gateway's own name.
    application_name: _Text = ""
    # What is repeated, and how often.
    retry: RetryConfig = RetryConfig()

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            host: str,
            user: str,
            dbname: str,
            password: Union[str, SecretStr] = "",
            port: int = 5432,
            min_pool_size: int = 0,
            max_pool_size: int = 10,
            timeout_ms: int = 30_000,
            tls_mode: Union[TlsMode, str] = TlsMode.PREFER,
            application_name: str = "",
            retry: Union[RetryConfig, Mapping[str, Any]] = RetryConfig(),
        ) -> None: ...

    @property
    def pool(self) -> PoolConfig:
        """The pool's part."""
        return PoolConfig(
            min_pool_size=self.min_pool_size, max_pool_size=self.max_pool_size, timeout_ms=self.timeout_ms)

    def faults(self) -> List[str]:
        """What no single field can tell, and what is counted in bytes."""
        found = super().faults()
        limits = (("host", self.host, _MAX_HOST), ("user", self.user, _MAX_NAME),
                  ("password", self.password.get_secret_value(), _MAX_PASSWORD), ("dbname", self.dbname, _MAX_NAME),
                  ("application_name", self.application_name, _MAX_NAME))
        for field, value, limit in limits:
            size = len(value.encode("utf-8", "surrogatepass"))
            if size > limit:
                found.append(f"{field}: has at most {limit} bytes, not {size}")
            elif "\0" in value:
                found.append(f"{field}: has no NUL bytes")
        # Not what libpq would read as something else: several hosts ("a,b"), an abstract socket ("@…"), a URL.
        if self.host.startswith("/") or _HOST.fullmatch(self.host) or any(fault.startswith("host: ") for fault in found):
            return found
        return [*found, "host: is one host name, an IP address (no brackets), or the folder of a unix socket"]

    @classmethod
    def from_map(cls, settings: Mapping[str, str]) -> ConnectionConfig:
        """From texts, as environment variables and pipeline files have them.

        Keys are the fields' names ("port", "tls_mode", "retry.max_attempts"); what is left out keeps its default.
        """
        fields: Dict[str, Any] = {}
        retry: Dict[str, Any] = {}
        for key, value in settings.items():
            target, name = (retry, key[len("retry."):]) if key.startswith("retry.") else (fields, key)
            target[name] = _from_text(name, value)
        if retry:
            fields["retry"] = retry
        return cls(**fields)

    @classmethod
    def from_url(cls, url: str, user: Optional[str] = None, password: Optional[str] = None) -> ConnectionConfig:
        """From "postgresql://user:password@host:port/dbname?tls_mode=…" (or "postgres://"), percent-encoded where needed.

        After "?" come settings as in from_map(), and libpq's "sslmode" for tls_mode. `user` and `password` replace the
        URL's. Raises ConfigurationError or ValidationError, neither of which shows the URL.
        """
        settings = _settings_of_url(url)
        if user:
            settings["user"] = user
        if password:
            settings["password"] = password
        return cls.from_map(settings)


class DataSource(Model):
    """A target named in the gateway's own configuration, so that the caller need not know its password."""

    # 1 to 63 bytes.
    name: _Required

    if TYPE_CHECKING:

        def __init__(self, *, name: str) -> None: ...

    def faults(self) -> List[str]:
        """What is counted in bytes."""
        size = len(self.name.encode("utf-8", "surrogatepass"))
        return [f"name: has at most {_MAX_NAME} bytes, not {size}"] if size > _MAX_NAME else []


ConnectTarget = Union[ConnectionConfig, DataSource]

_INTEGERS = frozenset({"port", "min_pool_size", "max_pool_size", "timeout_ms", "max_attempts", "initial_delay_ms",
                       "max_delay_ms", "budget_ms"})


def _from_text(name: str, value: str) -> Any:
    """A number where the field is one and the text is one; else the text, for the model to refuse."""
    try:
        if name in _INTEGERS:
            return int(value)
        if name == "multiplier":
            return float(value)
    except ValueError:
        pass
    return value


def _settings_of_url(url: str) -> Dict[str, str]:
    scheme, found, rest = url.partition("://")
    if not found or scheme not in ("postgresql", "postgres"):
        raise configuration_error("url", "begins with postgresql:// or postgres://")
    settings: Dict[str, str] = {}

    def put(field: str, value: str) -> None:
        if not value:
            return
        try:
            settings[field] = urllib.parse.unquote(value, errors="strict")
        except UnicodeDecodeError:
            raise _broken(field) from None
        remaining = value.split("%")[1:]
        if any(len(piece) < 2 or not _is_hex(piece[:2]) for piece in remaining):
            raise _broken(field)

    path, _, query = rest.partition("?")
    authority, _, dbname = path.partition("/")
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
        put("tls_mode" if field == "sslmode" else field, value)
    return settings


def _is_hex(pair: str) -> bool:
    return all(digit in "0123456789abcdefABCDEF" for digit in pair)


def _broken(field: str) -> ConfigurationError:
    return configuration_error("url", f"has a broken %XX in {field}")
