"""The live picture, pure: bars of evidence, sizes, and what is told of silence."""

from dataclasses import replace
from datetime import timedelta
from io import StringIO
from math import log

import pytest
from rich.console import Console, RenderableType

from control.picture import Picture
from domain.evidence.looks import Arm as Sample
from domain.guardrail import GuardrailKind, Role
from domain.hindsight.explanation import Explanation, Grounds, Split
from domain.hindsight.outlook import Sureness
from domain.judge import Action, Standing
from domain.stats.significance import Interval
from terminal import panes, screen
from terminal.evidence import WIDTH, meter
from tests.unit.test_screen import BAKING, NOW, PROGRESS

ENOUGH = log(20)
SURE = Sureness(
    harm=log(4), peak=log(5), enough=ENOUGH, p_value=0.2, safe=0.0, enough_safe=ENOUGH,
    mean=0.0, more_to_harm=300, more_to_safe=None,
)  # fmt: skip
SUCCESS = Explanation(
    guardrail="success",
    metric="success",
    kind=GuardrailKind.EVIDENCE,
    role=Role.GUARDRAIL,
    dry_run=False,
    higher_is_better=True,
    unit="users",
    needs=100,
    alpha=0.05,
    standing=Standing.NOT_HARMED,
    said="90.0% of 200 users, 97.0% of 1000 on 1.0.0",
    treatment=Sample(n=200, mean=0.90),
    control=Sample(n=1000, mean=0.97),
    overall=None,
    interval=Interval(-0.15, 0.01),
    beyond=(),
    forgiven=0.0,
    sure=SURE,
    to_roll_back="evidence of harm 20, has 4: about 300 more users at the present rates",
    to_go_on="nothing more",
)
SHOWN = SUCCESS.model_copy(
    update={"guardrail": "joy", "role": Role.INFO, "interval": None, "sure": None, "alpha": 0.0,
            "to_roll_back": "never: it is only shown", "to_go_on": "nothing: it decides nothing"}
)  # fmt: skip
GROUNDS = Grounds(
    number=12,
    at=NOW,
    stage=1,
    percent=10,
    epoch=3,
    control="1.0.0",
    action=Action.ADVANCE,
    reason="success: fine",
    method="e-2",
    policy="p",
    alpha=0.05,
    enough=ENOUGH,
    log_e=log(4),
    peak=log(5),
    guilty=(),
    split=Split(expected=0.1, treatment=0, control=0, log_e=0.0),
    guardrails=(SUCCESS, SHOWN),
)
WATCHED = replace(BAKING, grounds={"greeting.system": GROUNDS})


def shown(what: RenderableType, *, width: int = 120) -> str:
    console = Console(file=StringIO(), width=width, markup=False, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_the_evidence_is_a_bar_towards_its_limit_and_says_what_is_missing() -> None:
    told = shown(panes.body(WATCHED, width=120))

    assert "evidence of harm, as of check 12 (stage 1)" in told
    assert "success  █████████░░░░░░░░░░░ 4 of 20  not harmed" in told
    assert "90.0% against 97.0%: -7.0 points (-15.0 to +1.0)" in told
    assert "to roll back: evidence of harm 20, has 4: about 300 more users" in told
    assert "joy      not harmed (info)" in told
    assert "it is only shown" not in told


def test_an_arm_has_the_rate_that_is_judged_with_its_interval() -> None:
    told = " ".join(shown(panes.body(WATCHED, width=120)).split())

    assert "candidate 1.1.0 98.0% of 250 events 90.0% of 200 users (81.2% to 95.7%)" in told
    assert "97.0% of 1,000 users (94.6% to 98.6%)" in told


def test_evidence_of_an_earlier_stage_is_not_shown_as_that_of_the_present_arms() -> None:
    ramped = PROGRESS.model_copy(update={"stage": 2, "percent": 50})
    later = replace(WATCHED, progress=ramped)

    assert "users (" not in shown(panes.body(later, width=120))


@pytest.mark.parametrize(
    ("log_e", "filled"),
    [(-3.0, 0), (0.0, 0), (0.01, 1), (ENOUGH / 2, WIDTH // 2), (ENOUGH, WIDTH), (50.0, WIDTH)],
)
def test_a_bar_of_evidence_is_full_where_it_rolls_back_and_empty_without_any(
    log_e: float, filled: int
) -> None:
    assert meter(log_e, ENOUGH).plain.count("█") == filled


@pytest.mark.parametrize("width", [40, 60, 80, 139, 140, 160, 240])
def test_it_fits_any_width_and_loses_nothing(width: int) -> None:
    drawn = (panes.head(WATCHED, width=width), panes.body(WATCHED, width=width), panes.manual())

    lines = [line for each in drawn for line in shown(each, width=width).splitlines()]

    assert max(map(len, lines)) <= width
    for words in ("baking", "baseline", "to roll back", "third", "stage 1 to bake until"):
        assert "".join(words.split()) in "".join("".join(lines).split())
    assert len(panes.keys(width=width).plain) <= width


@pytest.mark.parametrize("picture", [WATCHED, BAKING])
def test_a_status_shows_the_evidence_too(picture: Picture) -> None:
    assert ("as of check 12" in shown(screen.draw(picture))) is bool(picture.grounds)


def test_a_picture_that_nobody_renews_says_so_and_from_when_it_is() -> None:
    fresh = panes.silence(WATCHED, since=NOW, now=NOW + timedelta(seconds=1))
    old = panes.silence(WATCHED, since=NOW, now=NOW + timedelta(seconds=9))
    never = panes.silence(None, since=NOW, now=NOW + timedelta(seconds=9))

    assert fresh is None
    assert old is not None
    assert "for 9 s; this is how it stood at 12:00:00 UTC" in old.plain
    assert never is not None
    assert "stood" not in never.plain
