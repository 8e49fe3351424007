"""Starts PostgreSQL and the gateway for a test, and stops them by their process id."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from typing import Callable, Iterator, Mapping, Optional, TypeVar

START_TIMEOUT_S = 60.0  # Generous: the machine may be busy compiling.
T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, timeout_s: float = START_TIMEOUT_S) -> T:
    """Returns the first true value of `condition`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(0.01)


def hold_port() -> socket.socket:
    """A port of 127.0.0.1 that nobody else is given before it is closed, be it for listening or for a connection of their
    own. A server that is told to can listen on it all the same, and again after a restart, as both say SO_REUSEADDR."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def port_of(held: socket.socket) -> int:
    return int(held.getsockname()[1])


def postgres_program(name: str) -> str:
    folders = [pathlib.Path(os.environ[key]) for key in ("ENGINE_DB_POSTGRES_BINDIR",) if key in os.environ]
    installed = pathlib.Path("/usr/lib/postgresql")
    versions = [path for path in installed.glob("*") if path.name.isdigit()] if installed.exists() else []
    folders += [path / "bin" for path in sorted(versions, key=lambda path: -int(path.name))]
    for folder in folders:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return str(folder / name)
    raise RuntimeError("no PostgreSQL server is installed (looked below /usr/lib/postgresql)")


def _unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root: what starts a command as somebody else, if need be."""
    if os.geteuid() != 0:
        return []
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            return [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    raise RuntimeError("PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`")


class Process:
    """A child that dies with this process and is killed at the end."""

    def __init__(self, command: list[str], log: pathlib.Path, *, unprivileged: bool = False,
                 environment: Optional[Mapping[str, str]] = None, death_signal: str = "KILL") -> None:
        prefix = ["setpriv", f"--pdeathsig={death_signal}"] + (_unprivileged() if unprivileged else []) + ["--"]
        with open(log, "ab") as output:
            self._child = subprocess.Popen(prefix + command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                           env={**os.environ, **(environment or {})}, start_new_session=True)

    @property
    def pid(self) -> int:
        return self._child.pid

    def running(self) -> bool:
        return self._child.poll() is None

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        if self.running():
            self._child.send_signal(signal_number)
        try:
            self._child.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


class Postgres:
    """A private cluster with the role app (password "secret") and its database "app"."""

    user = "app"
    password = "secret"
    dbname = "app"
    host = "127.0.0.1"

    def __init__(self, **settings: str) -> None:
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="edb-pg-"))
        self._folder.chmod(0o755)
        self._data = self._folder / "data"
        self._process: Optional[Process] = None
        self._held = hold_port()
        self.port = port_of(self._held)
        self._initialize()
        merged = {
            "listen_addresses": self.host, "port": str(self.port), "unix_socket_directories": str(self._folder),
            "fsync": "off", "full_page_writes": "off", "max_connections": "150", "shared_buffers": "64MB",
            "dynamic_shared_memory_type": "mmap", "timezone": "UTC", "log_timezone": "UTC", **settings}
        text = "".join(f"{name} = '{value}'\n" for name, value in merged.items())
        (self._data / "postgresql.conf").write_text(text)
        (self._data / "pg_hba.conf").write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.start()

    def _initialize(self) -> None:
        command = [postgres_program("initdb"), "-D", str(self._data), "-U", "postgres", "-E", "UTF8",
                   "--locale=C.UTF-8", "--auth=trust", "--no-sync", "--no-instructions"]
        identity = _unprivileged()
        if identity:
            account = [word.split("=")[1] for word in identity[:2]]
            os.chown(self._folder, int(account[0]), int(account[1]))
            command = ["setpriv", *identity, "--", *command]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment, cwd=self._folder)
        # A server in single-user mode reads one statement a line, and needs no port.
        single = [postgres_program("postgres"), "--single", "-F", "-D", str(self._data), "postgres"]
        if identity:
            single = ["setpriv", *identity, "--", *single]
        statements = f"CREATE ROLE {self.user} LOGIN PASSWORD '{self.password}'\n" \
                     f"CREATE DATABASE {self.dbname} OWNER {self.user}\n"
        subprocess.run(single, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
                       cwd=self._folder, input=statements.encode())

    @property
    def _log(self) -> pathlib.Path:
        return self._folder / "postgres.log"

    def start(self) -> None:
        # SIGQUIT, so that it ends its own children.
        self._process = Process([postgres_program("postgres"), "-D", str(self._data)], self._log, unprivileged=True,
                                environment={"LC_ALL": "C.UTF-8", "TZ": "UTC"}, death_signal="QUIT")
        process = self._process

        def ready() -> bool:
            if not process.running():
                raise RuntimeError("PostgreSQL does not start:\n" + self._log.read_text())
            probe = subprocess.run([postgres_program("pg_isready"), "-q", "-h", str(self._folder), "-p",
                                    str(self.port), "-U", "postgres"], check=False)
            return probe.returncode == 0

        wait_until(ready, "PostgreSQL")

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGINT)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGQUIT)
            self._process = None
        self._held.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def psql(self, sql: str) -> str:
        """Runs SQL as the superuser, and returns what psql prints: cells by "|", rows by lines."""
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self._folder), "-p", str(self.port),
                               "-U", "postgres", "-d", self.dbname, "-c", sql],
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.rstrip("\n")

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.dbname}"


def gateway_program() -> str:
    """The gateway under test: ENGINE_DB_GATEWAY_PATH, or what the checkout's build has made."""
    named = os.environ.get("ENGINE_DB_GATEWAY_PATH")
    return named or str(pathlib.Path(__file__).parents[3] / "build" / "bin" / "engine-db-gateway")


class Gateway:
    """A gateway of its own on a unix socket, or where `listen` says."""

    def __init__(self, listen: Optional[str] = None, *arguments: str) -> None:
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="edb-gw-"))
        self.address = listen or f"unix:{self._folder}/gateway.sock"
        self._arguments = list(arguments)
        self._process: Optional[Process] = None
        self.start()

    def start(self) -> None:
        log = self._folder / "log"
        log.write_bytes(b"")
        command = [gateway_program(), "--listen", self.address, "--metrics-listen", "", *self._arguments]
        self._process = Process(command, log)
        process = self._process

        def ready() -> bool:
            if not process.running():
                raise RuntimeError("the gateway does not start:\n" + self.log)
            return "engine-db-gateway ready: " in self.log

        wait_until(ready, "the gateway")

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Every thread of it, which is not so yet when the signal has been sent."""
        threads = pathlib.Path(f"/proc/{self.pid}/task")

        def all_stopped() -> bool:
            try:
                return all("\nState:\tT" in (thread / "status").read_text() for thread in threads.iterdir())
            except OSError:  # One has just ended.
                return False

        os.kill(self.pid, signal.SIGSTOP)
        try:
            wait_until(all_stopped, "the gateway to stand still")
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Lets it shut down; returns when it has."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def running_postgres(**settings: str) -> Iterator[Postgres]:
    server = Postgres(**settings)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def running_gateway(listen: Optional[str] = None, *arguments: str) -> Iterator[Gateway]:
    gateway = Gateway(listen, *arguments)
    try:
        yield gateway
    finally:
        gateway.close()
