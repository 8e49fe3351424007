// The reasons of errors, for programs: DatabaseError::reason() is one of these. What each means, and what to do about it, is
// in docs/reasons.md, which a test holds equal to this list.
//
//   if (error.reason() == reasons::kPoolExhausted) ...
#ifndef ENGINE_DB_REASONS_H_
#define ENGINE_DB_REASONS_H_

#include <string_view>

namespace engine::db::reasons {

// The gateway's.
inline constexpr std::string_view kOutOfRange = "OUT_OF_RANGE";
inline constexpr std::string_view kMissingConnection = "MISSING_CONNECTION";
inline constexpr std::string_view kMissingTarget = "MISSING_TARGET";
inline constexpr std::string_view kUnknownDataSource = "UNKNOWN_DATA_SOURCE";
inline constexpr std::string_view kInlineTargetRefused = "INLINE_TARGET_REFUSED";
inline constexpr std::string_view kInvalidConfig = "INVALID_CONFIG";
inline constexpr std::string_view kEmptyTransaction = "EMPTY_TRANSACTION";
inline constexpr std::string_view kMissingTransaction = "MISSING_TRANSACTION";
inline constexpr std::string_view kCommitWithoutTransaction = "COMMIT_WITHOUT_TRANSACTION";
inline constexpr std::string_view kMalformedToken = "MALFORMED_TOKEN";
inline constexpr std::string_view kEmptyBatch = "EMPTY_BATCH";
inline constexpr std::string_view kBatchTooLarge = "BATCH_TOO_LARGE";
inline constexpr std::string_view kParametersTwice = "PARAMETERS_TWICE";
inline constexpr std::string_view kAtomicInTransaction = "ATOMIC_IN_TRANSACTION";
inline constexpr std::string_view kExactlyOnceInTransaction = "EXACTLY_ONCE_IN_TRANSACTION";
inline constexpr std::string_view kExactlyOnceNotAtomic = "EXACTLY_ONCE_NOT_ATOMIC";
inline constexpr std::string_view kExactlyOnceUnavailable = "EXACTLY_ONCE_UNAVAILABLE";
inline constexpr std::string_view kMalformedKey = "MALFORMED_KEY";
inline constexpr std::string_view kIdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED";
inline constexpr std::string_view kIdempotencyKeyBusy = "IDEMPOTENCY_KEY_BUSY";
inline constexpr std::string_view kSavepointName = "SAVEPOINT_NAME";
inline constexpr std::string_view kMissingCall = "MISSING_CALL";
inline constexpr std::string_view kTooManyCalls = "TOO_MANY_CALLS";
inline constexpr std::string_view kDuplicateCorrelationId = "DUPLICATE_CORRELATION_ID";

inline constexpr std::string_view kEmptyStatement = "EMPTY_STATEMENT";
inline constexpr std::string_view kStatementTooLarge = "STATEMENT_TOO_LARGE";
inline constexpr std::string_view kStatementTooComplex = "STATEMENT_TOO_COMPLEX";
inline constexpr std::string_view kNulByte = "NUL_BYTE";
inline constexpr std::string_view kSyntaxError = "SYNTAX_ERROR";
inline constexpr std::string_view kScanner = "SCANNER";
inline constexpr std::string_view kMultipleStatements = "MULTIPLE_STATEMENTS";
inline constexpr std::string_view kMixedPlaceholders = "MIXED_PLACEHOLDERS";
inline constexpr std::string_view kTransactionControl = "TRANSACTION_CONTROL";
inline constexpr std::string_view kCopyNotSupported = "COPY_NOT_SUPPORTED";
inline constexpr std::string_view kSettingNotSupported = "SETTING_NOT_SUPPORTED";
inline constexpr std::string_view kParametersNotSupported = "PARAMETERS_NOT_SUPPORTED";

inline constexpr std::string_view kParameterCount = "PARAMETER_COUNT";
inline constexpr std::string_view kTooManyParameters = "TOO_MANY_PARAMETERS";
inline constexpr std::string_view kParametersTooLarge = "PARAMETERS_TOO_LARGE";
inline constexpr std::string_view kNoValue = "NO_VALUE";
inline constexpr std::string_view kUnknownType = "UNKNOWN_TYPE";
inline constexpr std::string_view kTypeNameTooLong = "TYPE_NAME_TOO_LONG";
inline constexpr std::string_view kTypeWithNumberedParameters = "TYPE_WITH_NUMBERED_PARAMETERS";
inline constexpr std::string_view kUnknownExpression = "UNKNOWN_EXPRESSION";
inline constexpr std::string_view kTypedExpression = "TYPED_EXPRESSION";
inline constexpr std::string_view kExpressionWithNumberedParameters = "EXPRESSION_WITH_NUMBERED_PARAMETERS";

inline constexpr std::string_view kUnknownConnection = "UNKNOWN_CONNECTION";
inline constexpr std::string_view kConnectionClosed = "CONNECTION_CLOSED";
inline constexpr std::string_view kUnreachable = "UNREACHABLE";
inline constexpr std::string_view kLoginRefused = "LOGIN_REFUSED";
inline constexpr std::string_view kPasswordFile = "PASSWORD_FILE";
inline constexpr std::string_view kTransactionPooler = "TRANSACTION_POOLER";
inline constexpr std::string_view kPoolerDropsSettings = "POOLER_DROPS_SETTINGS";
inline constexpr std::string_view kLinkLost = "LINK_LOST";
inline constexpr std::string_view kDraining = "DRAINING";
inline constexpr std::string_view kPoolExhausted = "POOL_EXHAUSTED";
inline constexpr std::string_view kPoolWaitTimeout = "POOL_WAIT_TIMEOUT";
inline constexpr std::string_view kTransactionShareExhausted = "TRANSACTION_SHARE_EXHAUSTED";
inline constexpr std::string_view kTooManyConnections = "TOO_MANY_CONNECTIONS";
inline constexpr std::string_view kTooManyTargets = "TOO_MANY_TARGETS";
inline constexpr std::string_view kTooManySessions = "TOO_MANY_SESSIONS";
inline constexpr std::string_view kTooManyTransactions = "TOO_MANY_TRANSACTIONS";
inline constexpr std::string_view kTooManyQuestions = "TOO_MANY_QUESTIONS";

inline constexpr std::string_view kPostgresqlError = "POSTGRESQL_ERROR";
inline constexpr std::string_view kStalePlan = "STALE_PLAN";
inline constexpr std::string_view kResultTooLarge = "RESULT_TOO_LARGE";
inline constexpr std::string_view kDeadlineExceeded = "DEADLINE_EXCEEDED";
inline constexpr std::string_view kCancelled = "CANCELLED";
inline constexpr std::string_view kCancelledByOperator = "CANCELLED_BY_OPERATOR";

inline constexpr std::string_view kNoTransaction = "NO_TRANSACTION";
inline constexpr std::string_view kUnknownTransaction = "UNKNOWN_TRANSACTION";
inline constexpr std::string_view kTransactionCommitted = "TRANSACTION_COMMITTED";
inline constexpr std::string_view kTransactionRolledBack = "TRANSACTION_ROLLED_BACK";
inline constexpr std::string_view kTransactionExpired = "TRANSACTION_EXPIRED";
inline constexpr std::string_view kTransactionLost = "TRANSACTION_LOST";
inline constexpr std::string_view kTransactionFailed = "TRANSACTION_FAILED";
inline constexpr std::string_view kStreamOpen = "STREAM_OPEN";
inline constexpr std::string_view kCommitInDoubt = "COMMIT_IN_DOUBT";
inline constexpr std::string_view kEffectsElsewhere = "EFFECTS_ELSEWHERE";
inline constexpr std::string_view kReplayDiffered = "REPLAY_DIFFERED";

// The clients' own.
inline constexpr std::string_view kAmbiguousColumn = "AMBIGUOUS_COLUMN";
inline constexpr std::string_view kClosed = "CLOSED";
inline constexpr std::string_view kConnectTimeout = "CONNECT_TIMEOUT";
inline constexpr std::string_view kExactlyOnceStream = "EXACTLY_ONCE_STREAM";
inline constexpr std::string_view kForked = "FORKED";
inline constexpr std::string_view kGatewayLost = "GATEWAY_LOST";
inline constexpr std::string_view kGatewayNotStarted = "GATEWAY_NOT_STARTED";
inline constexpr std::string_view kGatewayUnreachable = "GATEWAY_UNREACHABLE";
inline constexpr std::string_view kInterruptedSender = "INTERRUPTED_SENDER";
inline constexpr std::string_view kInvalidConfiguration = "INVALID_CONFIGURATION";
inline constexpr std::string_view kInvalidPipeline = "INVALID_PIPELINE";
inline constexpr std::string_view kInvalidUtf8 = "INVALID_UTF8";
inline constexpr std::string_view kMalformedReply = "MALFORMED_REPLY";
inline constexpr std::string_view kNotConnected = "NOT_CONNECTED";
inline constexpr std::string_view kNotOpened = "NOT_OPENED";
inline constexpr std::string_view kNoAnswer = "NO_ANSWER";
inline constexpr std::string_view kNoSuchColumn = "NO_SUCH_COLUMN";
inline constexpr std::string_view kNoSuchRow = "NO_SUCH_ROW";
inline constexpr std::string_view kNulInText = "NUL_IN_TEXT";
inline constexpr std::string_view kOtherEventLoop = "OTHER_EVENT_LOOP";
inline constexpr std::string_view kParameterPath = "PARAMETER_PATH";
inline constexpr std::string_view kRequestTooLarge = "REQUEST_TOO_LARGE";
inline constexpr std::string_view kResponsePath = "RESPONSE_PATH";
inline constexpr std::string_view kResult = "RESULT";
inline constexpr std::string_view kSavepointUndone = "SAVEPOINT_UNDONE";
inline constexpr std::string_view kTransactionActive = "TRANSACTION_ACTIVE";
inline constexpr std::string_view kTransactionElsewhere = "TRANSACTION_ELSEWHERE";
inline constexpr std::string_view kTransactionPending = "TRANSACTION_PENDING";
inline constexpr std::string_view kTypeName = "TYPE_NAME";
inline constexpr std::string_view kUnknownColumn = "UNKNOWN_COLUMN";
inline constexpr std::string_view kUnknownServer = "UNKNOWN_SERVER";
inline constexpr std::string_view kUnsupportedType = "UNSUPPORTED_TYPE";
inline constexpr std::string_view kValueOutOfRange = "VALUE_OUT_OF_RANGE";
inline constexpr std::string_view kWrongType = "WRONG_TYPE";

}  // namespace engine::db::reasons

#endif  // ENGINE_DB_REASONS_H_
