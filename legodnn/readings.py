"""Readings: what a model's outputs hold, so that they can be decoded into objects (`legodnn.tasks`) and rated.

A store's manifest has one where its recipe had one. It is a JSON object whose `kind` names the form of the outputs:

    kind           outputs                                                           task
    class_scores   scores of classes, of an image or of each frame of a clip         classification, action
    class_map      scores of classes for each place, or one channel: foreground      segmentation
    anchor_boxes   boxes around the cells of grids, as YOLOv3 gives them             detection
    heat_maps      a map for each key point, largest where the point is              pose
    coordinates    x and y of each key point                                         pose
    anomaly        a score, or a map of differences from what is normal              anomaly
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator
from typing_extensions import Self

from legodnn.schema import MOST_INT, MOST_TENSORS, Many, Name, Schema

# The scale of scores: probabilities over all classes, a probability for each class, or numbers of any size.
ScoreScale = Literal["softmax", "sigmoid", "linear"]
_MOST_ANCHORS = 100
_MOST_POINTS = 10_000
Side = Annotated[float, Field(gt=0, le=1e6)]  # of an anchor, in pixels
Share = Annotated[float, Field(ge=0, le=1)]
Sigma = Annotated[float, Field(gt=0, le=1)]
Shapes = Sequence[tuple[int, ...]]


class ClassScores(Schema):
    """One output, shape (classes,): a score for each class.

    Of an image a single score may say how likely it is of class 1, yes, and not of class 0, no. If one class alone has
    a name, the score is that class's.

    Attributes:
        scale: the scale of the scores. Linear ones of several classes exclude one another, as logits of a softmax do;
            those of "sigmoid_logits" do not: each is the logit of a probability of its own, as of tags.
        frames: how many inferences, one for each frame, make a clip; their scores are averaged, as temporal segment
            networks do (Wang et al. 2016). 1 where each image stands for itself.
    """

    kind: Literal["class_scores"] = "class_scores"
    scale: ScoreScale | Literal["sigmoid_logits"] = "linear"
    frames: Annotated[int, Field(ge=1, le=10_000)] = 1

    @property
    def task(self) -> str:
        """What the model is for."""
        return "classification" if self.frames == 1 else "action"

    def problem(self, shapes: Shapes, classes: int) -> str | None:
        """Return why outputs of these shapes, and so many named classes, cannot be read like this; None if they can."""
        if len(shapes) != 1 or len(shapes[0]) != 1:
            return f"class_scores are one vector, the outputs have shapes {list(shapes)}"
        two = shapes[0][0] == self.frames == 1 and classes > 1  # with one score, see the class
        return _other_classes(2 if two else shapes[0][0], classes)


class ClassMap(Schema):
    """One output, shape (height, width, classes): a score for each class and place; one channel scores a foreground.

    Attributes:
        scale: the scale of the scores. A foreground is where one channel is above 0.5, or above 0 of a linear scale.
    """

    kind: Literal["class_map"] = "class_map"
    scale: ScoreScale = "linear"

    @property
    def task(self) -> str:
        """What the model is for."""
        return "segmentation"

    @property
    def threshold(self) -> float:
        """The value that one channel has to exceed to mean the foreground."""
        return 0.0 if self.scale == "linear" else 0.5

    def problem(self, shapes: Shapes, classes: int) -> str | None:
        """See `ClassScores.problem`."""
        if len(shapes) != 1 or len(shapes[0]) != 3:
            return f"a class_map is one output of height, width and classes, the outputs have shapes {list(shapes)}"
        return None if shapes[0][-1] == 1 else _other_classes(shapes[0][-1], classes)


class AnchorBoxes(Schema):
    """One output for each grid, shape (rows, columns, anchors x (5 + classes)), as in YOLOv3 (Redmon and Farhadi 2018).

    The numbers of an anchor are x, y, width, height, whether there is an object, and a score for each class, all before
    their activations: the box's centre is at (sigmoid(x) + column, sigmoid(y) + row) cells, its sides are the anchor's
    times exp(width) and exp(height), its score is sigmoid(object) sigmoid(class).

    Attributes:
        anchors: of each output, in the outputs' order: width and height of its anchors, in pixels of the model's input.
        least_score: boxes with a lower score are left out.
        most_overlap: of two boxes of a class whose intersection over union is larger, the one with the lower score is
            left out.
    """

    kind: Literal["anchor_boxes"] = "anchor_boxes"
    anchors: Annotated[
        Many[Annotated[Many[tuple[Side, Side]], Field(min_length=1, max_length=_MOST_ANCHORS)]],
        Field(min_length=1, max_length=MOST_TENSORS),
    ]
    least_score: Share = 0.3
    most_overlap: Share = 0.45

    @property
    def task(self) -> str:
        """What the model is for."""
        return "detection"

    def problem(self, shapes: Shapes, classes: int) -> str | None:
        """See `ClassScores.problem`."""
        if len(shapes) != len(self.anchors):
            return f"anchors are given for {len(self.anchors)} outputs, there are {len(shapes)}"
        found = []
        for shape, anchors in zip(shapes, self.anchors, strict=True):
            numbers, rest = divmod(shape[-1], len(anchors)) if len(shape) == 3 else (0, 1)
            if rest or numbers < 6:
                return (
                    f"an output has shape {shape}, but for {len(anchors)} anchors it is rows x columns x "
                    f"({len(anchors)} times 5 + classes)"
                )
            found.append(numbers - 5)
        if len(set(found)) > 1:
            return f"outputs are for {found} classes, which must be as many in each"
        return _other_classes(found[0], classes)


class _KeyPoints(Schema):
    """What readings of key points have in common.

    Attributes:
        points: the name of each key point, in the order of the outputs.
        limbs: pairs of numbers of points that pictures join by a line.
        sigmas: how far apart people put each point, as a share of the object's size (the root of its area). With them
            points are rated by COCO's object key-point similarity, `oks`, and without by `pck`.
    """

    points: Many[Name] = Field(min_length=1, max_length=_MOST_POINTS)
    limbs: Annotated[Many[tuple[int, int]], Field(max_length=_MOST_POINTS)] = ()
    sigmas: Annotated[Many[Sigma], Field(max_length=_MOST_POINTS)] = ()

    @model_validator(mode="after")
    def _of_these_points(self) -> Self:
        if len(set(self.points)) < len(self.points):
            raise ValueError("two key points have the same name")
        if any(not 0 <= end < len(self.points) for limb in self.limbs for end in limb):
            raise ValueError(f"limbs join points by their numbers, 0 to {len(self.points) - 1}")
        if self.sigmas and len(self.sigmas) != len(self.points):
            raise ValueError(f"there are {len(self.points)} key points, and {len(self.sigmas)} sigmas")
        return self

    @property
    def task(self) -> str:
        """What the model is for."""
        return "pose"


class HeatMaps(_KeyPoints):
    """One output, shape (height, width, points): a map for each key point, largest where it is."""

    kind: Literal["heat_maps"] = "heat_maps"

    def problem(self, shapes: Shapes, classes: int) -> str | None:
        """See `ClassScores.problem`."""
        if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][-1] != len(self.points):
            return f"there must be a map for each of {len(self.points)} points, the outputs have shapes {list(shapes)}"
        return None


class Coordinates(_KeyPoints):
    """One output, shape (2 points,): x and y of each key point as shares of the input's width and height."""

    kind: Literal["coordinates"] = "coordinates"

    def problem(self, shapes: Shapes, classes: int) -> str | None:
        """See `ClassScores.problem`."""
        if list(shapes) != [(2 * len(self.points),)]:
            return f"there must be x and y of {len(self.points)} points, the outputs have shapes {list(shapes)}"
        return None


