"""What a statement's "?" placeholders are filled with.

A parameter is a plain Python value:

====================================  ==============================================================
``None``                              NULL
``bool``, ``int``, ``float``, ``str`` the type that PostgreSQL infers from where the "?" stands
``Decimal``                           numeric
``datetime``, ``date``, ``time``      timestamptz or timestamp, date, timetz or time
``timedelta``                         interval
``UUID``                              uuid
``bytes`` and the like                bytea
``dict``                              JSON: json or jsonb, as PostgreSQL infers
``list``, ``tuple``                   an array, also of more dimensions; JSON only as ``Json(…)``
``ipaddress``'s classes               inet, cidr
``Enum``                              its value if it is a str or an int, its name otherwise
``Typed``, ``Json``, ``Jsonb``        a value whose type is named
an ``Expression``                     SQL in place of the "?", from a closed list
====================================  ==============================================================

A text is a text: never an expression, whatever it says.
"""

from __future__ import annotations

import datetime
import enum
import ipaddress
import json
import operator
import struct
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Callable, Dict, List, Sequence, Tuple, Type, Union

from engine_db_postgres.errors import DatabaseRequestError, request_error


class Expression(enum.Enum):
    """An SQL expression that may stand in the place of a parameter. It takes no bound slot."""

    CURRENT_TIMESTAMP = 1  # The start of the transaction, with time zone.
    CURRENT_DATE = 2
    CURRENT_TIME = 3
    LOCALTIMESTAMP = 4  # The same moment without time zone.
    LOCALTIME = 5
    DEFAULT = 6  # The column's default, where INSERT and UPDATE allow it.


CURRENT_TIMESTAMP = Expression.CURRENT_TIMESTAMP
CURRENT_DATE = Expression.CURRENT_DATE
CURRENT_TIME = Expression.CURRENT_TIME
LOCALTIMESTAMP = Expression.LOCALTIMESTAMP
LOCALTIME = Expression.LOCALTIME
DEFAULT = Expression.DEFAULT


def currentdatetime() -> Expression:
    """The pipeline language's currentdatetime(): the database's own clock, at the start of the transaction."""
    return Expression.CURRENT_TIMESTAMP


def currentdate() -> Expression:
    """The pipeline language's currentdate()."""
    return Expression.CURRENT_DATE


@dataclass(frozen=True)
class Typed:
    """A value with its type as SQL writes it: ``Typed("integer[]", [1, 2])``, where PostgreSQL can't infer one."""

    type_name: str
    value: Any


@dataclass(frozen=True)
class Json:
    """Anything that json.dumps() takes, as json."""

    value: Any


@dataclass(frozen=True)
class Jsonb:
    """Anything that json.dumps() takes, as jsonb."""

    value: Any


Parameters = Sequence[Any]

_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1


def varint(number: int) -> bytes:
    """Protobuf's encoding of a number from 0."""
    if number < 0x80:
        return bytes((number,))
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


# Each returns the bytes of an engine.db.v1.Value; value.proto has the fields' numbers.


def _null(value: None) -> bytes:
    return b"\x08\x00"


def _bool(value: bool) -> bytes:
    return b"\x10\x01" if value else b"\x10\x00"


def _int(value: int) -> bytes:
    if 0 <= value < 0x80:
        return bytes((0x18, value))
    if _INT64_MIN <= value <= _INT64_MAX:
        return b"\x18" + varint(value & 0xFFFFFFFFFFFFFFFF)
    return _text(str(int(value)))


def _float(value: float) -> bytes:
    return b"\x21" + struct.pack("<d", value)


def _text(value: str) -> bytes:
    if "\0" in value:
        raise ValueError("NUL_IN_TEXT", "has a NUL character, which PostgreSQL's text can't hold")
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise ValueError("INVALID_UTF8", "has a lone surrogate, which no UTF-8 text can hold") from None
    return b"\x2a" + varint(len(encoded)) + encoded


