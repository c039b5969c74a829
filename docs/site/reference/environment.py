"""Every variable of the environment, from the only module that reads it."""

import ast
from dataclasses import Field
from dataclasses import fields as declared
from pathlib import Path

import settings
from docs.site.reference.markdown import MADE, code, plain, table
from domain.manual import fields
from settings import Settings

HEAD = """\
# Settings

Everything is set by the environment; there is no other file of settings. An empty variable counts
as one that is not set. What may hold a secret is marked, and is shown in no log, page or error.
What to set where: [operating](../guides/operating.md#settings) and
[production](../guides/production.md).

"""
OTHERS = """\
## Temporal and OpenTelemetry

Temporal's own variables are read by its SDK: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`,
`TEMPORAL_API_KEY`, `TEMPORAL_TLS_CLIENT_CERT_PATH`, `TEMPORAL_PROFILE` and the others of
[its environment configuration](https://docs.temporal.io/develop/environment-configuration).
`OTEL_*` is read by OpenTelemetry's SDK; of these rampart itself looks at:

"""


def page() -> str:
    """Return the page."""
    ours = table(("variable", "default", "meaning"), map(_row, declared(Settings)))
    names = ((code(name),) for name in variables() if name.startswith("OTEL_"))
    return MADE + HEAD + ours + OTHERS + table(("variable",), names)


def variables() -> list[str]:
    """Return the name of every variable that is read, from the source of who reads them."""
    tree = ast.parse(Path(str(settings.__file__)).read_text())
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    known = {text for text in texts if isinstance(text, str) and text.isupper()}
    return sorted(text for text in known if text.startswith(("RAMPART_", "OTEL_")))


def variable(field: Field[object]) -> str:
    """Return the variable that a setting is read from; empty for one made of `OTEL_*`."""
    name = f"RAMPART_{field.name.upper()}"
    return name if name in variables() else ""


def _row(field: Field[object]) -> tuple[str, str, str]:
    said = plain(fields(Settings).get(field.name, ""))
    secret = "" if field.repr else " May hold a secret."
    return code(variable(field) or "OTEL_*"), code(str(field.default or "")), said + secret
