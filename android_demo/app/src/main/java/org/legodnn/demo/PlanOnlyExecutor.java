package org.legodnn.demo;

import java.io.File;
import java.nio.ByteBuffer;
import org.legodnn.InferenceException;
import org.legodnn.BlockExecutor;
import org.legodnn.Piece;
import org.legodnn.TensorSpec;

/** Stands in where TensorFlow Lite's native library is missing: plans and switches work, nothing can be run. */
final class PlanOnlyExecutor implements BlockExecutor {
    @Override
    public String name() {
        return "none";
    }

    @Override
    public Piece load(File tflite, int threads, TensorSpec[] in, TensorSpec[] out) {
        return new Piece() {
            @Override
            public void run(ByteBuffer[] inputs, ByteBuffer[] outputs) {
                throw new InferenceException("TensorFlow Lite's native library is missing; nothing can be run");
            }

            @Override
            public void close() {}
        };
    }
}
