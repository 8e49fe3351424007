"""US-002: what a configuration must be, before anything is opened."""

from __future__ import annotations

from typing import Any, Dict

import pydantic
import pytest

import engine_db_postgres as edb

GOOD: Dict[str, Any] = {"host": "db.example", "user": "engine", "dbname": "loyalty"}


def test_a_valid_configuration_passes_and_has_defaults() -> None:
    config = edb.ConnectionConfig(**GOOD)
    assert (config.port, config.min_pool_size, config.max_pool_size, config.timeout_ms) == (5432, 0, 10, 30_000)
    assert config.tls_mode is edb.TlsMode.PREFER and config.retry == edb.RetryConfig()
    assert config.pool == edb.PoolConfig()
    assert isinstance(config.port, int) and isinstance(config.timeout_ms, int)


@pytest.mark.parametrize("field", ["host", "user", "dbname"])
def test_a_missing_field_is_a_validation_error_that_names_it(field: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=field):
        edb.ConnectionConfig(**{name: value for name, value in GOOD.items() if name != field})
    with pytest.raises(pydantic.ValidationError, match=field):
        edb.ConnectionConfig(**{**GOOD, field: ""})


@pytest.mark.parametrize("field, value", [
    ("port", "5432"), ("port", "abc"), ("port", -1), ("port", 0), ("port", 65536), ("port", 1.5), ("port", True),
    ("host", 5), ("user", None), ("host", "h" * 256), ("user", "u" * 64), ("dbname", "ä" * 32), ("host", "a\0b"),
    ("min_pool_size", -1), ("max_pool_size", 0), ("max_pool_size", 1001), ("timeout_ms", 0), ("timeout_ms", 86_400_001),
    ("timeout_ms", "30000"), ("tls_mode", "sometimes"), ("retry", {"max_attempts": 0}), ("no_such_field", 1),
])
def test_an_invalid_field_is_a_validation_error_that_names_it(field: str, value: Any) -> None:
    with pytest.raises(pydantic.ValidationError, match=field):
        edb.ConnectionConfig(**{**GOOD, field: value})


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        edb.ConnectionConfig(**{**GOOD, "port": -1, "timeout_ms": 0, "max_pool_size": 5000})
    assert {error["loc"][0] for error in caught.value.errors()} == {"port", "timeout_ms", "max_pool_size"}


@pytest.mark.parametrize("low, high, good", [(0, 1, True), (1, 1, True), (10, 10, True), (1000, 1000, True), (2, 1, False),
                                             (11, 10, False)])
def test_pool_sizes_at_their_bounds(low: int, high: int, good: bool) -> None:
    if good:
        assert edb.PoolConfig(min_pool_size=low, max_pool_size=high).min_pool_size == low
    else:
        with pytest.raises(pydantic.ValidationError, match="min_pool_size"):
            edb.PoolConfig(min_pool_size=low, max_pool_size=high)
        with pytest.raises(pydantic.ValidationError, match="min_pool_size"):
            edb.ConnectionConfig(**GOOD, min_pool_size=low, max_pool_size=high)


@pytest.mark.parametrize("fields", [{"max_attempts": 101}, {"initial_delay_ms": -1}, {"multiplier": 0.5},
                                    {"multiplier": float("nan")}, {"initial_delay_ms": 100, "max_delay_ms": 99},
                                    {"max_delay_ms": 600_001}, {"budget_ms": -1}, {"budget_ms": 86_400_001}])
def test_a_wrong_retry_configuration_is_refused(fields: Dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError, match=list(fields)[-1]):
        edb.RetryConfig(**fields)


def test_backoff_grows_to_its_bound() -> None:
    retry = edb.RetryConfig(initial_delay_ms=100, max_delay_ms=1000, multiplier=3.0)
    assert [retry.max_delay_before(attempt) for attempt in range(1, 6)] == [0, 100, 300, 900, 1000]
    assert edb.RetryConfig(multiplier=10.0).max_delay_before(100) == 2000


def test_the_password_is_never_shown() -> None:
    config = edb.ConnectionConfig(**GOOD, password="canary-hunter2")
    assert "canary" not in repr(config) and "canary" not in str(config)
    for fields in ({"password": "canary" * 3000}, {"password": "canary\0"}, {"password": "canary", "port": -1}):
        with pytest.raises(pydantic.ValidationError) as caught:
            edb.ConnectionConfig(**{**GOOD, **fields})
        assert "canary" not in str(caught.value)


def test_a_configuration_does_not_change() -> None:
    config = edb.ConnectionConfig(**GOOD)
    with pytest.raises((TypeError, pydantic.ValidationError)):
        config.port = 1


def test_from_url() -> None:
    config = edb.ConnectionConfig.from_url(
        "postgresql://us%65r:p%40ss@[::1]:5433/my%20db?sslmode=verify-full&max_pool_size=4&retry.max_attempts=5")
    assert (config.host, config.port, config.user, config.dbname) == ("::1", 5433, "user", "my db")
    assert config.password.get_secret_value() == "p@ss" and config.tls_mode is edb.TlsMode.VERIFY_FULL
    assert config.max_pool_size == 4 and config.retry.max_attempts == 5
    other = edb.ConnectionConfig.from_url("postgres://h/d", user="me", password="x")
    assert (other.user, other.password.get_secret_value()) == ("me", "x")


@pytest.mark.parametrize("url", ["mysql://u:canary@h/d", "postgresql://u:canary%zz@h/d", "postgresql://u:canary@h:port/d",
                                 "postgresql://u:canary@h/d?nonsense=1", "u:canary@h", "postgresql://u:canary%ff@h/d"])
def test_a_wrong_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises((edb.ConfigurationError, pydantic.ValidationError)) as caught:
        edb.ConnectionConfig.from_url(url)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("address", ["nowhere", ":50051", "host:", "host:0", "host:99999", "unix:", "host:5x"])
def test_a_wrong_gateway_address_is_refused(address: str) -> None:
    with pytest.raises(edb.ConfigurationError, match="gateway"):
        edb.PostgresSyncConnector(edb.ConnectionConfig(**GOOD), address)


def test_the_gateway_s_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_DB_GATEWAY", "unix:/nowhere/gateway.sock")
    with pytest.raises(edb.DatabaseConnectionError, match="/nowhere/gateway.sock"):
        edb.PostgresSyncConnector(edb.DataSource(name="loyalty")).connect()


def test_what_is_no_target_is_refused() -> None:
    with pytest.raises(edb.ConfigurationError, match="target"):
        edb.PostgresSyncConnector("postgresql://u@h/d")  # type: ignore[arg-type]
    with pytest.raises(pydantic.ValidationError, match="name"):
        edb.DataSource(name="x" * 64)