def _bytes(value: Union[bytes, bytearray, memoryview]) -> bytes:
    data = bytes(value)
    return b"\x32" + varint(len(data)) + data


def _typed(name: str, text: str) -> bytes:
    encoded = name.encode()
    return _text(text) + b"\x7a" + varint(len(encoded)) + encoded


def _decimal(value: Decimal) -> bytes:
    return _typed("numeric", _decimal_text(value))


def _decimal_text(value: Decimal) -> str:
    if value.is_snan():
        raise ValueError("OUT_OF_RANGE", "is a signalling NaN, which PostgreSQL does not have")
    return "NaN" if value.is_nan() else str(value)


def _datetime(value: datetime.datetime) -> bytes:
    return _typed("timestamp" if value.tzinfo is None else "timestamptz", value.isoformat(" "))


def _date(value: datetime.date) -> bytes:
    return _typed("date", value.isoformat())


def _time(value: datetime.time) -> bytes:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise ValueError("OUT_OF_RANGE", "is a time whose zone has no fixed offset")
    return _typed("time" if value.tzinfo is None else "timetz", value.isoformat())


def _interval_text(value: datetime.timedelta) -> str:
    return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"


def _timedelta(value: datetime.timedelta) -> bytes:
    return _typed("interval", _interval_text(value))


def _uuid(value: uuid.UUID) -> bytes:
    return _typed("uuid", str(value))


def _json_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        raise ValueError("UNSUPPORTED_TYPE", "can't be written as JSON") from None


def _inet(value: Any) -> bytes:
    return _typed("inet", str(value))


def _network(value: Any) -> bytes:
    return _typed("cidr", str(value))


def _enum(value: enum.Enum) -> bytes:
    return encode_value(value.value) if isinstance(value, (str, int)) else _text(value.name)


def _wrapped(value: Typed) -> bytes:
    inner = encode_value(value.value)
    if inner.startswith(b"\x38"):
        raise ValueError("UNSUPPORTED_TYPE", "is an expression, which takes no type")
    name = value.type_name.encode()
    if not name or len(name) > 128 or b"\0" in name:
        raise ValueError("TYPE_NAME", "has a type name of 1 to 128 bytes")
    if isinstance(value.value, (Typed, Json, Jsonb)):
        raise ValueError("TYPE_NAME", "has two type names")
    # The last type_name counts.
    return inner + b"\x7a" + varint(len(name)) + name


def _expression(value: Expression) -> bytes:
    return bytes((0x38, value.value))


def _array(value: Sequence[Any]) -> bytes:
    return _text(array_text(value))


def _hex(value: Union[bytes, bytearray, memoryview]) -> str:
    return "\\x" + value.hex()


_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"'})

# How an element of an array is written, by its type; those that need no quotes are known not to.
_ELEMENTS: Dict[Type[Any], Callable[[Any], str]] = {
    int: str,
    float: repr,
    bool: lambda value: "t" if value else "f",
    Decimal: _decimal_text,
    uuid.UUID: str,
    datetime.date: datetime.date.isoformat,
}
_QUOTED_ELEMENTS: Dict[Type[Any], Callable[[Any], str]] = {
    str: str,
    datetime.datetime: lambda value: str(value.isoformat(" ")),
    datetime.time: datetime.time.isoformat,
    datetime.timedelta: _interval_text,
    dict: _json_text,
    Json: lambda value: _json_text(value.value),
    Jsonb: lambda value: _json_text(value.value),
    bytes: _hex,
    bytearray: _hex,
    memoryview: _hex,
    ipaddress.IPv4Address: str,
    ipaddress.IPv6Address: str,
    ipaddress.IPv4Interface: str,
    ipaddress.IPv6Interface: str,
    ipaddress.IPv4Network: str,
    ipaddress.IPv6Network: str,
}


