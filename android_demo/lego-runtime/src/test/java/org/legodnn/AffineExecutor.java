package org.legodnn;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * An executor that really computes: a file holds two numbers, and its segment gives a * (sum of its inputs, element by
 * element, each taken around again where it is shorter) + b. It notes what is loaded, closed and run.
 */
final class AffineExecutor implements BlockExecutor {
    /** Names of the files that were loaded, in order. */
    final List<String> loads = Collections.synchronizedList(new ArrayList<String>());
    /** The buffers of the last runs, by file and direction: those that pieces were given. */
    final List<Object[]> runs = Collections.synchronizedList(new ArrayList<Object[]>());
    final AtomicInteger open = new AtomicInteger();
    /** Part of the name of a file that cannot be loaded; null for none. */
    volatile String broken;
    /** What loading a file throws; null for nothing. */
    volatile Error failure;
    volatile boolean noting;
    /** Whether pieces say that they share a pool of threads. */
    volatile boolean shared;
    /** Threads in pools, if each piece has its own. */
    final AtomicInteger pooled = new AtomicInteger();
    /** Told when a piece begins to run; null for no one. */
    volatile Runnable begun;
    /** Nanoseconds that a run takes at least. */
    volatile long slowNs;

    static byte[] file(float a, float b) {
        return (a + " " + b).getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public String name() {
        return "affine 1";
    }

    @Override
    public boolean sharesThreads() {
        return shared;
    }

    @Override
    public Piece load(File tflite, int threads, TensorSpec[] in, TensorSpec[] out) {
        String name = tflite.getParentFile().getName() + "/" + tflite.getName();
        if (broken != null && name.contains(broken)) {
            throw new StoreException(name + " cannot be loaded");
        }
        if (failure != null) {
            throw failure;
        }
        loads.add(name);
        open.incrementAndGet();
        pooled.addAndGet(threads - 1);
        try {
            String[] numbers = new String(Files.readAllBytes(tflite.toPath()), StandardCharsets.UTF_8).split(" ");
            return new AffinePiece(name, threads, Float.parseFloat(numbers[0]), Float.parseFloat(numbers[1]));
        } catch (IOException e) {
            throw new StoreException(name + " cannot be read", e);
        }
    }

    private final class AffinePiece implements Piece {
        private final String name;
        private final int threads;
        private final float a;
        private final float b;
        private boolean closed;
        private final AtomicInteger running = new AtomicInteger();

        AffinePiece(String name, int threads, float a, float b) {
            this.name = name;
            this.threads = threads;
            this.a = a;
            this.b = b;
        }

        @Override
        public void run(ByteBuffer[] in, ByteBuffer[] out) {
            if (closed) {
                throw new AssertionError(name + " was run after it was closed");
            }
            if (running.incrementAndGet() > 1) {
                throw new AssertionError(name + " is run by two threads at once");
            }
            Runnable told = begun;
            if (told != null) {
                told.run();
            }
            if (noting) {
                runs.add(new Object[] {name, in, out});
            }
            FloatBuffer target = floats(out[0]);
            float[] values = new float[target.capacity()];
            for (int i = 0; i < values.length; i++) {
                float sum = 0;
                for (ByteBuffer buffer : in) {
                    FloatBuffer source = floats(buffer);
                    sum += source.get(i % source.capacity());
                }
                values[i] = a * sum + b;
            }
            for (long start = System.nanoTime(); System.nanoTime() - start < slowNs;) {
                Thread.yield();
            }
            target.put(values);
            running.decrementAndGet();
        }

        private FloatBuffer floats(ByteBuffer buffer) {
            if (!buffer.isDirect()) {
                throw new AssertionError("buffers are direct");
            }
            ByteBuffer whole = buffer.duplicate().order(buffer.order());
            whole.clear();
            return whole.asFloatBuffer();
        }

        @Override
        public void close() {
            if (closed) {
                throw new AssertionError(name + " was closed twice");
            }
            if (running.get() > 0) {
                throw new AssertionError(name + " was closed while it ran");
            }
            closed = true;
            open.decrementAndGet();
            pooled.addAndGet(1 - threads);
        }
    }
}
