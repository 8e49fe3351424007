"""What differs between pydantic 1 and 2, in one place, so that the models are written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List

import pydantic

IS_V2 = pydantic.VERSION.split(".")[0] != "1"


class _Filling:
    @classmethod
    def filled(cls, values: Dict[str, Any]) -> Dict[str, Any]:
        """What was given, with the defaults that depend on it."""
        return values


if TYPE_CHECKING:

    class Model(_Filling, pydantic.BaseModel):
        """A model that is immutable, refuses unknown fields, and never shows a value in an error."""

        def __init__(self, **data: Any) -> None: ...

elif IS_V2:

    class Model(_Filling, pydantic.BaseModel):
        """A model that is immutable, refuses unknown fields, and never shows a value in an error."""

        model_config = pydantic.ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

        @pydantic.model_validator(mode="before")
        @classmethod
        def _fill(cls, values: Any) -> Any:
            return cls.filled(values) if isinstance(values, dict) else values

        @pydantic.model_validator(mode="after")
        def _check(self) -> Any:
            _raise_first(self)
            return self

else:

    class Model(_Filling, pydantic.BaseModel):
        """A model that is immutable, refuses unknown fields, and never shows a value in an error."""

        class Config:
            allow_mutation = False
            frozen = True
            extra = pydantic.Extra.forbid

        @pydantic.root_validator(pre=True)
        def _fill(cls, values: Dict[str, Any]) -> Dict[str, Any]:  # noqa: N805
            return cls.filled(values)

        @pydantic.root_validator(skip_on_failure=True)
        def _check(cls, values: Dict[str, Any]) -> Dict[str, Any]:  # noqa: N805
            _raise_first(cls.construct(**values))
            return values


def _raise_first(model: Any) -> None:
    """What no single field can tell is found out by the model's own faults()."""
    faults: List[str] = model.faults()
    if faults:
        raise ValueError("; ".join(faults))


def integer(low: int, high: int) -> Any:
    """A whole number within bounds; no text, no bool, no fraction."""
    return pydantic.conint(strict=True, ge=low, le=high)


def real(low: float, high: float) -> Any:
    """A number within bounds; infinity and NaN are outside."""
    return pydantic.confloat(ge=low, le=high)


def text(*, required: bool = False) -> Any:
    """A text; no number, no bytes."""
    return pydantic.constr(strict=True, min_length=1 if required else 0)