class Anomaly(Schema):
    """One output: a single score, the larger the less normal; or a map of differences, whose mean square is the score.

    An autoencoder gives such a map where its last layer subtracts the reconstruction from the image.

    Attributes:
        threshold: the score from which on an image counts as an anomaly; None: that is left to the application.
    """

    kind: Literal["anomaly"] = "anomaly"
    threshold: Annotated[float, Field(ge=-MOST_INT, le=MOST_INT)] | None = None

    @property
    def task(self) -> str:
        """What the model is for."""
        return "anomaly"

    def problem(self, shapes: Shapes, classes: int) -> str | None:
        """See `ClassScores.problem`."""
        if len(shapes) != 1 or (len(shapes[0]) != 3 and shapes[0] != (1,)):
            return f"an anomaly's output is one score or one map, the outputs have shapes {list(shapes)}"
        return None


Reading = Annotated[
    ClassScores | ClassMap | AnchorBoxes | HeatMaps | Coordinates | Anomaly, Field(discriminator="kind")
]
READING: TypeAdapter[Reading] = TypeAdapter(Reading)  # reads one that is no part of a document


def _other_classes(scores: int, classes: int) -> str | None:
    if classes and scores != classes:
        return f"there are scores of {scores} classes, and {classes} classes have names"
    return None
