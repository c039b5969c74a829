"""Draws the pictures of docs/explanation from our own code: `python docs/pictures/draw.py`.

The same on every run. Grey and two colours that are legible on white and on black, so that a page
may be light or dark; every line says itself what it is, for who does not tell colours apart.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.stats import norm

from domain.stats.harm import Block, Floats, Harm

HERE = Path(__file__).parent
GREY, OURS, THEIRS = "#7d7d7d", "#5c7cfa", "#e8590c"
ENOUGH = 20  # 1 / alpha


def looking(axes: Axes) -> None:
    """Show how often a harmless version was called worse by now, by who looks again and again."""
    runs, looks, users, rate = 4000, 100, 100, 0.95
    luck = np.random.default_rng(1)
    new, old = luck.binomial(users, rate, (2, looks, runs))
    evidence, ours, usual = Harm.begin((runs,)), np.zeros((2, runs), bool), []
    counted = []
    for look in range(1, looks + 1):
        evidence = evidence.look(Block(users, new[look - 1], users, old[look - 1]))
        a, b = new[:look].sum(0) / (users * look), old[:look].sum(0) / (users * look)
        spread = np.sqrt((a + b) * (1 - (a + b) / 2) / (users * look))
        ours[0] |= (b - a) / spread > norm.ppf(0.95)
        ours[1] |= evidence.log_e >= np.log(ENOUGH)
        usual.append(ours[0].mean())
        counted.append(ours[1].mean())
    at = np.arange(1, looks + 1)
    axes.axhline(0.05, color=GREY, linewidth=1, linestyle=":")
    axes.text(looks, 0.055, "promised: 1 in 20", ha="right")
    axes.plot(at, usual, color=THEIRS)
    axes.text(60, usual[59] + 0.024, "a usual test, asked at every look", color=THEIRS, ha="center")
    axes.plot(at, counted, color=OURS)
    axes.text(60, counted[59] - 0.027, "rampart's evidence", color=OURS, ha="center")
    axes.set(
        xlabel="looks, each after 100 more users of either version",
        xlim=(0, looks),
        ylim=(-0.02, 0.36),
    )
    axes.set_ylabel("harmless versions\ncalled harmful so far")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def betting(axes: Axes) -> None:
    """Show the coins of bets on versions that do no harm, and on one that does."""
    for run in range(50):
        axes.plot(*_coins(run, rate=0.96), color=GREY, linewidth=0.8, alpha=0.6)
    users, coins = _coins(3, rate=0.90)
    axes.plot(users, coins, color=THEIRS)
    axes.axhline(ENOUGH, color=OURS, linestyle="--", linewidth=1.5)
    axes.text(1000, ENOUGH * 1.2, "20 coins: roll back", color=OURS, ha="right")
    axes.text(15, 70, "succeeds 90 % of the time\ninstead of 96 %", color=THEIRS)
    axes.text(460, 48, "bad luck: one of the fifty\nis rolled back all the same")
    axes.text(1000, 0.013, "fifty versions that are as good as the old one", ha="right")
    axes.set(yscale="log", xlim=(0, 1000), ylim=(0.01, 300))
    axes.set(xlabel="users of the new version", ylabel="coins (evidence of harm)")
    axes.set_yticks([0.01, 0.1, 1, 20, 100], ["0.01", "0.1", "1", "20", "100"])
    axes.minorticks_off()


def _coins(seed: int, *, rate: float) -> tuple[list[int], list[float]]:
    """Play one rollout at 10 %, a look after 50 users of the new version, until it is decided."""
    luck, evidence, users, coins = np.random.default_rng(seed), Harm.begin(), [0], [1.0]
    while users[-1] < 1000 and coins[-1] < ENOUGH:
        good = luck.binomial(50, rate), luck.binomial(450, 0.96)
        evidence = evidence.look(Block(50, good[0], 450, good[1]))
        users.append(users[-1] + 50)
        coins.append(float(np.exp(evidence.log_e)))
    return users, coins


def needing(axes: Axes) -> None:
    """Show after how many users of it a version is rolled back, by how much worse it is."""
    drops = np.array([0.015, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15, 0.20, 0.30])
    found = np.array([np.quantile(_users(drop), [0.1, 0.5, 0.9]) for drop in drops]).T
    axes.fill_between(drops, found[0], found[2], color=OURS, alpha=0.25, linewidth=0)
    axes.plot(drops, found[1], color=OURS, marker="o")
    axes.text(0.058, 330, "half are found by here;\nthe band holds eight of ten", color=OURS)
    axes.set(xscale="log", yscale="log", ylim=(5, 6000))
    axes.set_xticks([0.015, 0.03, 0.05, 0.10, 0.20, 0.30], ["1.5", "3", "5", "10", "20", "30"])
    axes.set_yticks([10, 100, 1000, 5000], ["10", "100", "1 000", "5 000"])
    axes.minorticks_off()
    axes.set_xlabel("how much worse it is, in points of the success rate (from 95 %)")
    axes.set_ylabel("users who meet it\nbefore it is rolled back")


def _users(drop: float) -> Floats:
    runs, size = 400, 10
    luck, evidence, users = np.random.default_rng(1), Harm.begin((runs,)), np.zeros(runs)
    while (running := evidence.log_e < np.log(ENOUGH)).any() and users.max() < 20_000:
        good_t, good_c = luck.binomial(size, 0.95 - drop, runs), luck.binomial(9 * size, 0.95, runs)
        evidence = evidence.look(Block(size, good_t, 9 * size, good_c), where=running)
        users += size * running
    return users


def falling(axes: Axes) -> None:
    """Show a day on which everybody fails more often while the ramp goes up."""
    hours = np.arange(9)
    rate = np.array([0.96, 0.96, 0.96, 0.95, 0.93, 0.91, 0.90, 0.90, 0.90])
    share = np.array([0.1, 0.1, 0.1, 0.1, 0.5, 0.5, 0.5, 0.5, 0.5])
    new, old = np.cumsum(share), np.cumsum(1 - share)
    axes.plot(hours, rate, color=GREY, linestyle=":")
    axes.text(8.1, 0.8985, "both, hour by hour")
    axes.plot(hours, np.cumsum(rate * (1 - share)) / old, color=OURS)
    axes.text(8.1, 0.9335, "old, added up", color=OURS)
    axes.plot(hours, np.cumsum(rate * share) / new, color=THEIRS)
    axes.text(8.1, 0.9065, "new, added up", color=THEIRS)
    axes.axvline(3.5, color=GREY, linewidth=1)
    axes.text(3.4, 0.968, "10 % get the new one", ha="right")
    axes.text(3.6, 0.968, "50 % get it")
    axes.set(xlabel="hours", ylabel="success rate", xlim=(0, 10.3), ylim=(0.888, 0.974))
    axes.set_xticks(range(9))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


PICTURES: dict[str, Callable[[Axes], None]] = {
    "looking.svg": looking,
    "betting.svg": betting,
    "needing.svg": needing,
    "falling.svg": falling,
}


def draw(directory: Path) -> None:
    """Draw every picture into a directory."""
    with style.context(HERE / "pictures.mplstyle"):
        for name, picture in PICTURES.items():
            figure = Figure(figsize=(9, 4.6), layout="constrained")
            picture(figure.subplots())
            figure.savefig(directory / name, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if sys.argv[1:] else HERE)
