#include "server/sql/statement.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/hash/hash.h"
#include "sdk/sql/scanner.h"
#include "sdk/sql/syntax.h"
#include "server/sql/refusal_status.h"
#include "server/sql/type_names.h"

namespace engine::db::sql {
namespace {

std::shared_ptr<const BoundText> MakeText(std::string sql, std::vector<uint32_t> types, size_t parameter_count) {
  const size_t hash = absl::HashOf(sql, types);
  return std::make_shared<const BoundText>(BoundText{std::move(sql), std::move(types), parameter_count, hash});
}

// Statement::TypeOfUntyped() of the parameters; empty: 0 for all.
std::vector<uint32_t> UntypedTypes(const TextFacts& facts) {
  std::vector<uint32_t> types;
  if (facts.untyped_parameters.empty()) return types;
  types.resize(static_cast<size_t>(facts.parameter_count));
  for (const int number : facts.untyped_parameters) {
    if (number >= 1 && number <= facts.parameter_count) types[static_cast<size_t>(number - 1)] = kTextOid;
  }
  return types;
}

}  // namespace

Statement::Statement(std::string sql, TextFacts facts)
    : caller_sql_(std::move(sql)),
      facts_(std::move(facts)),
      untyped_types_(UntypedTypes(facts_)),
      text_(MakeText(facts_.placeholders.empty() ? caller_sql_ : facts_.placeholders.Render(caller_sql_),
                     untyped_types_, static_cast<size_t>(facts_.parameter_count))) {}

const std::string& Statement::fingerprint() const {
  std::call_once(fingerprint_once_, [this] {
    if (!parsed()) return;
    fingerprint_ = Fingerprint(bound_sql());
    if (fingerprint_.empty()) fingerprint_ = Fingerprint(WithoutNewNumberNotation(bound_sql()));
  });
  return fingerprint_;
}

uint32_t Statement::PositionInCallerText(uint32_t position_in_bound_sql) const {
  return facts_.placeholders.CallerPosition(caller_sql_, {}, position_in_bound_sql);
}

std::shared_ptr<const BoundText> Statement::TextFor(absl::Span<const uint32_t> parameter_types,
                                                    absl::Span<const std::string_view> expressions) const {
  const bool typed =
      std::any_of(parameter_types.begin(), parameter_types.end(), [](uint32_t type) { return type != 0; });
  const bool spliced =
      std::any_of(expressions.begin(), expressions.end(), [](std::string_view e) { return !e.empty(); });
  const size_t parameter_count = parameter_types.size();
  if (!typed) parameter_types = {};
  if (!spliced && parameter_types == absl::MakeConstSpan(text_->parameter_types)) return text_;
  const std::string rendered = spliced ? facts_.placeholders.Render(caller_sql_, expressions) : std::string();
  const std::string& sql = spliced ? rendered : text_->sql;

  const absl::MutexLock lock(&mutex_);
  for (const auto& variant : variants_) {
    if (absl::MakeConstSpan(variant->parameter_types) == parameter_types && variant->sql == sql) return variant;
  }
  std::shared_ptr<const BoundText> made =
      MakeText(sql, {parameter_types.begin(), parameter_types.end()}, parameter_count);
  if (variants_.size() < kMaxVariants) {
    variants_.push_back(made);
  } else {
    variants_[next_variant_++ % kMaxVariants] = made;
  }
  return made;
}

bool Statement::touches_prepared() const {
  static constexpr std::string_view kLeaveThemAlone[] = {"SELECT", "VALUES", "TABLE", "WITH",  "INSERT",  "UPDATE",
                                                         "DELETE", "MERGE",  "SET",   "RESET", "LISTEN",  "UNLISTEN",
                                                         "CREATE", "SHOW",   "LOCK",  "FETCH", "DECLARE", "EXPLAIN"};
  return facts_.changes_session &&
         std::find(std::begin(kLeaveThemAlone), std::end(kLeaveThemAlone), facts_.summary) == std::end(kLeaveThemAlone);
}

bool Statement::takes_snapshot() const {
  static constexpr std::string_view kWithout[] = {"SET",       "RESET",   "SHOW",       "LOCK",
                                                  "LISTEN",    "NOTIFY",  "UNLISTEN",   "CHECKPOINT",
                                                  "SAVEPOINT", "RELEASE", "ROLLBACK TO"};
  return std::find(std::begin(kWithout), std::end(kWithout), facts_.summary) == std::end(kWithout);
}

bool Statement::is_neutral() const {
  return !takes_snapshot() && facts_.summary != "NOTIFY" && !facts_.sets_constraints;
}

size_t Statement::memory() const {
  const size_t variant =
      sizeof(BoundText) + text_->sql.size() + sizeof(uint32_t) * static_cast<size_t>(parameter_count());
  return sizeof(Statement) + caller_sql_.size() + facts_.placeholders.memory() +
         untyped_types_.size() * sizeof(uint32_t) + (1 + kMaxVariants) * variant;
}

absl::StatusOr<std::shared_ptr<const Statement>> Analyze(std::string_view sql) {
  std::string text(sql);
  OrRefusal<TextFacts> facts = AnalyzeText(text);
  if (!facts.ok()) return ToStatus(facts.refusal());
  return std::make_shared<const Statement>(std::move(text), *std::move(facts));
}

}  // namespace engine::db::sql
