package org.legodnn.solver;

/** One block's options at one thread count: bytes, nanoseconds and fixed-point loss of each. */
final class Rows {
    final long[] memory;
    final long[] latency;
    /** By option of the block before and option, interactions included; one row where it is the same after any. */
    final long[][] loss;

    Rows(long[] memory, long[] latency, long[][] loss) {
        this.memory = memory;
        this.latency = latency;
        this.loss = loss;
    }

    int size() {
        return memory.length;
    }

    /** The row of losses that holds after an option of the block before. */
    long[] lossAfter(int before) {
        return loss[rowAfter(before)];
    }

    int rowAfter(int before) {
        return loss.length == 1 ? 0 : before;
    }

    /** The least loss of each option, whatever it comes after. */
    long[] leastLoss() {
        long[] least = loss[0].clone();
        for (long[] after : loss) {
            for (int o = 0; o < least.length; o++) {
                least[o] = Math.min(least[o], after[o]);
            }
        }
        return least;
    }

    /** The greatest loss of each option, whatever it comes after. */
    long[] greatestLoss() {
        long[] greatest = loss[0].clone();
        for (long[] after : loss) {
            for (int o = 0; o < greatest.length; o++) {
                greatest[o] = Math.max(greatest[o], after[o]);
            }
        }
        return greatest;
    }
}
