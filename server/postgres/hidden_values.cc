#include "server/postgres/hidden_values.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"
#include "server/postgres/message_text.h"

namespace engine::db::postgres {
namespace {

// Shorter ones tell nothing, and are in every text.
constexpr size_t kTellingBytes = 4;
// Of so many characters in a row it is no accident that two texts have them in common.
constexpr size_t kPieceBytes = sizeof(uint64_t);
// A message holds no more of a value as hexadecimal digits.
constexpr size_t kMaxHexBytes = 2048;

bool IsWordByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return absl::ascii_isalnum(byte) || byte >= 0x80;
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

// What is left of a text without case and punctuation.
std::string Fold(std::string_view text) {
  std::string folded;
  folded.reserve(text.size());
  for (const char c : text) {
    if (IsWordByte(c)) folded.push_back(absl::ascii_tolower(static_cast<unsigned char>(c)));
  }
  return folded;
}

std::string Escaped(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    const size_t at = std::string_view("\b\t\n\f\r").find(c);
    if (at != std::string_view::npos) {
      escaped += "btnfr"[at];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppend(&escaped, "u", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad4));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// A character of JSON's \u0041 (without surrogates, whose halves come out as they may).
void AppendUtf8(uint32_t code, std::string& text) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0U | (code >> 6));
    text += static_cast<char>(0x80U | (code & 0x3FU));
  } else {
    text += static_cast<char>(0xE0U | (code >> 12));
    text += static_cast<char>(0x80U | ((code >> 6) & 0x3FU));
    text += static_cast<char>(0x80U | (code & 0x3FU));
  }
}

std::string Unescaped(std::string_view value) {
  std::string plain;
  for (size_t i = 0; i < value.size(); ++i) {
    uint32_t code = 0;
    if (value[i] != '\\' || i + 1 == value.size()) {
      plain += value[i];
    } else if (value[++i] == 'u' && absl::SimpleHexAtoi(ToAbsl(value.substr(i + 1, 4)), &code)) {
      AppendUtf8(code, plain);
      i += 4;
    } else if (std::string_view("btnfr").find(value[i]) == std::string_view::npos) {
      plain += value[i];
    }
  }
  return plain;
}

std::string EscapedForXml(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    escaped += c == '&' ? "amp" : c == '<' ? "lt" : c == '>' ? "gt" : std::string(1, c);
  }
  return escaped;
}

// The ways in which PostgreSQL may print a value, folded.
std::vector<std::string> FormsOf(std::string_view value) {
  std::vector<std::string> forms = {Fold(value)};
  const auto has = [value](std::string_view bytes) { return value.find_first_of(bytes) != std::string_view::npos; };
  if (std::any_of(value.begin(), value.end(), [](unsigned char c) { return c < 0x20; })) {
    forms.push_back(Fold(Escaped(value)));
  }
  if (has("\\")) forms.push_back(Fold(Unescaped(value)));
  if (has("&<>")) forms.push_back(Fold(EscapedForXml(value)));
  forms.push_back(absl::BytesToHexString(ToAbsl(value.substr(0, kMaxHexBytes))));
  return forms;
}

// The strings and numbers of a JSON text, an array or a row, without JSON's keys; none for any other text.
std::vector<std::string_view> ElementsOf(std::string_view value) {
  constexpr std::string_view kMarks = "{}[](),:\"";
  std::vector<std::string_view> elements;
  if (value.empty() || std::string_view("{[(").find(value.front()) == std::string_view::npos) return elements;
  for (size_t begin = 0; begin < value.size();) {
    const size_t end = std::min(value.find_first_of(kMarks, begin), value.size());
    const size_t next = std::min(value.find_first_not_of(" \n\t", end + 1), value.size());
    const bool is_key = next < value.size() && value[end] == '"' && value[next] == ':';
    if (end > begin && !is_key) elements.push_back(value.substr(begin, end - begin));
    begin = end + 1;
  }
  return elements;
}

