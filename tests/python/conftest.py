"""Builds the package as pip would and puts it in the path; starts PostgreSQL and the gateway once for all tests."""

from __future__ import annotations

import fcntl
import os
import pathlib
import subprocess
import sys
from typing import Iterator

import pytest

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "client" / "python"
BUILT = pathlib.Path(os.environ.get("ENGINE_DB_PYTHON_BUILD", HERE.parents[1] / "build" / "python"))


def _build() -> None:
    BUILT.mkdir(parents=True, exist_ok=True)
    with open(BUILT / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(BUILT), "build", "--build-base",
                        str(BUILT / "work"), "--build-lib", str(BUILT / "lib")], cwd=PACKAGE, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


_build()
sys.path[:0] = [str(BUILT / "lib"), str(HERE)]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(BUILT / "lib"), os.environ.get("PYTHONPATH")]))

from support.processes import (  # noqa: E402
    Gateway, Postgres, gateway_program, hold_port, port_of, running_gateway, running_postgres)

import engine_db_postgres as edb  # noqa: E402

os.environ["ENGINE_DB_GATEWAY_PATH"] = gateway_program()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        server.psql("GRANT ALL ON SCHEMA public TO app")
        yield server


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    with running_gateway() as process:
        yield process


@pytest.fixture(params=["unix", "tcp"])
def own_gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """For a test that stops or kills it."""
    with hold_port() as held:
        with running_gateway(None if request.param == "unix" else f"127.0.0.1:{port_of(held)}") as process:
            yield process


@pytest.fixture
def config(postgres: Postgres) -> edb.ConnectionConfig:
    return edb.ConnectionConfig(host=postgres.host, port=postgres.port, user=postgres.user, password=postgres.password,
                                dbname=postgres.dbname)


@pytest.fixture
def db(config: edb.ConnectionConfig, gateway: Gateway) -> Iterator[edb.PostgresSyncConnector]:
    with edb.PostgresSyncConnector(config, gateway.address) as connector:
        yield connector


@pytest.fixture
def items(postgres: Postgres) -> Iterator[str]:
    """An empty table (id int primary key, name text)."""
    postgres.psql("DROP TABLE IF EXISTS items; CREATE TABLE items (id int PRIMARY KEY, name text);"
                  "ALTER TABLE items OWNER TO app")
    yield "items"
