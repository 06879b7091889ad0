package org.legodnn.internal.solver;

/** The options of one block at one thread count, in whole numbers. */
final class BlockFigures {
    /** By option, bytes. */
    final long[] memory;
    /** By option, nanoseconds. */
    final long[] latency;
    /**
     * By option of the block before and option, fixed-point loss, interactions included; one row if the loss is the
     * same after all of them.
     */
    final long[][] loss;

    BlockFigures(long[] memory, long[] latency, long[][] loss) {
        this.memory = memory;
        this.latency = latency;
        this.loss = loss;
    }

    int size() {
        return memory.length;
    }

    /** The losses of the options after an option of the block before. */
    long[] lossAfter(int before) {
        return loss[rowAfter(before)];
    }

    /** The index in `loss` of the losses after an option of the block before. */
    int rowAfter(int before) {
        return loss.length == 1 ? 0 : before;
    }

    /** The least loss of each option, over all options of the block before. */
    long[] leastLoss() {
        long[] least = loss[0].clone();
        for (long[] after : loss) {
            for (int o = 0; o < least.length; o++) {
                least[o] = Math.min(least[o], after[o]);
            }
        }
        return least;
    }

    /** The greatest loss of each option, over all options of the block before. */
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
