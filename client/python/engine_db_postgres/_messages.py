"""What is sent once in a while, by the generated classes. For the package's own use."""

from __future__ import annotations

from typing import Dict, Optional

from engine_db_postgres import reasons
from engine_db_postgres._proto import config_pb2, connector_pb2, error_pb2
from engine_db_postgres.config import ChannelBinding, ConnectTarget, DataSource, RetryConfig, TlsMode
from engine_db_postgres.errors import ErrorInfo, ErrorKind, Outcome, Phase, request_error
from engine_db_postgres.options import IsolationLevel, TransactionOptions

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS

_TLS_MODES = {
    TlsMode.DISABLE: config_pb2.TLS_MODE_DISABLE,
    TlsMode.PREFER: config_pb2.TLS_MODE_PREFER,
    TlsMode.REQUIRE: config_pb2.TLS_MODE_REQUIRE,
    TlsMode.VERIFY_CA: config_pb2.TLS_MODE_VERIFY_CA,
    TlsMode.VERIFY_FULL: config_pb2.TLS_MODE_VERIFY_FULL,
}
_CHANNEL_BINDINGS = {
    ChannelBinding.DISABLE: config_pb2.CHANNEL_BINDING_DISABLE,
    ChannelBinding.PREFER: config_pb2.CHANNEL_BINDING_PREFER,
    ChannelBinding.REQUIRE: config_pb2.CHANNEL_BINDING_REQUIRE,
}
_ISOLATION_LEVELS = {
    IsolationLevel.SERVER_DEFAULT: connector_pb2.ISOLATION_LEVEL_UNSPECIFIED,
    IsolationLevel.READ_COMMITTED: connector_pb2.ISOLATION_LEVEL_READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ: connector_pb2.ISOLATION_LEVEL_REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE: connector_pb2.ISOLATION_LEVEL_SERIALIZABLE,
}
_KINDS: Dict[int, ErrorKind] = {
    error_pb2.ERROR_KIND_CONNECTION: ErrorKind.CONNECTION,
    error_pb2.ERROR_KIND_TIMEOUT: ErrorKind.TIMEOUT,
    error_pb2.ERROR_KIND_TRANSACTION: ErrorKind.TRANSACTION,
    error_pb2.ERROR_KIND_INVALID_REQUEST: ErrorKind.INVALID_REQUEST,
}
_OUTCOMES: Dict[int, Outcome] = {
    error_pb2.OUTCOME_UNSPECIFIED: Outcome.UNSPECIFIED,
    error_pb2.OUTCOME_NOT_EXECUTED: Outcome.NOT_EXECUTED,
    error_pb2.OUTCOME_ROLLED_BACK: Outcome.ROLLED_BACK,
    error_pb2.OUTCOME_COMMITTED: Outcome.COMMITTED,
}
_PHASES: Dict[int, Phase] = {
    error_pb2.PHASE_VALIDATING: Phase.VALIDATING,
    error_pb2.PHASE_QUEUED: Phase.QUEUED,
    error_pb2.PHASE_CONNECTING: Phase.CONNECTING,
    error_pb2.PHASE_EXECUTING: Phase.EXECUTING,
    error_pb2.PHASE_STREAMING: Phase.STREAMING,
    error_pb2.PHASE_COMMITTING: Phase.COMMITTING,
}


def connect_request(target: ConnectTarget) -> bytes:
    """A ConnectRequest."""
    if isinstance(target, DataSource):
        return bytes(connector_pb2.ConnectRequest(data_source=target.name).SerializeToString())
    config = config_pb2.ConnectionConfig(
        host=target.host, port=target.port, user=target.user, password=target.password.get_secret_value(),
        dbname=target.dbname, min_pool_size=target.min_pool_size, max_pool_size=target.max_pool_size,
        timeout_ms=target.timeout_ms, connect_timeout_ms=target.connect_timeout_ms,
        tls_mode=_TLS_MODES[TlsMode(target.tls_mode)],
        channel_binding=_CHANNEL_BINDINGS[ChannelBinding(target.channel_binding)],
        application_name=target.application_name)
    _fill_retry(config.retry, target.retry)
    return bytes(connector_pb2.ConnectRequest(config=config).SerializeToString())


