"""The rules stand in the contract's comments; here the package is held against them, and against the gateway, which checks the same
settings once more (tests/unit/config/rules_agree_test.cc does so for the other places)."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pydantic
import pytest
from support.processes import Gateway, hold_port, port_of, wait_until

import engine_db_postgres as edb
from conftest import HERE
from engine_db_postgres import _messages, _operations, _session, _wire, config, values
from engine_db_postgres._proto import config_pb2, connector_pb2
from engine_db_postgres._session import Call, Reply, ThreadSession

CONTRACT = HERE.parents[1] / "proto" / "engine" / "db" / "v1"
GOOD: Dict[str, Any] = {"host": "127.0.0.1", "user": "engine", "dbname": "loyalty"}


def comment(file: str, message: str, field: str) -> str:
    """What stands above a field, on one line, without the commas in numbers."""
    text = (CONTRACT / file).read_text()
    body = re.search(rf"^message {message} {{\n(.*?)^}}", text, re.MULTILINE | re.DOTALL)
    assert body, message
    found = re.search(rf"((?:^ *//.*\n)+) *(?:optional |repeated )?[\w.]+ {field} = \d+", body.group(1), re.MULTILINE)
    assert found, field
    return re.sub(r"(\d),(\d)", r"\1\2", re.sub(r"\s*\n?\s*//\s*", " ", found.group(1)))


def config_of(field: str, value: Any) -> Dict[str, Any]:
    """A configuration in which nothing but this field may be wrong."""
    beside: Dict[str, Any] = {"max_pool_size": 1000} if field == "min_pool_size" else {}
    if field.startswith("retry."):
        name = field[len("retry."):]
        return {**GOOD, "retry": {name: value, **({"max_delay_ms": 600_000} if name == "initial_delay_ms" else {})}}
    return {**GOOD, **beside, field: value}


def accepts(fields: Dict[str, Any]) -> bool:
    try:
        edb.ConnectionConfig(**fields)
        return True
    except pydantic.ValidationError:
        return False


def default_of(field: str) -> Any:
    config = edb.ConnectionConfig(**GOOD)
    return getattr(config.retry, field[len("retry."):]) if field.startswith("retry.") else getattr(config, field)


NUMBERS = [("ConnectionConfig", name) for name in ("port", "min_pool_size", "max_pool_size", "timeout_ms", "connect_timeout_ms")] + [
    ("RetrySettings", "retry." + name) for name in ("max_attempts", "initial_delay_ms", "max_delay_ms", "budget_ms")]


def test_nothing_of_the_contract_is_left_out() -> None:
    numbers = [field.name for message in (config_pb2.ConnectionConfig, config_pb2.RetrySettings)
               for field in message.DESCRIPTOR.fields if field.cpp_type == field.CPPTYPE_INT32]
    assert sorted(numbers) == sorted(name.rpartition(".")[2] for _, name in NUMBERS)
    assert {field.name for field in config_pb2.ConnectionConfig.DESCRIPTOR.fields} == set(
        GOOD) | {"password", "application_name", "tls_mode", "channel_binding", "retry"} | {name for _, name in NUMBERS if "." not in name}


@pytest.mark.parametrize("message, field", NUMBERS)
def test_a_number_has_the_range_and_the_default_of_the_contract(message: str, field: str) -> None:
    text = comment("config.proto", message, field.rpartition(".")[2])
    found = re.search(r"(\w+)(?: \([^)]*\))? to (\w+)", text)
    assert found and f"Default {default_of(field)}" in text
    for bound, beyond in ((found.group(1), -1), (found.group(2), 1)):
        if bound.isdigit():  # Else another field's value.
            assert accepts(config_of(field, int(bound))) and not accepts(config_of(field, int(bound) + beyond))


@pytest.mark.parametrize("field", ["host", "user", "password", "dbname", "application_name"])
def test_a_text_has_the_length_of_the_contract(field: str) -> None:
    found = re.search(r"at most (\d+) bytes", comment("config.proto", "ConnectionConfig", field), re.IGNORECASE)
    assert found
    limit = int(found.group(1))
    assert accepts({**GOOD, field: "x" * limit}) and not accepts({**GOOD, field: "x" * (limit + 1)})
    assert not accepts({**GOOD, field: "a\0b"}) and accepts({**GOOD, field: ""}) is (field in ("password", "application_name"))


@pytest.mark.parametrize("initial, given, expected", [
    (5000, None, 5000), (2001, None, 2001), (2000, None, 2000), (50, None, 2000), (60_000, None, 60_000), (5000, 6000, 6000),
    (5000, 4999, None), (60_001, None, None),
])
def test_the_longest_delay_s_default_gives_way_to_the_first_delay(initial: int, given: Optional[int],
                                                                 expected: Optional[int]) -> None:
    assert "or initial_delay_ms where that is more" in comment("config.proto", "RetrySettings", "max_delay_ms")
    fields = {"initial_delay_ms": initial, **({} if given is None else {"max_delay_ms": given})}
    if expected is None:
        with pytest.raises(pydantic.ValidationError):
            edb.RetryConfig(**fields)
        return
    assert edb.RetryConfig(**fields).max_delay_ms == expected
    texts = {f"retry.{name}": str(value) for name, value in fields.items()}
    assert edb.ConnectionConfig.from_map({**GOOD, **texts}).retry.max_delay_ms == expected


def limit(pattern: str, file: str, message: str, field: str) -> int:
    found = re.search(pattern, comment(file, message, field))
    assert found, comment(file, message, field)
    return int(found.group(1))


def test_the_other_limits_are_those_of_the_contract() -> None:
    assert _operations._MAX_IDEMPOTENCY_KEY_BYTES == limit(r"(\d+) bytes", "connector.proto", "ExecuteRequest", "idempotency_key")
    assert _session._MAX_CALLS_IN_MESSAGE == limit(r"(\d+)", "connector.proto", "SessionRequest", "calls")
    for size, good in ((128, True), (129, False)):
        assert "At most 128 bytes" in comment("value.proto", "Value", "type_name")
        try:
            values.encode_value(edb.Typed("x" * size, 1))
            assert good
        except ValueError:
            assert not good
    assert limit(r"up to (\d+)", "connector.proto", "TransactionOptions", "idle_timeout_ms") == _messages._HOUR_MS
    assert limit(r"up to (\d+)", "connector.proto", "TransactionOptions", "max_duration_ms") == _messages._DAY_MS


def shared_limits() -> Dict[str, float]:
    """The gateway's and the C++ client's list."""
    text = (HERE.parents[1] / "sdk" / "common" / "limits.h").read_text()
    found = re.findall(r"^inline constexpr \w+ (\w+) = ([^;]+);", text, re.MULTILINE)
    return {name: eval(re.sub(r"size_t\{(\d+)\}", r"\1", value).replace("'", "_")) for name, value in found}


def test_the_limits_are_those_of_the_gateway() -> None:
    ours = {
        "kMaxHostBytes": config._MAX_HOST, "kMaxNameBytes": config._MAX_NAME, "kMaxPasswordBytes": config._MAX_PASSWORD,
        "kDefaultMaxDelayMs": config._MAX_DELAY, "kMaxIdempotencyKeyBytes": _operations._MAX_IDEMPOTENCY_KEY_BYTES,
        "kMaxMessageBytes": _session.MAX_REQUEST_BYTES + 64, "kMaxCallsInMessage": _session._MAX_CALLS_IN_MESSAGE,
        "kMaxRunsInBatch": _operations.MAX_RUNS_IN_BATCH,
    }
    limits = shared_limits()
    assert ours.items() <= limits.items()
    # These are the gateway's to check.
    by_gateway = {"kMaxStatementBytes", "kMaxParameters"}
    # The package has these as bounds of its types.
    bounds = {"kMaxPoolSize": "max_pool_size", "kMaxTimeoutMs": "timeout_ms", "kMaxAttempts": "retry.max_attempts",
              "kMaxInitialDelayMs": "retry.initial_delay_ms", "kMaxMaxDelayMs": "retry.max_delay_ms"}
    for name, field in bounds.items():
        assert accepts(config_of(field, int(limits[name]))) and not accepts(config_of(field, int(limits[name]) + 1)), name
    assert accepts(config_of("retry.multiplier", limits["kMaxMultiplier"]))
    assert not accepts(config_of("retry.multiplier", limits["kMaxMultiplier"] + 0.1))
    assert limits["kMaxTypeNameBytes"] == 128  # See above.
    assert set(limits) == set(ours) | set(bounds) | by_gateway | {"kMaxMultiplier", "kMaxTypeNameBytes"}


# The gateway's own word on the same settings. Those that it takes lead to a port where nobody is.


class Asked(Call):
    def __init__(self) -> None:
        super().__init__(edb.Phase.CONNECTING, edb.Outcome.NOT_EXECUTED)
        self.answers: List[Reply] = []

    def put(self, reply: Reply) -> None:
        self.answers.append(reply)


@pytest.fixture
def nowhere() -> Iterator[int]:
    with hold_port() as held:
        yield port_of(held)


def cases() -> Iterator[Tuple[str, Any]]:
    for _, field in NUMBERS:
        for edge in (0, 1, 50, 100, 1000, 60_000, 65_535, 600_000, 86_400_000):
            yield from ((field, value) for value in (edge - 1, edge, edge + 1))
    for field in ("host", "user", "password", "dbname", "application_name"):
        for size in (0, 1, 63, 64, 255, 256, 1024, 1025, 1874, 16_384, 16_385):
            yield field, "x" * size
        yield field, "a\0b"
    for host in ("a,b", "@abstract", "/nowhere", "/nowhere,/tmp", "::1", "[::1]", "fe80::1%eth0", "a b", "postgresql://h", "h:5432",
                 "a_b", "a/b", "bücher.example"):
        yield "host", host


def test_the_gateway_takes_what_the_package_takes(gateway: Gateway, nowhere: int) -> None:
    session = ThreadSession(gateway.address, 5.0)
    disagreements: List[Tuple[str, Any]] = []
    refused = 0
    for field, value in cases():
        fields = config_of(field, value)
        # So that it fails at once where it is right.
        request = connector_pb2.ConnectRequest()
        request.config.retry.max_attempts = 1
        request.config.timeout_ms = 2000
        for name, content in {"port": nowhere, **fields}.items():
            if name == "retry":
                for part, number in content.items():
                    setattr(request.config.retry, part, number)
            else:
                setattr(request.config, name, content)
        if field in ("host", "timeout_ms", "retry.max_attempts") and accepts(fields):
            continue  # The gateway would try for as long as it says.
        call = Asked()
        session.submit(call, _wire.CALL_CONNECT, request.SerializeToString())
        wait_until(lambda: call.answers, f"the answer to {field}={str(value)[:20]}")
        answer = call.answers[0]
        assert isinstance(answer, tuple) and answer[0] == _wire.REPLY_ERROR
        error = _messages.read_error(answer[1])
        refused += error.kind is edb.ErrorKind.INVALID_REQUEST
        if (error.kind is edb.ErrorKind.INVALID_REQUEST) is accepts(fields):
            disagreements.append((field, str(value)[:30]))
    session.end("CLOSED", "the test has ended")
    assert disagreements == [] and refused > 50
