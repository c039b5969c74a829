"""Every page, light and dark, on a desk and on a phone: no barrier, no weight, nothing foreign."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.client import Client

from control.experiments import ExperimentControl
from control.monitors import MonitorControl
from control.rollouts import Verb
from control.segments import RingsControl
from domain.monitors.plan import MonitorPlan
from domain.segments.lanes import SegmentManager
from domain.segments.plan import SegmentedRequest
from domain.trials.plan import ExperimentPlan, ExperimentRequest
from settings import Settings
from tests.browser.conftest import Sitting
from tests.browser.person import HEAVIEST, PHONE, WIDE, Person, Scheme
from tests.browser.place import OPERATOR, Place, Prompt

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

NEW = "You greet {{user}} by name.\nBe brief; answer in their language."
PAGES = {
    "the list of rollouts": "/ui",
    "a live rollout": "/ui/rollouts/hello.system",
    "an ended rollout": "/ui/rollouts/goodbye.system",
    "experiments": "/ui/experiments",
    "an experiment": "/ui/experiments/hint.system",
    "prompts": "/ui/prompts",
    "a prompt": "/ui/prompts/goodbye.system",
    "a version": "/ui/prompts/goodbye.system/versions/1.2.0",
    "what differs": "/ui/prompts/goodbye.system/diff?from=1.0.0&to=1.2.0",
    "tags": "/ui/prompts/goodbye.system/history",
    "rings": "/ui/rings/tour.system",
    "monitors": "/ui/monitors",
    "a monitor": "/ui/monitors/goodbye.system",
    "a page that is not there": "/ui/rollouts/nobody.system",
    "a search that finds nothing": "/ui?text=nobody",
}
REPORTED = ("a live rollout", "an ended rollout", "an experiment")  # on their pages is a link


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(place: Place) -> AsyncIterator[Place]:
    """A live rollout, one that was rolled back, an experiment, and versions with a history."""
    async with (
        place.prompt("hello") as hello,
        place.prompt("goodbye") as goodbye,
        place.prompt("hint") as hint,
        place.prompt("tour") as tour,
    ):
        await goodbye.house.versions.create_version("goodbye", "system", NEW, "1.2.0")
        await hello.start()
        await goodbye.start()
        client = await place.stack.connect()
        await _try_out(client, hint)
        await _ring(client, tour)
        await _monitor(client, goodbye)
        await goodbye.control.order(
            Verb.ROLLBACK, "goodbye", "system", by=OPERATOR, reason="complaints"
        )
        yield place


async def _try_out(client: Client, prompt: Prompt) -> None:
    plan = ExperimentPlan.model_validate({"variants": ["1.0.0", "1.1.0"], "check_min": "1s"})
    request = ExperimentRequest(name=prompt.house.name, prompt_type="system", plan=plan)
    queue = Settings.from_env().task_queue
    await ExperimentControl(client, task_queue=queue).start(request)


async def _ring(client: Client, prompt: Prompt) -> None:
    segments = SegmentManager(prompt.house.database)
    await segments.define(prompt.house.name, "system", "internal", 'plan == "internal"')
    request = SegmentedRequest.model_validate(
        {"name": prompt.house.name, "prompt_type": "system", "candidate": "1.1.0", "plan": "demo"}
    )
    await RingsControl(client, task_queue=Settings.from_env().task_queue).start(request)


async def _monitor(client: Client, prompt: Prompt) -> None:
    version = await prompt.house.get("1.0.0")
    plan = MonitorPlan(versions=(version.version_id,))
    await MonitorControl(client, task_queue=Settings.from_env().task_queue).start(prompt.flag, plan)


async def enter(person: Person, place: Place) -> None:
    await person.go()
    await person.log_in(place.tokens[OPERATOR])
    await person.page.wait_for_url("**/ui")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desk", "phone"])
async def test_no_page_has_a_barrier_and_none_is_wider_than_its_window(
    sits: Sitting, town: Place, scheme: Scheme, size: tuple[int, int]
) -> None:
    found: dict[str, object] = {}
    async with sits(scheme=scheme, size=size) as person:
        await person.go("/ui/login")
        found["the login"] = await person.violations() + await person.overflows()
        await enter(person, town)

        for name, path in PAGES.items():
            await person.go(path)
            await person.open_all()
            found[name] = await person.violations() + await person.overflows()
        for name in REPORTED:
            await person.go(PAGES[name])
            await person.keep(person.page.get_by_role("link", name="with pictures"))
            found[f"the report of {name}"] = await person.violations() + await person.overflows()

    assert {name: wrong for name, wrong in found.items() if wrong} == {}


async def test_no_page_is_heavy(sits: Sitting, town: Place) -> None:
    heavy: dict[str, int] = {}
    async with sits() as person:
        await enter(person, town)
        await person.page.route("**/*", lambda route: route.continue_())  # and nothing is cached
        for name, path in PAGES.items():
            await person.go(path)
            heavy[name] = await person.weight()

    assert all(0 < weight < HEAVIEST for weight in heavy.values()), heavy
