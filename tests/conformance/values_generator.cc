#include "tests/conformance/values_generator.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace engine::db::test {
namespace {

using Generator = std::function<std::string(Random&)>;

std::string Padded(int64_t number, int width) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%0*lld", width, static_cast<long long>(number));
  return text.data();
}

void AppendUtf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    out += {static_cast<char>(0xE0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 0x3F)),
            static_cast<char>(0x80 | (c & 0x3F))};
  } else {
    out += {static_cast<char>(0xF0 | (c >> 18)), static_cast<char>(0x80 | ((c >> 12) & 0x3F)),
            static_cast<char>(0x80 | ((c >> 6) & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
  }
}

std::string Digits(Random& random, size_t count) {
  std::string digits;
  for (size_t i = 0; i < count; ++i) digits += static_cast<char>('0' + random.Below(10));
  return digits;
}

std::string Word(Random& random, size_t letters = 6) {
  std::string word(1, static_cast<char>('a' + random.Below(26)));
  while (word.size() < letters) word += static_cast<char>('a' + random.Below(26));
  return word;
}

Generator Integer(int64_t low, int64_t high) {
  return [low, high](Random& random) {
    if (random.OneIn(2))
      return std::to_string(random.Between(std::max<int64_t>(low, -1000), std::min<int64_t>(high, 1000)));
    const auto bits = static_cast<int64_t>(random.Bits());
    return std::to_string(bits >= low && bits <= high ? bits : low / 2 + (bits & 0x7FFF));
  };
}

std::string Numeric(Random& random) {
  std::string text = random.OneIn(2) ? "-" : "";
  const size_t before = random.OneIn(20) ? random.Below(1000) + 1 : random.Below(20) + 1;
  text += static_cast<char>('1' + random.Below(9)) + Digits(random, before);
  if (random.OneIn(3)) return text;
  text += '.' + Digits(random, random.OneIn(20) ? random.Below(500) + 1 : random.Below(15) + 1);
  if (random.OneIn(3)) text += "000";  // which a numeric keeps
  if (random.OneIn(6)) text += 'e' + std::to_string(random.Between(-50, 50));
  return text;
}

template <typename Float, typename Bits>
std::string AnyFloat(Random& random) {
  std::array<char, 64> text{};
  Float number{};
  do {
    number = random.OneIn(3) ? static_cast<Float>(random.Between(-1'000'000, 1'000'000)) / static_cast<Float>(64)
                             : std::bit_cast<Float>(static_cast<Bits>(random.Bits()));
  } while (!std::isfinite(number));
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), number).ptr};
}

std::string Date(Random& random) {
  const int64_t year = random.OneIn(4) ? random.Between(1, 294'275) : random.Between(1, 2100);
  std::string text = Padded(year, 4) + '-' + Padded(random.Between(1, 12), 2) + '-' + Padded(random.Between(1, 28), 2);
  return text;
}

std::string Era(Random& random, const std::string& date, const std::string& rest) {
  // Before 4714 BC there is nothing.
  return date.size() == 10 && date < "4700" && random.OneIn(8) ? date + rest + " BC" : date + rest;
}

std::string Time(Random& random) {
  std::string text = Padded(random.Between(0, 23), 2) + ':' + Padded(random.Between(0, 59), 2) + ':' +
                     Padded(random.Between(0, 59), 2);
  if (!random.OneIn(3)) text += '.' + Digits(random, random.Below(6) + 1);
  return text;
}

std::string Zone(Random& random) {
  std::string text = (random.OneIn(2) ? "+" : "-") + Padded(random.Between(0, 15), 2);
  if (random.OneIn(2)) text += ':' + Padded(random.Between(0, 59), 2);
  return text;
}

std::string Timestamp(Random& random) { return Era(random, Date(random), ' ' + Time(random)); }
std::string Timestamptz(Random& random) { return Era(random, Date(random), ' ' + Time(random) + Zone(random)); }

std::string Interval(Random& random) {
  const auto number = [&](int64_t limit) { return std::to_string(random.Between(-limit, limit)); };
  switch (random.Below(4)) {
    case 0:
      return number(5000) + " years " + number(11) + " mons " + number(40'000) + " days " + number(20) + ":10:11.5";
    case 1:
      return number(2'000'000'000) + " days";
    case 2:
      return 'P' + number(100) + 'Y' + number(50) + "M" + number(50) + "DT" + number(23) + 'H' + number(59) + 'M' +
             number(59) + ".000" + Digits(random, 3) + 'S';
    default:
      return std::to_string(random.Between(-9'000'000'000'000, 9'000'000'000'000)) + " microseconds";
  }
}

std::string Uuid(Random& random) {
  std::string text;
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) text += '-';
    text += "0123456789abcdefABCDEF"[random.Below(22)];
  }
  return text;
}

std::string Hex(Random& random, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes * 2; ++i) text += "0123456789abcdef"[random.Below(16)];
  return text;
}

