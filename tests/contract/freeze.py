"""Writes the frozen copies that the compatibility tests hold the schemas to: ``python -m tests.contract.freeze``.

Run it only in the commit that makes a change which :mod:`llm_audit_schemas.compatibility` allows, and commit both
together. It refuses a change that breaks the frozen schema, and a new layout under an old fixed id. Until version 1
is released there is nobody to break: ``--unreleased`` freezes whatever stands there. Take that option away with the
release.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from llm_audit_schemas import schema_files, wire
from llm_audit_schemas.compatibility import incompatibilities, layout_fingerprint
from llm_audit_schemas.schema_files import AvroSchema

FROZEN = Path(__file__).parent / "frozen"
LAYOUTS = FROZEN / "fixed_ids.json"
"""Every fixed id ever used: its schema and the fingerprint of its layout. Lines are added, never changed."""

Layouts = dict[str, dict[str, str]]


def frozen_schema(name: str) -> AvroSchema:
    schema: AvroSchema = json.loads((FROZEN / f"{name}.avsc").read_text(encoding="utf-8"))
    return schema


def frozen_layouts() -> Layouts:
    layouts: Layouts = json.loads(LAYOUTS.read_text(encoding="utf-8"))
    return layouts


def current_layouts() -> Layouts:
    return {
        f"{fixed_id:#x}": {"schema": name, "layout": layout_fingerprint(schema_files.raw_schema(name))}
        for name, fixed_id in wire.FIXED_IDS.items()
    }


def objections() -> list[str]:
    broken = [
        f"{name}: {sentence}"
        for name in schema_files.ALL
        for sentence in incompatibilities(frozen_schema(name), schema_files.raw_schema(name))
    ]
    frozen = frozen_layouts()
    broken += [
        f"fixed id {fixed_id} stands for another layout than before; give {current['schema']} a new fixed id"
        for fixed_id, current in current_layouts().items()
        if frozen.get(fixed_id, current) != current
    ]
    return broken


def main(*, unreleased: bool) -> int:
    broken = [] if unreleased else objections()
    if broken:
        sys.stderr.write("\n".join(broken) + "\n")
        return 1
    for name in schema_files.ALL:
        (FROZEN / f"{name}.avsc").write_text(schema_files.schema_text(name), encoding="utf-8")
    known = {} if unreleased else frozen_layouts()
    LAYOUTS.write_text(json.dumps(known | current_layouts(), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(unreleased="--unreleased" in sys.argv[1:]))
