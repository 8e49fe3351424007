"""US-012: a stranger installs the package and uses it from its README."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import tarfile
from typing import Dict, Iterator, List

import pytest
from support.processes import Gateway, Postgres, running_gateway

from conftest import PACKAGE

README = (PACKAGE / "README.md").read_text()
SNIPPETS: List[str] = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def clean_environment() -> Dict[str, str]:
    """Without this checkout's package in the path."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_FIND_LINKS")}


def run(command: List[str], **options: object) -> str:
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=clean_environment(), **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A source distribution, unpacked far from the checkout."""
    folder = tmp_path_factory.mktemp("sdist")
    run([sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder), "sdist", "--dist-dir", str(folder)],
        cwd=PACKAGE)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(folder)
    return pathlib.Path(str(archive)[:-len(".tar.gz")])


@pytest.fixture(scope="module")
def python(source: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fresh virtual environment in which pip has installed it, without network, from what the distribution provides."""
    venv = tmp_path_factory.mktemp("venv")
    run([sys.executable, "-m", "venv", "--system-site-packages", str(venv)])
    run([str(venv / "bin" / "pip"), "install", "--no-index", "--no-build-isolation", "--quiet", str(source)], cwd="/")
    return str(venv / "bin" / "python")


def test_the_source_distribution_has_the_contract_and_no_generated_code(source: pathlib.Path) -> None:
    assert (source / "proto/engine/db/v1/connector.proto").exists() and (source / "engine_db_postgres/py.typed").exists()
    assert not list(source.rglob("*_pb2*"))


def test_it_installs_into_a_fresh_environment_and_imports(python: str) -> None:
    said = run([python, "-c", "import engine_db_postgres as e, importlib.metadata as m;"
                "print(e.__file__, m.version('engine-db-postgres') == e.__version__);"
                "from engine_db_postgres import PostgresSyncConnector, PostgresAsyncConnector, ConnectionConfig, PoolConfig,"
                " RetryConfig, DatabaseConnector, DatabaseConnectionError, DatabaseExecutionError, DatabaseTimeoutError,"
                " DatabaseTransactionError"], cwd="/")
    assert str(pathlib.Path(python).parents[1]) in said and said.rstrip().endswith("True")
    installed = pathlib.Path(said.split()[0]).parent
    assert (installed / "py.typed").exists() and (installed / "_proto" / "connector_pb2.pyi").exists()


def test_what_it_needs_is_declared(python: str) -> None:
    checked = subprocess.run([python, "-m", "pip", "check"], check=False, stdout=subprocess.PIPE, text=True, cwd="/")
    assert "engine-db-postgres" not in checked.stdout  # Whatever else the system's packages lack.
    requires = run([python, "-c", "import importlib.metadata as m; print(m.requires('engine-db-postgres'))"], cwd="/")
    assert "protobuf" in requires and "pydantic" in requires


@pytest.fixture(scope="module")
def tcp_gateway() -> Iterator[Gateway]:
    with running_gateway("127.0.0.1:0") as process:
        found = re.search(r"grpc=(\S+)", process.log)
        assert found
        process.address = found.group(1)
        yield process


def test_the_readme_has_snippets() -> None:
    assert len(SNIPPETS) >= 6


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_of_the_readme_runs(python: str, postgres: Postgres, tcp_gateway: Gateway, number: int) -> None:
    # Only where things are is another here: ports that are free.
    code = SNIPPETS[number].replace("127.0.0.1:50051", tcp_gateway.address)
    code = code.replace("port=5432", f"port={postgres.port}").replace("127.0.0.1:5432", f"127.0.0.1:{postgres.port}")
    environment = {**clean_environment(), "ENGINE_DB_GATEWAY": tcp_gateway.address}
    done = subprocess.run([python, "-W", "error::ResourceWarning", "-c", code], check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env=environment, cwd="/", timeout=120)
    assert done.returncode == 0, done.stdout
