"""A statement's whole result, and what a column is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Callable, Collection, Dict, Iterator, List, NamedTuple, Optional, Tuple, Type

from engine_db_postgres import _wire, reasons
from engine_db_postgres._loaders import Loader, loader_for
from engine_db_postgres.errors import (DatabaseRequestError, ErrorInfo, ErrorKind, Outcome, Phase)

if TYPE_CHECKING:
    import pandas

Row = Dict[str, Any]


class Column(NamedTuple):
    """What a result's column is."""

    name: str  # As PostgreSQL names it: AS loyaltyScore without quotes arrives as "loyaltyscore".
    type_name: str  # As SQL writes it: "bigint", "timestamp with time zone", "text[]".
    type_oid: int  # pg_type.oid
    type_modifier: int = -1  # pg_attribute.atttypmod, -1 for none.


RowMaker = Callable[[List[List[Any]]], List[Row]]
_row_makers: Dict[int, Callable[..., RowMaker]] = {}


def _row_maker(names: Tuple[str, ...]) -> RowMaker:
    """What makes dicts of columns' cells: a display with constant length is several times as fast as dict(zip(…)).

    The code depends on nothing but how many columns there are; the names come as arguments.
    """
    count = len(names)
    factory = _row_makers.get(count)
    if factory is None:
        keys = ", ".join(f"n{i}" for i in range(count))
        cells = ", ".join(f"c{i}" for i in range(count))
        pairs = ", ".join(f"n{i}: c{i}" for i in range(count))
        code = f"lambda {keys}: lambda columns: [{{{pairs}}} for {cells}, in zip(*columns)]"
        factory = _row_makers[count] = eval(code, {"zip": zip})  # noqa: S307
    made: RowMaker = factory(*names)
    return made


class Schema:
    """The columns of a result, and how their cells become Python's values. Shared by the results of one shape."""

    _cache: Dict[bytes, Schema] = {}
    _CACHE_LIMIT = 1024

    __slots__ = ("columns", "loaders", "_text", "_repeated", "_make_rows")

    def __init__(self, columns: Tuple[Column, ...], text: Collection[str] = ()) -> None:
        """The columns whose names are in `text` ("*": all) are given as PostgreSQL's text."""
        self.columns = columns
        self._text = tuple(text)
        self.loaders: Tuple[Optional[Loader], ...] = tuple(
            None if column.name in text or "*" in text else loader_for(column.type_oid, column.type_name) for column in columns)
        counts = Counter(column.name for column in columns)
        self._repeated = [name for name, count in counts.items() if count > 1]
        self._make_rows: Optional[RowMaker] = None

    def __reduce__(self) -> Tuple[Type[Schema], Tuple[Tuple[Column, ...], Tuple[str, ...]]]:
        return Schema, (self.columns, self._text)

    @classmethod
    def of(cls, encoded: bytes) -> Schema:
        """From the columns as they came. A statement that runs again has the same bytes, and so the same Schema."""
        schema = cls._cache.get(encoded)
        if schema is None:
            from engine_db_postgres._proto import connector_pb2

            message = connector_pb2.ExecuteResponse.FromString(encoded)
            schema = cls(tuple(Column(column.name, column.type_name, column.type_oid, column.type_modifier)
                               for column in message.columns))
            if len(cls._cache) >= cls._CACHE_LIMIT:
                cls._cache.clear()
            cls._cache[encoded] = schema
        return schema

    def with_text(self, names: Collection[str]) -> Schema:
        """The same, but the columns with these names ("*": all) are given as PostgreSQL's text."""
        known = {column.name for column in self.columns}
        for name in names:
            if name != "*" and name not in known:
                raise _request_error(reasons.UNKNOWN_COLUMN, "text_columns", f'there is no column "{name}"; those are '
                                     + ", ".join(sorted(known)))
        return Schema(self.columns, names)

    def values(self, cells: List[_wire.Cells]) -> List[List[Any]]:
        """Column by column, each as Python's type."""
        if len(cells) != len(self.columns):
            raise ValueError("a batch with too few or too many columns")
        return [
            column.values if load is None or not column.is_text else self._load(index, load, column)
            for index, (column, load) in enumerate(zip(cells, self.loaders))]

    def _load(self, index: int, load: Loader, cells: _wire.Cells) -> List[Any]:
        try:
            if cells.has_nulls:
                return [None if text is None else load(text) for text in cells.values]
            return list(map(load, cells.values))
        except (ValueError, OverflowError, ArithmeticError, RecursionError):  # The last for JSON that is nested very deeply.
            column = self.columns[index]
            raise _request_error(
                reasons.VALUE_OUT_OF_RANGE, column.name,
                f'column "{column.name}" of type {column.type_name} has a value that Python\'s type can\'t hold; read'
                f' it as text with text_columns=["{column.name}"]') from None

    def rows(self, values: List[List[Any]]) -> List[Row]:
        """Dicts. Raises DatabaseRequestError when two columns have the same name."""
        if self._make_rows is None:
            if self._repeated:
                raise _request_error(
                    reasons.AMBIGUOUS_COLUMN, self._repeated[0],
                    "several columns are named " + ", ".join(f'"{name}"' for name in self._repeated)
                    + ": name them apart with AS, or read the rows as tuples")
            self._make_rows = _row_maker(tuple(column.name for column in self.columns))
        return self._make_rows(values)


