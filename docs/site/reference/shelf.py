"""The pages that are made from the code."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from docs.site.reference import (
    commands,
    environment,
    errors,
    http,
    messages,
    metrics,
    plans,
    python,
)


class Made(NamedTuple):
    """A page that is made: its title in the navigation, what it is for, and who makes it."""

    title: str
    about: str
    page: Callable[[], str]
    files: Callable[[], Mapping[str, str]] = dict


SHELF = {
    "commands.md": Made("Commands", "every command and option", commands.page),
    "settings.md": Made("Settings", "every variable of the environment", environment.page),
    "plan.md": Made(
        "Plan schema", "every field of a plan, with completion in editors", plans.page, plans.files
    ),
    "http.md": Made("HTTP API", "every route of the gateway", http.page, http.files),
    "messages.md": Made(
        "Messages", "signals, updates, queries, search attributes, kinds", messages.page
    ),
    "metrics.md": Made("Metrics", "every metric, its labels and meaning", metrics.page),
    "errors.md": Made("Errors", "errors, exit codes, HTTP statuses", errors.page),
    "python.md": Made("Python API", "what applications import", python.page),
}