def array_text(values: Sequence[Any]) -> str:
    """A list as PostgreSQL writes an array."""
    parts: List[str] = []
    for value in values:
        if value is None:
            parts.append("NULL")
            continue
        kind = type(value)
        if kind in _ELEMENTS:
            parts.append(_ELEMENTS[kind](value))
        elif kind is list or kind is tuple:
            parts.append(array_text(value))
        else:
            parts.append('"' + _quotable(value).translate(_QUOTED) + '"')
    return "{" + ",".join(parts) + "}"


def _quotable(value: Any) -> str:
    if isinstance(value, Expression):
        raise ValueError("UNSUPPORTED_TYPE", "has an expression in an array")
    if isinstance(value, enum.Enum):
        return str(value.value if isinstance(value, (str, int)) else value.name)
    for kind in type(value).__mro__:
        for known in (_QUOTED_ELEMENTS, _ELEMENTS):
            if kind in known:
                return known[kind](value)
    try:
        return str(operator.index(value))
    except TypeError:
        raise ValueError("UNSUPPORTED_TYPE",
                         f"has an element of type {type(value).__name__}, which has no PostgreSQL type") from None


_ENCODERS: Dict[Type[Any], Callable[[Any], bytes]] = {
    type(None): _null,
    bool: _bool,
    int: _int,
    float: _float,
    str: _text,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    Decimal: _decimal,
    datetime.datetime: _datetime,
    datetime.date: _date,
    datetime.time: _time,
    datetime.timedelta: _timedelta,
    uuid.UUID: _uuid,
    dict: lambda value: _text(_json_text(value)),
    Json: lambda value: _typed("json", _json_text(value.value)),
    Jsonb: lambda value: _typed("jsonb", _json_text(value.value)),
    list: _array,
    tuple: _array,
    Typed: _wrapped,
    Expression: _expression,
    ipaddress.IPv4Address: _inet,
    ipaddress.IPv6Address: _inet,
    ipaddress.IPv4Interface: _inet,
    ipaddress.IPv6Interface: _inet,
    ipaddress.IPv4Network: _network,
    ipaddress.IPv6Network: _network,
}


def encode_value(value: Any) -> bytes:
    """One parameter as an engine.db.v1.Value. Raises ValueError(reason, message)."""
    encode = _ENCODERS.get(type(value))
    if encode is not None:
        return encode(value)
    if isinstance(value, enum.Enum):
        return _enum(value)
    for kind in type(value).__mro__:
        if kind in _ENCODERS:
            return _ENCODERS[kind](value)
    try:
        return _int(operator.index(value))  # The integers of numpy and the like.
    except TypeError:
        raise ValueError("UNSUPPORTED_TYPE", f"is of type {type(value).__name__}, which has no PostgreSQL type; convert"
                         " it, or wrap it in Json") from None


def encode_parameters(parameters: Parameters, tag: bytes, path: str = "parameters") -> List[bytes]:
    """All parameters, each behind its field's tag and length. Raises DatabaseRequestError, which names the wrong one."""
    if type(parameters) not in (list, tuple) and isinstance(parameters, (str, bytes, dict, set, frozenset)):
        raise request_error("UNSUPPORTED_TYPE", path, "is a list with a value for each \"?\", not a "
                            + type(parameters).__name__)
    parts: List[bytes] = []
    index = 0
    try:
        for value in parameters:
            encoded = encode_value(value)
            parts += (tag, varint(len(encoded)), encoded)
            index += 1
    except ValueError as fault:
        raise _bad_parameter(fault, f"{path}[{index}]") from None
    except RecursionError:
        raise request_error("UNSUPPORTED_TYPE", f"{path}[{index}]", "is nested too deeply") from None
    return parts


def _bad_parameter(fault: ValueError, path: str) -> DatabaseRequestError:
    details: Tuple[Any, ...] = fault.args
    if len(details) == 2:
        return request_error(str(details[0]), path, str(details[1]))
    return request_error("UNSUPPORTED_TYPE", path, "can't be converted")
