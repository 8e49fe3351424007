"""Values of numpy and pandas, and dataclasses, as plain Python values. Neither package is imported: whoever has such a value has
it already. For the package's own use."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Set
from typing import Any, List, Sequence

from engine_db_postgres import reasons
from engine_db_postgres.errors import DatabaseRequestError, request_error


class NotPlain(ValueError):
    """There is no plain value for it."""


def is_missing(value: Any) -> bool:
    """Whether it is pandas.NA or pandas.NaT, which mean NULL. (NaT's class derives from datetime.)"""
    kind = type(value)
    return kind.__name__ in ("NAType", "NaTType") and kind.__module__.startswith("pandas.")


def is_array(value: Any) -> bool:
    """Whether it is a numpy array, or a Series or another one-dimensional array of pandas."""
    return hasattr(value, "dtype") and hasattr(value, "tolist") and hasattr(value, "__len__") and not _is_scalar(value)


def _is_scalar(value: Any) -> bool:
    """Whether it is one number, moment… of numpy's."""
    return type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "item") and getattr(value, "shape", None) == ()


def plain(value: Any) -> Any:
    """A plain value or a list of such. Raises NotPlain."""
    if is_missing(value):
        return None
    if _is_scalar(value):
        return _plain_scalar(value)
    if is_array(value):
        return elements(value)
    raise NotPlain


def _plain_scalar(value: Any) -> Any:
    kind = value.dtype.kind
    if kind in "mM":
        found = value.item()
        if isinstance(found, int):  # So it is with nanoseconds, and with what Python can't hold.
            found = value.astype(_microseconds(value.dtype)).item()
        if found is None or isinstance(found, (datetime.date, datetime.timedelta)):
            return found
        raise ValueError(reasons.OUT_OF_RANGE, "is a moment that Python's datetime can't hold")
    if kind == "f":
        return float(value)  # item() leaves a long double as it is.
    if kind in "biuSU":
        return value.item()
    raise NotPlain


def _microseconds(dtype: Any) -> str:
    """The type with the unit that Python and PostgreSQL have. Raises NotPlain for time spans that have none: of months, of years,
    and of nothing at all."""
    if dtype.kind == "m" and dtype.str.endswith(("[Y]", "[M]", "m8")):
        raise NotPlain
    return f"{dtype.kind}8[us]"


def elements(values: Any) -> List[Any]:
    """The elements of an array, as nested lists; some may be numpy's or pandas' still."""
    kind = getattr(values.dtype, "kind", "O")
    if kind in "cV":
        raise NotPlain
    if kind in "mM" and type(values).__module__.partition(".")[0] == "numpy" and not values.dtype.str.endswith("[D]"):
        values = values.astype(_microseconds(values.dtype))
    found: List[Any] = values.tolist()
    return found


def as_row(parameters: Any, path: str) -> Sequence[Any]:
    """What is given as the parameters of a statement, as a sequence: any iterable, or a dataclass's fields. Raises
    DatabaseRequestError."""
    if isinstance(parameters, (list, tuple)):
        return parameters
    if parameters is None:
        return ()
    if dataclasses.is_dataclass(parameters) and not isinstance(parameters, type):
        return [getattr(parameters, field.name) for field in dataclasses.fields(parameters)]
    if is_array(parameters):
        try:
            return elements(parameters)
        except NotPlain:
            raise _no_list(parameters, path) from None
    # Of what these have, an iterator gives names, or has no order that means something.
    if isinstance(parameters, (str, bytes, bytearray, memoryview, Mapping, Set)) or hasattr(parameters, "itertuples"):
        raise _no_list(parameters, path)
    try:
        values = iter(parameters)
    except TypeError:
        raise _no_list(parameters, path) from None
    return list(values)


def _no_list(parameters: Any, path: str) -> DatabaseRequestError:
    return request_error(reasons.UNSUPPORTED_TYPE, path, "is a list with a value for each \"?\", not a " + type(parameters).__name__)


def rows_of(table: Any) -> Any:
    """What is given as the rows of many runs, as an iterable of them: any iterable, or a DataFrame's rows."""
    if hasattr(table, "itertuples"):
        return table.itertuples(index=False, name=None)
    return table
