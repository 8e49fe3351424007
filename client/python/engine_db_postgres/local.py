"""A gateway of one's own: the sidecar as a child process on a private unix socket."""

from __future__ import annotations

import collections
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from typing import IO, Deque, List, Optional, cast

from engine_db_postgres import reasons
from engine_db_postgres._gateway import detach, open_socket
from engine_db_postgres.errors import DatabaseConnectionError, configuration_error, connection_error

_PROGRAM = "engine-db-gateway"
_STOP_TIMEOUT_S = 10.0
_MAX_SOCKET_PATH = 100  # sockaddr_un holds 107 bytes.
_KEPT_LOG_LINES = 50

# Ends the gateway when its own standard input ends, which it does when the parent does, however that happens. (A signal
# on the parent's death, as Linux has it, comes already when the thread ends that started the child.) The gateway is
# nobody's child then, so that its process id stays its own until it has ended.
_WATCHDOG = """
read -r nothing
kill -TERM "$1" 2>/dev/null
tries=0
while kill -0 "$1" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL "$1" 2>/dev/null
rm -rf -- "$2"
"""


def find_program(program: Optional[str]) -> str:
    """The gateway's binary: `program`, or else the environment's ENGINE_DB_GATEWAY_PATH, or else what PATH has, or what
    lies beside this Python. Raises ConfigurationError."""
    named = program or os.environ.get("ENGINE_DB_GATEWAY_PATH")
    if named:
        found = shutil.which(named)
        if found is None:
            raise configuration_error("program", f'there is no program "{named}"')
        return os.path.abspath(found)
    beside = os.path.join(os.path.dirname(sys.executable), _PROGRAM)
    found = shutil.which(_PROGRAM) or shutil.which(beside)
    if found is None:
        raise configuration_error("program", f"{_PROGRAM} is neither in PATH nor beside {sys.executable}; name it, or set "
                                  "ENGINE_DB_GATEWAY_PATH")
    return os.path.abspath(found)


class _Children:
    """The gateway, and who watches over it. Only the process that started them ends them."""

    def __init__(self, gateway: subprocess.Popen[bytes], watchdog: subprocess.Popen[bytes]) -> None:
        self.gateway = gateway
        self.watchdog = watchdog

    def stop(self) -> None:
        """The watchdog first: once the gateway is waited for, its process id may be another's."""
        self.watchdog.kill()
        self.watchdog.wait()
        self.gateway.terminate()
        try:
            self.gateway.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.gateway.kill()
            self.gateway.wait()
        for pipe in (self.watchdog.stdin, self.gateway.stdout):
            if pipe is not None:
                pipe.close()

    def leave_to_parent(self) -> None:
        """A forked child must not keep the gateway alive by holding the pipe open."""
        for pipe in (self.watchdog.stdin, self.gateway.stdout, self.gateway.stderr):
            if pipe is not None and not pipe.closed:
                detach(pipe.fileno())
        for process in (self.watchdog, self.gateway):
            process.returncode = 0  # They are not this process's to wait for.


_started: weakref.WeakSet[_Children] = weakref.WeakSet()
_gateways: weakref.WeakSet[LocalGateway] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for children in list(_started):
        children.leave_to_parent()
    for gateway in list(_gateways):
        gateway.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _clean_up(state: List[_Children], folder: str, owner: int) -> None:
    if os.getpid() != owner:
        return
    while state:
        state.pop().stop()
    shutil.rmtree(folder, ignore_errors=True)


