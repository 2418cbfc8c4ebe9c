"""The agent: an LSTM over the episode's observations, an actor over masked actions and a critic.

Source: section 3.3 of "Efficient Audio-Visual Speech Enhancement via Neural Architecture Search".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LSTMState = tuple[Tensor, Tensor]  # hidden and cell, each (layers, episodes, hidden)


class LSTMPolicy(nn.Module):
    """A 2-layer LSTM of 256 with a linear actor and a linear critic.

    Its hidden state at the start of every episode is an embedding of the baseline architecture.

    Args:
        baseline: (observation,) the observation of the architecture that the search starts from.
        actions: number of actions.
    """

    def __init__(self, baseline: Tensor, actions: int = 12, hidden: int = 256, layers: int = 2) -> None:
        super().__init__()
        self.register_buffer("baseline", baseline)
        self.embedding = nn.Linear(len(baseline), 2 * layers * hidden)  # of the baseline, as hidden and cell state
        self.lstm = nn.LSTM(len(baseline), hidden, layers)
        self.actor = nn.Linear(hidden, actions)
        self.critic = nn.Linear(hidden, 1)

    def initial_state(self, episodes: int) -> LSTMState:
        """Hidden and cell state (layers, episodes, hidden) before the first step."""
        embedded = torch.tanh(self.embedding(self.baseline)).view(2, self.lstm.num_layers, 1, self.lstm.hidden_size)
        hidden, cell = embedded.expand(-1, -1, episodes, -1).contiguous()
        return hidden, cell

    def forward(self, observations: Tensor, state: LSTMState | None = None) -> tuple[Tensor, Tensor, LSTMState]:
        """Logits, values and the next state. Fed one step at a time or a whole episode, the answers are the same.

        Args:
            observations: (steps, episodes, observation).
            state: what the previous call returned; None begins the episodes.

        Returns:
            Logits (steps, episodes, actions), values (steps, episodes), state.
        """
        if state is None:
            state = self.initial_state(observations.shape[1])
        features, state = self.lstm(observations, state)  # (steps, episodes, hidden)
        return self.actor(features), self.critic(features).squeeze(-1), state


def log_probabilities(logits: Tensor, mask: Tensor, epsilon: float) -> Tensor:
    """Log of the acting policy (1 - epsilon) softmax(logits) + epsilon uniform, both over the valid actions alone.

    The mixture itself is the policy: rollout and update both use it, so that their ratio is the true one.

    Args:
        logits: (..., actions).
        mask: (..., actions) bool, True where an action is valid.
        epsilon: share of uniform exploration.

    Returns:
        (..., actions); -inf, and no gradient, where an action is masked.

    Raises:
        ValueError: where a mask leaves no action.
    """
    if not mask.any(-1).all():
        raise ValueError("action mask: no valid action in at least one state")
    greedy = logits.masked_fill(~mask, -torch.inf).softmax(-1)
    uniform = mask / mask.sum(-1, keepdim=True)
    mixed = (1 - epsilon) * greedy + epsilon * uniform
    # log(0) has no gradient to speak of (0 / 0): masked entries pass through log(1) and become -inf afterwards
    return mixed.masked_fill(~mask, 1.0).log().masked_fill(~mask, -torch.inf)


def entropy(log_policy: Tensor) -> Tensor:
    """Entropy (...) in nats of log-probabilities (..., actions) that may hold -inf."""
    impossible = log_policy == -torch.inf
    return -(log_policy.exp() * log_policy.masked_fill(impossible, 0.0)).sum(-1)
