"""The plot of a profile: latency and memory of every block's options against their sparsity. Needs matplotlib."""

from __future__ import annotations

import io
from pathlib import Path

from legodnn.files import write_atomic
from legodnn.profile import Profile
from legodnn.store import Store

_MARKS = {"float32": "o-", "float16": "s--", "int8": "^:"}


def draw_profile(store: Store, profile: Profile, path: Path) -> None:
    """Write the plot: one panel for latency at the first thread count, and one for memory.

    Args:
        store: the store that was measured.
        profile: its profile.
        path: the file; its ending, .svg, .png or .pdf, says the format.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    measured = {(o.segment, o.option): o for o in profile.options}
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    threads = profile.options[0].latency[0].threads
    for n, block in enumerate(store.manifest.blocks):
        for precision, mark in _MARKS.items():
            points = [
                (o.sparsity, measured[block.name, o.name])
                for o in block.options
                if o.precision == precision and (block.name, o.name) in measured
            ]
            if not points:
                continue
            points.sort(key=lambda point: point[0])
            x = [sparsity for sparsity, _ in points]
            label = block.name if precision == "float32" else None
            panels[0].plot(x, [o.latency[0].median_ms for _, o in points], mark, color=f"C{n % 10}", label=label)
            panels[1].plot(x, [o.memory_bytes / 1e6 for _, o in points], mark, color=f"C{n % 10}")
    panels[0].set_ylabel(f"latency, ms ({threads} thread{'s' * (threads > 1)})")
    panels[1].set_ylabel("memory, MB")
    for panel in panels:
        panel.set_xlabel("sparsity")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize="small")
    figure.suptitle(
        f"{profile.model} on {profile.device.cpu} (circles float32, squares float16, triangles int8)", fontsize=9
    )
    content = io.BytesIO()
    plt.rcParams["svg.hashsalt"] = "legodnn"
    figure.savefig(content, format=path.suffix[1:])
    plt.close(figure)
    write_atomic(path, content.getvalue())