class LocalGateway:
    """The gateway as a child process, on a unix socket in a folder that only this user may enter.

    It ends with close(), when the object goes, and when this process ends, however that happens. Any thread may call.

    A process forked from this one uses this process's gateway, which it does not end, or else starts one of its own.
    """

    def __init__(self, program: Optional[str] = None, *, start_timeout_ms: int = 10_000) -> None:
        """Starts nothing yet. Raises ConfigurationError when there is no such program."""
        self._program = find_program(program)
        self._start_timeout_ms = start_timeout_ms
        self._lock = threading.Lock()
        self._log: Deque[str] = collections.deque(maxlen=_KEPT_LOG_LINES)
        self._state: List[_Children] = []
        self._is_parents = False
        self._make_folder()
        _gateways.add(self)

    def _make_folder(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="engine-db-")  # With mode 0700.
        if len(self._folder) > _MAX_SOCKET_PATH - len("/gateway.sock"):
            os.rmdir(self._folder)
            self._folder = tempfile.mkdtemp(prefix="engine-db-", dir="/tmp")
        self._finalizer = weakref.finalize(self, _clean_up, self._state, self._folder, os.getpid())

    def leave_to_parent(self) -> None:
        """In a forked child."""
        self._lock = threading.Lock()  # Another thread may have had it.
        self._is_parents = True
        self._state = []

    @property
    def address(self) -> str:
        return f"unix:{self._folder}/gateway.sock"

    @property
    def pid(self) -> Optional[int]:
        """The gateway's, while there is one of this process's own."""
        return self._state[0].gateway.pid if self._state else None

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not closed."""
        return _answers(self.address) if self._is_parents else bool(self._state)

    @property
    def log(self) -> str:
        """The last lines that it wrote to standard error."""
        return "\n".join(self._log)

    def start(self) -> None:
        """Returns when it takes calls; at once when it runs already. Raises DatabaseConnectionError, with what the gateway
        said, when it does not start."""
        with self._lock:
            if self._is_parents:
                if _answers(self.address):
                    return
                self._make_folder()
                self._is_parents = False
            if self._state and self._state[0].gateway.returncode is None and self._alive():
                return
            while self._state:
                self._state.pop().stop()
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._start()

    def _alive(self) -> bool:
        """Without waiting for it, which would give its process id away while the watchdog still knows it."""
        ended = os.waitid(os.P_PID, self._state[0].gateway.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is None

    def _start(self) -> None:
        self._log.clear()
        command = [self._program, "--listen", self.address, "--metrics-listen", ""]
        try:
            # A session of its own: a Ctrl-C on the terminal is for the application, which then ends the gateway.
            gateway = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, start_new_session=True)
        except OSError as fault:
            raise connection_error(reasons.GATEWAY_NOT_STARTED, f"{self._program} can't be started: {fault.strerror}") from None
        watchdog = subprocess.Popen(["/bin/sh", "-c", _WATCHDOG, "sh", str(gateway.pid), self._folder],
                                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    start_new_session=True)
        children = _Children(gateway, watchdog)
        _started.add(children)
        reader = threading.Thread(target=_keep_lines, args=(gateway, self._log), name="engine-db-gateway-log", daemon=True)
        reader.start()
        try:
            self._wait_ready(gateway)
        except BaseException as fault:
            children.stop()
            reader.join(1.0)
            if isinstance(fault, DatabaseConnectionError) and self._log:
                raise connection_error(fault.reason, f"{fault.message}:\n{self.log}") from None
            raise
        self._state.append(children)

    def _wait_ready(self, gateway: subprocess.Popen[bytes]) -> None:
        stdout = cast(IO[bytes], gateway.stdout)
        deadline = time.monotonic() + self._start_timeout_ms / 1000
        output = b""
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        while b"ready: " not in output or not output.endswith(b"\n"):
            left_ms = (deadline - time.monotonic()) * 1000
            if left_ms <= 0:
                raise connection_error(reasons.GATEWAY_NOT_STARTED,
                                       f"the gateway was not ready within {self._start_timeout_ms} ms")
            if not poll.poll(left_ms):
                continue
            piece = os.read(stdout.fileno(), 4096)
            if not piece:
                raise connection_error(reasons.GATEWAY_NOT_STARTED, "the gateway ended before it was ready")
            output += piece

    def close(self) -> None:
        """Ends the gateway. May be repeated, and start() may follow it."""
        with self._lock:
            if self._is_parents:
                return
            while self._state:
                self._state.pop().stop()
            shutil.rmtree(self._folder, ignore_errors=True)


def _answers(address: str) -> bool:
    try:
        open_socket(address, 1.0).close()
    except OSError:
        return False
    return True


def _keep_lines(gateway: subprocess.Popen[bytes], log: Deque[str]) -> None:
    with cast(IO[bytes], gateway.stderr) as lines:
        for line in lines:
            log.append(line[:2000].decode(errors="replace").rstrip("\n"))
