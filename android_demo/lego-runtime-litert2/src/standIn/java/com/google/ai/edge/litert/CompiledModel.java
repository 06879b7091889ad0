package com.google.ai.edge.litert;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Stands in for LiteRT's, which is in Google's repository alone: it has the methods that are called, with their
 * signatures, and runs them by the same library of LiteRT 2, built for Python on Linux (see litert.c).
 */
public final class CompiledModel implements AutoCloseable {
    /** How many models and buffers are open. */
    public static final AtomicInteger opened = new AtomicInteger();
    /** The paths of packed weights that models were compiled with. */
    public static final List<String> packed = new CopyOnWriteArrayList<>();

    static {
        System.loadLibrary("litert_stand_in");
    }

    private final long handle;
    private boolean open = true;

    /** Stands in for LiteRT's. */
    public static final class CpuOptions {
        final Integer numThreads;
        final String xnnPackWeightCachePath;

        public CpuOptions(Integer numThreads, Integer xnnPackFlags, String xnnPackWeightCachePath) {
            this.numThreads = numThreads;
            this.xnnPackWeightCachePath = xnnPackWeightCachePath;
        }
    }

    /** Stands in for LiteRT's. */
    public static final class Options {
        private CpuOptions cpuOptions;

        public Options(Accelerator... accelerators) {}

        public void setCpuOptions(CpuOptions cpuOptions) {
            this.cpuOptions = cpuOptions;
        }
    }

    private CompiledModel(long handle) {
        this.handle = handle;
        opened.incrementAndGet();
    }

    public static CompiledModel create(String filePath, Options options) throws LiteRtException {
        CpuOptions cpu = options.cpuOptions;
        packed.add(cpu.xnnPackWeightCachePath);
        return new CompiledModel(create(filePath, cpu.numThreads, cpu.xnnPackWeightCachePath));
    }

    public TensorType getInputTensorType(String inputName, String signature) throws LiteRtException {
        return type(signature, inputName, false);
    }

    public TensorType getOutputTensorType(String outputName, String signature) throws LiteRtException {
        return type(signature, outputName, true);
    }

    /** Names are those of {@code LinkedModel}, which has a letter and the place among all. */
    private TensorType type(String signature, String name, boolean output) throws LiteRtException {
        return type(handle, signature, Integer.parseInt(name.substring(1)), output);
    }

    private static TensorType type(long handle, String signature, int place, boolean output) throws LiteRtException {
        int[] found = describe(handle, signature, place, output);
        List<Integer> dimensions = new ArrayList<>();
        for (int i = 1; i < found.length; i++) {
            dimensions.add(found[i]);
        }
        return new TensorType(found[0] == 1 ? TensorType.ElementType.FLOAT : TensorType.ElementType.INT8, dimensions);
    }

    public List<TensorBuffer> createInputBuffers(String signature) throws LiteRtException {
        return buffers(signature, false);
    }

    public List<TensorBuffer> createOutputBuffers(String signature) throws LiteRtException {
        return buffers(signature, true);
    }

    private List<TensorBuffer> buffers(String signature, boolean output) throws LiteRtException {
        List<TensorBuffer> buffers = new ArrayList<>();
        for (int i = 0; i < count(handle, signature, output); i++) {
            int elements = 1;
            for (int size : type(handle, signature, i, output).getLayout().getDimensions()) {
                elements *= size;
            }
            buffers.add(new TensorBuffer(buffer(handle, signature, i, output), elements));
        }
        return buffers;
    }

    public void run(List<TensorBuffer> inputs, List<TensorBuffer> outputs, String signature) throws LiteRtException {
        if (!open) {
            throw new IllegalStateException("a model is run that is closed");
        }
        run(handle, signature, handles(inputs), handles(outputs));
    }

    private static long[] handles(List<TensorBuffer> buffers) {
        long[] handles = new long[buffers.size()];
        for (int i = 0; i < handles.length; i++) {
            handles[i] = buffers.get(i).handle;
        }
        return handles;
    }

    @Override
    public void close() {
        if (open) {
            open = false;
            opened.decrementAndGet();
            destroy(handle);
        }
    }

    private static native long create(String file, int threads, String packed) throws LiteRtException;

    private static native void destroy(long handle);

    /** How many inputs or outputs a signature has. */
    private static native int count(long handle, String signature, boolean output) throws LiteRtException;

    /** The type of an input or output, by LiteRT's number, then its dimensions. */
    private static native int[] describe(long handle, String signature, int place, boolean output)
            throws LiteRtException;

    private static native long buffer(long handle, String signature, int place, boolean output) throws LiteRtException;

    private static native void run(long handle, String signature, long[] in, long[] out) throws LiteRtException;
}
