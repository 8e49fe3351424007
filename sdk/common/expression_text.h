// The expressions that may stand in the place of a parameter, as SQL writes them.
#ifndef ENGINE_DB_SDK_COMMON_EXPRESSION_TEXT_H_
#define ENGINE_DB_SDK_COMMON_EXPRESSION_TEXT_H_

#include <array>
#include <string_view>

namespace engine::db::common {

// By their number, which v1::Expression and engine_db's Expression share: 1 is CURRENT_TIMESTAMP. "" for none of them.
[[nodiscard]] constexpr std::string_view expression_text(int number) {
  constexpr std::array<std::string_view, 7> kTexts = {
      "", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "LOCALTIMESTAMP", "LOCALTIME", "DEFAULT"};
  return number > 0 && number < static_cast<int>(kTexts.size()) ? kTexts[static_cast<size_t>(number)] : "";
}

}  // namespace engine::db::common

#endif  // ENGINE_DB_SDK_COMMON_EXPRESSION_TEXT_H_
