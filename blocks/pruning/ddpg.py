"""An agent that learns actions between 0 and 1: deep deterministic policy gradient (Lillicrap et al., ICLR 2016).

Settings are those that AMC uses (He et al., ECCV 2018, section 4): two hidden layers of 300, learning rates 1e-4 of the
actor and 1e-3 of the critic, targets that follow by 1 %, no discount, rewards less their moving average, and noise from
a truncated normal distribution that shrinks once the warm-up is over. The agent knows nothing about what it acts on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from legodnn.arrays import Array, Floats

_HIDDEN, _BATCH, _KEPT = 300, 64, 6000
_ACTOR_RATE, _CRITIC_RATE, _FOLLOW = 1e-4, 1e-3, 0.01
_NOISE, _BASELINE = 0.5, 0.95


class Replay:
    """The last transitions of an agent: state, action, reward, next state, whether it was the last of its episode."""

    def __init__(self, states: int, size: int = _KEPT) -> None:
        """Make room for `size` transitions between states of this length."""
        self._rows = np.zeros((size, 2 * states + 3), np.float32)
        self._states, self._count = states, 0

    def add(self, state: Floats, action: float, reward: float, after: Floats, last: bool) -> None:
        """Keep a transition, in place of the oldest one if there is no room."""
        self._rows[self._count % len(self._rows)] = [*state, action, reward, *after, last]
        self._count += 1

    def draw(self, rng: np.random.Generator, count: int) -> list[Array]:
        """Return arrays of states, actions, rewards, next states and ends of `count` random transitions."""
        rows = self._rows[rng.integers(min(self._count, len(self._rows)), size=count)]
        n = self._states
        return np.split(rows, [n, n + 1, n + 2, 2 * n + 2], axis=1)


class Agent:
    """An actor, a critic, and what they have seen."""

    def __init__(self, states: int, seed: int, warm_up: int, decay: float) -> None:
        """Make an agent.

        Args:
            states: length of a state.
            seed: of weights and noise.
            warm_up: episodes in which actions are uniformly random and nothing is learnt.
            decay: factor of the noise after each later episode.
        """
        self._rng = np.random.default_rng(seed)
        self._actor, self._slow_actor = (_network(states, "sigmoid", seed) for _ in range(2))
        self._critic, self._slow_critic = (_network(states + 1, "linear", seed + 1) for _ in range(2))
        self._optimizers = keras.optimizers.Adam(_ACTOR_RATE), keras.optimizers.Adam(_CRITIC_RATE)
        for optimizer, model in zip(self._optimizers, (self._actor, self._critic), strict=True):
            optimizer.build(model.trainable_variables)
        self._replay = Replay(states)
        self._episodes, self._warm_up, self._decay, self._mean = 0, warm_up, decay, 0.0
        self._learn = tf.function(self._step, autograph=False)
        self._answer = tf.function(self._actor, autograph=False)

    def act(self, state: Floats, low: float, high: float) -> float:
        """Return an action from `low` to `high`: a random one in the warm-up, later the actor's with noise."""
        if self._episodes < self._warm_up:
            return float(self._rng.uniform(low, high))
        action = float(self._answer(tf.constant(state[None], tf.float32))[0, 0])
        spread = _NOISE * self._decay ** (self._episodes - self._warm_up)
        return _truncated(self._rng, min(max(action, low), high), spread, low, high)

    def end_episode(self, states: Sequence[Floats], actions: Sequence[float], reward: float) -> None:
        """Take note of an episode, whose every step gets the same reward, and learn as often as it has steps."""
        for i, (state, action) in enumerate(zip(states, actions, strict=True)):
            last = i == len(states) - 1
            self._replay.add(state, action, reward, states[i if last else i + 1], last)
        self._mean = reward if not self._episodes else _BASELINE * self._mean + (1 - _BASELINE) * reward
        self._episodes += 1
        if self._episodes >= self._warm_up:
            for _ in states:
                batch = self._replay.draw(self._rng, _BATCH)
                batch[2] -= self._mean
                self._learn(*map(tf.constant, batch))

    def _step(self, states: Any, actions: Any, rewards: Any, after: Any, ends: Any) -> None:
        """Improve the critic, then the actor, by one step each; targets follow them."""
        later = self._slow_critic(tf.concat([after, self._slow_actor(after)], 1))
        wanted = rewards + (1 - ends) * later
        with tf.GradientTape() as tape:
            error = tf.reduce_mean(tf.square(self._critic(tf.concat([states, actions], 1)) - wanted))
        self._apply(tape, error, 1, self._critic)
        with tf.GradientTape() as tape:
            error = -tf.reduce_mean(self._critic(tf.concat([states, self._actor(states)], 1)))
        self._apply(tape, error, 0, self._actor)
        for slow, fast in ((self._slow_actor, self._actor), (self._slow_critic, self._critic)):
            for mine, its in zip(slow.variables, fast.variables, strict=True):
                mine.assign((1 - _FOLLOW) * mine + _FOLLOW * its)

    def _apply(self, tape: Any, error: Any, number: int, model: keras.Model) -> None:
        gradients = tape.gradient(error, [v.value for v in model.trainable_variables])
        self._optimizers[number].apply(gradients, model.trainable_variables)


def _network(inputs: int, activation: str, seed: int) -> keras.Model:
    """Return two hidden layers and an output, whose small weights make first actions .5 and first values 0."""
    x = first = keras.Input((inputs,))
    for number in range(2):
        start = keras.initializers.GlorotUniform(seed * 3 + number)
        x = layers.Dense(_HIDDEN, activation="relu", kernel_initializer=start)(x)
    start = keras.initializers.RandomUniform(-3e-3, 3e-3, seed * 3 + 2)
    return keras.Model(first, layers.Dense(1, activation=activation, kernel_initializer=start)(x))


def _truncated(rng: np.random.Generator, mean: float, spread: float, low: float, high: float) -> float:
    """Draw from a normal distribution, again and again until the value lies between `low` and `high`."""
    if high - low < 1e-9:
        return low
    for _ in range(100):
        value = float(rng.normal(mean, spread))
        if low <= value <= high:
            return value
    return mean