std::string JsonText(Random& random, bool binary) {
  std::string text = "\"";
  const size_t length = random.Below(8);
  for (size_t i = 0; i < length; ++i) {
    switch (random.Below(6)) {
      case 0:
        text += "\\n";
        break;
      case 1:
        text += "\\\"";
        break;
      case 2:
        text += binary ? "\\u00e9" : "\\u0000";  // jsonb has no NUL
        break;
      case 3:
        AppendUtf8(text, 0x1F600 + static_cast<uint32_t>(random.Below(60)));
        break;
      default:
        text += static_cast<char>('a' + random.Below(26));
    }
  }
  return text + '"';
}

std::string Json(Random& random, bool binary, int depth = 0) {
  switch (random.Below(depth > 3 ? 5 : 7)) {
    case 0:
      return "null";
    case 1:
      return random.OneIn(2) ? "true" : "false";
    case 2:
      return std::to_string(random.Between(-1'000'000, 1'000'000));
    case 3:
      return "-1" + Digits(random, random.Below(30)) + ".50" + (random.OneIn(2) ? "e-7" : "");
    case 4:
      return JsonText(random, binary);
    case 5: {
      std::string text = "[";
      for (size_t i = random.Below(4); i > 0; --i) text += Json(random, binary, depth + 1) + (i > 1 ? " , " : "");
      return text + ']';
    }
    default: {
      std::string text = "{";
      for (size_t i = random.Below(4); i > 0; --i) {
        text += JsonText(random, binary) + " :" + Json(random, binary, depth + 1) + (i > 1 ? "," : "");
      }
      return text + '}';
    }
  }
}

// As an element of an array, a field of a composite or a bound of a range.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string Array(Random& random, const Generator& element, const std::vector<size_t>& lengths, size_t dimension = 0) {
  std::string text = "{";
  for (size_t i = 0; i < lengths[dimension]; ++i) {
    if (i > 0) text += ',';
    if (dimension + 1 < lengths.size()) {
      text += Array(random, element, lengths, dimension + 1);
    } else {
      text += random.OneIn(6) ? "NULL" : Quoted(element(random));
    }
  }
  return text + '}';
}

Generator ArrayOf(const Generator& element) {
  return [element](Random& random) {
    if (random.OneIn(12)) return std::string("{}");
    std::vector<size_t> lengths(random.Below(3) + 1);
    for (size_t& length : lengths) length = random.Below(4) + 1;
    std::string bounds;
    if (random.OneIn(4)) {
      for (const size_t length : lengths) {
        const int64_t low = random.Between(-5, 9);
        bounds += '[' + std::to_string(low) + ':' + std::to_string(low + static_cast<int64_t>(length) - 1) + ']';
      }
      bounds += '=';
    }
    return bounds + Array(random, element, lengths);
  };
}

// From two values in order: `element(random, n)` must grow with n.
Generator RangeOf(const std::function<std::string(int64_t)>& element) {
  return [element](Random& random) {
    if (random.OneIn(10)) return std::string("empty");
    const int64_t low = random.Between(-1000, 1000);
    const int64_t high = low + random.Between(1, 100);
    return (random.OneIn(2) ? "[" : "(") + (random.OneIn(6) ? "" : Quoted(element(low))) + ',' +
           (random.OneIn(6) ? "" : Quoted(element(high))) + (random.OneIn(2) ? "]" : ")");
  };
}

Generator MultirangeOf(const Generator& range) {
  return [range](Random& random) {
    std::string text = "{";
    for (size_t i = random.Below(4); i > 0; --i) text += range(random) + (i > 1 ? "," : "");
    return text + '}';
  };
}

std::string DayAt(int64_t n) { return Padded(3000 + n, 4) + "-01-01"; }

