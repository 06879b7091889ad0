"""Agents that walk through groups learn where channels matter. Covers also: blocks.pruning.agmc,
blocks.pruning.ddpg, blocks.pruning.group_graph, blocks.pruning.exchange.
"""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.pruning.agmc import embedded
from legodnn.blocks.pruning.amc import Sight, hand_made, least_widths, walk
from legodnn.blocks.pruning.ddpg import Agent, Replay
from legodnn.blocks.pruning.exchange import exchange
from legodnn.blocks.pruning.group_graph import group_graph
from legodnn.blocks.pruning.width_search import WidthSearch, best_widths
from legodnn.progress import Progress
from tests.blocks.pruning.width_problems import (
    FULL,
    LIMIT,
    chain,
    cost,
    least_loss,
    made_up,
    quadratic,
    rewarding_nothing,
)

CHAIN = chain()
GRAPH = group_graph(CHAIN, analyse(CHAIN))


def seen(search: WidthSearch, by: str) -> Sight:
    return hand_made(search, GRAPH.of_groups) if by == "amc" else embedded(search, GRAPH)


@pytest.mark.parametrize("by", ["amc", pytest.param("agmc", marks=pytest.mark.slow)])
def test_an_agent_and_the_exchanges_after_it_find_the_optimum(by: str) -> None:
    search = made_up()
    uniform = search.measure(search.uniform)

    def learnt(search: WidthSearch, seed: int, progress: Progress) -> None:
        walk(search, seen(search, by), seed, progress, episodes=60)
        assert search.measure(search.best) < 0.85 * uniform, "the agent itself"
        exchange(search, seed)

    found = best_widths(search, learnt)
    assert cost(found) <= LIMIT
    assert quadratic(found) <= 1.02 * least_loss()
    assert all(cost(np.array(key)) <= LIMIT for key in search.measured)


@pytest.mark.parametrize("by", ["amc", pytest.param("agmc", marks=pytest.mark.slow)])
def test_with_rewards_that_are_all_the_same_uniform_widths_stay(by: str) -> None:
    search = rewarding_nothing()

    def learnt(search: WidthSearch, seed: int, progress: Progress) -> None:
        walk(search, seen(search, by), seed, progress, episodes=8)
        exchange(search, seed)

    assert best_widths(search, learnt).tolist() == search.uniform.tolist()


@pytest.mark.parametrize("limit", [LIMIT, LIMIT / 8])
def test_an_agent_nearly_shuts_no_group(limit: float) -> None:
    search = WidthSearch(FULL, quadratic, cost, limit)
    walk(search, seen(search, "amc"), episodes=12)
    least = np.minimum(least_widths(search), search.uniform)
    assert all((np.array(widths) >= least).all() for widths in search.measured)
    assert (least >= np.minimum(0.2 * FULL - 1, search.uniform // 2)).all()
    assert cost(least) <= limit


def test_a_seed_determines_the_walk() -> None:
    def walked(seed: int) -> dict[tuple[int, ...], float]:
        search = made_up()
        walk(search, seen(search, "amc"), seed, episodes=12)
        return search.measured

    first = list(walked(1))
    assert list(walked(1)) == first
    assert list(walked(2)) != first


def test_an_agent_learns_what_is_rewarded() -> None:
    """One step, one state: the reward is highest for the action .8."""
    agent, state = Agent(1, seed=0, warm_up=30, decay=0.97), np.ones(1)
    for _ in range(200):
        action = agent.act(state, 0.0, 1.0)
        agent.end_episode([state], [action], -((action - 0.8) ** 2) * 10)
    assert abs(agent.act(state, 0.0, 1.0) - 0.8) < 0.1


def test_replay_keeps_the_last_transitions() -> None:
    replay = Replay(states=2, size=3)
    for number in range(5):
        replay.add(np.full(2, number), 0.5, float(number), np.full(2, number + 1), number == 4)
    states, actions, rewards, after, ends = replay.draw(np.random.default_rng(0), 50)
    assert set(rewards.ravel()) == {2.0, 3.0, 4.0}
    assert (states[:, :1] == rewards).all()
    assert (after[:, :1] == rewards + 1).all()
    assert (ends.ravel() == (rewards.ravel() == 4)).all()
    assert (actions == 0.5).all()


def test_exchanges_go_up_the_hill_from_uniform_widths() -> None:
    search = made_up()
    search.measure(search.uniform)
    exchange(search)
    assert quadratic(search.best) <= 1.02 * least_loss()


def test_no_more_exchanges_are_tried_than_asked_for() -> None:
    search = made_up()
    search.measure(search.uniform)
    exchange(search, most=7)
    assert len(search.measured) <= 8


def test_an_embedding_tells_groups_apart_and_sees_widths() -> None:
    ones, halves = np.ones(6), np.array([1, 1, 0.5, 1, 1, 1])
    of_groups, of_graph = GRAPH.embed(ones)
    assert len(np.unique(of_groups.round(6), axis=0)) == 6
    narrower, narrower_graph = GRAPH.embed(halves)
    assert not np.allclose(narrower_graph, of_graph)
    assert not np.allclose(narrower[2], of_groups[2])
    assert np.allclose(narrower[5], of_groups[5]), "operations further away than the embedding looks"
