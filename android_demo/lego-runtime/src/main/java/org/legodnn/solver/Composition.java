package org.legodnn.solver;

/** One composition of one model: its options' indices, thread count, and sums. */
public final class Composition {
    private final int[] choice;
    /** Thread count. */
    public final int threads;
    /** Bytes. */
    public final long memory;
    /** Nanoseconds. */
    public final long latency;
    /** The link of the summed loss. */
    public final double accuracy;

    Composition(int[] choice, int threads, long memory, long latency, double accuracy) {
        this.choice = choice;
        this.threads = threads;
        this.memory = memory;
        this.latency = latency;
        this.accuracy = accuracy;
    }

    /** The index of a block's option. */
    public int option(int block) {
        return choice[block];
    }
}
