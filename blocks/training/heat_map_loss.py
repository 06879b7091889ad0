"""Training a network whose heat maps `legodnn.readings.HeatMaps` describes.

    model.compile("adam", HeatMapLoss())
    model.fit(x, heat_maps_of(data.train.y, rows, columns, height, width))

The maps that it is trained for are those of `legodnn.tasks.key_points.heat_maps_of`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class HeatMapLoss(keras.losses.Loss):  # type: ignore[misc]
    """The squared error of heat maps, in which points count more than what lies around them.

    A map is zero nearly everywhere, so a network that gives zeros has a small squared error, and small data sets do not
    lead it away from there. Here an error counts 1 + `peak` x target times.
    """

    def __init__(self, peak: float = 30.0, name: str = "heat_map_loss") -> None:
        """Make a loss.

        Args:
            peak: how many times more an error counts in the middle of a point.
            name: of the loss.
        """
        super().__init__(name=name)
        self.peak = peak

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each place of each image, shape (batch, rows, columns)."""
        truth = ops.cast(y_true, y_pred.dtype)
        return ops.mean((1 + self.peak * truth) * ops.square(truth - y_pred), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, with which Keras saves the loss."""
        return {"peak": self.peak, "name": self.name}
