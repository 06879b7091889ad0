package org.legodnn.solver;

/** One segment's options at one thread count: bytes, nanoseconds and fixed-point loss of each. */
final class Rows {
    final long[] memory;
    final long[] latency;
    final long[] loss;

    Rows(long[] memory, long[] latency, long[] loss) {
        this.memory = memory;
        this.latency = latency;
        this.loss = loss;
    }

    int size() {
        return memory.length;
    }
}
