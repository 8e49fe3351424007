#include "tests/benchmark/single_row_reader.h"

#include <endian.h>
#include <libpq-fe.h>

#include <bit>
#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace engine::db::bench {
namespace {

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Rows = std::unique_ptr<PGresult, decltype(&PQclear)>;

// pg_type.dat
constexpr Oid kInt8 = 20;
constexpr Oid kInt2 = 21;
constexpr Oid kInt4 = 23;
constexpr Oid kFloat4 = 700;
constexpr Oid kFloat8 = 701;

template <typename T>
T Load(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

template <typename T>
T Parse(std::string_view text) {
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

void ReadBinary(Oid type, std::string_view cell, Checksum& sum) {
  switch (type) {
    case kInt8:
      sum.integers += static_cast<int64_t>(be64toh(Load<uint64_t>(cell.data())));
      break;
    case kInt4:
      sum.integers += static_cast<int32_t>(be32toh(Load<uint32_t>(cell.data())));
      break;
    case kInt2:
      sum.integers += static_cast<int16_t>(be16toh(Load<uint16_t>(cell.data())));
      break;
    case kFloat8:
      sum.numbers += std::bit_cast<double>(be64toh(Load<uint64_t>(cell.data())));
      break;
    case kFloat4:
      sum.numbers += std::bit_cast<float>(be32toh(Load<uint32_t>(cell.data())));
      break;
    default:
      sum.bytes += cell.size();
  }
}

void ReadText(Oid type, std::string_view cell, Checksum& sum) {
  switch (type) {
    case kInt8:
    case kInt4:
    case kInt2:
      sum.integers += Parse<int64_t>(cell);
      break;
    case kFloat8:
    case kFloat4:
      sum.numbers += Parse<double>(cell);
      break;
    default:
      sum.bytes += cell.size();
  }
}

}  // namespace

Checksum ReadSingleRows(const std::string& connection_string, const std::string& sql, bool binary) {
  const Connection connection(PQconnectdb(connection_string.c_str()), PQfinish);
  const bool sent =
      PQstatus(connection.get()) == CONNECTION_OK &&
      PQsendQueryParams(connection.get(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, binary ? 1 : 0) == 1 &&
      PQsetSingleRowMode(connection.get()) == 1;
  if (!sent) throw std::runtime_error(PQerrorMessage(connection.get()));
  Checksum sum;
  std::vector<Oid> types;
  for (;;) {
    const Rows row(PQgetResult(connection.get()), PQclear);
    if (!row) return sum;
    const ExecStatusType status = PQresultStatus(row.get());
    if (status == PGRES_TUPLES_OK) continue;  // the end, without a row
    if (status != PGRES_SINGLE_TUPLE) throw std::runtime_error(PQresultErrorMessage(row.get()));
    if (types.empty()) {
      for (int column = 0; column < PQnfields(row.get()); ++column) types.push_back(PQftype(row.get(), column));
    }
    ++sum.rows;
    for (int column = 0; column < static_cast<int>(types.size()); ++column) {
      const std::string_view cell(PQgetvalue(row.get(), 0, column),
                                  static_cast<size_t>(PQgetlength(row.get(), 0, column)));
      const Oid type = types[static_cast<size_t>(column)];
      binary ? ReadBinary(type, cell, sum) : ReadText(type, cell, sum);
    }
  }
}

}  // namespace engine::db::bench
