"""PyTorch modules as `.tflite` files: `module` exports and compares them, `conversion` is the program that converts."""
