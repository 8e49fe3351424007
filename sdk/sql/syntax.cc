#include "sdk/sql/syntax.h"

#include <pg_query.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "sdk/sql/functions.h"
#include "sdk/sql/untyped_parameters.h"

namespace engine::db::sql {
namespace {

// The tree of this many tokens takes about 10 MB as JSON and is read in about 100 ms.
constexpr size_t kMaxTokens = 100'000;
// libpg_query recurses into chains such as 1+1+1… without a limit, at up to 132 bytes of stack a level (measured), and
// each level needs a token: at most 0.7 MB of a thread's stack. Brackets are limited by the grammar itself.
constexpr uint32_t kMaxDepth = 5'000;

// An upper bound of the depth of the tree: the tokens that are not separated by a comma, in all open brackets. Chains
// of UNION run across commas. CASE … END may hold any of these; since both words may also be names ("a.end"), only a
// bracket closes a bracket.
uint32_t DepthBound(std::string_view sql, absl::Span<const Token> tokens) {
  struct Level {
    char opener;
    uint32_t chain = 0;
    uint32_t set_operations = 0;
  };
  std::vector<Level> levels = {{' '}};
  uint32_t total = 0;
  uint32_t deepest = 0;
  const auto close = [&levels, &total](char opener) {
    const auto found =
        std::find_if(levels.rbegin(), levels.rend(), [opener](const Level& l) { return l.opener == opener; });
    if (found == levels.rend()) return;
    const auto keep = static_cast<size_t>(levels.rend() - found) - 1;
    for (; levels.size() > keep; levels.pop_back()) total -= levels.back().chain + levels.back().set_operations;
  };
  for (const Token& token : tokens) {
    const std::string_view text = sql.substr(token.begin, token.end > token.begin ? token.end - token.begin : 1);
    ++levels.back().chain;
    deepest = std::max(deepest, ++total);
    if (text == "(" || text == "[") {
      levels.push_back({text[0]});
    } else if (text == ")") {
      close('(');
    } else if (text == "]") {
      close('[');
    } else if (text == "," || text == ";") {
      total -= levels.back().chain;
      levels.back().chain = 0;
    } else if (token.kind == TokenKind::kWord) {
      if (IsWord(text, "case")) {
        levels.push_back({'c'});
      } else if (IsWord(text, "end")) {
        if (levels.back().opener == 'c') close('c');
      } else if (IsWord(text, "union") || IsWord(text, "except") || IsWord(text, "intersect")) {
        ++levels.back().set_operations;
        ++total;
      }
    }
  }
  return deepest;
}

// The keys of the tree that matter here.
enum class Key : uint8_t {
  kOther,
  kStatements,     // "stmts"
  kStatement,      // "stmt"
  kFunctionCall,   // "FuncCall"
  kFunctionName,   // "funcname"
  kString,         // "String"
  kStringValue,    // "sval"
  kPersistence,    // "relpersistence"
  kSchema,         // "schemaname"
  kSetStatement,   // "VariableSetStmt"
  kKind,           // "kind"
  kName,           // "name"
  kIsLocal,        // "is_local"
  kCursor,         // "DeclareCursorStmt"
  kOptions,        // "options"
  kOption,         // "DefElem"
  kOptionName,     // "defname"
  kStatementNode,  // ends with "Stmt"
};

Key KeyOf(std::string_view name) {
  static constexpr std::pair<std::string_view, Key> kKeys[] = {
      {"stmts", Key::kStatements},
      {"stmt", Key::kStatement},
      {"FuncCall", Key::kFunctionCall},
      {"funcname", Key::kFunctionName},
      {"String", Key::kString},
      {"sval", Key::kStringValue},
      {"relpersistence", Key::kPersistence},
      {"schemaname", Key::kSchema},
      {"VariableSetStmt", Key::kSetStatement},
      {"kind", Key::kKind},
      {"name", Key::kName},
      {"is_local", Key::kIsLocal},
      {"DeclareCursorStmt", Key::kCursor},
      {"options", Key::kOptions},
      {"DefElem", Key::kOption},
      {"defname", Key::kOptionName},
  };
  for (const auto& [text, key] : kKeys) {
    if (text == name) return key;
  }
  // Nodes begin with a capital; "selectStmt" is but a field.
  return name.ends_with("Stmt") && absl::ascii_isupper(static_cast<unsigned char>(name[0])) ? Key::kStatementNode
                                                                                            : Key::kOther;
}

bool IsTemporarySchema(std::string_view name) { return name == "pg_temp" || name.starts_with("pg_temp_"); }

// Statements that leave something in the session, or run what their text does not show. SET is looked at more closely.
bool LeavesSomethingInSession(std::string_view type) {
  static constexpr std::string_view kTypes[] = {
      "AlterExtensionStmt", "CallStmt", "CreateExtensionStmt", "DeallocateStmt", "DiscardStmt", "DoStmt", "ExecuteStmt",
      "ListenStmt",         "LoadStmt", "PrepareStmt",         "UnlistenStmt"};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

// Settings that change neither what a name in a statement's text means (as search_path and role do) nor what a literal
// does (TimeZone: it is read when the statement is prepared). Those of applications and extensions have a dot.
bool LeavesMeaningsAlone(std::string_view setting) {
  static constexpr std::string_view kSettings[] = {"client_min_messages",
                                                   "constraint_exclusion",
                                                   "cursor_tuple_fraction",
                                                   "default_statistics_target",
                                                   "effective_cache_size",
                                                   "force_parallel_mode",
                                                   "from_collapse_limit",
                                                   "geqo",
                                                   "hash_mem_multiplier",
                                                   "jit",
                                                   "join_collapse_limit",
                                                   "maintenance_work_mem",
                                                   "max_parallel_workers",
                                                   "plan_cache_mode",
                                                   "synchronous_commit",
                                                   "temp_buffers",
                                                   "transaction_read_only",
                                                   "work_mem",
                                                   "max_parallel_workers_per_gather"};
  return setting.find('.') != std::string_view::npos || setting.ends_with("_timeout") || setting.ends_with("_cost") ||
         setting.starts_with("enable_") || setting.starts_with("log_") ||
         std::find(std::begin(kSettings), std::end(kSettings), setting) != std::end(kSettings);
}

// Those that PostgreSQL analyses before it runs them (transformStmt in its analyze.c), and so finds the parameters of;
// and SET, whose grammar has none, which PostgreSQL says with their place.
bool TakesParameters(std::string_view type) {
  static constexpr std::string_view kTypes[] = {
      "SelectStmt", "InsertStmt",  "UpdateStmt",        "DeleteStmt",        "MergeStmt",
      "CallStmt",   "ExplainStmt", "DeclareCursorStmt", "CreateTableAsStmt", "VariableSetStmt"};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

// Functions that leave what DISCARD ALL does not take away, whatever schema they are in: dblink's connections, a
// backup, temporary replication slots, a replication origin.
bool LeavesSomethingForGood(std::string_view function) {
  static constexpr std::string_view kFunctions[] = {"dblink_connect",
                                                    "dblink_connect_u",
                                                    "pg_backup_start",
                                                    "pg_copy_logical_replication_slot",
                                                    "pg_copy_physical_replication_slot",
                                                    "pg_create_logical_replication_slot",
                                                    "pg_create_physical_replication_slot",
                                                    "pg_replication_origin_session_setup",
                                                    "pg_start_backup"};
  return std::find(std::begin(kFunctions), std::end(kFunctions), function) != std::end(kFunctions);
}

// Gathers facts from libpg_query's tree as it is read, so that no copy of the tree is held: nlohmann's SAX interface.
class TreeReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool start_object(std::size_t) override { return Open(); }
  bool start_array(std::size_t) override { return Open(); }
  bool end_object() override {
    if (path_.back() == Key::kSetStatement && path_.size() == 5) JudgeSet();  // not CREATE FUNCTION … SET
    return Close();
  }
  bool end_array() override {
    if (path_.back() == Key::kFunctionName && Above(1) == Key::kFunctionCall) JudgeFunction();
    return Close();
  }
  bool key(std::string& name) override {
    key_ = KeyOf(name);
    if (key_ == Key::kStatementNode || key_ == Key::kSetStatement || key_ == Key::kCursor) SeeStatement(name);
    if (name == "lockingClause" || name == "intoClause") locks_or_stores_ = true;
    if (name == "intoClause") syntax_.makes_tables = true;
    return true;
  }
  bool string(std::string& value) override {
    switch (key_) {
      case Key::kStringValue:
        if (path_.back() == Key::kString) SeeString(value);
        break;
      case Key::kPersistence:
        temporary_ |= value == "t";
        break;
      case Key::kSchema:
        temporary_ |= IsTemporarySchema(value);
        break;
      case Key::kKind:
        if (path_.back() == Key::kSetStatement) set_.kind = value;
        break;
      case Key::kName:
        if (path_.back() == Key::kSetStatement) set_.name = value;
        break;
      case Key::kOptionName:
        if (path_.back() != Key::kOption) break;
        option_ = value;
        if (syntax_.type == "ExplainStmt") analyze_ |= value == "analyze";
        break;
      default:
        break;
    }
    return true;
  }
  bool boolean(bool value) override {
    if (key_ == Key::kIsLocal && path_.back() == Key::kSetStatement) set_.is_local = value;
    return true;
  }
  bool number_integer(number_integer_t value) override { return SeeNumber(value); }
  bool number_unsigned(number_unsigned_t value) override { return SeeNumber(static_cast<int64_t>(value)); }
  bool number_float(number_float_t, const std::string&) override { return true; }
  bool null() override { return true; }
  bool binary(nlohmann::json::binary_t&) override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  Syntax Finish() && {
    syntax_.changes_session = leaves_something_ || temporary_ || functions_ == FunctionEffect::kUnknown;
    syntax_.calls_unknown_code = functions_ == FunctionEffect::kUnknown || runs_code_;
    syntax_.reads_sequences |= syntax_.calls_unknown_code;
    syntax_.read_only = IsRead() && functions_ == FunctionEffect::kNone && !syntax_.changes_session;
    return std::move(syntax_);
  }

 private:
  bool Open() {
    path_.push_back(key_);
    key_ = Key::kOther;
    return true;
  }
  bool Close() {
    path_.pop_back();
    key_ = Key::kOther;
    return true;
  }
  Key Above(size_t levels) const { return path_.size() > levels ? path_[path_.size() - 1 - levels] : Key::kOther; }

  void SeeStatement(std::string_view type) {
    // {"stmts":[{"stmt":{TYPE: the path is the root, "stmts", an element, "stmt".
    const bool top = path_.size() == 4 && path_[1] == Key::kStatements && path_[3] == Key::kStatement;
    if (top) {
      ++syntax_.statements;
      syntax_.type = type;
    }
    // EXECUTE also within EXPLAIN and CREATE TABLE AS.
    if (top || type == "ExecuteStmt") syntax_.takes_parameters = TakesParameters(type);
    leaves_something_ |= LeavesSomethingInSession(type);
    runs_code_ |= type == "DoStmt" || type == "CallStmt" || type == "ExecuteStmt";
    syntax_.outlasts_reset |= type == "LoadStmt";
    if (type == "SelectStmt") return;
    if (type == "InsertStmt" || type == "UpdateStmt" || type == "DeleteStmt" || type == "MergeStmt") {
      modifies_data_ = true;
    } else if (!top) {
      runs_utility_ = true;
    }
  }

  void SeeString(const std::string& value) {
    if (Above(2) == Key::kFunctionName && Above(3) == Key::kFunctionCall) {
      function_.push_back(value);
    } else if (syntax_.type == "DoStmt" && option_ == "language" && Above(2) == Key::kOption) {
      syntax_.outlasts_reset |= value != "plpgsql";  // others keep variables of their own: PL/Perl's %_SHARED
    } else {
      temporary_ |= IsTemporarySchema(value);  // part of a qualified name: CREATE TYPE pg_temp.t
    }
  }

  void JudgeFunction() {
    const bool built_in = function_.size() == 1 || (function_.size() == 2 && function_[0] == "pg_catalog");
    const FunctionEffect effect = built_in ? EffectOf(function_.back()) : FunctionEffect::kUnknown;
    functions_ = std::max(functions_, effect);
    syntax_.outlasts_reset |= LeavesSomethingForGood(function_.back());
    syntax_.reads_sequences |= function_.back() == "currval" || function_.back() == "lastval";
    function_.clear();
  }

  // SET LOCAL and SET TRANSACTION end with the transaction; but what was prepared under a local setting is not always
  // what it would be without it, and what was created under a local search_path may be temporary.
  void JudgeSet() {
    const bool of_transaction = set_.kind == "VAR_SET_MULTI" && set_.name != "SESSION CHARACTERISTICS";
    leaves_something_ |= !of_transaction && !(set_.is_local && LeavesMeaningsAlone(set_.name));
  }

  bool SeeNumber(int64_t value) {
    constexpr int64_t kWithHold = 0x20;  // CURSOR_OPT_HOLD
    if (key_ == Key::kOptions && path_.back() == Key::kCursor) leaves_something_ |= (value & kWithHold) != 0;
    return true;
  }

  bool IsRead() const {
    if (syntax_.statements != 1 || runs_utility_) return false;
    if (syntax_.type == "VariableShowStmt") return true;
    if (syntax_.type == "ExplainStmt" && !analyze_) return true;  // plans it, and no more
    return (syntax_.type == "SelectStmt" || syntax_.type == "ExplainStmt") && !modifies_data_ && !locks_or_stores_;
  }

  Syntax syntax_;
  std::vector<Key> path_;  // the keys under which the open objects and arrays stand
  Key key_ = Key::kOther;
  std::vector<std::string> function_;  // the name of the function call being read
  FunctionEffect functions_ = FunctionEffect::kNone;
  std::string option_;  // the last one that began
  // The last SET that began.
  struct {
    std::string kind;
    std::string name;
    bool is_local = false;
  } set_;
  bool leaves_something_ = false;
  bool runs_code_ = false;  // that the text does not show
  bool temporary_ = false;
  bool modifies_data_ = false;
  bool runs_utility_ = false;  // a statement within a statement that is no query: EXPLAIN CREATE TABLE AS …
  bool locks_or_stores_ = false;
  bool analyze_ = false;
};

}  // namespace

bool MayBeParsed(std::string_view sql, absl::Span<const Token> tokens) {
  return tokens.size() <= kMaxTokens && DepthBound(sql, tokens) <= kMaxDepth;
}

std::optional<Syntax> Parse(const std::string& sql) {
  const PgQueryParseResult result = pg_query_parse(sql.c_str());
  const absl::Cleanup free_result = [&result] { pg_query_free_parse_result(result); };
  if (result.error != nullptr) return std::nullopt;
  TreeReader reader;
  const std::string_view tree = result.parse_tree;
  if (!nlohmann::json::sax_parse(tree.begin(), tree.end(), &reader)) return std::nullopt;
  Syntax syntax = std::move(reader).Finish();
  if (sql.find('$') != std::string::npos) syntax.untyped_parameters = UntypedParameters(tree);
  return syntax;
}

std::optional<std::string> FindSyntaxError(const std::string& sql) {
  const auto error_of = [](const std::string& text) -> std::optional<std::string> {
    const PgQueryParseResult result = pg_query_parse(text.c_str());
    const absl::Cleanup free_result = [&result] { pg_query_free_parse_result(result); };
    if (result.error == nullptr) return std::nullopt;
    return result.error->message;
  };
  std::optional<std::string> error = error_of(sql);
  if (error && !error_of(WithoutNewNumberNotation(sql))) return std::nullopt;
  return error;
}

std::string_view ParserVersion() { return PG_MAJORVERSION; }

std::string Fingerprint(const std::string& sql) {
  const PgQueryFingerprintResult result = pg_query_fingerprint(sql.c_str());
  const absl::Cleanup free_result = [&result] { pg_query_free_fingerprint_result(result); };
  return result.error == nullptr && result.fingerprint_str != nullptr ? result.fingerprint_str : "";
}

}  // namespace engine::db::sql
