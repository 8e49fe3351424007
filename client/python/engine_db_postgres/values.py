"""What a statement's "?" placeholders are filled with.

A parameter is a plain Python value:

====================================  ==============================================================
``None``                              NULL
``str``                               the type that PostgreSQL infers from where the "?" stands, as for a quoted literal
``bool``, ``float``                   boolean, double precision
``int``                               integer; bigint, or numeric, where it is too large for that
``Decimal``                           numeric
``datetime``, ``date``, ``time``      timestamptz or timestamp, date, timetz or time
``timedelta``                         interval
``UUID``                              uuid
``bytes`` and the like                bytea
``dict``                              JSON: json or jsonb, as PostgreSQL infers
``list``, ``tuple``                   an array, also of more dimensions; JSON only as ``Json(…)``, or where it is empty
``ipaddress``'s classes               inet, cidr
``Enum``                              its value if its class is also a str, an int, a float…, its name otherwise
``Typed``, ``Json``, ``Jsonb``        a value whose type is named
numpy's and pandas' scalars           the same as Python's; ``NA`` and ``NaT`` are NULL
numpy's arrays, pandas' Series        an array
an ``Expression``                     SQL in place of the "?", from a closed list
====================================  ==============================================================

A number is as typed as the same number in SQL, so where a text is compared (``WHERE code = ?``) it is to be given as one:
``str(1001)``, as PostgreSQL says itself (42883). A text is a text: never an expression, whatever it says.
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
from typing import Any, Callable, ClassVar, Dict, Iterable, List, Optional, Protocol, Sequence, Tuple, Type, Union

from engine_db_postgres import reasons
from engine_db_postgres import _foreign
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


class Dataclass(Protocol):
    """An instance of any dataclass."""

    __dataclass_fields__: ClassVar[Dict[str, Any]]


# A value for each "?": any iterable but a text, a dict or a set; or a dataclass, for its fields.
Parameters = Union[Iterable[Any], Dataclass]

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
    return _typed("numeric", int.__repr__(value))


def _float(value: float) -> bytes:
    return b"\x21" + struct.pack("<d", value)


def _text(value: str) -> bytes:
    if "\0" in value:
        raise ValueError(reasons.NUL_IN_TEXT, "has a NUL character, which PostgreSQL's text can't hold")
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise ValueError(reasons.INVALID_UTF8, "has a lone surrogate, which no UTF-8 text can hold") from None
    return b"\x2a" + varint(len(encoded)) + encoded


def _bytes(value: Union[bytes, bytearray, memoryview]) -> bytes:
    data = value if type(value) is bytes else memoryview(value).tobytes()
    return b"\x32" + varint(len(data)) + data


def _typed(name: str, text: str) -> bytes:
    encoded = name.encode()
    return _text(text) + b"\x7a" + varint(len(encoded)) + encoded


def _decimal(value: Decimal) -> bytes:
    return _typed("numeric", _decimal_text(value))


def _decimal_text(value: Decimal) -> str:
    if value.is_snan():
        raise ValueError(reasons.OUT_OF_RANGE, "is a signalling NaN, which PostgreSQL does not have")
    return "NaN" if value.is_nan() else Decimal.__str__(value)


def _datetime(value: datetime.datetime) -> bytes:
    return _typed("timestamp" if value.tzinfo is None else "timestamptz", _datetime_text(value))


# The classes' own methods here and elsewhere: a class that derives from one of them may write its values otherwise.


def _datetime_text(value: datetime.datetime) -> str:
    return datetime.datetime.isoformat(value, " ")


def _date(value: datetime.date) -> bytes:
    return _typed("date", datetime.date.isoformat(value))


def _time(value: datetime.time) -> bytes:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise ValueError(reasons.OUT_OF_RANGE, "is a time whose zone has no fixed offset")
    return _typed("time" if value.tzinfo is None else "timetz", datetime.time.isoformat(value))


def _interval_text(value: datetime.timedelta) -> str:
    return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"


def _timedelta(value: datetime.timedelta) -> bytes:
    return _typed("interval", _interval_text(value))


def _uuid(value: uuid.UUID) -> bytes:
    return _typed("uuid", uuid.UUID.__str__(value))


def _json_text(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:  # A lone surrogate, which JSON has as an escape only.
            return json.dumps(value)
        return text
    except (TypeError, ValueError):
        raise ValueError(reasons.UNSUPPORTED_TYPE, "can't be written as JSON") from None


def _inet(value: Any) -> bytes:
    return _typed("inet", str(value))


def _network(value: Any) -> bytes:
    return _typed("cidr", str(value))


# What a value is of, whose class derives from one of these: the value of exactly that class.
_EXACT: Dict[Type[Any], Callable[[Any], Any]] = {int: int.__int__, float: float.__float__, str: str.__str__}


def _has_mixin(value: enum.Enum) -> bool:
    """Whether an Enum's members are values of another type as well."""
    return any(kind in _ENCODERS for kind in type(value).__mro__)


def _encode_derived(value: Any) -> bytes:
    """A value of a class that is not listed, but may derive from one that is."""
    if isinstance(value, enum.Enum):
        return encode_value(value.value) if _has_mixin(value) else _text(value.name)
    if not _foreign.is_missing(value):
        for kind in type(value).__mro__:
            if kind in _ENCODERS:
                return _ENCODERS[kind](_EXACT[kind](value) if kind in _EXACT else value)
    try:
        return encode_value(_foreign.plain(value))
    except _foreign.NotPlain:
        pass
    try:
        return _int(int(operator.index(value)))
    except TypeError:
        raise ValueError(reasons.UNSUPPORTED_TYPE, f"is of type {type(value).__name__}, which has no PostgreSQL type; convert"
                         " it, or wrap it in Json") from None