std::string Bits(Random& random, size_t count) {
  std::string bits;
  for (size_t i = 0; i < count; ++i) bits += static_cast<char>('0' + random.Below(2));
  return bits;
}

std::string Address(Random& random, bool network) {
  std::string text;
  if (random.OneIn(2)) {
    for (int i = 0; i < 4; ++i) text += (i > 0 ? "." : "") + std::to_string(random.Below(256));
    if (network) return text + "/32";
    return random.OneIn(2) ? text : text + '/' + std::to_string(random.Below(33));
  }
  for (int i = 0; i < 8; ++i) text += (i > 0 ? ":" : "") + (random.OneIn(2) ? "0" : Hex(random, 2));
  if (network) return text + "/128";
  return random.OneIn(2) ? text : text + '/' + std::to_string(random.Below(129));
}

std::string MacAddress(Random& random, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += (i > 0 ? ":" : "") + Hex(random, 1);
  return text;
}

std::string Coordinate(Random& random) { return AnyFloat<double, uint64_t>(random); }
std::string SmallCoordinate(Random& random) { return std::to_string(random.Between(-5000, 5000)) + ".25"; }
std::string Point(Random& random) { return '(' + Coordinate(random) + ',' + Coordinate(random) + ')'; }
std::string SmallPoint(Random& random) { return '(' + SmallCoordinate(random) + ',' + SmallCoordinate(random) + ')'; }
std::string Points(Random& random) {
  std::string text = SmallPoint(random);
  for (size_t i = random.Below(5) + 2; i > 0; --i) text += ',' + SmallPoint(random);
  return text;
}

