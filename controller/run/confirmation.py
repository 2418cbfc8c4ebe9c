"""The last step of the fidelity ladder: the best few of a search are retrained from scratch; the best of these wins.

A candidate whose training diverges is passed over, and the search's next best takes its place.
"""

from __future__ import annotations

from controller.run.run import Run
from controller.search.document import SearchDocument
from controller.search.reward import Reward, RewardSettings
from supernet.errors import UserError
from supernet.space import Subnet
from supernet.training import Diverged


def confirm(run: Run) -> Subnet:
    """Retrain the candidates of the run's search, from wherever that is, and return the best.

    Raises UserError when the training of all of them diverges, and of as many of the next best.
    """
    order, count, _ = _ranked(run)
    retrained = 0
    for subnet in order:
        if retrained < count and _retrain(run, subnet):
            print(f"{subnet}: {told(run, subnet)}")
            retrained += 1
    if not retrained:
        rate = f"{run.settings.retrain.learning_rate:g}"
        raise UserError(f"retrain.learning_rate: at {rate} the training of {len(order)} subnets diverged; lower it")
    return found(run)


def told(run: Run, subnet: Subnet) -> str:
    """What a retrained subnet is worth, in words."""
    score = run.retrained(subnet)
    return f"SI-SNRi {score} dB (retrained, {score.count} clips)" if score else "not retrained"


def _retrain(run: Run, subnet: Subnet) -> bool:
    """Whether training came to its end."""
    if not run.diverged(subnet):
        try:
            run.retrain(subnet)
            return True
        except Diverged:
            pass
    rate = f"{run.settings.retrain.learning_rate:g}"
    print(f"{subnet}: passed over, its training diverges at retrain.learning_rate {rate}")
    return False


def found(run: Run) -> Subnet:
    """The winner: the best candidate by the reward of its retrained network, and the search's own choice as long as
    some are not retrained. Raises UserError when no search has ended in the run's folder.
    """
    subnets, worth = candidates(run), Reward(_ranked(run)[2], run.costs)
    scores = {subnet: score for subnet in subnets if (score := run.retrained(subnet))}
    if len(scores) < len(subnets):
        return subnets[0]
    return max(subnets, key=lambda subnet: worth(subnet, scores[subnet].value))


def check_winner(run: Run, winner: Subnet) -> None:
    """Raise UserError when the run's winner.safetensors holds another subnet."""
    if run.winner.subnet != winner:
        held = f"{run.paths.winner}: holds {run.winner.subnet}"
        raise UserError(f"{held}, but the winner is {winner}; run `ofa-avse retrain`")


def candidates(run: Run) -> list[Subnet]:
    """The best of the run's search, its own choice first: as many as `search.confirm` said then, without those whose
    training diverged unless that of all did."""
    order, count, _ = _ranked(run)
    return ([subnet for subnet in order if not run.diverged(subnet)] or order)[:count]


def _ranked(run: Run) -> tuple[list[Subnet], int, RewardSettings]:
    """The search's candidates and as many of the next best, the best first; the number of candidates; and the reward
    by which the search chose them."""
    outcome = run.searched()
    named = [Subnet.parse(name) for name in outcome.candidates]
    others = [subnet for subnet in _by_reward(outcome) if subnet not in named]
    return [*named, *others[: len(named)]], len(named), outcome.reward


def _by_reward(outcome: SearchDocument) -> list[Subnet]:
    """Every subnet that the search evaluated and that may win, the best first."""
    rewards = {Subnet.parse(step.subnet): step.reward for step in outcome.trajectory if step.si_snri is not None}
    return sorted(filter(outcome.may_win, rewards), key=rewards.__getitem__, reverse=True)
