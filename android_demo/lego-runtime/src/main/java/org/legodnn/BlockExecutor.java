package org.legodnn;

import java.io.File;

/** What loads options: TensorFlow Lite ({@link TfLiteExecutor}), or something of your own. Safe for several threads. */
public interface BlockExecutor {
    /** What fingerprints call it, such as "tensorflow-lite 2.16.1". */
    String name();

    /**
     * Load an option.
     *
     * @param tflite its file, verified a moment ago
     * @param threads thread count to run with
     * @param in the tensors that it reads, in the order of the file's inputs; shapes leave out the batch dimension, 1
     * @param out the same for those that it writes
     * @throws StoreException the file cannot be loaded, or its tensors are not those
     */
    Piece load(File tflite, int threads, TensorSpec[] in, TensorSpec[] out);

    /**
     * Whether pieces share pools of threads. Where each has its own, a composition may have 64 threads in pools at
     * most, counting one less than its thread count for each segment; a runtime or a profiling that would have more is
     * refused.
     */
    default boolean sharesThreads() {
        return false;
    }
}
