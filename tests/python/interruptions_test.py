"""Interruptions, signals, forks and forgotten close(): each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from support.processes import Gateway, Postgres, wait_until

PRELUDE = """
import os, signal, sys, threading, time
import engine_db_postgres as edb
signal.signal(signal.SIGINT, signal.default_int_handler)  # Whatever started the tests may ignore it.
config = edb.ConnectionConfig.from_url(sys.argv[1])
db = edb.PostgresSyncConnector(config, sys.argv[2])
db.connect()
"""


def script(postgres: Postgres, gateway: Gateway, code: str) -> subprocess.Popen[str]:
    # Python 3.12 and later warn of a fork of "This process", which has threads.
    return subprocess.Popen([sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", PRELUDE + code,
                             postgres.url, gateway.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def said(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=120)[0]
    finally:
        process.kill()
        process.wait()


def test_control_c_cancels_the_statement(postgres: Postgres, gateway: Gateway) -> None:
    process = script(postgres, gateway, """
try:
    db.execute("SELECT pg_sleep(60), 'control-c'")
except KeyboardInterrupt:
    print("interrupted", db.execute("SELECT 1 AS one").rows)
db.close()
""")
    sleeping = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%control-c%' AND pid <>"
                " pg_backend_pid()")
    wait_until(lambda: postgres.psql(sleeping) == "1", "the statement")
    process.send_signal(signal.SIGINT)
    assert said(process) == "interrupted [{'one': 1}]\n"
    wait_until(lambda: postgres.psql(sleeping) == "0", "the cancel")


def test_control_c_again_and_again_leaves_no_transaction(postgres: Postgres, gateway: Gateway) -> None:
    process = script(postgres, gateway, """
try:
    with db.transaction():
        with db.transaction():
            db.execute("SELECT pg_sleep(60), 'control-c-c'")
except KeyboardInterrupt:
    for _ in range(200):
        try:
            print("interrupted", flush=True)
            sys.stdin.readline()
            break
        except KeyboardInterrupt:
            pass
""")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%control-c-c%' AND pid <> pg_backend_pid()"
    wait_until(lambda: postgres.psql(sleeping + " AND state = 'active'") == "1", "the statement")
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    begin = time.monotonic()
    wait_until(lambda: postgres.psql(sleeping + " AND xact_start IS NOT NULL") == "0", "the rollback")
    assert time.monotonic() - begin < 20
    process.kill()
    process.communicate()


def test_control_c_while_sending_leaves_the_connector_in_order(postgres: Postgres, own_gateway: Gateway) -> None:
    postgres.psql("DROP TABLE IF EXISTS bulk; CREATE TABLE bulk (t text); ALTER TABLE bulk OWNER TO app")
    output = said(script(postgres, own_gateway, f"""
bulk = "INSERT INTO bulk VALUES (?)"
for _ in range(20):  # The gateway gives more and more credit.
    db.execute(bulk, ["x" * 900_000])
os.kill({own_gateway.pid}, signal.SIGSTOP)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    db.execute(bulk, ["y" * 3_000_000])
except KeyboardInterrupt:
    print("interrupted")
os.kill({own_gateway.pid}, signal.SIGCONT)
print([db.execute("SELECT ?::text AS t", ["z" * size]).rowcount for size in (1, 1, 1, 30_000, 1)])
print(db._state.session._calls)
"""))
    assert output == "interrupted\n[1, 1, 1, 1, 1]\n{}\n"


def test_a_signal_s_handler_may_use_the_connector(postgres: Postgres, gateway: Gateway) -> None:
    output = said(script(postgres, gateway, """
answers, slowest = {"answered": 0, "INTERRUPTED_SENDER": 0}, 0.0
def handler(*_):
    global slowest
    begin = time.monotonic()
    try:
        db.execute("SELECT 1", timeout_ms=20_000)
        answers["answered"] += 1
    except edb.DatabaseConnectionError as error:
        answers[error.reason] += 1
    slowest = max(slowest, time.monotonic() - begin)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
while sum(answers.values()) < 500:
    db.execute("SELECT ?::text", ["x" * 20_000])
signal.setitimer(signal.ITIMER_REAL, 0)
print(slowest < 15, answers["answered"] > 0, db.execute("SELECT 1 AS one").rows, db._state.session._calls)
with db._state._lock:  # As where a handler comes while its thread begins to open the session.
    db._state.session.end("CLOSED", "by the test")
    print(db.execute("SELECT 2 AS two").rows)
"""))
    assert output == "True True [{'one': 1}] {}\n[{'two': 2}]\n"


def test_a_forked_child_opens_a_connection_of_its_own(postgres: Postgres, gateway: Gateway) -> None:
    output = said(script(postgres, gateway, """
db.begin()
parent = db.execute("SELECT pg_backend_pid() AS pid").rows
sys.stdout.flush()
child = os.fork()
if child == 0:
    try:
        db.execute("SELECT 1")
    except edb.DatabaseTransactionError as error:
        print(error.reason)
    db.rollback()
    print(db.execute("SELECT pg_backend_pid() AS pid").rows != parent)
    db.close()
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
print(db.execute("SELECT pg_backend_pid() AS pid").rows == parent)
db.commit()
"""))
    assert output == "TRANSACTION_LOST\nTrue\nTrue\n"


def test_multiprocessing_workers(postgres: Postgres, gateway: Gateway) -> None:
    output = said(script(postgres, gateway, """
import multiprocessing
def work(n):
    return db.execute("SELECT ?::int * 2 AS n", [n]).rows[0]["n"]
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(pool.map(work, range(10)))
"""))
    assert output == "[0, 2, 4, 6, 8, 10, 12, 14, 16, 18]\n"


@pytest.mark.parametrize("code", ["", "db.begin()", "stream = db.execute_stream('SELECT generate_series(1, 1000000)');"
                                  " stream.columns", "threading.Thread(target=db.execute, args=('SELECT pg_sleep(0.5)',)).start()"])
def test_a_program_that_forgets_close_ends_all_the_same(postgres: Postgres, gateway: Gateway, code: str) -> None:
    assert said(script(postgres, gateway, code)) == ""
