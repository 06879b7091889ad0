package org.legodnn.internal.solver;

/** The limits of the moment; null stands for no limit. Not to be changed once made. */
public final class Limits {
    /** The latency limit, in nanoseconds, of a model that has none. */
    static final long NO_LIMIT_NS = Frontier.INFINITE - 1;

    /** Bytes of all models together. */
    public final Long memory;
    /** Billionths of a core for all models together. */
    public final Long cores;
    /** By model, milliseconds at its quantile, exactly as given. */
    public final Fraction[] latency;
    /** By model, the share of inferences that must keep its limit of latency. */
    public final double[] quantile;
    /** By model, the least accuracy. */
    final Double[] accuracy;

    /**
     * @param memory bytes of all models together
     * @param cores billionths of a core for all models together
     * @param latency by model, milliseconds at its quantile, exactly as given
     * @param quantile by model, the share of inferences that must keep its limit of latency
     * @param accuracy by model, the least accuracy
     */
    public Limits(Long memory, Long cores, Fraction[] latency, double[] quantile, Double[] accuracy) {
        this.memory = memory;
        this.cores = cores;
        this.latency = latency;
        this.quantile = quantile;
        this.accuracy = accuracy;
    }

    /** The greatest profiled latency, in nanoseconds, that model `m`'s limit admits at a thread count. */
    long latencyLimit(Instance instance, int m, int threads) {
        return latency[m] == null ? NO_LIMIT_NS
                : latency[m].times(CompiledModel.NS_PER_MS).over(instance.factor(m, threads)).floor(NO_LIMIT_NS);
    }

    /** That for each of model `m`'s thread counts, by index. */
    long[] latencyLimits(Instance instance, int m) {
        int[] counts = instance.models[m].threadCounts;
        long[] found = new long[counts.length];
        for (int n = 0; n < counts.length; n++) {
            found[n] = latencyLimit(instance, m, counts[n]);
        }
        return found;
    }

    /** Whether a composition of model `m` is within that model's own limits, latency and accuracy. */
    boolean admit(CompositionSums composition, Instance instance, int m) {
        return composition.latency <= latencyLimit(instance, m, composition.threads)
                && (accuracy[m] == null || composition.accuracy >= accuracy[m]);
    }
}
