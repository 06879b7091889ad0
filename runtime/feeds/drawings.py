"""Pictures of what models found on every input, drawn into what the models saw. This needs Pillow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from legodnn.arrays import AnyArray
from legodnn.errors import InputError, WriteError
from legodnn.files import make_folder, safe_file_names
from legodnn.image_files import check_pillow
from legodnn.images import frame_of
from legodnn.readings import Coordinates, HeatMaps
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.store import Store
from legodnn.tasks.decoding import decode, store_reading
from legodnn.tasks.drawing import draw


class Drawings:
    """A folder of pictures; `keep` is what `replay` calls after each inference, and it writes one picture.

    They are called MODEL/NUMBER_NAME.png: the number of the input, from 1, and the name of its file, if it has one. Of
    several budgets they lie in folders by the budget's number, 1/MODEL/... and so on. In the name of a model's folder,
    `-` stands for whatever is no letter, digit, `.`, `_` or `-`.
    """

    def __init__(self, folder: Path, stores: Mapping[str, Store], inputs: Mapping[str, Inputs], several: bool) -> None:
        """Check that what the models find can be drawn.

        Args:
            folder: where the pictures are written; it is made if it is missing.
            stores: of the models, by the models' names.
            inputs: the inputs of the models, by their names.
            several: whether there are several budgets.

        Raises:
            StoreError: a store does not say how its outputs are read.
            InputError: a model does not take one picture.
            DependencyError: Pillow is not installed.
        """
        check_pillow()
        for name, store in stores.items():
            store_reading(store)
            specs = store.manifest.inputs
            if len(specs) != 1 or specs[0].layout != "HWC" or frame_of(specs[0]).problem:
                raise InputError(f"{name} does not take one picture, so nothing can be drawn into it")
        self._folder, self._stores, self._inputs, self._several = folder, stores, inputs, several
        self._of_model = dict(zip(stores, safe_file_names(list(stores)), strict=True))

    def keep(self, budget: int, model: str, number: int, x: AnyArray, outputs: Mapping[str, AnyArray]) -> None:
        """Draw what a model gave for one of its inputs under a budget; both are counted from 0.

        Raises:
            WriteError: the picture cannot be written.
        """
        store = self._stores[model]
        reading = store_reading(store)
        limbs = reading.limbs if isinstance(reading, HeatMaps | Coordinates) else ()
        picture = draw(store.manifest.inputs[0].to_pixels(x), decode(store, outputs), limbs)
        names = self._inputs[model].names
        # File systems take 255 bytes, some of which the number and the ending need.
        stem = os.fsencode(PurePosixPath(names[number]).stem)[:200].decode(errors="ignore") if names else ""
        name = f"{number + 1:04d}" + f"_{stem}" * bool(stem)
        folder = (self._folder / str(budget + 1) if self._several else self._folder) / self._of_model[model]
        try:
            make_folder(folder)
            picture.save(folder / f"{name}.png")
        except OSError as e:
            raise WriteError(f"cannot write {folder / name}.png: {e.strerror or e}") from None
