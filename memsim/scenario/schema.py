"""The format of scenarios as a JSON schema, made from what the checker knows: ``memsim new --schema``.

Whatever the checker takes is valid, and whatever is not valid the checker refuses
(tests/unit/test_schema.py). Rules
that a schema cannot say (overlaps, alignment, which device has which step) the checker alone knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.devices import DEVICE_KINDS
from memsim.linux.drivers.base.memory.blocks import ONLINE_TYPES
from memsim.scenario.numbers import COMMENT, PATTERN, PLAIN_KEYS
from memsim.scenario.reference import MACHINE, MEANINGS
from memsim.scenario.scenario import FORMAT
from memsim.scenario.steps import STEPS

if TYPE_CHECKING:
    from memsim.scenario.steps import Argument, StepKind

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": "string"}
_NUMBER = {"$ref": "#/$defs/number"}
_PLAIN = {"$ref": "#/$defs/plain"}
_COMMENT = {COMMENT: {"$ref": "#/$defs/comment"}}


def scenario_schema() -> dict[str, Any]:
    """Return the schema of ``memsim-scenario/1``."""
    top = {
        "format": {"const": FORMAT},
        "title": _TEXT,
        "machine": _machine(),
        "steps": {"type": "array", "items": {"oneOf": [_step(name, kind) for name, kind in STEPS.items()]}},
    }
    return {
        "$schema": DIALECT,
        "title": f"{FORMAT}: a machine and what is done to it",
        **_object(top, ["format", "machine", "steps"]),
        "$defs": {
            "number": {
                "description": 'Pages or a pfn: a whole number, "0x100000", or a size such as "128M".',
                "oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": PATTERN}],
            },
            "plain": {
                "oneOf": [
                    {"type": "integer", "minimum": 0},
                    {"type": "string", "pattern": "^\\s*0[xX][0-9a-fA-F]+\\s*$"},
                ]
            },
            "range": {
                "description": "[start_pfn, nr_pages]",
                "type": "array",
                "items": _NUMBER,
                "minItems": 2,
                "maxItems": 2,
            },
            "comment": {"description": "A remark for readers; it has no effect."},
        },
    }


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**properties, **_COMMENT},
        "required": required,
        "additionalProperties": False,
    }


def _machine() -> dict[str, Any]:
    ranges = {"type": "array", "items": {"$ref": "#/$defs/range"}}
    known: dict[str, dict[str, Any]] = {
        "ram": {**ranges, "minItems": 1},
        "reserved": ranges,
        "block_pages": _NUMBER,
        "crashkernel_pages": _NUMBER,
        "kernelcore_pages": _NUMBER,
        "movablecore_pages": _NUMBER,
        "default_online_type": {"enum": list(ONLINE_TYPES)},
        "devices": {"type": "array", "items": {"oneOf": [_device(name) for name in DEVICE_KINDS]}},
    }
    properties = {
        key: {"description": meaning, **known.get(key, {"type": "boolean"})}
        for key, meaning in MACHINE.items()
    }
    return _object(properties, ["ram"])


def _device(name: str) -> dict[str, Any]:
    kind = DEVICE_KINDS[name]
    numbers = {key: {"description": MEANINGS[key], **_NUMBER} for key in (*kind.required, *kind.optional)}
    return _object({"kind": {"const": name}, "name": _TEXT, **numbers}, ["kind", "name", *kind.required])


def _step(name: str, kind: StepKind) -> dict[str, Any]:
    properties = {argument.name: _argument(argument) for argument in kind.arguments}
    required = [argument.name for argument in kind.arguments if not argument.optional]
    errno = {"description": MEANINGS["errno"], **_TEXT}
    return _object({"do": {"const": name}, "errno": errno, **properties}, ["do", *required])


def _argument(argument: Argument) -> dict[str, Any]:
    types: dict[type, dict[str, Any]] = {
        int: _PLAIN if argument.name in PLAIN_KEYS else _NUMBER,
        str: _TEXT,
        list: {"type": "array", "items": _NUMBER},
    }
    return {"description": MEANINGS[argument.name], **types[argument.kind]}
