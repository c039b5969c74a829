"""domain.plan: what a person may write, and what they are told when they may not."""

from datetime import timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from domain.duration import spell
from domain.errors import InvalidPlan
from domain.plan import PRESETS, RolloutPlan, RolloutRequest, preset

REST = "\n- {percent: 100}"


def plan(stage: str = "{percent: 10}", more: str = "") -> str:
    return f"stages:\n- {stage}{REST}\n{more}"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h30m", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("1.5h", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("PT4H", timedelta(hours=4)),
        ("3600", timedelta(hours=1)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_is_read_as_people_write_it(written: str, meant: timedelta) -> None:
    read = RolloutPlan.parse(plan(f"{{percent: 10, bake: {written}}}"))

    assert read.stages[0].bake == meant


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=365)))
def test_a_spelled_duration_is_read_back_to_the_millisecond(duration: timedelta) -> None:
    read = RolloutPlan.parse(plan(f"{{percent: 10, bake: {spell(duration)}}}")).stages[0].bake

    assert abs(read - duration) <= timedelta(milliseconds=0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_yaml_and_json(name: str) -> None:
    written = preset(name)

    assert RolloutPlan.parse(written.to_yaml()) == written
    assert RolloutPlan.parse(written.model_dump_json()) == written
    assert written.advice() == []


def test_the_presets_ramp_as_documented() -> None:
    percents = {name: [stage.percent for stage in PRESETS[name].stages] for name in PRESETS}

    assert percents == {
        "conservative": [1, 5, 10, 25, 50, 100],
        "standard": [5, 25, 50, 100],
        "aggressive": [10, 50, 100],
        "demo": [10, 50, 100],
    }


def test_the_last_stage_keeps_a_holdback_from_the_candidate() -> None:
    aggressive = preset("aggressive")

    assert [aggressive.share_at(stage) for stage in (1, 2, 3)] == [10, 50, 99]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "plan must be a mapping with `stages`, got None"),
        ("just text", "plan must be a mapping with `stages`, got 'just text'"),
        ("[1, 2", "plan is not YAML: "),
        ("name: x", "plan: stages: Field required"),
        ("stages: []", "plan: stages: must name at least one stage"),
        (plan("{percent: 0}"), "plan: stages.0.percent: must be greater than 0, got 0"),
        (plan("{percent: 100.5}"), "stages.0.percent: must be less than or equal to 100, got 100"),
        (plan("{percent: -3}"), "stages.0.percent: must be greater than 0, got -3"),
        (plan("{percent: .nan}"), "stages.0.percent: must be a finite number, got nan"),
        (plan("{percent: yes}"), "stages.0.percent: must be a valid number, got True"),
        (plan("{percent: many}"), "stages.0.percent: must be a valid number, got 'many'"),
        (plan("{percent: 100}"), "plan: stages: percents must rise from stage to stage, got 100,"),
        (plan("{percent: 50}\n- {percent: 40}"), "percents must rise from stage to stage, got 50,"),
        ("stages: [{percent: 50}]", "plan: stages: the last stage must be 100 percent, got 50"),
        (plan("{percent: 9, bake: -1s}"), "stages.0.bake: must be a duration such as 90s, 30m"),
        (plan("{percent: 9, bake: -5}"), "stages.0.bake: must be between 0s and 365d, got -5s"),
        (plan("{percent: 9, bake: 9999d}"), "stages.0.bake: must be between 0s and 365d"),
        (plan("{percent: 9, bake: 4 hours}"), "stages.0.bake: must be a duration such as 90s"),
        (plan("{percent: 9, bkae: 4h}"), "stages.0: unknown field 'bkae': allowed are percent,"),
        (plan(more="check_min: 0"), "plan: check_min: must be at least 500ms, got 0s"),
        (plan(more="check_min: 10m"), "check_min 10m is longer than check_max 5m"),
        (plan(more="holdback: 50"), "plan: holdback: must be less than 50, got 50"),
        (plan(more="holdback: -1"), "plan: holdback: must be greater than or equal to 0, got -1"),
        (plan("{percent: 99.5}"), "holdback 1 leaves 99 percent to the last stage, which must be"),
        (plan(more="guardrails: []"), "plan: guardrails: must name at least one guardrail"),
        (plan(more="guardrails: [{metric: speed}]"), "guardrails.0: metric 'speed' is none of"),
        (plan(more="guardrails: [{floor: 0.9, target: 0.5}]"), "target 0.5 is below floor 0.9"),
        (plan(more="guardrails: [{floor: 1.5}]"), "floor: must be less than or equal to 1"),
        (plan(more="guardrails: [{alpha: 1.5}]"), "guardrails.0.alpha: must be less than 1, got 1"),
        (plan(more="guardrails: [{alpha: 0}]"), "guardrails.0.alpha: must be greater than 0, got"),
        (plan(more="alpha: 1"), "plan: alpha: must be less than 1, got 1"),
        (plan(more="alpha: .nan"), "plan: alpha: must be a finite number, got nan"),
        (plan(more="guardrails: [{harm: .inf}]"), "guardrails.0.harm: must be a finite number"),
        (plan(more="guardrails: [{margin: -0.1}]"), "margin must be greater than 0 and less than"),
        (plan(more="guardrails: [{harm: 0}]"), "harm must be greater than 0 and less than 1, got"),
        (plan(more="guardrails: [{metric: tokens, harm: 11}]"), "harm must be at least 0 and at m"),
        (plan(more="guardrails: [{kind: limit}]"), "guardrails.0: kind limit needs a limit"),
        (plan(more="guardrails: [{limit: 2}]"), "limit of a rate must be between 0 and 1, got 2"),
        (plan(more="guardrails: [{limit: .9, quantile: .5}]"), "quantile 0.5 is of numbers, not"),
        (plan(more="guardrails: [{limit: .9, margin: .1}]"), "margin 0.1 means nothing to kind li"),
        (plan(more="guardrails: [{kind: evidence, target: .9}]"), "target 0.9 means nothing to ki"),
        (plan(more="guardrails: [{metric: tokens, target: 9}]"), "target: must be less than or eq"),
        (plan(more="guardrails: [{metric: tokens, floor: .5}]"), "floor 0.5 is of a rate, not of"),
        (plan(more="guardrails: [{role: info, alpha: .01}]"), "alpha 0.01 is spent by guardrails"),
        (plan(more="guardrails: [{role: goal, dry_run: true}]"), "dry_run is for a guardrail: a g"),
        (plan(more="guardrails: [{direction: lower_is_better}]"), "direction of success is higher"),
        (plan(more="guardrails: [success, success]"), "guardrails name success of kind evidence t"),
        (plan(more="guardrails: [{alpha: .05}, tokens]"), "guardrails spend 0.05 of alpha 0.05, a"),
        (plan(more="guardrails: [{alpha: .06}]"), "guardrails spend 0.06 of alpha 0.05, more than"),
        (plan(more="guardrails: [{when_blind: panic}]"), "when_blind: must be 'hold' or 'roll_bac"),
        ("stages: [{percent: 100}]\nholdback: 0", "guardrail success compares with the control"),
        (plan("{percent: 9, bake: 2h, max_bake: 1h}"), "max_bake 1h is shorter than bake 2h"),
        (plan(more="promote_when: lucky"), "promote_when: must be 'not_harmed' or 'safe', got"),
        (plan(more="guardrails: [{min_events: -1}]"), "min_events: must be greater than or equal"),
        (plan(more="colour: red"), "unknown field 'colour': allowed are name, stages, guardrails"),
    ],
)
def test_a_wrong_plan_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(InvalidPlan) as refusal:
        RolloutPlan.parse(text)

    assert why in str(refusal.value)
    assert "\n" not in str(refusal.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["stages", "percent"]), inner)
        ),
    )
)
def test_whatever_is_written_is_a_plan_or_refused(written: object) -> None:
    try:
        RolloutPlan.parse(yaml.safe_dump(written))
    except InvalidPlan as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017  # either way is right


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (plan("{percent: 60, bake: 1h}"), "the first stage gives 60 % the candidate at once"),
        (plan("{percent: 10, bake: 1h}", "final_bake: 0s"), "final_bake is 0: nothing watches"),
        (plan("{percent: 10, bake: 1s}"), "stage 1 bakes less than one check (5s)"),
    ],
)
def test_a_valid_but_careless_plan_is_asked_about(text: str, asked: str) -> None:
    (line,) = RolloutPlan.parse(text).advice()

    assert line.startswith(asked)


def test_a_request_takes_a_preset_or_a_whole_plan() -> None:
    small: dict[str, JsonValue] = {
        "name": "greeting",
        "prompt_type": "system",
        "candidate": "1.1.0",
    }
    whole = preset("standard").model_dump(mode="json")

    assert RolloutRequest.parse(small | {"plan": "standard"}) == RolloutRequest.parse(
        small | {"plan": whole}
    )
