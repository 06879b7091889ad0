"""Channels are removed through products of two tensors, and through attention, which consists of them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.importing.opening import functional
from legodnn.blocks.pruning.criteria import cluster, l1
from legodnn.blocks.pruning.masked import read_means, run_masked
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.pruning.response_criteria import reconstruction, taylor
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.pruning.widths import removed_ids, width_costs

TOKENS = (9, 8)


def scores(a: Any, b: Any = None) -> Any:
    """A weight for each pair of positions."""
    return ops.softmax(ops.einsum("npc,nqc->npq", a, a if b is None else b))


def two(product: Any) -> Any:
    """Return the body of a block: a product of 6 channels `a` and 6 channels `b` of 9 positions, and a dense layer."""
    return lambda x: layers.Dense(3)(product(layers.Dense(6, name="a")(x), layers.Dense(6, name="b")(x)))


@pytest.mark.parametrize(
    ("product", "found"),
    [
        (lambda a, b: ops.einsum("npc,nqc->npq", a, b), ["6 channels made by a + b"]),
        (lambda a, b: ops.einsum("npc,npc->np", a, b)[..., None], ["6 channels made by a + b"]),
        (lambda a, b: ops.einsum("npc,npc->npc", a, b), ["6 channels made by a + b"]),
        (lambda a, b: ops.einsum("npc,nqc->nc", a, b), ["6 channels made by a + b"]),
        (lambda a, b: ops.matmul(scores(a), b), ["6 channels made by a", "6 channels made by b"]),
        (lambda a, b: ops.einsum("nqc,npq->npc", b, scores(a)), ["6 channels made by a", "6 channels made by b"]),
    ],
)
def test_channels_are_followed_through_products(check_body: Any, product: Any, found: list[str]) -> None:
    channels, _ = check_body(two(product), TOKENS)
    assert [str(group) for group in channels.groups] == found


@pytest.mark.parametrize(
    ("product", "found", "reason"),
    [
        (lambda a, b: ops.matmul(a, b[:, :6]), ["6 channels made by b"], "it multiplies or exchanges channels with"),
        (lambda a, b: ops.einsum("npc,ncd->npd", a, b[:, :6]), ["6 channels made by b"], "it multiplies or exchanges"),
        (lambda a, b: ops.einsum("npc,npd->ncd", a, b), ["6 channels made by b"], "it multiplies or exchanges"),
        (lambda a, b: ops.einsum("npc,ncd->npc", a, b[:, :6]), [], "it multiplies or exchanges"),
        (lambda a, b: ops.einsum("npc,nqd->npq", a, b), [], "it multiplies or exchanges"),
        (lambda a, b: ops.einsum("npc,npc->ncp", a, b), [], "its channels become positions"),
        (lambda a, b: ops.einsum("...c,...c->...c", a, b), [], "it is no product of two tensors whose axes"),
        (lambda a, b: ops.einsum("npc,npc,npc->npc", a, b, b), [], "it is no product of two tensors"),
        (lambda a, b: ops.matmul(a, ops.ones((6, 4))), [], "it is no product of two tensors"),
    ],
)
def test_channels_that_meet_positions_stay(check_body: Any, product: Any, found: list[str], reason: str) -> None:
    channels, _ = check_body(two(product), TOKENS)
    assert [str(group) for group in channels.groups] == found
    (why,) = channels.reasons.values()
    assert why.startswith(reason)


def test_channels_of_a_first_factor_are_counted_once(check_body: Any) -> None:
    """The product has the channels of `a`, so that its work is in proportion to them, not to their square."""
    _, pruned = check_body(two(lambda a, b: ops.einsum("nqc,npq->npc", a, scores(b))), TOKENS)
    assert macs(pruned) == 2 * 9 * 8 * 3 + 2 * 9 * 9 * 3 + 9 * 3 * 3


@pytest.mark.parametrize("criterion", [l1, cluster, reconstruction, taylor])
def test_attention_is_pruned_by_any_criterion(criterion: Any, random_weights: Any) -> None:
    inputs = keras.Input(TOKENS)
    model = functional(keras.Model(inputs, layers.MultiHeadAttention(2, 8, name="att")(inputs, inputs)))
    block = random_weights(model)
    x = np.random.default_rng(0).normal(size=(20, *TOKENS)).astype(np.float32)
    pruned = descendant(block, 0.5, criterion, x=x)
    widths = [pruned.get_layer(f"att_{name}").units for name in ("query", "key", "value", "output")]
    assert widths == [8, 8, 8, 8]


@pytest.mark.parametrize("criterion", [reconstruction, taylor])
def test_what_a_product_sums_is_rated_by_both_factors(criterion: Any) -> None:
    """Of the channels that queries and keys have, those with small products go, whichever factor is small."""
    inputs = keras.Input((9, 6))
    q, k = layers.Dense(6, name="q", use_bias=False), layers.Dense(6, name="k", use_bias=False)
    block = keras.Model(inputs, layers.Dense(3)(scores(q(inputs), k(inputs))))
    q.set_weights([np.diag([1.0, 9, 1, 9, 1, 9])])
    k.set_weights([np.diag([1.0, 1e-3, 1, 1, 1, 1e-3])])
    x = np.random.default_rng(0).normal(size=(50, 9, 6)).astype(np.float32)
    pruned = descendant(block, 0.34, criterion, x=x)
    assert pruned.get_layer("q").get_weights()[0].sum(axis=0).tolist() == [1, 1, 9, 1]


def test_no_mean_stands_in_for_what_a_product_sums(random_weights: Any) -> None:
    """A layer's offset takes over the mean of what it no longer reads; a product has none."""
    inputs = keras.Input(TOKENS)
    block = random_weights(keras.Model(inputs, two(lambda a, b: ops.einsum("npc,nqc->npq", a, b))(inputs)))
    channels = analyse(block)
    x = np.random.default_rng(0).normal(1, 1, size=(4, *TOKENS)).astype(np.float32)
    gone = channels.groups[0].coupled[0]
    keep = (~np.isin(np.arange(channels.count), gone)).astype(np.float32)
    (masked,) = run_masked(block, channels, [x], keep, means=read_means(block, channels, [x]))
    np.testing.assert_allclose(np.array(remove(block, channels, gone)(x)), np.array(masked), rtol=1e-4, atol=1e-4)


def test_masks_and_costs_agree_with_attention_that_is_cut(random_weights: Any) -> None:
    inputs = keras.Input(TOKENS)
    model = functional(keras.Model(inputs, layers.MultiHeadAttention(2, 8, name="att")(inputs, inputs)))
    block = random_weights(model)
    channels = analyse(block)
    costs = width_costs(block, channels)
    x = np.random.default_rng(0).normal(size=(4, *TOKENS)).astype(np.float32)
    for widths in ([8, 8], [3, 8], [8, 3], [2, 5]):
        importance = [np.arange(len(group.coupled), dtype=np.float64) for group in channels.groups]
        gone = removed_ids(channels, np.array(widths), importance)
        pruned = remove(block, channels, gone)
        assert costs.of("macs", np.array(widths)) == macs(pruned)
        assert costs.of("parameters", np.array(widths)) == pruned.count_params()
        keep = (~np.isin(np.arange(channels.count), gone)).astype(np.float32)
        (masked,) = run_masked(block, channels, [x], keep)
        np.testing.assert_allclose(np.array(pruned(x)), np.array(masked), rtol=1e-4, atol=1e-4)
