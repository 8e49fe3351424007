#include "server/base/reason.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace engine::db {
namespace {

using enum Reason;

constexpr std::array kReasons = std::to_array<ReasonInfo>({
    // The request.
    {kOutOfRange, "OUT_OF_RANGE", "A number is out of the field's range, or an enum's value is unknown.",
     "Send a value within the range, or one that the contract lists."},
    {kMissingConnection, "MISSING_CONNECTION", "connection_id is empty.",
     "Call Connect first, and send what it returns."},
    {kMissingTarget, "MISSING_TARGET", "Connect names neither a data source nor a target of its own.",
     "Give data_source or config."},
    {kUnknownDataSource, "UNKNOWN_DATA_SOURCE", "The gateway's configuration has no data source of that name.",
     "Use one that it has, or add it there."},
    {kInlineTargetRefused, "INLINE_TARGET_REFUSED", "The gateway takes no targets that a call brings itself.",
     "Use a data source, or let the gateway's configuration allow inline targets."},
    {kInvalidConfig, "INVALID_CONFIG", "A setting of the connection, of the retries or of the gateway is wrong.",
     "Correct the fields that the message names."},
    {kEmptyTransaction, "EMPTY_TRANSACTION", "transaction_id is set, and empty.",
     "Leave it out for autocommit, or send what Begin returned."},
    {kMissingTransaction, "MISSING_TRANSACTION", "GetTransactionOutcome names no transaction.",
     "Give transaction_id or recovery_token."},
    {kCommitWithoutTransaction, "COMMIT_WITHOUT_TRANSACTION", "commit is set in a call that has no transaction.",
     "Give transaction_id or begin; autocommit needs no commit."},
    {kMalformedToken, "MALFORMED_TOKEN", "recovery_token is not valid.",
     "Send it as a TransactionStatus had it, whole and unchanged."},
    {kEmptyBatch, "EMPTY_BATCH", "The batch has no statements.", "Send at least one, or do not call."},
    {kBatchTooLarge, "BATCH_TOO_LARGE", "The batch runs more statements than one call may.", "Divide it."},
    {kParametersTwice, "PARAMETERS_TWICE", "A statement of the batch has both parameters and parameter_lists.",
     "Give one of the two."},
    {kAtomicInTransaction, "ATOMIC_IN_TRANSACTION",
     "atomic is set in a transaction, where the batch is part of something larger.",
     "Leave out atomic or transaction_id."},
    {kExactlyOnceInTransaction, "EXACTLY_ONCE_IN_TRANSACTION",
     "exactly_once or idempotency_key is set on a statement of a transaction.",
     "Leave it out: a transaction's Commit always knows as much."},
    {kExactlyOnceNotAtomic, "EXACTLY_ONCE_NOT_ATOMIC",
     "exactly_once or idempotency_key is set on a batch that is not one transaction of its own.",
     "Set atomic, and no begin."},
    {kExactlyOnceUnavailable, "EXACTLY_ONCE_UNAVAILABLE",
     "The server can't tell later whether a transaction committed.",
     "Use PostgreSQL 13 or later, and a role that may call pg_control_system(); or leave exactly_once out."},
    {kMalformedKey, "MALFORMED_KEY", "idempotency_key is too long, or holds a NUL byte.",
     "Use a shorter one, such as a UUID."},
    {kIdempotencyKeyReused, "IDEMPOTENCY_KEY_REUSED",
     "idempotency_key was used for another statement or other parameters.", "Use a new key for each thing to be done."},
    {kIdempotencyKeyBusy, "IDEMPOTENCY_KEY_BUSY", "Another call with the same key gave it up at this moment.",
     "Repeat the call with the same key."},
    {kSavepointName, "SAVEPOINT_NAME", "A savepoint's name is not valid.",
     "Use a letter or _, then letters, digits and _, at most 63 in all."},
    {kMissingCall, "MISSING_CALL", "A message of a session has an unknown or missing call type.",
     "Set one of the calls; a newer client may know more than an older gateway."},
    {kTooManyCalls, "TOO_MANY_CALLS", "More calls at once than one message, or one connector, may have.",
     "Send fewer at a time."},
    {kDuplicateCorrelationId, "DUPLICATE_CORRELATION_ID", "correlation_id is in use by a call that still runs.",
     "Number the calls of a session one after the other."},

    // The statement.
    {kEmptyStatement, "EMPTY_STATEMENT", "The statement is empty, or nothing but blanks and comments.",
     "Send a statement."},
    {kStatementTooLarge, "STATEMENT_TOO_LARGE", "The statement's text is longer than the limit.",
     "Send data as parameters, or raise the gateway's limit."},
    {kStatementTooComplex, "STATEMENT_TOO_COMPLEX", "The text has thousands of operator characters in a row.",
     "If they are data, send them as a parameter."},
    {kNulByte, "NUL_BYTE", "A text holds a NUL byte, which PostgreSQL's text can't.", "Send the value as bytes."},
    {kSyntaxError, "SYNTAX_ERROR", "The statement can't be read as SQL.",
     "Correct it at the position that the error has."},
    {kScanner, "SCANNER", "The gateway could not read its own scanner's result.",
     "Report it, with the statement; nothing was sent to PostgreSQL."},
    {kMultipleStatements, "MULTIPLE_STATEMENTS", "The text holds several statements.",
     "Send one a call, or all of them with ExecuteBatch."},
    {kMixedPlaceholders, "MIXED_PLACEHOLDERS", "The statement has both ? and $1.",
     "Use one of them; a ? that is an operator is written ??."},
    {kTransactionControl, "TRANSACTION_CONTROL",
     "BEGIN, COMMIT, ROLLBACK, or a savepoint outside of a transaction, can't run as a statement.",
     "Call Begin, Commit, Rollback or the savepoints' methods."},
    {kCopyNotSupported, "COPY_NOT_SUPPORTED", "COPY can't run as a statement.",
     "Read with ExecuteStream, and write with ExecuteBatch."},
    {kSettingNotSupported, "SETTING_NOT_SUPPORTED",
     "A setting by which PostgreSQL reads texts would differ from the gateway's reading.",
     "Leave standard_conforming_strings and client_encoding as they are."},
    {kParametersNotSupported, "PARAMETERS_NOT_SUPPORTED", "This kind of statement takes no parameters.",
     "Write the value into its text."},

    // Its parameters.
    {kParameterCount, "PARAMETER_COUNT", "There are more or fewer parameters than placeholders.",
     "Send one a placeholder; a ? that is an operator is written ??."},
    {kTooManyParameters, "TOO_MANY_PARAMETERS", "There are more parameters than PostgreSQL takes.",
     "Send an array, or several statements as a batch."},
    {kParametersTooLarge, "PARAMETERS_TOO_LARGE", "The parameters' values are larger together than the limit.",
     "Divide them over several statements."},
    {kNoValue, "NO_VALUE", "A parameter has no value.", "Set one; SQL's NULL is null_value."},
    {kUnknownType, "UNKNOWN_TYPE", "type_name is not the name of a type.",
     "Write it as in a cast of SQL: integer[], public.mood."},
    {kTypeNameTooLong, "TYPE_NAME_TOO_LONG", "type_name is longer than the limit.", "Check what was put there."},
    {kTypeWithNumberedParameters, "TYPE_WITH_NUMBERED_PARAMETERS",
     "A type that is not built in is named for a parameter of a statement with $1.", "Write the cast into the text."},
    {kUnknownExpression, "UNKNOWN_EXPRESSION", "The expression is unknown.",
     "Use one that the contract lists, or write it into the text."},
    {kTypedExpression, "TYPED_EXPRESSION", "An expression comes with a type.",
     "Leave type_name empty, or write a cast."},
    {kExpressionWithNumberedParameters, "EXPRESSION_WITH_NUMBERED_PARAMETERS",
     "An expression is given to a statement with $1.", "Write the expression into the text, or use ?."},

    // Connections, and what there is only so much of.
    {kUnknownConnection, "UNKNOWN_CONNECTION",
     "connection_id is unknown, was closed, or is of a gateway that restarted.", "Call Connect again."},
    {kConnectionClosed, "CONNECTION_CLOSED", "The connection was closed while the call ran or waited.",
     "Call Connect again, unless that was meant."},
    {kUnreachable, "UNREACHABLE", "PostgreSQL could not be reached.",
     "Check host, port and tls_mode, and that the server runs; then repeat."},
    {kLoginRefused, "LOGIN_REFUSED", "PostgreSQL refused the login.",
     "See the SQLSTATE and the hint; retryable says whether to repeat."},
    {kPasswordFile, "PASSWORD_FILE", "The file that holds the data source's password can't be used.",
     "Correct the file or its path."},
    {kTransactionPooler, "TRANSACTION_POOLER",
     "Behind the address is a pooler that shares connections by transactions.",
     "Connect to PostgreSQL itself, or to the pooler in session mode."},
    {kPoolerDropsSettings, "POOLER_DROPS_SETTINGS", "Behind the address is a pooler that drops the login's settings.",
     "Connect to PostgreSQL itself, or give the role the settings that the hint names."},
    {kLinkLost, "LINK_LOST", "The connection to PostgreSQL was lost while a statement ran.",
     "Repeat it if retryable says so; with outcome UNKNOWN look first whether it took effect."},
    {kDraining, "DRAINING", "The gateway is shutting down.", "Repeat the call, at the next instance."},
    {kPoolExhausted, "POOL_EXHAUSTED", "Too many calls wait for a backend of the pool.",
     "Repeat later; the message says who holds the backends. Raise max_pool_size if that is the rule."},
    {kPoolWaitTimeout, "POOL_WAIT_TIMEOUT", "No backend became free before the deadline.",
     "Repeat later; the message says who holds the backends. Raise max_pool_size if that is the rule."},
    {kTransactionShareExhausted, "TRANSACTION_SHARE_EXHAUSTED",
     "The connection has as many transactions open as its share of the pool allows.",
     "End transactions, or raise max_pool_size."},
    {kTooManyConnections, "TOO_MANY_CONNECTIONS", "The gateway has as many connections open as its limit.",
     "Close some, or raise the limit."},
    {kTooManyTargets, "TOO_MANY_TARGETS", "The gateway has as many pools open as its limit.",
     "Close connections to other targets, or raise the limit."},
    {kTooManySessions, "TOO_MANY_SESSIONS", "The gateway has as many session streams open as its limit.",
     "Use fewer connectors, or raise the limit."},
    {kTooManyTransactions, "TOO_MANY_TRANSACTIONS", "The gateway has as many transactions open as its limit.",
     "End some and repeat, or raise the limit."},
    {kTooManyQuestions, "TOO_MANY_QUESTIONS", "Too many calls ask for the outcome of a transaction at once.",
     "Ask again later."},

    // The statement's run.
    {kPostgresqlError, "POSTGRESQL_ERROR", "PostgreSQL refused the statement, or failed while it ran.",
     "See the SQLSTATE and the message."},
    {kStalePlan, "STALE_PLAN", "What a prepared statement was made for has changed, or it is gone.",
     "Repeat the call, or the whole transaction: it is prepared again."},
    {kResultTooLarge, "RESULT_TOO_LARGE", "The result is larger than a unary call returns.",
     "Call ExecuteStream, or add a LIMIT; a write has taken effect if the outcome says so."},
    {kDeadlineExceeded, "DEADLINE_EXCEEDED", "The deadline passed.",
     "Give it more time; with outcome UNKNOWN look first whether it took effect."},
    {kCancelled, "CANCELLED", "The caller cancelled the call.",
     "Nothing, unless the call was not meant to be cancelled."},
    {kCancelledByOperator, "CANCELLED_BY_OPERATOR", "An operator cancelled the statement.", "Ask the operator."},

    // Transactions.
    {kNoTransaction, "NO_TRANSACTION", "The call needs a transaction, and there is none.", "Call Begin first."},
    {kUnknownTransaction, "UNKNOWN_TRANSACTION", "transaction_id is unknown on this connection.",
     "Begin again; after a restart GetTransactionOutcome tells by its recovery_token."},
    {kTransactionCommitted, "TRANSACTION_COMMITTED", "The transaction was committed already.", "Begin another one."},
    {kTransactionRolledBack, "TRANSACTION_ROLLED_BACK", "The transaction was rolled back already.",
     "Repeat all of it in another one."},
    {kTransactionExpired, "TRANSACTION_EXPIRED", "The transaction's lease ran out, which rolled it back.",
     "Repeat all of it, faster or with a longer idle_timeout_ms or max_duration_ms."},
    {kTransactionLost, "TRANSACTION_LOST", "The transaction's connection was lost, which rolled it back.",
     "Repeat all of it in another one."},
    {kTransactionFailed, "TRANSACTION_FAILED", "COMMIT found that a statement had failed, and rolled back.",
     "Roll back to a savepoint, or begin again, when a statement fails."},
    {kStreamOpen, "STREAM_OPEN", "A stream of the same transaction is open, and its rows are not being read.",
     "Read it to its end or cancel it first."},
    {kCommitInDoubt, "COMMIT_IN_DOUBT", "COMMIT was sent, and its answer was lost.",
     "Ask GetTransactionOutcome, or look whether it took effect; do not repeat it blindly."},
    {kEffectsElsewhere, "EFFECTS_ELSEWHERE",
     "The transaction was rolled back on its server, and may have taken effect on others.",
     "Look there before repeating it."},
    {kReplayDiffered, "REPLAY_DIFFERED", "The transaction came to other results when it was run again.",
     "Begin again, and read what it depends on anew."},
});

constexpr bool StandsInOrder() {
  for (size_t i = 0; i < kReasons.size(); ++i) {
    if (static_cast<size_t>(kReasons[i].reason) != i + 1) return false;
  }
  return kReasons.back().reason == kReplayDiffered;  // the enum's last
}
static_assert(StandsInOrder(), "an enumerator is missing in the table, or stands elsewhere in it");

constexpr bool HasDoubles() {
  for (size_t i = 0; i < kReasons.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (kReasons[i].name == kReasons[j].name) return true;
    }
  }
  return false;
}
static_assert(!HasDoubles(), "two reasons have one name");

}  // namespace

absl::Span<const ReasonInfo> Reasons() { return kReasons; }

std::string_view NameOf(Reason reason) {
  return reason == kUnspecified ? std::string_view() : kReasons[static_cast<size_t>(reason) - 1].name;
}

std::optional<Reason> FindReason(std::string_view name) {
  if (name.empty()) return kUnspecified;
  const auto* found =
      std::find_if(kReasons.begin(), kReasons.end(), [name](const ReasonInfo& info) { return info.name == name; });
  if (found == kReasons.end()) return std::nullopt;
  return found->reason;
}

}  // namespace engine::db
