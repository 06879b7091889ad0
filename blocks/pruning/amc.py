"""AMC: an agent walks through the groups and decides how much of each stays (He et al., AutoML for Model Compression,
ECCV 2018).

In every episode it chooses a share for one group after another. Each choice is clipped so that the limit can still be
met, and met closely, by the groups that follow. The reward comes at the end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.pruning.ddpg import Agent
from legodnn.blocks.pruning.width_search import WidthSearch
from legodnn.blocks.pruning.widths import Widths
from legodnn.progress import Progress, no_progress

EPISODES = 800  # as in the paper
_LEAST = 0.2  # share of a group that the agent leaves at least, as in the paper's code; less only where limits are low
_REWARD = 3.0  # the largest; the reward is how many times the loss of uniform widths is greater, as a logarithm

# What the agent sees before it decides on a group: a function of the widths, which are decided for the groups before it
# and full from it on, and of the group's number.
Sight = Callable[[Widths, int], Floats]


def walk(
    search: WidthSearch,
    sight: Sight,
    seed: int = 0,
    progress: Progress = no_progress,
    episodes: int = EPISODES,
    label: str = "AMC",
) -> None:
    """Let an agent learn to choose widths, group after group.

    Args:
        search: what is searched for.
        sight: what the agent sees.
        seed: of the agent.
        progress: shows the episodes.
        episodes: how many; an eighth of them are the warm-up.
        label: what progress is shown under.
    """
    groups, full, least = len(search.full), search.full, least_widths(search)
    warm_up = max(1, episodes // 8)
    agent = Agent(len(sight(full, 0)), seed, warm_up, decay=0.05 ** (1.5 / max(1, episodes - warm_up)))
    scale = max(search.measure(search.uniform), 1e-12)
    with progress(label, episodes) as task:
        for _ in range(episodes):
            widths, states, actions = full.copy(), list[Floats](), list[float]()
            for group in range(groups):
                low, high = search.bounds(widths, group, least)
                states.append(sight(widths, group))
                action = agent.act(states[-1], low / full[group], high / full[group])
                widths[group] = min(max(low, round(action * full[group])), high)
                actions.append(action)
            loss = search.measure(widths)
            agent.end_episode(states, actions, float(np.clip(np.log(scale / max(loss, 1e-12)), -_REWARD, _REWARD)))
            task.step(f"loss {loss:.4g}, best {search.measure(search.best):.4g}")


def least_widths(search: WidthSearch) -> Widths:
    """Return the widths that an agent does not go below: a fifth of every group, or half of what uniform widths have.

    A network with one layer that is nearly shut tells little about its other layers, and of widths drawn at random most
    have such a layer.
    """
    shares = np.minimum(_LEAST, search.uniform / search.full / 2)
    return np.maximum(1, np.floor(shares * search.full)).astype(search.full.dtype)


def hand_made(search: WidthSearch, features: Floats) -> Sight:
    """Return AMC's own state: number and features of the group, the cost gone and left, and the last action.

    Args:
        search: what is searched for.
        features: what is known of each group, such as its layer's stride and kernel, shape (groups, any).
    """
    full, least = search.full, search.least
    whole = search.cost(full)
    features = np.concatenate([features, np.log(full)[:, None]], axis=1)
    features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-6)
    own = [whole - search.cost(np.where(np.arange(len(full)) == g, least, full)) for g in range(len(full))]

    def sight(widths: Widths, group: int) -> Floats:
        now = search.cost(widths)
        rest = search.cost(np.concatenate([widths[:group], least[group:]]))
        last = widths[group - 1] / full[group - 1] if group else 1.0
        costs = [own[group] / whole, (whole - now) / whole, (search.limit - rest) / whole, last]
        return np.array([group / len(full), *features[group], *costs])

    return sight
