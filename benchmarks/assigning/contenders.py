"""Who assigns users to a flag of two variants, half each: the bare hash, ours, and the peers.

Each answers from memory, none asks a server. A contender serves all of a list of users in a loop
of its own, so that nobody pays for an adapter.
"""

import asyncio
import atexit
import json
from collections.abc import Callable, Sequence
from tempfile import mkdtemp

import eppo_client
from eppo_client import AssignmentLogger, ClientConfig, Configuration
from growthbook import GrowthBook
from mmh3 import mmh3_32_uintdigest as hash32
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from UnleashClient.cache import FileCache
from UnleashClient.clients.unleash_client import UnleashClient

from domain.assignment import SPACE
from domain.database import Database
from domain.experiments import ABTestManager
from domain.prompts import PromptVariant
from domain.recorder import ExposureRecorder
from domain.routing import Router
from domain.versions import VersionManager

Serve = Callable[[Sequence[str]], None]
Making = Callable[[], Serve]

NAME, PROMPT_TYPE, FLAG = "greeting", "system", "greeting.system"
CONTROL, TREATMENT = "1.0.0", "1.1.0"
SALT = 20_260_101
NOWHERE = "http://127.0.0.1:9"  # asked by nobody
NEVER_S = 10**6


def contenders() -> dict[str, Making]:
    """Return, by name, what makes a contender ready for a round; making is not timed."""
    recording = Recording()
    router = recording.router
    return {
        "mmh3": _always(_bare()),
        "rampart": _always(_ours(router)),
        "rampart + exposures": recording.of_new_users,
        "rampart + exposures, seen before": recording.of_known_users,
        "eppo": _always(_eppo()),
        "openfeature in-memory": _always(_openfeature()),
        "growthbook": _always(_growthbook()),
        "unleash": _always(_unleash()),
    }


