// Pipeline files, JSON and paths, whatever is written in them: a pipeline or faults, never a crash, no more time and
// memory than the bounds allow, and never the value of a variable in a fault.
#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "engine_db/builtins/bind.h"
#include "engine_db/builtins/json.h"
#include "engine_db/builtins/json_path.h"
#include "engine_db/builtins/pipeline.h"
#include "tests/fuzz/fuzz.h"

namespace engine::db::builtins {
namespace {

constexpr size_t kMaxBytes = 8'000;
constexpr std::string_view kSecret = "cAnArY";

std::optional<std::string> variable(const std::string& /*name*/) { return std::string(kSecret); }

void require_hidden(std::string_view message) {
  Require(message.find(kSecret) == std::string_view::npos, "no fault shows a value");
}

void read_pipeline(const std::string& text) {
  try {
    const Pipeline pipeline = load_pipeline(text, {.environment = variable, .servers_from_elsewhere = true});
    Require(pipeline.steps.size() <= kMaxSteps, "the steps are bounded");
    for (const Step& step : pipeline.steps) {
      if (!step.database) continue;
      for (const size_t at : step.database->dashes_before_folded_lines) {
        Require(std::string_view(step.database->query).substr(at).starts_with("--"), "there are dashes");
      }
    }
    check_input(pipeline, Json::Object());
  } catch (const PipelineError& error) {
    require_hidden(error.what());
    for (const PipelineFault& fault : error.faults()) {
      const auto lines =
          static_cast<size_t>(std::ranges::count_if(text, [](char c) { return c == '\n' || c == '\r'; }));
      Require(!fault.message.empty() && fault.place.line <= lines + 1, "a fault says what and where");
    }
  }
}

void read_json(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    Require(Json::parse(json.dump()) == json, "JSON is read as it is written");
    (void)Json::parse(text, Json::Repeated::kIsError);
  } catch (const JsonError&) {  // NOLINT(bugprone-empty-catch): most are none
  }
}

// The path, a line break, and what it is to be found in.
void follow_path(const std::string& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  try {
    const JsonPath path = JsonPath::parse(std::string_view(text).substr(0, end));
    (void)path.select(Json::parse(std::string_view(text).substr(end)), path.segments().size() / 2);
  } catch (const std::runtime_error&) {  // NOLINT(bugprone-empty-catch): PathError, JsonError
  }
}

}  // namespace
}  // namespace engine::db::builtins

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace engine::db::builtins;
  if (size == 0 || size > kMaxBytes) return -1;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  // What is compared, libFuzzer learns; and files of this machine are no input.
  if (text.find(kSecret) != std::string::npos || text.find("${FILE:") != std::string::npos) return -1;
  switch (data[0]) {
    case 'j':
      read_json(text);
      break;
    case 'p':
      follow_path(text);
      break;
    default:
      read_pipeline(text);
  }
  return 0;
}
