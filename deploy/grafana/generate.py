"""Writes the dashboards that Grafana loads: ``python -m deploy.grafana.generate``."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.explorer import explorer
from deploy.grafana.operations import operations
from deploy.grafana.usage import usage

FOLDER = Path(__file__).with_name("dashboards")


def dashboards() -> dict[str, str]:
    """File name to content."""
    made = {"operations": operations(), "usage": usage(), "explorer": explorer()}
    return {
        f"{name}.json": json.dumps(board.build(), cls=JSONEncoder, indent=2) + "\n"
        for name, board in made.items()
    }


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in dashboards().items():
        (FOLDER / name).write_text(content)


if __name__ == "__main__":
    main()
