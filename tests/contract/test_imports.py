"""What an import brings along: a service that is audited must not pay for what it does not use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
before = set(sys.modules)
import {module}
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def loaded_by(module: str) -> set[str]:
    """Top-level modules that a fresh interpreter loads for ``import module``."""
    program = PROGRAM.format(module=module)
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    return set(json.loads(output))


@pytest.mark.parametrize("module", ["llm_audit_producer", "llm_audit_producer.pricing"])
def test_the_producer_comes_light(module: str) -> None:
    loaded = loaded_by(module)
    assert "llm_audit_producer" in loaded
    heavy = {
        "anthropic",
        "psycopg2",
        "prometheus_client",
        "numpy",
        "polars",
        "genai_prices",
        "pydantic",
        "llm_audit_consumer",
    }
    assert not loaded & heavy


def test_the_schemas_stand_alone() -> None:
    loaded = loaded_by("llm_audit_schemas, llm_audit_schemas.compatibility")
    others = loaded - sys.stdlib_module_names - {"llm_audit_schemas", "fastavro"}
    # fastavro itself looks for codecs and faster parsers that happen to be installed.
    others -= loaded_by("fastavro")
    assert not {name for name in others if not name.startswith("_cython") and name != "cython_runtime"}