def _fill_retry(settings: config_pb2.RetrySettings, retry: RetryConfig) -> None:
    settings.max_attempts = retry.max_attempts
    settings.initial_delay_ms = retry.initial_delay_ms
    settings.max_delay_ms = retry.max_delay_ms
    settings.multiplier = retry.multiplier
    settings.budget_ms = retry.budget_ms


def retry_settings(retry: RetryConfig) -> bytes:
    """A RetrySettings."""
    settings = config_pb2.RetrySettings()
    _fill_retry(settings, retry)
    return bytes(settings.SerializeToString())


def begin_request(connection_id: str, options: TransactionOptions, timeout_ms: int) -> bytes:
    """A BeginRequest."""
    message = connector_pb2.BeginRequest(connection_id=connection_id, timeout_ms=timeout_ms)
    message.options.isolation_level = _ISOLATION_LEVELS[IsolationLevel(options.isolation_level)]
    message.options.read_only = checked_bool(options.read_only, "read_only")
    message.options.deferrable = checked_bool(options.deferrable, "deferrable")
    message.options.replay = checked_bool(options.replay, "replay")
    message.options.idle_timeout_ms = checked_ms(options.idle_timeout_ms, "idle_timeout_ms", _HOUR_MS)
    message.options.max_duration_ms = checked_ms(options.max_duration_ms, "max_duration_ms")
    return bytes(message.SerializeToString())


def rollback_of(begun: bytes, connection_id: str) -> bytes:
    """The RollbackRequest for the transaction of a BeginResponse."""
    transaction_id = connector_pb2.BeginResponse.FromString(begun).transaction_id
    return bytes(connector_pb2.RollbackRequest(connection_id=connection_id, transaction_id=transaction_id)
                 .SerializeToString())


def checked_ms(duration: Optional[int], field: str, limit: int = _DAY_MS) -> int:
    """A duration within its bounds; None counts as 0, the default."""
    if duration is None:
        return 0
    if type(duration) is not int:
        raise request_error(reasons.OUT_OF_RANGE, field, "is a whole number of milliseconds, not a " + type(duration).__name__)
    if not 0 <= duration <= limit:
        raise request_error(reasons.OUT_OF_RANGE, field, f"is 0 to {limit} ms, not {duration}")
    return duration


def checked_bool(value: bool, field: str) -> bool:
    """A bool, and nothing that merely counts as one."""
    if type(value) is not bool:
        raise request_error(reasons.UNSUPPORTED_TYPE, field, f"is a bool, not a {type(value).__name__}")
    return value


def read_outcome(number: int) -> Outcome:
    """An Outcome of the contract."""
    return _OUTCOMES.get(number, Outcome.UNKNOWN)  # The careful reading of a newer gateway's.


def read_error(data: bytes) -> ErrorInfo:
    """A DatabaseError of the contract."""
    return error_info(error_pb2.DatabaseError.FromString(data))


def error_info(message: error_pb2.DatabaseError) -> ErrorInfo:
    """The same, already parsed."""
    return ErrorInfo(
        message=message.message,
        kind=_KINDS.get(message.kind, ErrorKind.EXECUTION),  # Also kinds of a newer gateway.
        outcome=read_outcome(message.outcome),
        phase=_PHASES.get(message.phase, Phase.UNSPECIFIED),
        reason=message.reason,
        sqlstate=message.sqlstate,
        hint=message.hint,
        field=message.field,
        constraint_name=message.constraint_name,
        schema_name=message.schema_name,
        table_name=message.table_name,
        column_name=message.column_name,
        data_type_name=message.data_type_name,
        position=message.position,
        statement_index=message.statement_index,
        retryable=message.retryable,
        retry_after_ms=message.retry_after_ms,
        rows_delivered=message.rows_delivered)
