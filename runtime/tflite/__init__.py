"""What a `.tflite` file is, read and checked without trust in it, and without a TensorFlow Lite runtime."""
