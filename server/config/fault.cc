#include "server/config/fault.h"

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"

namespace engine::db::config {

absl::Status FaultsError(const std::vector<Fault>& faults) {
  // Leaves room in the 2 KiB for the rest of the detail.
  constexpr size_t kMaxMessageBytes = 1500;
  std::string message;
  for (size_t i = 0; i < faults.size(); ++i) {
    const std::string line = absl::StrCat(faults[i].field, ": ", faults[i].expected);
    if (i > 0 && message.size() + line.size() > kMaxMessageBytes) {
      absl::StrAppend(&message, "; and ", faults.size() - i, " more");
      break;
    }
    absl::StrAppend(&message, i > 0 ? "; " : "", line);
  }
  return InvalidRequest(faults.front().field, Reason::kInvalidConfig, message);
}

absl::Status FaultsReport(const std::string& title, const std::vector<Fault>& faults) {
  std::string message = title;
  for (const Fault& fault : faults) absl::StrAppend(&message, "\n  ", fault.field, ": ", fault.expected);
  return InvalidRequest(faults.front().field, Reason::kInvalidConfig, message);
}

}  // namespace engine::db::config
