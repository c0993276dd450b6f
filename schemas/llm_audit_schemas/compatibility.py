"""What would break the contract: a changed schema held against the one that was released.

Two questions, because messages are read in two ways:

- With a schema registry a reader has the writer's schema, and Avro resolves the difference.
  :func:`incompatibilities` says what must not happen within a version all the same. It asks for compatibility in
  both directions with every release (Avro's "full transitive") and for more: an entry is evidence for years, so a
  field's name, type, meaning on the wire and default stay what they were. All that may be done is to add fields
  that have a default, at the end, and to improve a ``doc``.
- With a fixed id (``wire.FIXED_IDS``) both sides use the schema in their package. Then *any* change of the layout,
  an added field included, makes old bytes unreadable or, worse, readable as something else.
  :func:`layout_fingerprint` tells such changes; a new layout needs a new fixed id, and the old id is never reused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from fastavro import parse_schema, validate
from fastavro.schema import SchemaParseException, UnknownType

from llm_audit_schemas.schema_files import AvroSchema

_LOGICAL = ("logicalType", "precision", "scale", "size")
_NO_MEANING = frozenset({"doc", "aliases"})


def incompatibilities(old: AvroSchema, new: AvroSchema) -> list[str]:
    """What in ``new`` breaks readers or writers of ``old``: one sentence each, empty when nothing does.

    Args:
        old: A released record schema, as plain JSON.
        new: The schema that is to replace it within the same version.
    """
    broken = [
        f"the record's {key} changed from {old.get(key)!r} to {new.get(key)!r}; a new {key} is a new contract"
        for key in ("type", "name", "namespace")
        if old.get(key) != new.get(key)
    ]
    old_fields = {field["name"]: field for field in old["fields"]}
    new_fields = {field["name"]: field for field in new["fields"]}
    for name, field in old_fields.items():
        if name not in new_fields:
            broken.append(
                f"field {name!r} was removed or renamed; keep it, and stop filling it if it is not needed"
            )
        else:
            broken += _field_changes(name, field, new_fields[name])
    added = [field for name, field in new_fields.items() if name not in old_fields]
    broken += _order_changes(old_fields, new_fields)
    broken += [sentence for field in added if (sentence := _addition(field))]
    return broken or _not_avro(new)


def layout_fingerprint(schema: AvroSchema) -> str:
    """SHA-256, in hex, of all that decides how a record's bytes are read: names, types, logical types, order.

    Docs and defaults are not part of it: they change no byte. Much like Avro's parsing canonical form, but with
    logical types, which decide what the bytes mean.
    """
    layout = json.dumps(_layout(schema), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(layout.encode()).hexdigest()


def _layout(schema: Any) -> Any:
    """A schema without what changes no byte, its primitive types written in one way."""
    if isinstance(schema, list):
        return [_layout(branch) for branch in schema]
    if not isinstance(schema, Mapping):
        return schema
    parts = {key: value for key, value in schema.items() if key not in _NO_MEANING and key != "default"}
    for key in ("type", "items", "values"):
        if key in parts:
            parts[key] = _layout(parts[key])
    if "fields" in parts:
        parts["fields"] = [_layout(field) for field in parts["fields"]]
    return parts["type"] if set(parts) == {"type"} and isinstance(parts["type"], str) else parts


def _field_changes(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    broken: list[str] = []
    old_type, new_type = _layout(old["type"]), _layout(new["type"])
    if old_type != new_type:
        broken.append(_type_change(name, old_type, new_type))
    if "default" in old and "default" not in new:
        broken.append(f"field {name!r} lost its default; records written without the field need it")
    elif "default" in old and json.dumps(old["default"]) != json.dumps(new["default"]):
        broken.append(
            f"field {name!r} changed its default from {json.dumps(old['default'])} to "
            f"{json.dumps(new['default'])}; old records would change their meaning"
        )
    return broken


def _type_change(name: str, old: Any, new: Any) -> str:
    logical = _logical_change(old, new)
    if logical is not None:
        return f"field {name!r} changed its {logical}; the same bytes would mean something else"
    return f"field {name!r} changed its type from {json.dumps(old)} to {json.dumps(new)}; add a new field instead"


def _logical_change(old: Any, new: Any) -> str | None:
    """The logical attribute that differs, where nothing else does."""
    for before, after in zip(_branches(old), _branches(new), strict=False):
        left, right = _attributes(before), _attributes(after)
        if left.get("type") != right.get("type"):
            return None
        for key in _LOGICAL:
            if left.get(key) != right.get(key):
                return f"{key} from {left.get(key)!r} to {right.get(key)!r}"
    return None


def _branches(schema: Any) -> list[Any]:
    return schema if isinstance(schema, list) else [schema]


def _attributes(schema: Any) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {"type": schema}


def _order_changes(old: Iterable[str], new: Iterable[str]) -> list[str]:
    names, known = list(new), list(old)
    kept = [name for name in names if name in set(known)]
    if kept != [name for name in known if name in set(names)]:
        moved = next(name for name, was in zip(kept, known, strict=False) if name != was)
        return [f"field {moved!r} moved; the order of the fields is the order of their bytes"]
    early = [name for name in names[: len(kept)] if name not in set(known)]
    return [f"field {name!r} was added before existing ones; add new fields at the end" for name in early]


def _addition(field: Mapping[str, Any]) -> str | None:
    name = field["name"]
    if "default" not in field:
        return f"field {name!r} was added without a default; readers of old records need one"
    first = _branches(field["type"])[0]
    try:
        fits = validate(field["default"], parse_schema(first), raise_errors=False)
    except (SchemaParseException, UnknownType):
        return None  # the whole schema's parsing says so in better words
    if not fits:
        return (
            f"field {name!r} has the default {json.dumps(field['default'])}, which does not fit its (first) type "
            f"{json.dumps(first)}"
        )
    return None


def _not_avro(schema: AvroSchema) -> list[str]:
    names = [field["name"] for field in schema["fields"]]
    if len(set(names)) != len(names):
        return ["the schema is not valid Avro: two fields have the same name"]
    try:
        parse_schema(json.loads(json.dumps(schema)))
    except (SchemaParseException, UnknownType) as error:
        return [f"the schema is not valid Avro: {error}"]
    return []
