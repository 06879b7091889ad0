"""The report of a replayed trace: one HTML file that opens offline, and its plot as SVG. Needs matplotlib."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from legodnn.files import write_atomic
from legodnn.printable import option_label
from legodnn.profile import Profile
from legodnn.runtime.feeds.picture import draw_trace, has_light_colour, option_colour
from legodnn.store import Store
from legodnn.tail import percentile
from legodnn.units import size

if TYPE_CHECKING:
    from legodnn.runtime.feeds.replay import Step

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1300px; margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
h1 { margin-bottom: 0 } .lead { color: #566; margin-top: .2rem }
table { border-collapse: collapse; font-size: 12.5px; margin: 1rem 0 }
th, td { padding: .25rem .45rem; text-align: right; white-space: nowrap }
th { border-bottom: 2px solid #8aa; vertical-align: bottom; white-space: normal } td { border-bottom: 1px solid #dde }
tr.first td { border-top: 1px solid #8aa } .name { text-align: left }
.option { display: inline-block; min-width: 1.8em; padding: 0 .2em; text-align: center; border-radius: 3px }
.option { margin-right: 2px; color: #fff } .option.light { color: #1c2733 }
.loaded { outline: 2px solid #c62828 } .scroll { overflow-x: auto }
svg { width: 100%; min-width: 600px; max-width: 900px; height: auto }
"""


def write_report(out: Path, stores: Mapping[str, Store], profiles: Sequence[Profile], steps: Sequence[Step]) -> Path:
    """Write report.html and plot.svg into a folder.

    Args:
        out: the folder.
        stores: the stores of the models that ran, by the models' names.
        profiles: the profiles of these stores.
        steps: the replayed trace.

    Returns:
        The path of report.html.
    """
    svg = draw_trace(stores, steps)
    write_atomic(out / "plot.svg", svg)
    inline = svg[svg.index("<svg") :]
    device = profiles[0].device
    models = "".join(f"<li>{_model_line(name, store)}</li>" for name, store in stores.items())
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>LegoDNN: {html.escape(" and ".join(stores))}</title><style>{_STYLE}</style></head><body>
<h1>LegoDNN</h1>
<p class="lead">{_counted(len(stores), "network")} under {_counted(len(steps), "budget")} on {html.escape(device.cpu)},
{_counted(device.cores, "core")}, {html.escape(device.executor)}</p>
<ul>{models}</ul>
<div class="scroll">{inline}</div>
<h2>Every budget</h2>
<p>One box for each block, in the colours above, with the share of channels removed (of whole files, their names); a red
frame marks a block that began to run this option at this budget. Accuracy, latency (the
median), its tail (what the share of inferences that the limit is for takes at most, p95 for 95 %) and memory are given
as predicted / measured; measured memory is the growth of the process since it held everything but the models. Above
limit is the share of inferences that took longer. Under a refused budget the plan before ran on; where it says nearest,
no plan held the budget at the speed that the governor measured, and where it says kept, a block could not be loaded.
Switched: blocks at once, + plans that it made
meanwhile, of which the last is shown.</p>
<div class="scroll">{_table(stores, steps)}</div>
</body></html>
"""
    write_atomic(out / "report.html", page)
    return out / "report.html"


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"


def _model_line(name: str, store: Store) -> str:
    manifest, accuracy = store.manifest, store.manifest.accuracy
    return (
        f"<b>{html.escape(name)}</b>: {_counted(len(manifest.blocks), 'block')}, "
        f"{_counted(manifest.compositions, 'composition')}; the "
        f"original's {html.escape(accuracy.metric)} is {accuracy.original:.3f} on {html.escape(accuracy.data)}; "
        f"predictions were off by {accuracy.error:.3f} on average, cross-validated on {accuracy.samples} compositions"
        + (f", and nine in ten of likely plans by at most {accuracy.plan_error:.3f}" if accuracy.plan_samples else "")
    )


_HEADER = (
    *("#", "memory limit", "cores limit", "latency limit", "model", "blocks", "accuracy", "latency ms", "tail ms"),
    *("above limit", "memory", "switched", "plan + switch ms"),
)
_LEFT_ALIGNED = (_HEADER.index("model"), _HEADER.index("blocks"))


def _table(stores: Mapping[str, Store], steps: Sequence[Step]) -> str:
    """An HTML table with one row for each model under each budget."""
    rows = [f"<tr>{''.join(_cell('th', j, name) for j, name in enumerate(_HEADER))}</tr>"]
    for number, step in enumerate(steps, start=1):
        for i, (name, store) in enumerate(stores.items()):
            # What belongs to the budget as a whole stands in the row of the first model alone.
            budget, totals = (_budget_cells(number, step), _total_cells(step)) if i == 0 else (("",) * 3, ("",) * 3)
            cells = (*budget, *_model_cells(name, store, step), *totals)
            row = "".join(_cell("td", j, cell) for j, cell in enumerate(cells))
            rows.append(f"<tr{' class=first' if i == 0 else ''}>{row}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _cell(tag: str, column: int, content: str) -> str:
    return f"<{tag}{' class=name' if column in _LEFT_ALIGNED else ''}>{content}</{tag}>"


def _budget_cells(number: int, step: Step) -> tuple[str, ...]:
    memory = size(step.budget.memory_bytes) if step.budget.memory_bytes else "none"
    cores = "none" if step.budget.cores is None else f"{step.budget.cores:g}"
    return f"{number} {step.outcome}".strip(), memory, cores


def _total_cells(step: Step) -> tuple[str, ...]:
    return (
        f"{size(step.plan.memory_bytes)} / {size(step.memory_bytes)}",
        step.switched,
        f"{step.plan_ms:.2f} + {step.switch_ms:.2f}",
    )


def _model_cells(name: str, store: Store, step: Step) -> tuple[str, ...]:
    plan, measured = step.plan[name], step.models.get(name)
    limit_ms = step.latency_limits_ms.get(name)
    limit = "none" if limit_ms is None else f"{percentile(plan.quantile)} {limit_ms:.3f}"
    if plan.suspended or measured is None:
        return (limit, html.escape(name), "suspended", "", "", "", "")
    boxes = []
    for block in store.manifest.blocks:
        option = block.option(plan.options[block.name])
        name_of = html.escape(option.name, quote=True)
        label = html.escape(option_label(option.name).removesuffix(f"-{option.precision}"))
        classes = "option" + " loaded" * (f"{name}/{block.name}" in step.loaded) + " light" * has_light_colour(option)
        colour = option_colour(option)
        boxes.append(f'<span class="{classes}" style="background:{colour}" title="{name_of}">{label}</span>')
    accuracy = (
        f"{plan.accuracy:.3f} / {measured.accuracy:.3f}" if measured.accuracy is not None else f"{plan.accuracy:.3f}"
    )
    latency = f"{plan.latency_ms:.3f} / {measured.median_ms:.3f}"
    tail = f"{'-' if plan.quantile_ms is None else f'{plan.quantile_ms:.3f}'} / {measured.quantile_ms:.3f}"
    above = "" if measured.above_limit is None else f"{measured.above_limit:.1%}"
    return (limit, html.escape(name), "".join(boxes), accuracy, latency, tail, above)
