#include "server/postgres/error_texts.h"

#include <libpq-fe.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "server/base/text.h"
#include "server/observe/log.h"
#include "server/postgres/hidden_values.h"

namespace engine::db::postgres {
namespace {

constexpr size_t kMaxLoggedBytes = 4096;  // of each text
constexpr std::array<int, 5> kTexts = {PG_DIAG_MESSAGE_PRIMARY, PG_DIAG_MESSAGE_DETAIL, PG_DIAG_MESSAGE_HINT,
                                       PG_DIAG_CONTEXT, PG_DIAG_INTERNAL_QUERY};

// ALTER ROLE … PASSWORD, a user mapping's options, dblink's connection strings, crypt() and the like.
bool IsAboutSecrets(std::string_view text) {
  const std::string lower = absl::AsciiStrToLower(ToAbsl(text));
  return absl::StrContains(lower, "passw") || absl::StrContains(lower, "crypt");
}

}  // namespace

std::string_view ErrorField(const PGresult& result, int code) {
  const char* value = PQresultErrorField(&result, code);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

void LogWholeError(const PGresult& result, std::string_view sql, const ErrorTexts& texts) {
  const std::string_view sqlstate = ErrorField(result, PG_DIAG_SQLSTATE);
  const std::string_view routine = ErrorField(result, PG_DIAG_SOURCE_FUNCTION);
  if (IsAboutSecrets(sql) ||
      std::any_of(kTexts.begin(), kTexts.end(), [&](int code) { return IsAboutSecrets(ErrorField(result, code)); })) {
    observe::LogWarning("PostgreSQL's error, withheld since it may hold a password or a key",
                        {{"pool", texts.target}, {"sqlstate", sqlstate}, {"routine", routine}});
    return;
  }
  const auto whole = [&](int code) {
    const std::array<std::string_view, 1> secrets = {texts.password};
    return HideValues(ErrorField(result, code).substr(0, kMaxLoggedBytes), secrets, "", Search::kPieces);
  };
  observe::LogWarning("PostgreSQL's error", {{"pool", texts.target},
                                             {"sqlstate", sqlstate},
                                             {"routine", routine},
                                             {"message", whole(PG_DIAG_MESSAGE_PRIMARY)},
                                             {"detail", whole(PG_DIAG_MESSAGE_DETAIL)},
                                             {"hint", whole(PG_DIAG_MESSAGE_HINT)},
                                             {"context", whole(PG_DIAG_CONTEXT)},
                                             {"internal_query", whole(PG_DIAG_INTERNAL_QUERY)}});
}

}  // namespace engine::db::postgres
