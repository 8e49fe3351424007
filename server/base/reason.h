// Why a call failed, as programs read it: the one list of what the gateway puts into v1::DatabaseError.reason. The
// clients' constants and docs/reasons.md are held equal to it by tests/unit/base/reason_test.cc.
#ifndef ENGINE_DB_SERVER_BASE_REASON_H_
#define ENGINE_DB_SERVER_BASE_REASON_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/types/span.h"

namespace engine::db {

// A new one is added here, to the table in reason.cc, to docs/reasons.md and to the clients' constants. The numbers are
// nobody's business; the names are the contract.
enum class Reason : uint8_t {
  kUnspecified,

  // The request.
  kOutOfRange,
  kMissingConnection,
  kMissingTarget,
  kUnknownDataSource,
  kInlineTargetRefused,
  kInvalidConfig,
  kEmptyTransaction,
  kMissingTransaction,
  kCommitWithoutTransaction,
  kMalformedToken,
  kEmptyBatch,
  kBatchTooLarge,
  kParametersTwice,
  kAtomicInTransaction,
  kExactlyOnceInTransaction,
  kExactlyOnceNotAtomic,
  kExactlyOnceUnavailable,
  kMalformedKey,
  kIdempotencyKeyReused,
  kIdempotencyKeyBusy,
  kSavepointName,
  kMissingCall,
  kTooManyCalls,
  kDuplicateCorrelationId,

  // The statement.
  kEmptyStatement,
  kStatementTooLarge,
  kStatementTooComplex,
  kNulByte,
  kSyntaxError,
  kScanner,
  kMultipleStatements,
  kMixedPlaceholders,
  kTransactionControl,
  kCopyNotSupported,
  kSettingNotSupported,
  kParametersNotSupported,

  // Its parameters.
  kParameterCount,
  kTooManyParameters,
  kParametersTooLarge,
  kNoValue,
  kUnknownType,
  kTypeNameTooLong,
  kTypeWithNumberedParameters,
  kUnknownExpression,
  kTypedExpression,
  kExpressionWithNumberedParameters,

  // Connections, and what there is only so much of.
  kUnknownConnection,
  kConnectionClosed,
  kUnreachable,
  kLoginRefused,
  kPasswordFile,
  kTransactionPooler,
  kPoolerDropsSettings,
  kLinkLost,
  kDraining,
  kPoolExhausted,
  kPoolWaitTimeout,
  kTransactionShareExhausted,
  kTooManyConnections,
  kTooManyTargets,
  kTooManySessions,
  kTooManyTransactions,
  kTooManyQuestions,

  // The statement's run.
  kPostgresqlError,
  kStalePlan,
  kResultTooLarge,
  kDeadlineExceeded,
  kCancelled,
  kCancelledByOperator,

  // Transactions.
  kNoTransaction,
  kUnknownTransaction,
  kTransactionCommitted,
  kTransactionRolledBack,
  kTransactionExpired,
  kTransactionLost,
  kTransactionFailed,
  kStreamOpen,
  kCommitInDoubt,
  kEffectsElsewhere,
  kReplayDiffered,
};

struct ReasonInfo {
  Reason reason;
  std::string_view name;        // "POOL_EXHAUSTED"
  std::string_view happened;    // a sentence
  std::string_view what_to_do;  // a sentence
};

// Every reason but kUnspecified, in the enum's order.
[[nodiscard]] absl::Span<const ReasonInfo> Reasons();

// As the contract has it: "POOL_EXHAUSTED"; "" for kUnspecified.
[[nodiscard]] std::string_view NameOf(Reason reason);

// The reason of that name; kUnspecified has "".
[[nodiscard]] std::optional<Reason> FindReason(std::string_view name);

}  // namespace engine::db

#endif  // ENGINE_DB_SERVER_BASE_REASON_H_
