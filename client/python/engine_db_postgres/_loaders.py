"""What Python has for PostgreSQL's types: from their canonical text. For the package's own use.

A type that is not listed (ranges, composites, bit strings, money, types of extensions…) stays text.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import uuid
from decimal import Decimal
from typing import Any, Callable, Dict, List, Optional, Tuple

Loader = Callable[[str], Any]

_TIME = r"(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?"
_ZONE = r"(?:([+-])(\d{2})(?::(\d{2}))?(?::(\d{2}))?)?"
_TIMESTAMP_PATTERN = re.compile(rf"(\d{{4}})-(\d{{2}})-(\d{{2}}) {_TIME}{_ZONE}")
_TIME_PATTERN = re.compile(f"{_TIME}{_ZONE}")
_INTERVAL_PATTERN = re.compile(
    r"(?:(-?\+?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?"
    r"(?:([+-])?(\d+):(\d{2}):(\d{2})(?:\.(\d{1,6}))?)?")


def _microseconds(digits: Optional[str]) -> int:
    return int(digits.ljust(6, "0")) if digits else 0


def _zone(sign: Optional[str], hours: str, minutes: Optional[str],
          seconds: Optional[str]) -> Optional[datetime.timezone]:
    if sign is None:
        return None
    offset = datetime.timedelta(hours=int(hours), minutes=int(minutes or 0), seconds=int(seconds or 0))
    return datetime.timezone(-offset if sign == "-" else offset)


def load_timestamp(text: str) -> datetime.datetime:
    """timestamp and timestamptz; those after 9999, BC and the infinities are a ValueError."""
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:  # Before Python 3.11 it takes but a few forms of fraction and offset.
        match = _TIMESTAMP_PATTERN.fullmatch(text)
        if match is None:
            raise
        year, month, day, hour, minute, second, fraction, sign, *offset = match.groups()
        return datetime.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second),
                                 _microseconds(fraction), _zone(sign, *offset))


def load_time(text: str) -> datetime.time:
    """time and timetz; 24:00:00 is a ValueError."""
    match = _TIME_PATTERN.fullmatch(text)
    if match is None:
        raise ValueError("not a time")
    hour, minute, second, fraction, sign, *offset = match.groups()
    return datetime.time(int(hour), int(minute), int(second), _microseconds(fraction), _zone(sign, *offset))


def load_interval(text: str) -> datetime.timedelta:
    """A year counts as 365 days and a month as 30, as psycopg has it."""
    match = _INTERVAL_PATTERN.fullmatch(text)
    if match is None or not text:
        raise ValueError("not an interval")
    years, months, days, sign, hours, minutes, seconds, fraction = match.groups()
    clock = datetime.timedelta(hours=int(hours or 0), minutes=int(minutes or 0), seconds=int(seconds or 0),
                               microseconds=_microseconds(fraction))
    whole_days = 365 * int(years or 0) + 30 * int(months or 0) + int(days or 0)
    return datetime.timedelta(days=whole_days) + (-clock if sign == "-" else clock)


def load_inet(text: str) -> Any:
    """An address, or an interface where the text has a prefix length."""
    return ipaddress.ip_interface(text) if "/" in text else ipaddress.ip_address(text)


def _load_bytea(text: str) -> bytes:
    if not text.startswith("\\x"):
        raise ValueError("not bytea in hex")
    return bytes.fromhex(text[2:])


def _load_bool(text: str) -> bool:
    return text == "t"


# What an array ends at, starts with, or has between two elements.
_ARRAY_TOKEN = re.compile(r'\{|\}|,|"(?:[^"\\]|\\.)*"|(?:[^{},"\\]|\\.)+', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def load_array(text: str, load: Loader) -> List[Any]:
    """An array in PostgreSQL's notation as nested lists; lower bounds other than 1 are left out."""
    if text.startswith("["):
        text = text[text.index("=") + 1:]
    stack: List[List[Any]] = []
    done: Optional[List[Any]] = None
    for token in _ARRAY_TOKEN.findall(text):
        first = token[0]
        if first == "{":
            inner: List[Any] = []
            if stack:
                stack[-1].append(inner)
            stack.append(inner)
        elif first == "}":
            done = stack.pop()
        elif first == ",":
            continue
        elif first == '"':
            stack[-1].append(load(_ESCAPE.sub(r"\1", token[1:-1])))
        elif token == "NULL":
            stack[-1].append(None)
        else:
            stack[-1].append(load(_ESCAPE.sub(r"\1", token) if "\\" in token else token))
    if done is None or stack:
        raise ValueError("not an array")
    return done


def _array_loader(load: Loader) -> Loader:
    return lambda text: load_array(text, load)


def _text(text: str) -> str:
    return text


# Type, its OID, its array's OID (pg_type.dat), and its loader; None: it is not text to begin with.
_TYPES: Tuple[Tuple[str, int, int, Optional[Loader], Loader], ...] = (
    ("bool", 16, 1000, None, _load_bool),
    ("bytea", 17, 1001, None, _load_bytea),
    ("int8", 20, 1016, None, int),
    ("int2", 21, 1005, None, int),
    ("int4", 23, 1007, None, int),
    ("oid", 26, 1028, None, int),
    ("float4", 700, 1021, None, float),
    ("float8", 701, 1022, None, float),
    ("text", 25, 1009, None, _text),
    ("varchar", 1043, 1015, None, _text),
    ("bpchar", 1042, 1014, None, _text),
    ("name", 19, 1003, None, _text),
    ("numeric", 1700, 1231, Decimal, Decimal),
    ("date", 1082, 1182, datetime.date.fromisoformat, datetime.date.fromisoformat),
    ("time", 1083, 1183, load_time, load_time),
    ("timetz", 1266, 1270, load_time, load_time),
    ("timestamp", 1114, 1115, load_timestamp, load_timestamp),
    ("timestamptz", 1184, 1185, load_timestamp, load_timestamp),
    ("interval", 1186, 1187, load_interval, load_interval),
    ("uuid", 2950, 2951, uuid.UUID, uuid.UUID),
    ("json", 114, 199, json.loads, json.loads),
    ("jsonb", 3802, 3807, json.loads, json.loads),
    ("inet", 869, 1041, load_inet, load_inet),
    ("cidr", 650, 651, ipaddress.ip_network, ipaddress.ip_network),
)

_LOADERS: Dict[int, Loader] = {oid: load for _, oid, _, load, _ in _TYPES if load is not None}
_LOADERS.update((array_oid, _array_loader(load)) for _, _, array_oid, _, load in _TYPES)
_TEXT_ARRAY: Loader = _array_loader(_text)
_BOX_ARRAY_OID = 1020  # Its delimiter is ";".


def loader_for(type_oid: int, type_name: str) -> Optional[Loader]:
    """What makes Python's value of a text of that type; None where the text is the value."""
    load = _LOADERS.get(type_oid)
    if load is None and type_name.endswith("[]") and type_oid != _BOX_ARRAY_OID:
        return _TEXT_ARRAY
    return load
