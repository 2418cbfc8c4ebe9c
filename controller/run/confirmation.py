"""The last step of the fidelity ladder: the best few of a search are retrained from scratch; the best of these wins.

A candidate whose training diverges is passed over, and the search's next best takes its place.
"""

from __future__ import annotations

from typing import Any

from controller.run import stages
from controller.run.config import Settings
from controller.search.loop import RESULT
from controller.search.reward import RewardSettings, reward_of
from supernet.errors import UserError
from supernet.space import SearchSpace, Subnet
from supernet.tracking import Tracker
from supernet.training import Diverged


def confirm(settings: Settings, tracker: Tracker | None = None) -> Subnet:
    """Retrain the candidates of the run's search, from wherever that is, and return the best.

    Raises UserError when the training of all of them diverges, and of as many of the next best.
    """
    order, count, _ = _ranked(settings)
    retrained = 0
    for subnet in order:
        if retrained < count and _retrain(settings, subnet, tracker):
            print(f"{subnet}: {stages.retrained_score(settings, subnet)}")
            retrained += 1
    if not retrained:
        rate = f"{settings.retrain.learning_rate:g}"
        raise UserError(f"retrain.learning_rate: at {rate} the training of {len(order)} subnets diverged; lower it")
    return found(settings)


def _retrain(settings: Settings, subnet: Subnet, tracker: Tracker | None) -> bool:
    """Whether training came to its end."""
    if not stages.diverged(settings, subnet):
        try:
            stages.retrain(settings, subnet, tracker)
            return True
        except Diverged:
            pass
    print(f"{subnet}: passed over, its training diverges at retrain.learning_rate {settings.retrain.learning_rate:g}")
    return False


def found(settings: Settings) -> Subnet:
    """The winner: the best candidate by the reward of its retrained network, and the search's own choice as long as
    some are not retrained. Raises UserError when no search has ended in the run's folder.
    """
    subnets, reward = candidates(settings), _ranked(settings)[2]
    scores = {subnet: stages.retrained_score(settings, subnet) for subnet in subnets}
    if None in scores.values():
        return subnets[0]
    costs = stages.costs(settings)
    return max(subnets, key=lambda subnet: reward_of(reward, subnet, scores[subnet].si_snri, costs))


def candidates(settings: Settings) -> list[Subnet]:
    """The best of the run's search, its own choice first: as many as `search.confirm` said then, without those whose
    training diverged unless that of all did."""
    order, count, _ = _ranked(settings)
    return ([subnet for subnet in order if not stages.diverged(settings, subnet)] or order)[:count]


def _ranked(settings: Settings) -> tuple[list[Subnet], int, RewardSettings]:
    """The search's candidates and as many of the next best, the best first; the number of candidates; and the reward
    by which the search chose them."""
    outcome = stages.search_document(settings)
    try:
        named = [Subnet.parse(name) for name in outcome["candidates"]]
        others = [subnet for subnet in _by_reward(outcome) if subnet not in named]
        return [*named, *others[: len(named)]], len(named), RewardSettings(**outcome["reward"])
    except (KeyError, TypeError, AttributeError) as error:
        path = settings.folder / "search" / RESULT
        raise UserError(f"{path}: damaged ({error!r}); {stages.SEARCH_AGAIN}") from error


def _by_reward(outcome: dict[str, Any]) -> list[Subnet]:
    """Every subnet that the search evaluated and that may win, the best first."""
    rewards = {
        Subnet.parse(step["subnet"]): step["reward"] for step in outcome["trajectory"] if step["si_snri"] is not None
    }
    bound = outcome["settings"]["compute_bound"]
    return sorted(
        (subnet for subnet in rewards if SearchSpace.within_bound(subnet) or not bound), key=rewards.get, reverse=True
    )
