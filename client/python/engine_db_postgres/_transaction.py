"""Transactions: their state, their begin and end, and what a failed end means. For the package's own use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Union

from engine_db_postgres import _wire, reasons
from engine_db_postgres._messages import begin_request, checked_ms, read_outcome
from engine_db_postgres._operation import Operation, nothing, require_text, send
from engine_db_postgres._proto import connector_pb2
from engine_db_postgres._session import Session
from engine_db_postgres.errors import DatabaseError, ErrorKind, Outcome, Phase, make_error, request_error, transaction_error
from engine_db_postgres.options import TransactionOptions


class OpenTransaction:
    """A transaction that is open, or (with `ended`) has been or is just being ended."""

    __slots__ = ("session", "id", "used", "recovery_token", "commits_sent", "_may_end")

    def __init__(self, session: Session, transaction_id: str) -> None:
        self.session = session
        self.id = transaction_id
        self.used = False  # Whether anything was to run in it.
        self.recovery_token = ""
        self.commits_sent = 0  # Without those that are known not to have been executed.
        self._may_end = [True]  # The thread that takes it out, which is atomic, ends the transaction.

    @property
    def ended(self) -> bool:
        return not self._may_end

    def record(self, status: connector_pb2.TransactionStatus) -> None:
        """A reply to a statement has said where the transaction stands after it."""
        if status.recovery_token:
            self.recovery_token = status.recovery_token

    def begin_ending(self) -> None:
        """Only one may end it."""
        try:
            self._may_end.pop()
        except IndexError:
            raise transaction_error(reasons.NO_TRANSACTION, "the transaction has ended already", Outcome.UNSPECIFIED) from None

    def reopen(self) -> None:
        """The end has failed in a way that lets it be tried again."""
        self._may_end.append(True)


@dataclass(frozen=True)
class Scope:
    """Where a statement runs: on a session, in one of its transactions or in none."""

    session: Session
    transaction: Optional[OpenTransaction] = None

    def require_open(self) -> None:
        """Nothing runs outside of the transaction that it was meant for."""
        if self.transaction is None:
            return
        if self.transaction.ended:
            raise transaction_error(reasons.NO_TRANSACTION, "the transaction has ended already", Outcome.NOT_EXECUTED)
        if self.session.ended:
            raise _in_doubt(Outcome.NOT_EXECUTED) if self.transaction.commits_sent else _lost()
        self.transaction.used = True

    def record(self, status: bytes) -> None:
        """The TransactionStatus of a reply."""
        if self.transaction is not None:
            self.transaction.record(connector_pb2.TransactionStatus.FromString(status))

    @property
    def outcome_if_lost(self) -> Outcome:
        """What a lost stream leaves of a statement."""
        return Outcome.UNKNOWN if self.transaction is None else _outcome_if_lost(self.transaction)


def _outcome_if_lost(transaction: OpenTransaction) -> Outcome:
    """What the end of its session leaves of a transaction."""
    return Outcome.UNKNOWN if transaction.commits_sent else Outcome.ROLLED_BACK


def _lost() -> DatabaseError:
    return transaction_error(reasons.TRANSACTION_LOST, "the link to the gateway broke, which rolled the transaction back: roll"
                             " back and run it again", Outcome.ROLLED_BACK)


def _in_doubt(outcome: Outcome) -> DatabaseError:
    return transaction_error(reasons.COMMIT_IN_DOUBT, "COMMIT was sent, and its answer was lost: whether the transaction is"
                             " committed is not known", outcome)


def begin(session: Session, options: TransactionOptions, timeout_ms: Optional[int]) -> Operation[OpenTransaction]:
    """Opens a transaction."""

    def read(body: bytes) -> OpenTransaction:
        return OpenTransaction(session, connector_pb2.BeginResponse.FromString(body).transaction_id)

    timeout = checked_ms(timeout_ms, "timeout_ms")
    return Operation(session, _wire.CALL_BEGIN, begin_request(session.connection_id, options, timeout), timeout,
                     Phase.EXECUTING, Outcome.ROLLED_BACK, read)


def begin_ending(transaction: OpenTransaction, timeout_ms: Optional[int]) -> float:
    """A commit or rollback begins. From here on the transaction has ended, unless end_failed() says otherwise. Returns how
    many seconds that may take."""
    timeout = checked_ms(timeout_ms, "timeout_ms")
    transaction.begin_ending()
    return (timeout or transaction.session.default_timeout_ms) / 1000


def end(transaction: OpenTransaction, commit: bool, timeout_ms: Optional[int]) -> Optional[Operation[None]]:
    """Commits or rolls back, after begin_ending(). None: there is nothing left to do."""
    timeout = timeout_ms or 0
    session = transaction.session
    if session.ended:
        if transaction.commits_sent:
            raise _in_doubt(Outcome.UNKNOWN)
        if commit:
            raise _lost()
        return None
    if commit:
        message = connector_pb2.CommitRequest(connection_id=session.connection_id, transaction_id=transaction.id,
                                              timeout_ms=timeout)
        transaction.commits_sent += 1
        return Operation(session, _wire.CALL_COMMIT, message.SerializeToString(), timeout, Phase.COMMITTING,
                         Outcome.UNKNOWN, nothing)
    request = connector_pb2.RollbackRequest(connection_id=session.connection_id, transaction_id=transaction.id,
                                            timeout_ms=timeout)
    return Operation(session, _wire.CALL_ROLLBACK, request.SerializeToString(), timeout, Phase.EXECUTING,
                     _outcome_if_lost(transaction), nothing, to_its_end=True)


def give_up(transaction: OpenTransaction) -> None:
    """The waiter for a commit was cancelled or interrupted: what is not committed yet never is."""
    request = connector_pb2.RollbackRequest(connection_id=transaction.session.connection_id, transaction_id=transaction.id)
    try:
        send(Operation(transaction.session, _wire.CALL_ROLLBACK, request.SerializeToString(), 0, Phase.EXECUTING,
                       Outcome.UNKNOWN, nothing))
    except DatabaseError:
        pass  # The session has ended, and with it the transaction; or its lease does.


def end_failed(transaction: OpenTransaction, commit: bool, error: DatabaseError) -> Optional[DatabaseError]:
    """What a commit or rollback that ended with `error` comes to; None: the transaction is gone, which is what a rollback
    wants."""
    if not commit and _is_gone(transaction, error):
        return None
    not_executed = error.outcome is Outcome.NOT_EXECUTED
    if commit and not_executed:
        transaction.commits_sent -= 1
    failure = error
    if not_executed and transaction.commits_sent and error.reason != reasons.TRANSACTION_COMMITTED:
        # That this one was not executed proves nothing about the commit before it.
        failure = make_error(replace(error.info, outcome=Outcome.UNKNOWN, retryable=False))
    # A repeated commit brings light, or does what this one has not done.
    repeatable = (error.kind is not ErrorKind.TRANSACTION or error.reason == reasons.STREAM_OPEN) if not_executed else (
        error.outcome is Outcome.UNKNOWN and error.kind is ErrorKind.TIMEOUT)
    if commit and repeatable and not transaction.session.ended and not can_be_asked_about(transaction, failure):
        transaction.reopen()
    return failure


def _is_gone(transaction: OpenTransaction, error: DatabaseError) -> bool:
    """Whether the error of a rollback says that there is nothing to roll back any more."""
    if transaction.commits_sent:
        return error.kind is ErrorKind.TRANSACTION and error.outcome is Outcome.ROLLED_BACK
    if transaction.session.ended:
        return True
    may_be_committed = (error.outcome in (Outcome.UNKNOWN, Outcome.COMMITTED)
                        or error.reason == reasons.TRANSACTION_COMMITTED)
    return error.kind is ErrorKind.TRANSACTION and not may_be_committed


def can_be_asked_about(transaction: OpenTransaction, failure: DatabaseError) -> bool:
    """Whether the answer to a COMMIT went with the gateway, and PostgreSQL can be asked through the next one."""
    return (failure.outcome is Outcome.UNKNOWN and transaction.recovery_token != ""
            and (transaction.session.ended or failure.reason == reasons.DRAINING))


def conclude(commit: bool, outcome: Outcome, loss: DatabaseError) -> None:
    """The end of a commit or rollback that failed with `loss`, of a transaction that was found to have `outcome`."""
    if outcome not in (Outcome.COMMITTED, Outcome.ROLLED_BACK):
        raise loss
    if commit and outcome is Outcome.ROLLED_BACK:
        raise _lost() from loss
    if not commit and outcome is Outcome.COMMITTED:  # As the gateway says it.
        raise transaction_error(reasons.TRANSACTION_COMMITTED, "the transaction was committed already",
                                Outcome.NOT_EXECUTED) from loss


def transaction_outcome(session: Session, transaction: Union[OpenTransaction, str],
                        timeout_ms: Optional[int]) -> Operation[Outcome]:
    """What became of a transaction: one of this session, or one that is named by its recovery token."""
    timeout = checked_ms(timeout_ms, "timeout_ms")
    request = connector_pb2.GetTransactionOutcomeRequest(connection_id=session.connection_id, timeout_ms=timeout)
    if isinstance(transaction, OpenTransaction):
        request.transaction_id = transaction.id
    else:
        if not require_text(transaction, "recovery_token"):
            raise request_error(reasons.MALFORMED_TOKEN, "recovery_token", "is empty: there is none while only reads have run in a transaction")
        request.recovery_token = transaction

    def read(body: bytes) -> Outcome:
        return read_outcome(connector_pb2.GetTransactionOutcomeResponse.FromString(body).outcome)

    return Operation(session, _wire.CALL_OUTCOME, request.SerializeToString(), timeout, Phase.EXECUTING, Outcome.UNSPECIFIED,
                     read)


def savepoint(transaction: OpenTransaction, name: str, kind: int) -> Operation[None]:
    """Sets a savepoint, goes back to one, or releases one."""
    Scope(transaction.session, transaction).require_open()
    if not isinstance(name, str) or "\0" in name:
        raise request_error(reasons.SAVEPOINT_NAME, "name", "is a letter or \"_\", then letters, digits and \"_\", at most 63")
    # The other two's requests have the same fields.
    request = connector_pb2.SavepointRequest(connection_id=transaction.session.connection_id,
                                             transaction_id=transaction.id, name=name)
    return Operation(transaction.session, kind, request.SerializeToString(), 0, Phase.EXECUTING, Outcome.ROLLED_BACK, nothing)
