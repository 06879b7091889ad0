"""The table of measured compositions."""

from __future__ import annotations

from legodnn.blocks.accuracy.accuracy_model import measure
from legodnn.blocks.accuracy.evaluation import MeasuredComposition
from legodnn.blocks.accuracy.measurement_report import measurement_report
from legodnn.blocks.accuracy.option_chain import OptionNumbers
from legodnn.blocks.accuracy.sampling import draw_compositions
from legodnn.blocks.importing.data import Split
from tests.blocks.accuracy.chains import chain
from tests.blocks.accuracy.named_metrics import top1


def test_the_report_names_every_level_and_the_held_out_error(validation: Split) -> None:
    swapped, known = chain((0.0, 0.2, 0.6)), dict[OptionNumbers, MeasuredComposition]()
    uniform = {name: (i,) * 4 for i, name in enumerate(("s0", "s0.5", "s0.9"))}
    model, _ = measure(swapped, validation, "made up", 12, 0, top1, known=known, further=uniform.values())
    text = measurement_report(uniform, known, draw_compositions(swapped.sizes, 12, seed=0), model)
    for expected in (
        f"original {model.original:.3f}",
        f"all s0.5 {known[1, 1, 1, 1].metric:.3f}",
        f"all s0.9 {known[2, 2, 2, 2].metric:.3f}",
        f"prediction error, {model.samples} held out {model.error:.3f}",
    ):
        assert expected in " ".join(text.split())
    assert "likely plans" not in text, "none were measured"
