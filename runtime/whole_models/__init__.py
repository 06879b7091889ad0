"""Stores of whole `.tflite` files that were made elsewhere. It needs no Keras, so a device can make them too."""