_JSON_TYPES = frozenset({"json", "jsonb"})


def _wrapped(value: Typed) -> bytes:
    if value.type_name in _JSON_TYPES and isinstance(value.value, (list, tuple)):
        return _typed(value.type_name, _json_text(value.value))
    try:
        inner = encode_value(value.value)
    except EmptyList:
        inner = _text("{}")
    if inner.startswith(b"\x38"):
        raise ValueError(reasons.UNSUPPORTED_TYPE, "is an expression, which takes no type")
    name = value.type_name.encode()
    if not name or len(name) > 128 or b"\0" in name:
        raise ValueError(reasons.TYPE_NAME, "has a type name of 1 to 128 bytes")
    if isinstance(value.value, (Typed, Json, Jsonb)):
        raise ValueError(reasons.TYPE_NAME, "has two type names")
    # The last type_name counts.
    return inner + b"\x7a" + varint(len(name)) + name


def _expression(value: Expression) -> bytes:
    return bytes((0x38, value.value))


class EmptyList(Exception):
    """A parameter is an empty list, which is written by the type of its place: see empty_list()."""


def _array(value: Sequence[Any]) -> bytes:
    if not value:
        raise EmptyList
    return _text(array_text(value))


_TEXT_TYPES = frozenset({"text", "character varying", "character", "name"})


def empty_list(type_name: str) -> bytes:
    """What an empty list is for a parameter of that type; "" for an unknown one.

    An empty array, "{}", would be taken by json as an empty object, and nobody would notice. With a form feed before it, which is
    white space to PostgreSQL's arrays and an error to its JSON, it is not, even if the type is another than it was.
    """
    if type_name in _JSON_TYPES:
        return _text("[]")
    return _text("{}" if type_name in _TEXT_TYPES else "\f{}")


def _hex(value: Union[bytes, bytearray, memoryview]) -> str:
    return "\\x" + value.hex()


_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"'})

# How an element of an array is written, by its type; those that need no quotes are known not to.
_ELEMENTS: Dict[Type[Any], Callable[[Any], str]] = {
    int: int.__repr__,
    float: float.__repr__,
    bool: lambda value: "t" if value else "f",
    Decimal: _decimal_text,
    uuid.UUID: uuid.UUID.__str__,
    datetime.date: datetime.date.isoformat,
}
_QUOTED_ELEMENTS: Dict[Type[Any], Callable[[Any], str]] = {
    str: str.__str__,
    datetime.datetime: _datetime_text,
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
        known = _ELEMENTS.get(type(value))
        parts.append(_element(value) if known is None else known(value))
    return "{" + ",".join(parts) + "}"


def _quoted(text: str) -> str:
    return '"' + text.translate(_QUOTED) + '"'


def _element(value: Any) -> str:
    quoted = _QUOTED_ELEMENTS.get(type(value))
    if quoted is not None:
        return _quoted(quoted(value))
    if value is None:
        return "NULL"
    if isinstance(value, Expression):
        raise ValueError(reasons.UNSUPPORTED_TYPE, "has an expression in an array")
    if isinstance(value, enum.Enum):
        return _element(value.value) if _has_mixin(value) else _quoted(value.name)
    if not _foreign.is_missing(value):
        for kind in type(value).__mro__:
            if kind in _ELEMENTS:
                return _ELEMENTS[kind](value)
            if kind in _QUOTED_ELEMENTS:
                return _quoted(_QUOTED_ELEMENTS[kind](value))
        if isinstance(value, (list, tuple)):
            return array_text(value)
    try:
        return _element(_foreign.plain(value))
    except _foreign.NotPlain:
        pass
    try:
        return int.__repr__(operator.index(value))
    except TypeError:
        raise ValueError(reasons.UNSUPPORTED_TYPE,
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
    return _encode_derived(value)


def encode_parameters(parameters: Parameters, tag: bytes, path: str = "parameters",
                      empty_lists: Optional[Sequence[bytes]] = None) -> List[bytes]:
    """All parameters, each behind its field's tag and length. `empty_lists` has for each parameter what an empty list is there.
    Raises DatabaseRequestError, which names the wrong parameter, and EmptyList where such a one comes and that is not known."""
    values = parameters if isinstance(parameters, (list, tuple)) else _foreign.as_row(parameters, path)
    parts: List[bytes] = []
    index = 0
    try:
        for value in values:
            try:
                encoded = encode_value(value)
            except EmptyList:
                if empty_lists is None:
                    raise
                encoded = empty_lists[index] if index < len(empty_lists) else empty_list("")
            parts += (tag, varint(len(encoded)), encoded)
            index += 1
    except ValueError as fault:
        raise _bad_parameter(fault, f"{path}[{index}]") from None
    except RecursionError:
        raise request_error(reasons.UNSUPPORTED_TYPE, f"{path}[{index}]", "is nested too deeply") from None
    return parts


def _bad_parameter(fault: ValueError, path: str) -> DatabaseRequestError:
    details: Tuple[Any, ...] = fault.args
    if len(details) == 2:
        return request_error(str(details[0]), path, str(details[1]))
    return request_error(reasons.UNSUPPORTED_TYPE, path, "can't be converted")
