"""`rampart simulate`: what to expect of a plan, before anybody meets it."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terminal.catalog import AsJson, read_plan
from terminal.console import carry_out, out, say_json
from terminal.timing import duration

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from domain.plan import RolloutPlan
    from domain.simulation.arrivals import Traffic
    from domain.simulation.runs import Simulated
    from embedded.rehearsal import Rehearsed

RATE = "Share of the baseline's uses that succeed, in (0, 1)."
EFFECT = "What the candidate adds to it: -0.03 is three points worse."
COMING = "Uses an hour, of both versions together."
PEOPLE = "How many people there are; by default everybody comes once."
FAST = "Leave out the run of the real workflow."
HORIZON = "When a rollout is given up; by default after 4 times what the plan takes."
PICTURE = "Where to draw the evidence: FILE.png or FILE.html."


def simulate(  # noqa: PLR0913  # one parameter per option
    plan: Annotated[str, typer.Argument(help="A preset's name or a file.")],
    *,
    users_per_hour: Annotated[float, typer.Option(help=COMING)],
    control_rate: Annotated[float, typer.Option(help=RATE)] = 0.95,
    effect: Annotated[float, typer.Option(help=EFFECT)] = -0.03,
    users: Annotated[int | None, typer.Option(help=PEOPLE, show_default=False)] = None,
    runs: Annotated[int, typer.Option(help="How many are simulated.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 1,
    horizon: Annotated[str | None, typer.Option(help=HORIZON, show_default=False)] = None,
    fast: Annotated[bool, typer.Option("--fast", help=FAST)] = False,
    picture: Annotated[Path | None, typer.Option(help=PICTURE, show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate rollouts by a plan: false rollbacks, misses, how soon harm ends, and whom it meets.

    The judgement and the cadence are those of production; the last run is the real workflow's.
    """
    from domain.simulation.arrivals import Traffic
    from domain.simulation.forecast import Forecast
    from terminal import forecast as sheet
    from terminal import plot

    found = read_plan(plan)
    traffic = Traffic(
        users_per_hour=users_per_hour, control_rate=control_rate, effect=effect, users=users
    )
    longest = duration(horizon, option="--horizon") if horizon else None
    if picture is not None:
        plot.check(picture)
    scenes, rehearsed = carry_out(
        _play(found, traffic, runs=runs, seed=seed, horizon=longest, fast=fast)
    )
    forecast = Forecast.of(scenes[0], scenes[-1], seed=seed)
    if picture is not None:
        plot.paint(picture, forecast, *scenes)
    if as_json:
        say_json(sheet.as_json(forecast, rehearsed))
    else:
        out.print(sheet.draw(forecast, rehearsed))


async def _play(
    plan: "RolloutPlan",
    traffic: "Traffic",
    *,
    runs: int,
    seed: int,
    horizon: timedelta | None,
    fast: bool,
) -> tuple[list["Simulated"], "Rehearsed | None"]:
    """Simulate the candidate asked for and a healthy one, side by side; then rehearse the first."""
    from dataclasses import replace

    from domain.simulation.runs import simulate
    from terminal.progress import progress

    worlds = [traffic, replace(traffic, effect=0.0)] if traffic.effect else [traffic]
    done = [0.0] * len(worlds)
    with progress(f"simulating {runs:,} rollouts of each kind") as told:

        def simulated(number: int) -> "Simulated":
            def tell(share: float) -> None:
                done[number] = share
                told(sum(done) / len(done))

            return simulate(plan, worlds[number], runs=runs, seed=seed, horizon=horizon, told=tell)

        both = range(len(worlds))
        scenes = await asyncio.gather(*(asyncio.to_thread(simulated, each) for each in both))
    if fast:
        return scenes, None
    from embedded.rehearsal import rehearse

    with progress("rehearsing one with the real workflow", measured=False):
        return scenes, await rehearse(scenes[0], seed=seed)
