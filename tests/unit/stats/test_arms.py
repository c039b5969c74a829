"""The best of several arms: every pair compared, Holm over all, nobody wins by luck."""

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]

from domain.errors import InvalidValue
from domain.stats.arms import best_arm, holm
from domain.stats.significance import Rate, compare_rates


@pytest.mark.parametrize(
    "p_values",
    [
        [0.3],
        [0.01, 0.04, 0.03],
        [0.001, 0.001, 0.9, 1.0, 0.0],
        [0.05, 0.05, 0.05],
        np.random.default_rng(13).random(40).tolist(),
        (np.random.default_rng(14).random(200) ** 6).tolist(),
    ],
)
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    _, expected, _, _ = multipletests(p_values, method="holm")

    assert holm(p_values) == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-12)


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]) == ()
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_what_is_no_p_value_is_refused(p: float) -> None:
    with pytest.raises(InvalidValue, match="p-values must be between 0 and 1"):
        holm([0.5, p])


def test_the_winner_beats_every_other_arm() -> None:
    rates = {"b": Rate(850, 1000), "control": Rate(800, 1000), "c": Rate(920, 1000)}

    found = best_arm(rates, control="control")

    assert found.winner == "c"
    assert [one.arm for one in found.comparisons] == ["b", "c"]
    for one in found.comparisons:
        assert one.against_control == compare_rates(rates["control"], rates[one.arm])
        assert one.adjusted_p >= one.against_control.p_value


def test_control_may_win() -> None:
    rates = {"control": Rate(900, 1000), "b": Rate(800, 1000), "c": Rate(700, 1000)}

    assert best_arm(rates, control="control").winner == "control"


def test_of_two_good_arms_neither_wins() -> None:
    rates = {"control": Rate(800, 1000), "b": Rate(920, 1000), "c": Rate(925, 1000)}

    found = best_arm(rates, control="control")

    assert found.winner is None
    assert all(one.adjusted_p < 0.001 for one in found.comparisons)


def test_two_arms_are_the_plain_test() -> None:
    rates = {"control": Rate(900, 1000), "b": Rate(930, 1000)}

    found = best_arm(rates, control="control")

    assert found.winner == "b"
    assert found.comparisons[0].adjusted_p == found.comparisons[0].against_control.p_value


def test_an_arm_without_data_beats_nobody_and_is_not_beaten() -> None:
    rates = {"control": Rate(100, 1000), "b": Rate(900, 1000), "empty": Rate(0, 0)}

    assert best_arm(rates, control="control").winner is None


def test_equal_arms_crown_nobody_in_nearly_all_of_two_hundred_runs() -> None:
    successes = np.random.default_rng(10).binomial(2000, 0.8, (200, 3)).tolist()

    winners = [
        best_arm({arm: Rate(s, 2000) for arm, s in zip("abc", run, strict=True)}, control="a")
        for run in successes
    ]

    assert sum(found.winner is not None for found in winners) <= 10


@pytest.mark.parametrize(
    ("rates", "control"),
    [({"a": Rate(1, 2)}, "a"), ({"a": Rate(1, 2), "b": Rate(1, 2)}, "c"), ({}, "a")],
)
def test_without_control_or_another_arm_there_is_nothing_to_compare(
    rates: dict[str, Rate], control: str
) -> None:
    with pytest.raises(InvalidValue, match=f"control '{control}' and another arm are needed"):
        best_arm(rates, control=control)
