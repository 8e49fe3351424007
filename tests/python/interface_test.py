"""US-001: the interface that engine-core imports."""

from __future__ import annotations

import asyncio
import inspect
import pathlib
import subprocess
import sys

import pytest

import engine_db_postgres as edb
from conftest import BUILT, HERE, PACKAGE

EXAMPLES = HERE.parents[1] / "sdk" / "examples" / "python"
sys.path.insert(0, str(EXAMPLES))

import engine_core  # noqa: E402
import mock_connector  # noqa: E402

MYPY = ["mypy", "--config-file", str(PACKAGE / "pyproject.toml"), "--no-error-summary"]


def mypy(cache: pathlib.Path, *files: pathlib.Path) -> str:
    """What it has to say; nothing when all is well."""
    done = subprocess.run([*MYPY, "--cache-dir", str(cache), *map(str, files)], check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, cwd=BUILT,
                          env={"MYPYPATH": f"{BUILT / 'lib'}:{EXAMPLES}", "PATH": "/usr/bin:/bin:/usr/local/bin"})
    return done.stdout


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("mypy")


def test_a_class_that_lacks_a_method_cannot_be_made() -> None:
    class Lacking(edb.DatabaseConnector):
        def connect(self) -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Lacking()  # type: ignore[abstract]


@pytest.mark.parametrize("interface, names", [
    (edb.DatabaseConnector, ["connect", "execute", "begin", "commit", "rollback", "close"]),
    (edb.AsyncDatabaseConnector, ["async_connect", "async_execute", "async_begin", "async_commit", "async_rollback",
                                  "async_close"]),
])
def test_the_interface_has_the_operations_of_the_story_and_documents_them(interface: type, names: list[str]) -> None:
    assert sorted(interface.__abstractmethods__) == sorted(names)  # type: ignore[attr-defined]
    for name in names:
        assert inspect.getdoc(getattr(interface, name))
        assert inspect.iscoroutinefunction(getattr(interface, name)) is name.startswith("async_")


def test_the_package_and_the_examples_are_strictly_typed(cache: pathlib.Path) -> None:
    assert mypy(cache, BUILT / "lib" / "engine_db_postgres", EXAMPLES / "engine_core.py",
                EXAMPLES / "mock_connector.py") == ""


RIGHT = """
from typing import Any, Optional, Sequence
import engine_db_postgres as edb
class Mine(edb.DatabaseConnector):
    def connect(self) -> None: ...
    def execute(self, sql: str, params: Sequence[Any] = (), *, timeout_ms: Optional[int] = None) -> edb.Result:
        return edb.Result.from_rows([])
    def begin(self, options: edb.TransactionOptions = edb.TransactionOptions()) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...
connector: edb.DatabaseConnector = Mine()
other: edb.DatabaseConnector = edb.PostgresSyncConnector(edb.DataSource(name="x"))
"""


WRONG = {
    "an_argument_s_type": ("sql: str, params: Sequence[Any] = ()", "sql: int, params: Sequence[Any] = ()",
                           "incompatible with supertype"),
    "an_argument_less": ("sql: str, params: Sequence[Any] = ()", "sql: str", "incompatible with supertype"),
    "a_method_less": ("def close(self) -> None: ...", "", "abstract"),
    "a_coroutine": ("def commit(self) -> None: ...", "async def commit(self) -> None: ...", "incompatible with"),
    "the_other_interface": ('edb.PostgresSyncConnector(edb.DataSource(name="x"))',
                            'edb.PostgresAsyncConnector(edb.DataSource(name="x"))', "Incompatible types in assignment"),
}


def test_a_wrong_signature_fails_type_checking_and_the_right_one_passes(cache: pathlib.Path,
                                                                       tmp_path: pathlib.Path) -> None:
    (tmp_path / "right.py").write_text(RIGHT)
    for name, (right, wrong, _) in WRONG.items():
        assert right in RIGHT
        (tmp_path / f"{name}.py").write_text(RIGHT.replace(right, wrong))
    complaints = mypy(cache, *tmp_path.glob("*.py"))  # At once, since it takes long to begin.
    assert "right.py" not in complaints
    for name, (_, _, complaint) in WRONG.items():
        assert any(f"{name}.py" in line and complaint in line for line in complaints.splitlines()), (name, complaints)


BEFORE = {"receive-customer-kafka": {"customerId": "C-1"}, "calculate-min-start-date": {"minStartDate": "2020-01-01"}}


def test_engine_core_runs_its_steps_over_a_mock() -> None:
    mock = mock_connector.MockConnector({engine_core.LOYALTY[0].query: [{"loyaltyscore": 7}]})
    outputs = engine_core.Engine(mock).run(engine_core.LOYALTY, dict(BEFORE))
    assert outputs["query-loyalty-score"] == {"loyaltyScore": 7}
    assert [name for name, _ in mock.calls] == ["connect", "begin", engine_core.LOYALTY[0].query, "commit"]
    assert mock.calls[2][1] == ("C-1", "2020-01-01", edb.CURRENT_TIMESTAMP)


def test_async_engine_core_runs_its_steps_over_a_mock() -> None:
    mock = mock_connector.MockAsyncConnector({engine_core.LOYALTY[0].query: [{"loyaltyscore": 7}]})
    outputs = asyncio.run(engine_core.AsyncEngine(mock).run(engine_core.LOYALTY, dict(BEFORE)))
    assert outputs["query-loyalty-score"] == {"loyaltyScore": 7}


def test_the_mock_keeps_the_interface_s_rules() -> None:
    mock = mock_connector.MockConnector()
    with pytest.raises(edb.DatabaseConnectionError):
        mock.execute("SELECT 1")
    mock.connect()
    with pytest.raises(edb.DatabaseTransactionError):
        mock.commit()


def test_engine_core_holds_the_real_connectors_the_same_way(config: edb.ConnectionConfig, gateway: object,
                                                            postgres: object) -> None:
    getattr(postgres, "psql")(
        "DROP TABLE IF EXISTS loyaltyPoints; CREATE TABLE loyaltyPoints (customer_id text, ORDERDATE date);"
        "INSERT INTO loyaltyPoints VALUES ('C-1', '2024-05-01'), ('C-1', '2019-01-01'), ('C-2', '2024-05-01');"
        "GRANT SELECT ON loyaltyPoints TO app")
    address = getattr(gateway, "address")
    with edb.PostgresSyncConnector(config, address) as connector:
        assert engine_core.Engine(connector).run(engine_core.LOYALTY, dict(BEFORE))["query-loyalty-score"] == {
            "loyaltyScore": 1}

    async def work() -> None:
        async with edb.PostgresAsyncConnector(config, address) as connector:
            outputs = await engine_core.AsyncEngine(connector).run(engine_core.LOYALTY, dict(BEFORE))
            assert outputs["query-loyalty-score"] == {"loyaltyScore": 1}

    asyncio.run(work())