def _request_error(reason: str, field: str, message: str) -> DatabaseRequestError:
    """About reading what has come: the statement itself has worked."""
    return DatabaseRequestError(ErrorInfo(message, ErrorKind.INVALID_REQUEST, Outcome.UNSPECIFIED, Phase.UNSPECIFIED,
                                          reason, field=field))


NO_COLUMNS = Schema(())


class Result:
    """What a connector's execute() returns.

    The rows are read from the answer when they are first asked for, so a value that Python can't hold shows then, and
    does not hide that the statement worked.
    """

    __slots__ = ("rowcount", "command_tag", "bound_sql", "attempts", "answered_before", "_schema", "_text_columns", "_data",
                 "_batch", "_values", "_count", "_rows")

    def __init__(self, answer: _wire.Answer, text_columns: Collection[str] = ()) -> None:
        # Rows inserted, updated, deleted, merged or returned.
        self.rowcount: int = answer.rowcount
        # PostgreSQL's command tag: "INSERT 0 1".
        self.command_tag: str = answer.command_tag
        # The statement as it was sent: $1, $2… for the placeholders, and expressions in place.
        self.bound_sql: str = answer.bound_sql
        # How often it was tried; 1 when the first attempt worked.
        self.attempts: int = answer.attempts
        # Whether an earlier call with the same idempotency_key did it, and this is that one's result.
        self.answered_before: bool = answer.answered_before
        self._schema = Schema.of(answer.columns) if answer.columns else NO_COLUMNS
        self._text_columns = text_columns
        self._data = answer.data
        self._batch = answer.batch
        self._count = 0  # Of rows, once _values are read.
        self._values: Optional[List[List[Any]]] = None
        self._rows: Optional[List[Row]] = None

    @classmethod
    def from_rows(cls, rows: List[Row], rowcount: Optional[int] = None, columns: Collection[Column] = ()) -> Result:
        """Made by hand, for connectors that are no PostgreSQL (mocks)."""
        result = cls(_wire.Answer(b"", None, len(rows) if rowcount is None else rowcount, "", "", 1, b""))
        names = list(rows[0]) if rows else []
        result._schema = Schema(tuple(columns) or tuple(Column(name, "text", 0) for name in names))
        result._count = len(rows)
        result._values = [[row[column.name] for row in rows] for column in result._schema.columns]
        return result

    def _columns_of_values(self) -> List[List[Any]]:
        if self._values is None:
            if self._text_columns:
                self._schema, self._text_columns = self._schema.with_text(self._text_columns), ()
            if self._batch is None:
                self._values = [[] for _ in self._schema.columns]
            else:
                self._count, cells = _wire.read_batch(self._data, *self._batch)
                self._values = self._schema.values(cells)
            self._data = b""
        return self._values

    @property
    def columns(self) -> Tuple[Column, ...]:
        """Empty for a statement that returns no rows, or rows without columns ("SELECT FROM t")."""
        return self._schema.columns

    @property
    def rows(self) -> List[Row]:
        """The rows as dicts. Raises DatabaseRequestError when two columns have the same name: see tuples."""
        if self._rows is None:
            values = self._columns_of_values()
            self._rows = self._schema.rows(values) if values else [{} for _ in range(self._count)]
        return self._rows

    @property
    def tuples(self) -> List[Tuple[Any, ...]]:
        """The rows as tuples, in the columns' order."""
        values = self._columns_of_values()
        return list(zip(*values)) if values else [()] * self._count

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        """How many rows there are."""
        self._columns_of_values()
        return self._count

    def __bool__(self) -> bool:
        return True

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a DataFrame. Needs pandas."""
        import pandas

        values = self._columns_of_values()
        frame = pandas.DataFrame({index: pandas.Series(cells) for index, cells in enumerate(values)}, index=range(self._count))
        frame.columns = pandas.Index([column.name for column in self.columns])
        return frame

    def __repr__(self) -> str:
        return f"<Result {self.command_tag!r}, {len(self.columns)} columns>"
