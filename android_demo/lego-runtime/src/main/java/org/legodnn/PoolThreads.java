package org.legodnn;

import java.util.List;

/**
 * How many threads pieces keep in pools. Where each piece has a pool of its own, as in TensorFlow Lite, a composition
 * has as many pools as segments; hundreds of threads would crowd a phone out, asleep though they are.
 */
final class PoolThreads {
    /** Those of one composition at most, and those of all pieces that stay loaded for a way back. */
    static final int MOST = 64;

    private PoolThreads() {}

    /** Those of a piece; the thread that runs it is in no pool. */
    static int ofPiece(BlockExecutor executor, int threads) {
        return executor.sharesThreads() ? 0 : threads - 1;
    }

    /** Those of a composition. */
    static int of(BlockExecutor executor, int segments, int threads) {
        return segments * ofPiece(executor, threads);
    }

    /** How many compositions may be loaded together, of so many; one at least. */
    static int together(BlockExecutor executor, int segments, int threads, int compositions) {
        int pooled = of(executor, segments, threads);
        return pooled == 0 ? compositions : Math.max(1, Math.min(compositions, MOST / pooled));
    }

    /** The greatest thread count whose compositions have no more than {@link #MOST}. */
    private static int mostThreads(int segments) {
        return 1 + MOST / Math.max(1, segments);
    }

    /** Why a composition would have too many, and what would do; empty if it has not. */
    static String problem(BlockExecutor executor, int segments, int threads) {
        int pooled = of(executor, segments, threads);
        return pooled <= MOST ? "" : segments + " segments with " + threads + " threads each would keep " + pooled
                + " threads in pools, and " + MOST + " are the most for a composition; at most "
                + mostThreads(segments) + " may be asked for";
    }

    /**
     * Check what plans may choose.
     *
     * @throws WorkloadException a composition would have too many
     */
    static void check(BlockExecutor executor, ModelTable table, int segments) {
        List<Integer> counts = table.threadCounts();
        Integer would = null;
        String problem = "";
        for (int threads : counts) { // ascending
            problem = problem(executor, segments, threads);
            would = problem.isEmpty() ? Integer.valueOf(threads) : would;
        }
        if (!problem.isEmpty()) {
            throw new WorkloadException(table.name + ": " + problem + (would == null ? "; profile it with fewer"
                    : "; set threads to " + would + ", in its workload or by model.table().withThreads(" + would
                            + "), or profile it with fewer"));
        }
    }
}