class Recording:
    """A database with the experiment, a router that serves from it, and recorders at work.

    They flush between the rounds, not within: writing is once per user and epoch, not per call.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._database = Database(f"sqlite:///{mkdtemp()}/benchmark.db")
        self.router = Router(self._database)
        self._runner.run(self._prepare())
        self._fresh, self._known = (ExposureRecorder(self._database) for _ in range(2))
        for recorder in (self._fresh, self._known):
            self._runner.run(recorder.__aenter__())
        atexit.register(self._close)

    def of_new_users(self) -> Serve:
        """Return what notes every user for the first time."""
        self._runner.run(self._fresh.__aexit__())
        self._fresh = ExposureRecorder(self._database)
        self._runner.run(self._fresh.__aenter__())
        return _recorded(self.router, self._fresh)

    def of_known_users(self) -> Serve:
        """Return what noted them the round before, and has not flushed since."""
        return _recorded(self.router, self._known)

    async def _prepare(self) -> None:
        versions = VersionManager(self._database)
        for number in (CONTROL, TREATMENT):
            await versions.create_version(NAME, PROMPT_TYPE, number, number)
        arms = [PromptVariant(CONTROL, 1), PromptVariant(TREATMENT, 1)]
        await ABTestManager(self._database).create_experiment(NAME, PROMPT_TYPE, arms, salt=SALT)
        await self.router.refresh()

    def _close(self) -> None:
        for recorder in (self._fresh, self._known):
            self._runner.run(recorder.__aexit__())
        self._runner.run(self._database.dispose())
        self._runner.close()


def _always(serve: Serve) -> Making:
    return lambda: serve


def _bare() -> Serve:
    """The limit: hash, and compare; no flag is looked up and nothing is returned."""

    def serve(users: Sequence[str]) -> None:
        for user in users:
            hash32(user.encode(), SALT) < SPACE // 2  # noqa: B015  # what is timed

    return serve


def _ours(router: Router) -> Serve:
    assign = router.assign

    def serve(users: Sequence[str]) -> None:
        for user in users:
            assign(NAME, PROMPT_TYPE, user)

    return serve


def _recorded(router: Router, recorder: ExposureRecorder) -> Serve:
    assign, note = router.assign, recorder.note

    def serve(users: Sequence[str]) -> None:
        for user in users:
            note(assign(NAME, PROMPT_TYPE, user), user)

    return serve


def _eppo() -> Serve:
    halves = [
        {
            "variationKey": key,
            "shards": [{"salt": "s", "ranges": [{"start": at, "end": at + 5000}]}],
        }
        for key, at in ((CONTROL, 0), (TREATMENT, 5000))
    ]
    flag = {
        "key": FLAG,
        "enabled": True,
        "variationType": "STRING",
        "variations": {key: {"key": key, "value": key} for key in (CONTROL, TREATMENT)},
        "totalShards": 10_000,
        "allocations": [{"key": "a", "rules": [], "splits": halves, "doLog": False}],
    }
    rules = {
        "createdAt": "2026-01-01T00:00:00.000Z",
        "format": "SERVER",
        "environment": {"name": "benchmark"},
        "flags": {FLAG: flag},
    }
    client = eppo_client.init(
        ClientConfig(
            api_key="none",
            base_url=NOWHERE,
            assignment_logger=AssignmentLogger(),
            poll_interval_seconds=None,
            initial_configuration=Configuration(flags_configuration=json.dumps(rules).encode()),
        )
    )
    assign = client.get_string_assignment

    def serve(users: Sequence[str]) -> None:
        for user in users:
            assign(FLAG, user, {}, CONTROL)

    return serve


def _openfeature() -> Serve:
    """Its in-memory provider, with a bucket by the bare hash for an evaluator."""

    def split(flag: InMemoryFlag[str], context: EvaluationContext) -> FlagResolutionDetails[str]:
        place = hash32((context.targeting_key or "").encode(), SALT)
        key = TREATMENT if place < SPACE // 2 else CONTROL
        return FlagResolutionDetails(flag.variants[key], variant=key, reason=Reason.SPLIT)

    variants = {CONTROL: CONTROL, TREATMENT: TREATMENT}
    flag = InMemoryFlag(CONTROL, variants, context_evaluator=split)
    api.set_provider(InMemoryProvider({FLAG: flag}))
    value = api.get_client().get_string_value

    def serve(users: Sequence[str]) -> None:
        for user in users:
            value(FLAG, CONTROL, EvaluationContext(user))

    return serve


def _growthbook() -> Serve:
    rule = {
        "key": FLAG,
        "seed": FLAG,
        "hashVersion": 2,
        "variations": [CONTROL, TREATMENT],
        "weights": [0.5, 0.5],
    }
    growthbook = GrowthBook(features={FLAG: {"defaultValue": CONTROL, "rules": [rule]}})

    def serve(users: Sequence[str]) -> None:
        for user in users:
            growthbook.set_attributes({"id": user})
            growthbook.get_feature_value(FLAG, CONTROL)

    return serve


def _unleash() -> Serve:
    sticky = {"stickiness": "userId", "weightType": "variable"}
    strategy = {
        "name": "flexibleRollout",
        "parameters": {"rollout": "100", "stickiness": "userId", "groupId": FLAG},
    }
    feature = {
        "name": FLAG,
        "enabled": True,
        "strategies": [strategy],
        "variants": [{"name": key, "weight": 500} | sticky for key in (CONTROL, TREATMENT)],
    }
    cache = FileCache("rampart-benchmark", directory=mkdtemp())
    cache.bootstrap_from_dict({"version": 1, "features": [feature]})
    client = UnleashClient(
        NOWHERE,
        "rampart-benchmark",
        cache=cache,
        disable_metrics=True,
        disable_registration=True,
        refresh_interval=NEVER_S,
    )
    client.initialize_client(fetch_toggles=False)
    atexit.register(client.destroy)

    def serve(users: Sequence[str]) -> None:
        for user in users:
            client.get_variant(FLAG, {"userId": user})

    return serve
