"""What applications import, from signatures and docstrings."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import domain
import serving
from control.rollouts import Control
from docs.site.reference.markdown import MADE, code, plain, table
from domain.errors import RampartError
from domain.manual import entries, fields, prose
from domain.plan import RolloutPlan, RolloutRequest
from domain.rollouts import RolloutManager
from domain.routing import Router
from serving.provider import RampartProvider
from serving.webhooks import Receiver

HEAD = """\
# Python API

What applications and tools import. Times are in seconds where nothing else is said, ids are
texts, and every manager is asynchronous; without an argument a manager works on the database of
the
[settings](settings.md). The tour with all of it in use: [the journey](../guides/the-journey.md).

"""
SHELVES: dict[str, tuple[type, ...]] = {
    "domain": tuple(getattr(domain, name) for name in domain.__all__),
    "domain.routing": (Router,),
    "domain.rollouts": (RolloutManager,),
    "domain.plan": (RolloutPlan, RolloutRequest),
    "serving": tuple(getattr(serving, name) for name in serving.__all__),
    "serving.provider": (RampartProvider,),
    "serving.webhooks": (Receiver,),
    "control.rollouts": (Control,),
}
SECTIONS = {"Args": "Takes", "Raises": "Raises"}
WIDTH = 78  # of a line of code that a page shows whole
QUALIFIED = re.compile(r"\b(?:\w+\.)+(?=[A-Z]\w)")  # a class is known by its name


def page() -> str:
    """Return the page."""
    return MADE + HEAD + "".join(_shelf(module, kinds) for module, kinds in SHELVES.items())


def public(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Return the methods of a class that others may call, in the order of their definitions."""
    if issubclass(kind, RampartError):
        return
    for cls in kind.__mro__:
        if cls.__module__.partition(".")[0] not in ("domain", "serving", "control"):
            continue
        for name, member in vars(cls).items():
            method = getattr(member, "__func__", member)
            if inspect.isfunction(method) and not name.startswith("_"):
                yield name, method


def _shelf(module: str, kinds: tuple[type, ...]) -> str:
    return f"## `{module}`\n\n" + "".join(_class(module, kind) for kind in kinds)


def _class(module: str, kind: type) -> str:
    attributes = fields(kind).items()
    told = table(("attribute", "meaning"), ((code(n), plain(said)) for n, said in attributes))
    methods = "".join(_method(name, method) for name, method in public(kind))
    usage = f"```python\nfrom {module} import {kind.__name__}\n```\n\n"
    return f"### {kind.__name__}\n\n{plain(prose(kind))}\n\n{usage}{told}{_begin(kind)}{methods}"


def _begin(kind: type) -> str:
    """Show what is given to make one, where that is ours to say."""
    begin = vars(kind).get("__init__")
    if begin is None or not inspect.isfunction(begin) or issubclass(kind, RampartError):
        return ""
    if not (begin.__doc__ or hasattr(kind, "__dataclass_fields__")):
        return _signed(kind.__name__, begin)
    return _signed(kind.__name__, begin) + _sections(begin)


def _method(name: str, method: Callable[..., Any]) -> str:
    begins = "await " if inspect.iscoroutinefunction(method) else ""
    signed = _signed(begins + name, method)
    return f"#### {name}\n\n{plain(prose(method))}\n\n{signed}{_sections(method)}"


def _signed(name: str, method: Callable[..., Any]) -> str:
    signature = inspect.signature(method)
    kept = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    parts = [QUALIFIED.sub("", str(p)).replace("'", "") for p in kept]
    if any(p.kind is p.KEYWORD_ONLY for p in kept) and not any(
        p.kind is p.VAR_POSITIONAL for p in kept
    ):
        parts.insert(next(n for n, p in enumerate(kept) if p.kind is p.KEYWORD_ONLY), "*")
    result = signature.return_annotation
    returns = "" if result in (signature.empty, None) else f" -> {_name(result)}"
    line = f"{name}({', '.join(parts)}){returns}"
    if len(line) > WIDTH:
        body = "".join(f"    {part},\n" for part in parts)
        line = f"{name}(\n{body}){returns}"
    return f"```python\n{line}\n```\n\n"


def _name(annotation: object) -> str:
    text = annotation.__name__ if inspect.isclass(annotation) else str(annotation)
    return QUALIFIED.sub("", text).replace("'", "")


def _sections(method: Callable[..., Any]) -> str:
    shown = ""
    for section, title in SECTIONS.items():
        rows = (
            (code(name), plain(said)) for name, said in entries(method, section=section).items()
        )
        shown += table((title, "meaning"), rows)
    return shown
