#include "sdk/builtins/src/yaml_document.h"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <map>
#include <sstream>

namespace engine::db::builtins {
namespace {

size_t line_of(const YAML::Mark& mark) { return mark.is_null() ? 0 : static_cast<size_t>(mark.line) + 1; }

// Measures a document before there are nodes of it.
class Bounds final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    // yaml-cpp finds documents for ever in what begins with a comma.
    if (mark.pos == begin_) throw YamlError(line_of(mark), "is not YAML: there is a comma where a value is due");
    begin_ = mark.pos;
    open_.clear();
    anchored_.clear();
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t anchor) override { add({kValueBytes, 0}, anchor); }
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t anchor,
                const std::string& value) override {
    add({kValueBytes + value.size(), 0}, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchored_.find(anchor);
    if (found == anchored_.end()) throw YamlError(line_of(mark), "has an alias within what it stands for");
    aliased_bytes_ += found->second.bytes;
    if (aliased_bytes_ > kMaxAliasedBytes) {
      throw YamlError(line_of(mark), "repeats more than " + std::to_string(kMaxAliasedBytes) + " bytes by aliases");
    }
    require_depth(mark, found->second.height);
    add(found->second, YAML::NullAnchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(mark, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(mark, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  static constexpr size_t kValueBytes = 16;

  struct Size {
    size_t bytes = kValueBytes;
    size_t height = 0;  // of the lists and maps in it, itself included
  };
  struct Open {
    Size size;
    YAML::anchor_t anchor;
  };

  void require_depth(const YAML::Mark& mark, size_t height) const {
    if (open_.size() + height > kMaxYamlDepth) {
      throw YamlError(line_of(mark), "is nested more than " + std::to_string(kMaxYamlDepth) + " levels deep");
    }
  }
  void open(const YAML::Mark& mark, YAML::anchor_t anchor) {
    require_depth(mark, 1);
    open_.push_back({Size{kValueBytes, 1}, anchor});
  }
  void close() {
    const Open closed = open_.back();
    open_.pop_back();
    add(closed.size, closed.anchor);
  }
  void add(const Size& size, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) anchored_[anchor] = size;
    if (open_.empty()) return;
    Size& parent = open_.back().size;
    parent.bytes += size.bytes;
    parent.height = std::max(parent.height, size.height + 1);
  }

  int begin_ = -1;  // of the document
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Size> anchored_;
  size_t aliased_bytes_ = 0;
};

}  // namespace

std::string with_plain_line_breaks(std::string_view yaml) {
  std::string plain(yaml);
  if (plain.find('\0') != std::string::npos) return plain;  // UTF-16, in which the byte may be part of a letter
  const auto crlf = [&plain](size_t at) { return at + 1 < plain.size() && plain[at + 1] == '\n'; };
  size_t out = 0;
  for (size_t at = 0; at < plain.size(); ++at) {
    if (plain[at] == '\r' && crlf(at)) continue;
    plain[out++] = plain[at] == '\r' ? '\n' : plain[at];
  }
  plain.resize(out);
  return plain;
}

std::vector<YAML::Node> read_yaml(const std::string& yaml) {
  try {
    std::istringstream in(yaml);
    YAML::Parser parser(in);
    Bounds bounds;
    while (parser.HandleNextDocument(bounds)) {
    }
    return YAML::LoadAll(yaml);
  } catch (const YAML::Exception& error) {
    // Of yaml-cpp's words only those that quote nothing: "*secret" is an anchor that is not defined.
    const std::string message = error.msg.substr(0, error.msg.find_first_of(":\""));
    throw YamlError(line_of(error.mark),
                    "is not YAML: " + message +
                        " (is what belongs together indented alike? A list behind other blocks needs \"steps:\" or "
                        "\"---\" before it)");
  }
}

}  // namespace engine::db::builtins