// A text in which values are marked.
class Text {
 public:
  explicit Text(std::string_view text) : text_(text) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (!IsWordByte(text[i])) continue;
      folded_.push_back(absl::ascii_tolower(static_cast<unsigned char>(text[i])));
      places_.push_back(i);
    }
    hidden_.resize(text.size(), false);
    for (size_t i = 0; i + kPieceBytes <= folded_.size(); ++i) pieces_.insert(PieceAt(folded_, i));
    for (size_t i = 0; i + kTellingBytes <= folded_.size(); ++i) beginnings_.insert(folded_.substr(i, kTellingBytes));
  }

  void Find(std::string_view value, Search search) {
    const std::vector<std::string_view> elements =
        search == Search::kPieces ? ElementsOf(value) : std::vector<std::string_view>();
    FindOne(value, elements.empty() ? search : Search::kWhole);
    for (const std::string_view element : elements) FindElement(element);  // there may be a million of them
  }

  // With "..." for each marked part that `sql` does not hold.
  [[nodiscard]] std::string Shown(std::string_view sql) const {
    std::string shown;
    std::string known;
    for (size_t i = 0; i < text_.size();) {
      size_t end = i;
      while (end < text_.size() && hidden_[end] == hidden_[i]) ++end;
      const std::string_view part = text_.substr(i, end - i);
      if (hidden_[i] && known.empty()) known = WithoutCaseAndQuotes(sql);
      const bool hides = hidden_[i] && known.find(WithoutCaseAndQuotes(part)) == std::string::npos;
      absl::StrAppend(&shown, hides ? absl::string_view("...") : ToAbsl(part));
      i = end;
    }
    return shown;
  }

 private:
  void FindOne(std::string_view value, Search search) {
    if (value.size() < kTellingBytes) return;
    const std::vector<std::string> forms = FormsOf(value);
    if (forms.front().size() < kTellingBytes) {  // nothing but punctuation
      for (size_t at = text_.find(value); at != std::string_view::npos; at = text_.find(value, at + 1)) {
        Hide(at, at + value.size());
      }
      return;
    }
    for (const std::string& form : forms) {
      FindWhole(form);
      if (search == Search::kPieces) FindPieces(form);
    }
  }

  void FindElement(std::string_view element) {
    std::string folded = Fold(element);
    if (element.find('\\') != std::string_view::npos) folded = Fold(Unescaped(element));
    if (folded.size() < kTellingBytes) return;
    if (beginnings_.contains(folded.substr(0, kTellingBytes))) FindWhole(folded);
    FindPieces(folded);
  }

  static uint64_t PieceAt(std::string_view folded, size_t at) {
    uint64_t piece = 0;
    std::memcpy(&piece, folded.data() + at, kPieceBytes);
    return piece;
  }

  void Hide(size_t begin, size_t end) {
    while (begin > 0 && IsContinuation(text_[begin])) --begin;
    while (end < text_.size() && IsContinuation(text_[end])) ++end;
    std::fill(hidden_.begin() + static_cast<std::ptrdiff_t>(begin), hidden_.begin() + static_cast<std::ptrdiff_t>(end),
              true);
  }
  void HideFolded(size_t at, size_t size) { Hide(places_[at], places_[at + size - 1] + 1); }

  [[nodiscard]] bool IsWord(size_t at, size_t size) const {
    const size_t begin = places_[at];
    const size_t end = places_[at + size - 1] + 1;
    return (begin == 0 || !IsWordByte(text_[begin - 1])) && (end == text_.size() || !IsWordByte(text_[end]));
  }

  void FindWhole(std::string_view form) {
    if (form.size() < kTellingBytes) return;
    for (size_t at = folded_.find(form); at != std::string::npos; at = folded_.find(form, at + 1)) {
      if (form.size() >= kPieceBytes || IsWord(at, form.size())) HideFolded(at, form.size());
    }
  }

  void FindPieces(std::string_view form) {
    absl::flat_hash_set<uint64_t> found;
    for (size_t i = 0; i + kPieceBytes <= form.size(); ++i) {
      if (const uint64_t piece = PieceAt(form, i); pieces_.contains(piece)) found.insert(piece);
    }
    if (found.empty()) return;
    for (size_t i = 0; i + kPieceBytes <= folded_.size(); ++i) {
      if (found.contains(PieceAt(folded_, i))) HideFolded(i, kPieceBytes);
    }
  }

  std::string_view text_;
  std::string folded_;
  std::vector<size_t> places_;                   // of the folded characters in the text
  std::vector<bool> hidden_;                     // byte for byte
  absl::flat_hash_set<uint64_t> pieces_;         // of the folded characters
  absl::flat_hash_set<std::string> beginnings_;  // the same, of the fewest that tell anything
};

}  // namespace

std::string HideValues(std::string_view text, absl::Span<const std::string_view> values, std::string_view sql,
                       Search search) {
  if (text.empty()) return "";
  Text marked(text);
  for (const std::string_view value : values) marked.Find(value, search);
  return marked.Shown(sql);
}

}  // namespace engine::db::postgres
