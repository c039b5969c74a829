"""The JSON Schema of reports: `python -m reports.schema > docs/schemas/report-1.json`."""

import json
import sys

from pydantic import TypeAdapter

from reports.facts import SCHEMA, ExperimentReport, RolloutReport


def schema() -> str:
    """Return it, as it is kept in `docs/`."""
    either: TypeAdapter[RolloutReport | ExperimentReport]
    either = TypeAdapter(RolloutReport | ExperimentReport)
    found = {"title": SCHEMA} | either.json_schema(mode="serialization")
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema())
