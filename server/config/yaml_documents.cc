#include "server/config/yaml_documents.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>

namespace engine::db::config {
namespace {

// Looks at the values of all documents but the first.
class Later final : public YAML::EventHandler {
 public:
  [[nodiscard]] const std::optional<size_t>& line() const { return line_; }
  [[nodiscard]] bool stands_still() const { return stands_still_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    // In a text that begins with a comma, yaml-cpp finds documents without end.
    stands_still_ = documents_ > 0 && mark.pos == begin_;
    if (stands_still_) See(mark);
    begin_ = mark.pos;
    ++documents_;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { See(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t, const std::string&) override { See(mark); }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    See(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    See(mark);
  }
  void OnMapEnd() override {}

 private:
  void See(const YAML::Mark& mark) {
    if ((documents_ > 1 || stands_still_) && !line_) line_ = static_cast<size_t>(mark.line) + 1;
  }

  int documents_ = 0;
  int begin_ = 0;
  bool stands_still_ = false;
  std::optional<size_t> line_;
};

}  // namespace

std::optional<size_t> LineOfSecondDocument(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Later later;
  while (!later.line() && !later.stands_still() && parser.HandleNextDocument(later)) {
  }
  return later.line();
}

}  // namespace engine::db::config
