"""PostgreSQL for pipeline engines, through the Engine DB gateway. README.md is the manual."""

from engine_db_postgres import reasons
from engine_db_postgres.async_connector import PostgresAsyncConnector
from engine_db_postgres.async_stream import AsyncRowStream
from engine_db_postgres.async_transaction import AsyncTransaction
from engine_db_postgres.config import (
    ChannelBinding, ConnectionConfig, ConnectTarget, DataSource, PoolConfig, RetryConfig, TlsMode)
from engine_db_postgres.connector import AsyncDatabaseConnector, DatabaseConnector
from engine_db_postgres.errors import (ConfigurationError, DatabaseConnectionError, DatabaseError, DatabaseExecutionError,
                                       DatabaseRequestError, DatabaseTimeoutError, DatabaseTransactionError, ErrorInfo,
                                       ErrorKind, Outcome, Phase)
from engine_db_postgres.local import LocalGateway
from engine_db_postgres.options import (BatchEntry, IsolationLevel, Statement, StatementDescription, TransactionOptions)
from engine_db_postgres.result import Column, Result, Row
from engine_db_postgres.sync_connector import PostgresSyncConnector
from engine_db_postgres.sync_stream import RowStream
from engine_db_postgres.sync_transaction import Transaction
from engine_db_postgres.values import (CURRENT_DATE, CURRENT_TIME, CURRENT_TIMESTAMP, DEFAULT, LOCALTIME, LOCALTIMESTAMP,
                                       Expression, Json, Jsonb, Parameters, Typed, currentdate, currentdatetime)

__version__ = "0.1.0"

__all__ = [
    "AsyncDatabaseConnector", "AsyncRowStream", "AsyncTransaction", "BatchEntry", "CURRENT_DATE", "CURRENT_TIME",
    "CURRENT_TIMESTAMP", "ChannelBinding", "Column", "ConfigurationError", "ConnectTarget", "ConnectionConfig", "DEFAULT",
    "DataSource",
    "DatabaseConnectionError", "DatabaseConnector", "DatabaseError", "DatabaseExecutionError", "DatabaseRequestError",
    "DatabaseTimeoutError", "DatabaseTransactionError", "ErrorInfo", "ErrorKind", "Expression", "IsolationLevel", "Json",
    "Jsonb", "LOCALTIME", "LOCALTIMESTAMP", "LocalGateway", "Outcome", "Parameters", "Phase", "PoolConfig",
    "PostgresAsyncConnector", "PostgresSyncConnector", "Result", "RetryConfig", "Row", "RowStream", "Statement",
    "StatementDescription", "TlsMode", "Transaction", "TransactionOptions", "Typed", "currentdate", "currentdatetime",
    "reasons",
]
