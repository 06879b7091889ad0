"""Networks to start from, for six tasks of mobile vision: small functions that return untrained Keras models.

    from legodnn.blocks.zoo import deeplabv3

    model = deeplabv3(width=0.25, input_shape=(90, 120, 3), classes=12)
    model.fit(...)
    model.save("streets.keras")            # and then: legodnn build streets.keras --data masks:streets ...

`MODELS` are those that a recipe names, because a build can train them too. Widths multiply the channels of all layers.
"""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
from legodnn.blocks.zoo.actions import trn_frames as trn_frames
from legodnn.blocks.zoo.actions import trn_relations as trn_relations
from legodnn.blocks.zoo.actions import tsn as tsn
from legodnn.blocks.zoo.anomalies import gpnd as gpnd
from legodnn.blocks.zoo.anomalies import ordinal_regression as ordinal_regression
from legodnn.blocks.zoo.classifiers import MODELS as MODELS
from legodnn.blocks.zoo.classifiers import load_cifar_resnet_weights as load_cifar_resnet_weights
from legodnn.blocks.zoo.classifiers import load_vgg16_weights as load_vgg16_weights
from legodnn.blocks.zoo.classifiers import resnet18 as resnet18
from legodnn.blocks.zoo.classifiers import resnet20 as resnet20
from legodnn.blocks.zoo.classifiers import resnet56 as resnet56
from legodnn.blocks.zoo.classifiers import vgg16 as vgg16
from legodnn.blocks.zoo.detectors import faster_rcnn as faster_rcnn
from legodnn.blocks.zoo.detectors import faster_rcnn_boxes as faster_rcnn_boxes
from legodnn.blocks.zoo.detectors import faster_rcnn_proposals as faster_rcnn_proposals
from legodnn.blocks.zoo.detectors import yolov3 as yolov3
from legodnn.blocks.zoo.poses import deeppose as deeppose
from legodnn.blocks.zoo.poses import simple_baseline as simple_baseline
from legodnn.blocks.zoo.segmenters import deeplabv3 as deeplabv3
from legodnn.blocks.zoo.segmenters import fcn as fcn
