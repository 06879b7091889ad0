package com.google.ai.edge.litert;

/** Stands in for LiteRT's. */
public final class TensorBuffer implements AutoCloseable {
    final long handle;
    private final int elements;
    private boolean open = true;

    TensorBuffer(long handle, int elements) {
        this.handle = handle;
        this.elements = elements;
        CompiledModel.opened.incrementAndGet();
    }

    private void check() {
        if (!open) {
            throw new IllegalStateException("a buffer is used that is closed");
        }
    }

    public void writeFloat(float[] data) throws LiteRtException {
        check();
        if (data.length != elements) {
            throw new LiteRtException(data.length + " numbers for a buffer of " + elements);
        }
        write(handle, data);
    }

    public float[] readFloat() throws LiteRtException {
        check();
        float[] data = new float[elements];
        read(handle, data);
        return data;
    }

    @Override
    public void close() {
        if (open) {
            open = false;
            CompiledModel.opened.decrementAndGet();
            destroy(handle);
        }
    }

    private static native void write(long handle, float[] data) throws LiteRtException;

    private static native void read(long handle, float[] data) throws LiteRtException;

    private static native void destroy(long handle);
}
