"""Reading and checking `.tflite` files that may come from anywhere, without a TensorFlow Lite runtime."""