std::string Lexemes(Random& random) {
  std::string text;
  for (size_t i = random.Below(5); i > 0; --i) {
    std::string word = Word(random);
    if (random.OneIn(3)) word += " ''" + Word(random, 2) + "\\\\";
    text += "'" + word + "'" + (random.OneIn(2) ? ":" + std::to_string(random.Below(16'000) + 1) + "A" : "") + ' ';
  }
  return text;
}

std::string Snapshot(Random& random) {
  const uint64_t low = random.Below(1'000'000'000) + 3;
  std::string text = std::to_string(low) + ':' + std::to_string(low + 20) + ':';
  if (random.OneIn(2)) text += std::to_string(low) + ',' + std::to_string(low + 1 + random.Below(18));
  return text;
}

std::string Composite(Random& random) {
  const std::string text = random.OneIn(5) ? "" : Quoted(AnyText(random, 8));
  return '(' + (random.OneIn(5) ? "" : std::to_string(random.Between(-99, 99))) + ',' + text + ')';
}

}  // namespace

std::string AnyText(Random& random, size_t characters) {
  std::string text;
  for (size_t i = random.Below(characters + 1); i > 0; --i) {
    uint32_t c = 0;
    switch (random.Below(4)) {
      case 0:
        c = static_cast<uint32_t>(random.Between(1, 0x7F));  // control characters, quotes, backslashes, braces
        break;
      case 1:
        c = static_cast<uint32_t>(random.Between(0x80, 0x7FF));
        break;
      case 2:
        c = static_cast<uint32_t>(random.Between(0x800, 0xFFFF));
        break;
      default:
        c = static_cast<uint32_t>(random.Between(0x10000, 0x10FFFF));
    }
    if (c >= 0xD800 && c <= 0xDFFF) c = 0xFFFD;
    AppendUtf8(text, c);
  }
  return text;
}

std::string SetUpTypes() {
  return "CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube; "
         "CREATE SCHEMA \"Own types\" AUTHORIZATION app; SET ROLE app; "
         "CREATE TYPE mood AS ENUM ('sad', 'ok', 'über happy', 'it''s \"quoted\"'); "
         "CREATE DOMAIN positive AS integer CHECK (VALUE > 0); "
         "CREATE DOMAIN \"Own types\".\"Short text\" AS varchar(20); "
         "CREATE TYPE pair AS (number integer, words text); "
         "CREATE TYPE \"Own types\".\"Nested\" AS (id bigint, p pair, many pair[], at timestamptz); "
         "CREATE TYPE floatrange AS RANGE (subtype = float8, subtype_diff = float8mi);";
}

std::vector<TypeOfValues> AllTypes() {
  const Generator text = [](Random& random) { return AnyText(random, 40); };
  const Generator json = [](Random& random) { return Json(random, false); };
  const Generator jsonb = [](Random& random) { return Json(random, true); };
  const Generator integer = Integer(INT32_MIN, INT32_MAX);
  const auto plain = [](int64_t n) { return std::to_string(n); };
  const Generator int4range = RangeOf(plain);
  const std::string nines(1000, '9');
  std::string all_ascii;
  for (char c = 1; c < 127; ++c) all_ascii += c;
  const std::vector<std::string> texts = {"",
                                          " ",
                                          "  x  ",
                                          "NULL",
                                          "null",
                                          "\\N",
                                          "\\",
                                          "'",
                                          "\"",
                                          "{}",
                                          "{a,\"b\"}",
                                          "%s $1 ?",
                                          all_ascii,
                                          "é",
                                          "e\xCC\x81",
                                          "\xEF\xBB\xBF",
                                          "\xF4\x8F\xBF\xBF",
                                          "\xEF\xBF\xBF",
                                          "日本語",
                                          "🦣👩‍👩‍👧",
                                          "\r\n\t"};
  return {
      {"smallint", {"0", "1", "-1", "32767", "-32768"}, Integer(INT16_MIN, INT16_MAX)},
      {"integer", {"0", "-0", "2147483647", "-2147483648", "32768"}, integer},
      {"bigint",
       {"0", "9223372036854775807", "-9223372036854775808", "2147483648", "9007199254740993", "-9007199254740993"},
       Integer(INT64_MIN, INT64_MAX)},
      {"oid", {"0", "4294967295", "2147483648"}, Integer(0, UINT32_MAX)},
      {"numeric",
       {"NaN", "Infinity", "-Infinity", "0", "-0", "0.0", "0.00000", "1.10", "1e-400", "1E+30", nines,
        "-" + nines + "." + nines, "0." + std::string(999, '0') + "1", "9007199254740993", "0.1", "100", "1e131071",
        ".5", "5."},
       Numeric},
      {"numeric(20,5)",
       {"NaN", "0", "999999999999999.99999", "-0.00001", "1.5"},
       [](Random& random) {
         return std::to_string(random.Between(-99'999'999'999, 99'999'999'999)) + '.' + Digits(random, 8);
       }},
      {"real",
       {"NaN", "Infinity", "-Infinity", "0", "-0", "1e-45", "-1e-45", "1.17549435e-38", "3.4028235e38", "0.1", "1.1",
        "16777217", "123456.79", "1e10", "100000", "1000000"},
       AnyFloat<float, uint32_t>},
      {"double precision",
       {"NaN", "Infinity", "-Infinity", "0", "-0", "5e-324", "-5e-324", "2.2250738585072014e-308",
        "2.225073858507201e-308", "1.7976931348623157e308", "0.1", "0.30000000000000004", "9007199254740993", "1e15",
        "1e16", "1e22", "1e23", "123456789.123456789"},
       AnyFloat<double, uint64_t>},
      {"boolean", {"t", "f", "yes", "off", " TRUE "}, [](Random& random) { return random.OneIn(2) ? "true" : "0"; }},
      {"text", texts, text},
      {"varchar(30)", {"", " ", "x", std::string(30, 'x')}, [](Random& random) { return AnyText(random, 30); }},
      {"char(7)", {"", "a", "a  ", "éé", "1234567"}, [](Random& random) { return AnyText(random, 7); }},
      {"\"char\"",
       {"", "a", "\\", " ", "~"},
       [](Random& random) { return std::string(1, static_cast<char>(random.Between(1, 126))); }},
      {"name", {"", "x", std::string(63, 'n')}, [](Random& random) { return AnyText(random, 15); }},
      {"bytea",
       {"\\x", "\\x00", "\\xff00", "\\x5c78", "\\x27225c0a"},
       [](Random& random) { return "\\x" + Hex(random, random.Below(50)); }},
      {"date",
       {"infinity", "-infinity", "4714-11-24 BC", "0001-12-31 BC", "0001-01-01", "1582-10-10", "1969-12-31",
        "1970-01-01", "2000-02-29", "5874897-12-31", "9999-12-31", "10000-01-01"},
       [](Random& random) { return Era(random, Date(random), ""); }},
      {"time", {"00:00:00", "24:00:00", "23:59:59.999999", "00:00:00.000001", "12:00", "23:59:60"}, Time},
      {"time(2)", {"00:00:00", "24:00:00", "23:59:59.999", "12:00:00.005"}, Time},
      {"time with time zone",
       {"00:00:00+00", "24:00:00-15:59:59", "00:00:00+15:59:59", "12:00:00.000001+05:30"},
       [](Random& random) { return Time(random) + Zone(random); }},
      {"timestamp",
       {"infinity", "-infinity", "4714-11-24 00:00:00 BC", "294276-12-31 23:59:59.999999", "0001-01-01 00:00:00",
        "0001-12-31 23:59:59.999999 BC", "1969-12-31 23:59:59.999999", "1970-01-01", "2000-01-01 00:00:00.000001",
        "2024-02-29 24:00:00"},
       Timestamp},
      {"timestamp with time zone",
       {"infinity", "-infinity", "4714-11-24 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00",
        "1969-12-31 23:59:59.999999Z", "1883-11-18 12:03:57+00", "1850-01-01 00:00:00+00", "2024-03-10 02:30:00-05",
        "2024-02-29 13:14:15.123456+05:45:30"},
       Timestamptz},
      {"timestamptz(3)", {"2024-02-29 13:14:15.123456+00", "-infinity", "2023-12-31 23:59:59.9999+00"}, Timestamptz},
      {"interval",
       {"0", "1 year", "-1 year -2 mons +3 days -04:05:06.789", "178000000 years", "-178000000 years",
        "2147483647 days", "-2147483648 days", "2562047788:00:54.775807", "-2562047788:00:54.775807", "1 microsecond",
        "-1 microsecond", "P1Y2M3DT4H5M6S", "1-2", "1 2:03:04", "@ 1 minute ago", "1.5 years 2.5 months",
        "-1 days +02:03:00"},
       Interval},
      {"uuid", {"00000000-0000-0000-0000-000000000000", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"}, Uuid},
      {"json",
       {"null", "{}", " { \"b\" : 1 , \"a\":2, \"a\":3 } ", "\"\\u0000\"", "1e400", "[1,\n2]", "\"\\ud83e\\udda3\""},
       json},
      {"jsonb",
       {"null", "{}", "{\"b\": 1, \"a\": 2, \"a\": 3.00}", "12345678901234567890.10", "\"\"", "[[[[]]]]", "1e100"},
       jsonb},
      {"jsonpath",
       {"$", "$.a[*] ? (@ > 1)", "lax $.\"k\\\"ey\"", "strict $"},
       [](Random& random) { return "$." + Word(random) + "[" + std::to_string(random.Below(100)) + "]"; }},
      {"integer[]",
       {"{}", "{NULL}", "{1,2,3}", "[0:1]={1,2}", "[-2:-1][3:4]={{1,2},{3,NULL}}", "{{{{{{1}}}}}}"},
       ArrayOf(integer)},
      {"bigint[]", {"{9223372036854775807,-9223372036854775808}"}, ArrayOf(Integer(INT64_MIN, INT64_MAX))},
      {"text[]",
       {"{}", "{\"\"}", "{NULL,\"NULL\",null,\"null\"}", "{\"a,b\",\"{c}\",\"d\\\\e\",\"f\\\"g\",\" h \"}",
        "{a b , c}"},
       ArrayOf([](Random& random) { return AnyText(random, 10); })},
      {"numeric[]", {"{NaN,Infinity,1.10}"}, ArrayOf(Numeric)},
      {"double precision[]", {"{NaN,-Infinity,-0,5e-324}"}, ArrayOf(AnyFloat<double, uint64_t>)},
      {"boolean[]", {"{t,f,NULL}"}, ArrayOf([](Random& random) { return random.OneIn(2) ? "t" : "f"; })},
      {"bytea[]", {"{\"\\\\x00ff\",NULL,\"\\\\x\"}"}, ArrayOf([](Random& random) {
         return "\\x" + Hex(random, random.Below(6));
       })},
      {"timestamptz[]", {"{infinity,\"2024-01-01 00:00:00+00\"}"}, ArrayOf(Timestamptz)},
      {"jsonb[]", {"{\"{\\\"a\\\": 1}\",NULL,\"null\"}"}, ArrayOf(jsonb)},
      {"box[]",
       {"{(1,2),(3,4);(5,6),(7,8)}"},
       [](Random& random) {
         return '{' + SmallPoint(random) + ',' + SmallPoint(random) + ';' + SmallPoint(random) + ',' +
                SmallPoint(random) + '}';
       }},
      {"int4range", {"empty", "[1,5]", "(,)", "[,5)", "[2147483646,2147483646]", "(1,2)"}, int4range},
      {"int8range", {"empty", "[-9223372036854775808,9223372036854775807)"}, RangeOf(plain)},
      {"numrange", {"empty", "[1.10,2.20]", "(,1)", "[NaN,NaN]", "[1,Infinity]"}, RangeOf([](int64_t n) {
         return std::to_string(n) + ".50";
       })},
      {"daterange",
       {"empty", "[2024-01-01,infinity)", "(-infinity,infinity]", "[2024-01-01,2024-01-01]"},
       RangeOf(DayAt)},
      {"tsrange", {"empty", "[\"2024-01-01 00:00:00.000001\",infinity]"}, RangeOf([](int64_t n) {
         return DayAt(n) + " 12:00:00.5";
       })},
      {"tstzrange", {"empty", "(,\"2024-01-01 00:00:00+05:30\")"}, RangeOf([](int64_t n) {
         return DayAt(n) + " 12:00:00+02";
       })},
      {"floatrange", {"empty", "[-Infinity,NaN]"}, RangeOf([](int64_t n) { return std::to_string(n) + ".1"; })},
      {"int4multirange", {"{}", "{[1,2),[2,3),[5,9]}", "{(,)}"}, MultirangeOf(int4range)},
      {"nummultirange", {"{}", "{[1.0,2.00),(5,)}"}, MultirangeOf(RangeOf([](int64_t n) {
         return std::to_string(n) + ".5";
       }))},
      {"tstzmultirange", {"{}"}, MultirangeOf(RangeOf([](int64_t n) { return DayAt(n) + " 00:00:00Z"; }))},
      {"int4range[]", {"{\"[1,2)\",NULL,empty}"}, ArrayOf(int4range)},
      {"mood",
       {"sad", "ok", "über happy", "it's \"quoted\""},
       [](Random& random) {
         return random.Of<std::string>({"sad", "ok", "über happy"});
       }},
      {"mood[]", {"{}", "{sad,NULL}", "{\"it's \\\"quoted\\\"\",\"über happy\"}"}, ArrayOf([](Random& random) {
         return random.Of<std::string>({"sad", "ok", "über happy"});
       })},
      {"positive", {"1", "2147483647"}, Integer(1, INT32_MAX)},
      {"\"Own types\".\"Short text\"", {"", "x"}, [](Random& random) { return AnyText(random, 20); }},
      {"pair", {"(,)", "(1,)", "(,\"\")", "(1,\"a,b\")", "(1,\"(\"\"x\\\\y\"\")\")"}, Composite},
      {"pair[]", {"{\"(1,a)\",\"(,)\",NULL}"}, ArrayOf(Composite)},
      {"\"Own types\".\"Nested\"",
       {"(,,,)", "(1,\"(2,x)\",\"{\"\"(3,y)\"\",NULL}\",infinity)"},
       [](Random& random) {
         return '(' + std::to_string(random.Between(-9, 9)) + ',' + Quoted(Composite(random)) + ',' +
                Quoted(ArrayOf(Composite)(random)) + ',' + Quoted(Timestamptz(random)) + ')';
       }},
      {"inet",
       {"0.0.0.0", "255.255.255.255/32", "10.1.2.3/8", "::", "::ffff:1.2.3.4", "fe80::1/64"},
       [](Random& random) { return Address(random, false); }},
      {"cidr",
       {"0.0.0.0/0", "10.0.0.0/8", "::/0", "2001:db8::/32"},
       [](Random& random) { return Address(random, true); }},
      {"macaddr",
       {"00:00:00:00:00:00", "08-00-2b-01-02-03", "ff:ff:ff:ff:ff:ff"},
       [](Random& random) { return MacAddress(random, 6); }},
      {"macaddr8",
       {"08:00:2b:01:02:03:04:05", "08002b:0102030405"},
       [](Random& random) { return MacAddress(random, 8); }},
      {"bit(9)", {"000000000", "111111111"}, [](Random& random) { return Bits(random, 9); }},
      {"bit varying", {"", "1", "0"}, [](Random& random) { return Bits(random, random.Below(200)); }},
      {"money",
       {"0", "-92233720368547758.08", "92233720368547758.07", "$1,234.56", "($5)"},
       [](Random& random) { return std::to_string(random.Between(-9'999'999, 9'999'999)) + '.' + Digits(random, 2); }},
      {"xml",
       {"", "<a/>", "<?xml version=\"1.0\"?><a b=\"c\">&lt;é</a>", "just text", "<a><![CDATA[<]]></a>"},
       [](Random& random) { return "<r>" + Word(random) + "&amp;é</r>"; }},
      {"tsvector", {"", "a", "'a b':1A,2B 'c''d':3 'e\\\\f'"}, Lexemes},
      {"tsquery",
       {"", "a", "'a b' & !(c:*A | d) <2> e"},
       [](Random& random) { return Word(random) + " & (" + Word(random) + ":*B | !" + Word(random) + ")"; }},
      {"point", {"(0,0)", "(-0,NaN)", "(Infinity,-Infinity)", "(1e300,5e-324)"}, Point},
      {"lseg", {"[(0,0),(1,1)]"}, [](Random& random) { return '[' + Point(random) + ',' + Point(random) + ']'; }},
      {"line",
       {"{1,2,3}", "{0,-1,0}"},
       [](Random& random) { return "{1," + SmallCoordinate(random) + ',' + SmallCoordinate(random) + '}'; }},
      {"box",
       {"(1,1),(0,0)", "(0,0),(1,1)"},
       [](Random& random) { return SmallPoint(random) + ',' + SmallPoint(random); }},
      {"path",
       {"[(0,0),(1,1)]", "((0,0),(1,1))"},
       [](Random& random) { return random.OneIn(2) ? '[' + Points(random) + ']' : '(' + Points(random) + ')'; }},
      {"polygon", {"((0,0),(1,1),(1,0))"}, [](Random& random) { return '(' + Points(random) + ')'; }},
      {"circle",
       {"<(0,0),0>", "<(1,2),Infinity>"},
       [](Random& random) { return '<' + SmallPoint(random) + ',' + std::to_string(random.Below(100)) + ".125>"; }},
      {"pg_lsn", {"0/0", "FFFFFFFF/FFFFFFFF"}, [](Random& random) { return Hex(random, 2) + '/' + Hex(random, 4); }},
      {"pg_snapshot", {"1:1:", "10:20:10,14,15"}, Snapshot},
      {"txid_snapshot", {"1:1:", "10:20:10,14,15"}, Snapshot},
      {"xid", {"0", "4294967295"}, Integer(0, UINT32_MAX)},
      {"xid8", {"0", "18446744073709551615"}, Integer(0, INT64_MAX)},
      {"tid",
       {"(0,0)", "(4294967295,65535)"},
       [](Random& random) {
         return '(' + std::to_string(random.Below(99'999)) + ',' + std::to_string(random.Below(999)) + ')';
       }},
      {"regclass",
       {"pg_class", "-", "1", "pg_catalog.pg_type"},
       [](Random& random) {
         return random.Of<std::string>({"pg_class", "pg_proc", "123456"});
       }},
      {"regtype",
       {"int4", "text[]", "mood", "\"Own types\".\"Nested\"", "timestamptz"},
       [](Random& random) {
         return random.Of<std::string>({"int4", "pair"});
       }},
      {"regprocedure", {"abs(int4)", "now()", "-"}, [](Random&) { return "lower(text)"; }},
      {"regnamespace", {"pg_catalog", "\"Own types\""}, [](Random&) { return "public"; }},
      {"regrole", {"app", "-"}, [](Random&) { return "postgres"; }},
      {"hstore",
       {"", "a=>1,b=>NULL", "\"k e\\\"y\"=>\"\\\\\""},
       [](Random& random) {
         return Quoted(AnyText(random, 8)) + "=>" + (random.OneIn(4) ? "NULL" : Quoted(AnyText(random, 8)));
       }},
      {"citext", texts, text},
      {"ltree", {"", "Top.Science"}, [](Random& random) { return Word(random) + '.' + Word(random); }},
      {"cube",
       {"(1,2,3)", "(0),(1)"},
       [](Random& random) { return '(' + SmallCoordinate(random) + ',' + SmallCoordinate(random) + ')'; }},
  };
}

std::vector<std::string> ValuesOf(const TypeOfValues& type, size_t count, Random& random) {
  std::vector<std::string> values = type.edges;
  while (values.size() < count) values.push_back(type.any(random));
  return values;
}

}  // namespace engine::db::test
