"""The last step of the fidelity ladder: the best few of a search are retrained from scratch; the best of these wins.

Called by the `retrain` command and by quickstart; everything that asks for a run's winner asks `found`.
"""

from __future__ import annotations

from controller import stages
from controller.config import Settings
from controller.reward import RewardSettings, reward_of
from controller.search import RESULT
from supernet.errors import UserError
from supernet.space import Subnet
from supernet.tracking import Tracker


def confirm(settings: Settings, tracker: Tracker | None = None) -> Subnet:
    """Retrain the candidates of the run's search, from wherever that is, and return the best."""
    for subnet in candidates(settings):
        stages.retrain(settings, subnet, tracker)
        print(f"{subnet}: {stages.retrained_score(settings, subnet)}")
    return found(settings)


def found(settings: Settings) -> Subnet:
    """The winner: the best candidate by the reward of its retrained network, and the search's own choice as long as
    some are not retrained. Raises UserError when no search has ended in the run's folder.
    """
    subnets, reward = _candidates(settings)
    scores = {subnet: stages.retrained_score(settings, subnet) for subnet in subnets}
    if None in scores.values():
        return subnets[0]
    costs = stages.costs(settings)
    return max(subnets, key=lambda subnet: reward_of(reward, subnet, scores[subnet].si_snri, costs))


def candidates(settings: Settings) -> list[Subnet]:
    """The best of the run's search, its own choice first: as many as `search.confirm` said then."""
    return _candidates(settings)[0]


def _candidates(settings: Settings) -> tuple[list[Subnet], RewardSettings]:
    """With the reward by which the search chose them."""
    outcome = stages.search_document(settings)
    try:
        return [Subnet.parse(name) for name in outcome["candidates"]], RewardSettings(**outcome["reward"])
    except (KeyError, TypeError, AttributeError) as error:
        path = settings.folder / "search" / RESULT
        raise UserError(f"{path}: damaged ({error!r}); {stages.SEARCH_AGAIN}") from error
