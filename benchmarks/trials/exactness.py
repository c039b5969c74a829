"""What can be checked without sampling error: expectations, and that gbstats is gbstats."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from benchmarks.trials.arrivals import Arrivals, Floats
from benchmarks.trials.peers import ALPHA, gbstats_log_p, really_gbstats
from benchmarks.trials.race import NEVER, Results
from domain.stats.harm import DROP, MULTIPLES, Block, Harm, log_ratio
from domain.stats.srm import log_bayes_factor

LARGEST = 12  # observations of an arm, for one look
LARGEST_TWICE = 4  # for two looks
SRM_ALARM = math.log(1 / 0.001)
SRM_USERS = 2_000
SRM_RUNS = 1_000


def enumeration_error() -> float:
    """Return the largest |E[S] - 1| over all margins, every outcome weighed exactly.

    Of one block against each odds ratio and of the whole process after one look, arms of up to 12;
    of the whole process, restart and all, after two looks, arms of up to 4.
    """
    rates = np.array([0.02, 0.5, 0.95, 0.998])
    bets = logit(rates) - logit(rates - np.minimum(DROP, rates / 2))
    outcomes, chance, margin = _outcomes(LARGEST)
    ratio = np.exp(log_ratio(Block(*outcomes.T), -np.outer(bets, MULTIPLES).ravel()))
    once = np.exp(Harm.begin((len(outcomes),)).look(Block(*outcomes.T)).log_e)
    errors = [_furthest(chance[:, None] * ratio, margin), _furthest(chance * once, margin)]
    return max(*errors, _error_of_two_looks())


def _error_of_two_looks() -> float:
    outcomes, chance, margin = _outcomes(LARGEST_TWICE)
    first, second = (
        index.ravel() for index in np.meshgrid(*[np.arange(len(outcomes))] * 2, indexing="ij")
    )
    harm = Harm.begin((len(first),)).look(Block(*outcomes[first].T))
    e = np.exp(harm.look(Block(*outcomes[second].T)).log_e)
    pair = margin[first] * (margin.max() + 1) + margin[second]
    return _furthest(chance[first] * chance[second] * e, pair)


def _furthest(weighed: Floats, margin: Floats) -> float:
    """Sum what was weighed within each pair of margins; return the farthest from 1."""
    order, inverse = np.unique(margin, return_inverse=True)
    sums = np.zeros((len(order), *weighed.shape[1:]))
    np.add.at(sums, inverse, weighed)
    return float(np.abs(sums - 1).max())


def _outcomes(largest: int) -> tuple[Floats, Floats, Floats]:
    """Return all blocks up to a size, their chances given their margins, and the margins' number.

    The central hypergeometric law, from binomial coefficients of whole numbers.
    """
    found, chances, margins = [], [], []
    arms = itertools.product(range(1, largest + 1), repeat=2)
    fixed = [(*sizes, s) for sizes in arms for s in range(sum(sizes) + 1)]
    for number, (n_t, n_c, s) in enumerate(fixed):
        for s_t in range(max(0, s - n_c), min(n_t, s) + 1):
            found.append((n_t, s_t, n_c, s - s_t))
            ways = math.comb(n_t, s_t) * math.comb(n_c, s - s_t)
            chances.append(ways / math.comb(n_t + n_c, s))
            margins.append(number)
    return np.array(found, dtype=float), np.array(chances), np.array(margins, dtype=float)


@dataclass(frozen=True)
class Audit:
    """How the vectorised formula of gbstats compares with gbstats itself.

    Attributes:
        looks: Picked at random and asked of both.
        difference: The largest between their p-values.
        crossings: Decisions confirmed: significant at that look, not at the look before.
        wrong: Decisions that gbstats itself would not have made there.
    """

    looks: int = 0
    difference: float = 0.0
    crossings: int = 0
    wrong: int = 0

    def __add__(self, other: "Audit") -> "Audit":
        """Return both audits as one."""
        return Audit(
            self.looks + other.looks,
            max(self.difference, other.difference),
            self.crossings + other.crossings,
            self.wrong + other.wrong,
        )


def audit(results: Results, *, looks: int) -> Audit:
    """Ask gbstats itself about some looks, and about every decision made in its name."""
    sample = results.sample[:, :looks]
    ours = np.exp(gbstats_log_p(Arrivals(*sample))[0])
    differences = [
        abs(_p(*counts) - p) for counts, p in zip(sample.T.tolist(), ours.tolist(), strict=True)
    ]
    decided = results.crossings[:, results.decided["gbstats"] < NEVER].T.tolist()
    wrong = sum(not _fires(*pair[:4]) or _fires(*pair[4:]) for pair in decided)
    return Audit(len(differences), max(differences, default=0.0), len(decided), wrong)


def _p(n_t: int, s_t: int, n_c: int, s_c: int) -> float:
    with np.errstate(over="ignore"):  # an e-value beyond 1e308 is a p-value of 0
        return really_gbstats(n_t, s_t, n_c, s_c)[0]


def _fires(n_t: int, s_t: int, n_c: int, s_c: int) -> bool:
    with np.errstate(over="ignore"):
        p_value, uplift = really_gbstats(n_t, s_t, n_c, s_c)
    return p_value < ALPHA and uplift < 0


@dataclass(frozen=True)
class Ratio:
    """Sample-ratio mismatch, looked at after every user.

    Attributes:
        runs: Of each kind.
        false_alarms: Runs with an alarm, 2 000 users at 10/90 and 2 000 at 50/50 as allocated.
        found: Share of runs at 45/55 instead of 50/50 with an alarm within 2 000 users.
        median_users: Until that alarm.
    """

    runs: int
    false_alarms: int
    found: float
    median_users: float


def sample_ratio(seed: np.random.SeedSequence) -> Ratio:
    """Watch the arms' shares through a ramp, and where they are wrong."""
    rng = np.random.default_rng(seed)
    before = _log_bayes(rng, actual=0.1, allocated=0.1)
    after = _log_bayes(rng, actual=0.5, allocated=0.5) + before[:, -1:]
    alarms = np.maximum(before.max(axis=1), after.max(axis=1)) >= SRM_ALARM
    wrong = _log_bayes(rng, actual=0.45, allocated=0.5) >= SRM_ALARM
    users = np.where(wrong.any(axis=1), wrong.argmax(axis=1) + 1.0, np.inf)
    return Ratio(SRM_RUNS, int(alarms.sum()), float(wrong.any(axis=1).mean()), _median(users))


def _median(users: Floats) -> float:
    return float(np.quantile(users, 0.5, method="inverted_cdf"))


def _log_bayes(rng: np.random.Generator, *, actual: float, allocated: float) -> Floats:
    treated = (rng.random((SRM_RUNS, SRM_USERS)) < actual).cumsum(axis=1)
    counts = np.stack([treated, np.arange(1, SRM_USERS + 1) - treated], axis=-1)
    return log_bayes_factor(counts, [allocated, 1 - allocated])
