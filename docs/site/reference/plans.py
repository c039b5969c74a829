"""What people write, as JSON Schema: a page for readers, and the files for editors."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs.site.reference.markdown import MADE, code, plain, table
from domain.shape import KINDS, shape

HEAD = """\
# Plan schema

Every field of everything that is written as YAML or JSON, from the classes that read it. Why a
field is there and how they play together: [plans](../guides/plans.md).

## In your editor

The same is published as [JSON Schema](https://json-schema.org), beside this page and by `rampart
plan schema`:

"""
EDITORS = """\
```console
$ rampart plan schema > plan.schema.json
$ rampart plan schema experiment > experiment.schema.json
```

Name it in the first line of a plan, and every editor that speaks to `yaml-language-server` (VS
Code with its YAML extension, Neovim, Emacs, JetBrains) completes fields, shows what they mean and
underlines what is wrong:

```yaml
# yaml-language-server: $schema=plan.schema.json
stages:
  - {percent: 10, bake: 4h}
  - {percent: 100}
guardrails: [success, response_time]
```

`rampart plan lint` has the last word: a schema cannot say that percents rise.

"""


def page() -> str:
    """Return the page; a value that several plans share is told once."""
    listed = ((f"[`{file(kind)}`]({file(kind)})", _about(kind)) for kind in KINDS)
    told: dict[str, dict[str, Any]] = {model.__name__: shape(kind) for kind, model in KINDS.items()}
    for kind in KINDS:
        told |= {n: each for n, each in shape(kind).get("$defs", {}).items() if n not in told}
    sections = (_section(name, each) for name, each in told.items())
    return MADE + HEAD + table(("file", "of"), listed) + EDITORS + "".join(sections)


def files() -> dict[str, str]:
    """Return the files that are published, by name."""
    return {file(kind): json.dumps(shape(kind), ensure_ascii=False, indent=2) for kind in KINDS}


def file(kind: str) -> str:
    """Return the name of the file that one schema is published as."""
    return f"{'plan' if kind == 'rollout' else kind}.schema.json"


def undescribed(kind: str) -> Iterator[str]:
    """Name the fields of a schema of which nothing is said."""
    schema = shape(kind)
    for name, each in [(kind, schema), *schema.get("$defs", {}).items()]:
        for field, shown in _object(each).get("properties", {}).items():
            if not shown.get("description"):
                yield f"{name}.{field}"


def _about(kind: str) -> str:
    return plain(shape(kind)["description"])


def _object(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the long form of what may be written in short."""
    forms = (form for form in schema.get("anyOf", ()) if "properties" in form)
    return next(forms, schema)


def _section(name: str, schema: Mapping[str, Any]) -> str:
    title = str(schema.get("title", name)).removeprefix("rampart: ")
    head = f"## {title[:1].upper()}{title[1:]} {{ #{name.lower()} }}\n\n"
    said = plain(schema.get("description", ""))
    if "enum" in schema:
        return f"{head}{said} One of {', '.join(map(code, schema['enum']))}.\n\n"
    whole = _object(schema)
    needed = whole.get("required", ())
    rows = (
        (
            code(field),
            _kind(shown),
            _default(field, shown, needed),
            plain(shown.get("description", "")),
        )
        for field, shown in whole.get("properties", {}).items()
    )
    return f"{head}{said}\n\n" + table(("field", "takes", "default", "meaning"), rows)


def _default(field: str, shown: Mapping[str, Any], needed: object) -> str:
    if isinstance(needed, list | tuple) and field in needed:
        return "required"
    given = shown.get("default")
    if given in (None, "", [], {}):
        return ""
    if isinstance(given, list):
        return ", ".join(code(each) for each in given)
    return code(json.dumps(given).strip('"'))


def _kind(shown: Mapping[str, Any]) -> str:
    """Say in a few words what a field takes."""
    if "anyOf" in shown:
        kinds = [_kind(each) for each in shown["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in shown:
        name = shown["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in shown:
        return ", ".join(map(code, shown["enum"]))
    if "const" in shown:
        return code(shown["const"])
    if shown.get("type") == "array":
        return f"list of {_kind(shown.get('items', {}))}"
    if str(shown.get("pattern", "")).endswith("|P.+)$"):
        return "duration"
    return _bounded(shown)


def _bounded(shown: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {shown[name]:g}" for name, sign in signs.items() if name in shown]
    names = {
        "string": "text",
        "boolean": "true or false",
        "object": "mapping",
        "integer": "whole number",
    }
    kind = str(shown.get("type", "anything"))
    return " ".join([names.get(kind, kind), ", ".join(bounds)]).strip()
