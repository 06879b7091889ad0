package org.legodnn.demo;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;
import org.legodnn.BlockExecutor;
import org.legodnn.InferenceException;
import org.legodnn.MemoryMeter;
import org.legodnn.Piece;
import org.legodnn.StoreException;
import org.legodnn.TensorSpec;

/**
 * Every output element is its index, so that a classifier always says "9"; a piece takes as much memory as its file,
 * and as long as suits that.
 */
final class ConstantExecutor implements BlockExecutor, MemoryMeter {
    private final AtomicLong bytes = new AtomicLong();
    /** Whether inferences fail. */
    volatile boolean broken;
    /** Whether nothing can be loaded. */
    volatile boolean full;
    /** Bytes that the process holds besides. */
    volatile long others;

    @Override
    public String name() {
        return "constant";
    }

    @Override
    public long processBytes() {
        return others + bytes.get();
    }

    @Override
    public Piece load(File tflite, int threads, TensorSpec[] in, TensorSpec[] out) {
        if (full) {
            throw new StoreException("no room");
        }
        final long size = tflite.length();
        bytes.addAndGet(size);
        return new Piece() {
            @Override
            public void run(ByteBuffer[] inputs, ByteBuffer[] outputs) {
                if (broken) {
                    throw new InferenceException("no luck");
                }
                long until = System.nanoTime() + size / 4;
                for (ByteBuffer output : outputs) {
                    for (int at = 0; at + 4 <= output.capacity(); at += 4) {
                        output.putFloat(at, at / 4);
                    }
                }
                while (System.nanoTime() < until) {
                    Thread.yield();
                }
            }

            @Override
            public void close() {
                bytes.addAndGet(-size);
            }
        };
    }
}
