// What PostgreSQL's own parser says of a statement's text.
#ifndef ENGINE_DB_SDK_SQL_SYNTAX_H_
#define ENGINE_DB_SDK_SQL_SYNTAX_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "sdk/sql/scanner.h"

namespace engine::db::sql {

// Facts about one text.
struct Syntax {
  int statements = 0;                   // how many statements it holds
  std::string type;                     // node type of the last one, "SelectStmt"
  bool read_only = false;               // StatementClass::kRead
  bool changes_session = false;         // TextFacts::changes_session
  bool outlasts_reset = false;          // TextFacts::outlasts_reset
  bool reads_sequences = false;         // TextFacts::reads_sequences
  bool calls_unknown_code = false;      // TextFacts::calls_unknown_code
  bool makes_tables = false;            // SELECT INTO
  bool takes_parameters = true;         // PostgreSQL looks for parameters in it
  std::vector<int> untyped_parameters;  // see UntypedParameters()
};

// Whether the tree of a text with these tokens is sure to be small and shallow enough: libpg_query guards neither
// memory nor stack. What is rendered from a text (see Placeholders) is as safe as the text itself.
bool MayBeParsed(std::string_view sql, absl::Span<const Token> tokens);

// nullopt when the parser does not know the text. Only for what MayBeParsed. Any thread may call it.
std::optional<Syntax> Parse(const std::string& sql);

// What is wrong with a text that the parser does not know, in PostgreSQL's words, which quote it; nullopt when it knows
// the text. Only for what MayBeParsed. Any thread may call it.
std::optional<std::string> FindSyntaxError(const std::string& sql);
// The PostgreSQL whose parser it is: "15". The server may be a newer one, which knows more.
std::string_view ParserVersion();

// libpg_query's fingerprint in hex: the same for texts that differ only in literals. "" when the parser does not know
// the text. Only for what MayBeParsed. Any thread may call it.
std::string Fingerprint(const std::string& sql);

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SDK_SQL_SYNTAX_H_
