"""Export: options as `.tflite` files, each checked against the Keras model that it was made of."""
