"""What holds for every strategy: targets are met, nothing vanishes, seeds decide, what is missing is told.

Covers also: blocks.pruning.regimes, blocks.training.tuning.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import Input, layers

from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pruning.allocation import Measure, PruningProblem, Target, pose
from legodnn.blocks.pruning.criteria import batch_norm_scale, l1
from legodnn.blocks.pruning.regimes import Means, Tune, gradual, layer_by_layer, one_shot, sparse_scales
from legodnn.blocks.pruning.strategies import STRATEGIES, Strategy, descendants, strategy_of
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.pruning.widths import Widths, full_widths
from legodnn.blocks.training.tuning import tune_on
from legodnn.errors import ModelError, TargetError
from tests.blocks.random_graphs import NO_SHRINKING, conv, small_model

# Searches that take minutes, and are tested by themselves.
SLOW = {"amc", "agmc", "metapruning", "pr_darts"}


def samples(block: keras.Model, count: int = 12) -> list[Any]:
    return [np.random.default_rng(1).normal(size=(count, *block.input_shape[1:])).astype(np.float32)]


def check_strategy(strategy: Strategy, block: keras.Model, target: Target) -> None:
    x, channels = samples(block), analyse(block)
    keras.utils.set_random_seed(0)
    before = block.get_weights()
    try:
        (first,) = descendants(block, [target], strategy, x, True, tune_on(block, x, steps=3))
    except TargetError:
        assert not pose(block, target).holds(np.ones_like(full_widths(channels)))
        return
    removed, student = first
    widths = np.array([sum(not np.isin(ids, removed).any() for ids in g.coupled) for g in channels.groups], np.int64)
    problem = pose(block, target)
    assert (widths >= 1).all()
    assert problem.holds(widths)
    # What an earlier step has removed does not come back, though it might fit in the end.
    gradually = getattr(strategy.regime, "__name__", "") == "gradually"
    for group in [] if gradually else np.flatnonzero(widths < problem.full):
        assert not problem.holds(widths + np.eye(len(widths), dtype=np.int64)[group])
    assert [w.shape for w in student.get_weights()] == [w.shape for w in remove(block, channels, removed).get_weights()]
    assert all(np.isfinite(w).all() for w in student.get_weights())
    for old, now in zip(before, block.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    keras.utils.set_random_seed(0)
    ((again, twin),) = descendants(block, [target], strategy, x, True, tune_on(block, x, steps=3))
    assert sorted(again) == sorted(removed)
    for a, b in zip(student.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_exact_widths_keep_the_channels_that_the_outputs_need_however_small_their_filters() -> None:
    image = Input((6, 6, 3))
    block = keras.Model(image, layers.Conv2D(4, 3, name="z")(layers.Conv2D(8, 3, name="a")(image)))
    rng = np.random.default_rng(0)
    kernels = [rng.normal(size=w.shape).astype(np.float32) for w in block.get_weights()]
    kernels[0][..., :4] *= 5
    kernels[2][:, :, :4] = 0  # the large ones are not read
    block.set_weights(kernels)
    ((removed, _),) = descendants(block, [Target("macs", 0.6)], STRATEGIES["exact"], samples(block))
    (group,) = analyse(block).groups
    assert {int(ids[0]) for ids in group.coupled[4:]}.isdisjoint(removed.tolist())


@settings(max_examples=4, phases=NO_SHRINKING)
@given(
    data=st.data(),
    name=st.sampled_from(sorted(STRATEGIES.keys() - SLOW)),
    measure=st.sampled_from(["sparsity", "macs", "parameters"]),
    share=st.sampled_from([0.3, 0.6, 0.9]),
)
def test_a_strategy_meets_its_target_on_any_graph_and_gives_the_same_again(
    data: st.DataObject, name: str, measure: Measure, share: float
) -> None:
    check_strategy(STRATEGIES[name], small_model(data.draw), Target(measure, share))


def residual(x: Any) -> Any:
    y = layers.ReLU()(layers.BatchNormalization()(conv(8, use_bias=False)(x)))
    return layers.Add()([conv(4)(x), conv(4)(layers.ReLU()(layers.Add()([y, conv(8)(y)])))])


def concatenated(x: Any) -> Any:
    return conv(3)(layers.Concatenate()([conv(6, activation="relu")(x), conv(4)(layers.MaxPooling2D(2, 1, "same")(x))]))


def separated(x: Any) -> Any:
    y = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same")(layers.Conv2D(12, 1, activation="relu")(x)))
    return layers.Conv2D(3, 1)(y)


def squeezed(x: Any) -> Any:
    y = conv(8, activation="relu")(x)
    gate = layers.Dense(8, activation="sigmoid")(layers.Dense(3)(layers.GlobalAveragePooling2D(keepdims=True)(y)))
    return conv(3)(layers.Multiply()([y, gate]))


def grouped(x: Any) -> Any:
    return conv(3)(conv(8, groups=2, activation="relu")(conv(8, activation="relu")(x)))


FAMILIES = [residual, concatenated, separated, squeezed, grouped]


def family(body: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 3))
    return keras.Model(inputs, body(inputs), name="mine")


@pytest.mark.slow
@pytest.mark.parametrize("body", FAMILIES)
@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - SLOW))
def test_the_same_for_every_family(name: str, body: Any) -> None:
    for target in (Target("sparsity", 0.5), Target("macs", 0.4), Target("bytes", 0.6)):
        check_strategy(STRATEGIES[name], family(body), target)


@pytest.mark.parametrize(("name", "sparsity"), [("thinet", 0.5), ("gradual_taylor", 0.75)])
def test_a_grouped_convolution_with_a_channel_left_in_each_group_goes_on_making_its_own(
    name: str, sparsity: float
) -> None:
    """It is a depthwise convolution by another name then, of which later steps must not judge as of one."""
    block = family(lambda x: conv(3)(conv(16, groups=4, activation="relu")(conv(8, activation="relu")(x))))
    check_strategy(STRATEGIES[name], block, Target("sparsity", sparsity))


@pytest.mark.parametrize("name", ["taylor", "gradual_taylor", "reconstruction", "thinet"])
def test_a_criterion_that_looks_at_features_needs_samples(name: str) -> None:
    with pytest.raises(ModelError, match="needs sample inputs of the block: pass x"):
        pose(family(residual), Target("macs", 0.5), STRATEGIES[name].criterion)


@pytest.mark.parametrize("name", ["slimming", "soft_clusters"])
def test_a_regime_that_trains_says_so_where_nothing_can(name: str) -> None:
    block = family(residual)
    with pytest.raises(ModelError, match="trains the block, and there is nothing to train it with: pass `tune`"):
        descendants(block, [Target("macs", 0.5)], STRATEGIES[name], samples(block))


def test_the_seed_of_a_recipe_decides_what_is_drawn_and_nothing_else() -> None:
    block = family(residual)

    def removed(name: str, seed: int) -> list[int]:
        strategy = strategy_of(name, seed)
        ((gone, _),) = descendants(block, [Target("sparsity", 0.5)], strategy, samples(block), False, seed=seed)
        return sorted(gone.tolist())

    assert removed("random", 1) == removed("random", 1) != removed("random", 2)
    assert removed("l1", 1) == removed("l1", 2)


def means(block: keras.Model, criterion: Any = l1, tune: Tune | None = None, fitted: bool = False) -> Means:
    def decide(model: keras.Model, target: Target, known: Channels | None) -> tuple[PruningProblem, Widths]:
        problem = pose(model, target, criterion, samples(block)[0], channels=known)
        return problem, STRATEGIES["l1"].allocator(problem)

    return Means(decide, samples(block), fitted, tune)


@pytest.mark.parametrize("regime", [gradual(3), layer_by_layer])
def test_several_steps_of_one_criterion_that_does_not_change_are_one_shot(regime: Any) -> None:
    """Without a refit, L1 of what is left orders as before wherever no layer reads what another lost."""
    inputs = keras.Input((6, 6, 3))
    block = keras.Model(inputs, layers.Add()([conv(3)(conv(9, name="a")(inputs)), conv(3)(conv(9, name="b")(inputs))]))
    target = Target("sparsity", 0.6)
    once, _ = one_shot(block, target, means(block))
    several, student = regime(block, target, means(block))
    assert sorted(once) == sorted(several)
    for a, b in zip(remove(block, analyse(block), once).get_weights(), student.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("regime", [gradual(3), layer_by_layer])
def test_parts_of_one_layers_channels_are_groups_of_their_own_in_every_step(regime: Any) -> None:
    """Each of two groups of one layer gets its own width, though both have the same maker."""
    inputs = keras.Input((6, 6, 3))
    a = conv(14, name="a")(inputs)
    block = keras.Model(inputs, layers.Add()([conv(3, name="b")(a[..., :4]), conv(3, name="c")(a[..., 4:])]))
    _, student = regime(block, Target("sparsity", 0.5), means(block))
    assert [student.get_layer(name).kernel.shape[-2] for name in "bc"] == [2, 5]
    assert student.get_layer("a").filters == 7


def test_layer_by_layer_judges_a_layer_by_what_the_layers_before_have_left() -> None:
    """Channel 2 of `b` reads only channel 0 of `a`; when that is gone, it is the one that does nothing."""
    inputs = keras.Input((1, 1, 1))
    b = layers.Dense(3, use_bias=False, name="b")(layers.Dense(2, use_bias=False, name="a")(inputs))
    block = keras.Model(inputs, layers.Dense(1, use_bias=False)(b))
    block.set_weights(
        [np.array([[0.1, 1.0]]), np.array([[0.0, 0.0, 5.0], [1.0, 2.0, 0.0]]), np.array([[1.0], [1.0], [10.0]])]
    )
    x = samples(block)
    strategy = STRATEGIES["reconstruction"]
    target = Target("sparsity", 0.4)
    ((at_once, _),) = descendants(block, [target], strategy, x, False)
    ((in_turn, _),) = descendants(block, [target], Strategy(strategy.criterion, regime=layer_by_layer), x, False)
    made = analyse(block).made["b"]
    assert made[2] not in at_once
    assert made[2] in in_turn


def test_slimming_shrinks_scales_that_can_go_and_no_others() -> None:
    block = family(
        lambda x: layers.BatchNormalization(name="end")(conv(4)(layers.BatchNormalization(name="in")(conv(8)(x))))
    )
    seen: dict[str, Any] = {}

    def tune(student: keras.Model, after_step: Any) -> None:
        for share in (0.25, 0.5, 1.0):
            after_step(share)
        seen.update({name: np.asarray(student.get_layer(name).gamma) for name in ("in", "end")})

    sparse_scales(0.4)(block, Target("sparsity", 0.5), means(block, batch_norm_scale, tune))
    np.testing.assert_allclose(seen["in"], 0.6, rtol=1e-6)
    np.testing.assert_allclose(seen["end"], 1.0)


def test_soft_clusters_start_closer_to_the_original_than_removal_without_a_refit() -> None:
    """Pairs of filters differ by little: dropping one loses half of what a pair contributes, merging nothing."""
    block, rng = family(lambda x: conv(3, name="z")(conv(8, activation="relu", name="a")(x))), np.random.default_rng(0)
    kernel, bias = block.get_layer("a").get_weights()
    kernel[..., 4:] = kernel[..., :4] * (1 + 0.01 * rng.normal(size=kernel[..., :4].shape))
    block.get_layer("a").set_weights([kernel, bias])
    x, target = samples(block), Target("sparsity", 0.5)
    errors = {}
    for name in ("l1", "soft_clusters"):
        strategy = Strategy(STRATEGIES["soft_clusters"].criterion, regime=STRATEGIES[name].regime)
        ((_, student),) = descendants(block, [target], strategy, x, False, lambda student, after_step: after_step(1.0))
        errors[name] = float(relative_error([student(x[0])], [block(x[0])]))
    assert errors["soft_clusters"] < 0.01 < errors["l1"]


def test_soft_clusters_are_refitted_once_they_are_merged() -> None:
    block = family(lambda x: conv(3)(conv(8, activation="relu")(x)))
    x, errors = samples(block, 60), []
    for fitted in (False, True):
        ((_, student),) = descendants(
            block, [Target("sparsity", 0.5)], STRATEGIES["soft_clusters"], x, fitted, lambda model, done: done(1.0)
        )
        errors.append(float(relative_error([student(x[0])], [block(x[0])])))
    assert errors[1] < 0.9 * errors[0]


def test_tuning_lowers_the_error_tells_every_step_and_follows_its_seed() -> None:
    block = family(residual)
    x, told = samples(block, 40), list[float]()
    students = [remove(block, analyse(block), np.array([], np.int64)) for _ in range(2)]
    for student in students:
        student.set_weights([w + 0.1 for w in student.get_weights()])
        before = float(relative_error([student(x[0])], [block(x[0])]))
        tune_on(block, x, steps=30, learning_rate=1e-2, seed=3)(student, told.append)
        assert float(relative_error([student(x[0])], [block(x[0])])) < 0.7 * before
    assert told == pytest.approx([(i + 1) / 30 for i in range(30)] * 2)
    for a, b in zip(*(s.get_weights() for s in students), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_training_that_diverges_is_told() -> None:
    block = family(residual)
    x = samples(block)
    x[0][:] = np.nan
    with pytest.raises(ModelError, match="'mine': training before pruning diverged"):
        tune_on(block, x, steps=2)(remove(block, analyse(block), np.array([], np.int64)), lambda share: None)


def test_the_page_makes_a_strategy_that_meets_its_target(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "pruning.md").read_text()
    example = page.partition("## A strategy of your own")[2].partition("```python\n")[2].partition("```")[0]
    made: dict[str, Any] = {}
    try:
        exec(example, made)
    finally:
        STRATEGIES.pop("mean_response", None)
    filters = ast.literal_eval(capsys.readouterr().out)
    assert min(filters) < 16
    assert min(filters) >= 1
    assert macs(made["smaller"]) <= 0.5 * macs(made["block"])


def test_allocators_are_told_a_loss_that_refitting_would_leave() -> None:
    """Outputs that have but the wrong scale lose nothing; a constant, though nearer to the original, loses all."""
    x = Input((8, 8, 3))
    block = keras.Model(x, conv(4, name="last")(conv(6, name="a")(x)))
    images = samples(block, 40)
    losses = []

    def asked(problem: PruningProblem) -> Widths:
        assert problem.loss is not None
        for factor in (3, 0):
            other = problem.pruned(problem.full)
            other.get_layer("last").set_weights([factor * w for w in block.get_layer("last").get_weights()])
            losses.append(problem.loss(other))
        return problem.full

    descendants(block, [Target("macs", 1.0)], Strategy(l1, asked), images)
    assert losses == pytest.approx([0, 1], abs=1e-4)
