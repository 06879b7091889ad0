package org.legodnn;

import java.io.File;

/** Runs options by TensorFlow Lite's Java API, one {@code org.tensorflow.lite.Interpreter} each. */
public final class TfLiteExecutor implements Executor {
    @Override
    public String name() {
        return "tensorflow-lite";
    }

    @Override
    public Piece load(File tflite, int threads, TensorSpec[] in, TensorSpec[] out) {
        throw new UnsupportedOperationException("not yet");
    }
}
