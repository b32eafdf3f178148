"""Base class of the events that our own services write."""

from __future__ import annotations

from dataclasses import make_dataclass
from typing import Any

from msgspec import Struct
from msgspec.structs import fields
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema


class Event(Struct, frozen=True, gc=False):
    """An immutable value, encoded and decoded by msgspec.

    Events hold only JSON values and so can't be part of a reference cycle: `gc=False` spares
    the garbage collector millions of objects.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Describe the event to pydantic as a dataclass with the same attributes, for its JSON Schema."""
        attributes: list[Any] = [
            (field.name, field.type) if field.required else (field.name, field.type, field.default)
            for field in fields(cls)
        ]
        return handler.generate_schema(make_dataclass(cls.__name__, attributes, namespace={"__doc__": cls.__doc__}))
