package org.legodnn;

import java.util.Arrays;

/**
 * A float32 tensor between segments. Its shape leaves out the batch dimension, which is always 1 in a store's files.
 */
public class TensorSpec {
    final String name;

    private final int[] shape;

    /**
     * @param name unique in the store
     * @param shape without the batch dimension
     */
    public TensorSpec(String name, int... shape) {
        this.name = name;
        this.shape = shape.clone();
    }

    /** The shape, without the batch dimension. */
    public int[] shape() {
        return shape.clone();
    }

    /**
     * Number of elements.
     *
     * @throws StoreException more than a buffer can hold
     */
    public int elements() {
        long count = 1;
        for (int dim : shape) {
            count *= dim;
            if (count > Integer.MAX_VALUE / 4) {
                throw new StoreException("tensor " + this + " is too large for this device");
            }
        }
        return (int) count;
    }

    /** Size in bytes of its float32 content; throws what {@link #elements} does. */
    public int bytes() {
        return 4 * elements();
    }

    @Override
    public String toString() {
        return name + Arrays.toString(shape);
    }

    /** Unique in the store. */
    public String name() {
        return name;
    }
}
