package org.legodnn.internal.solver;

/** The limits of the moment; null stands for no limit. Not to be changed once made. */
public final class Limits {
    /** The latency limit, in nanoseconds, of a model that has none. */
    static final long NO_LIMIT_NS = Frontier.INFINITE - 1;

    /** Bytes of all models together. */
    public final Long memory;
    /** Billionths of a core for all models together. */
    public final Long cores;
    /**
     * By model, milliseconds at its quantile. A latency is held against it as plans tell it, a double of milliseconds:
     * 0.3 ms hold a limit of 0.3 although the double lies below 3/10.
     */
    public final Double[] latency;
    /** By model, the share of inferences that must keep its limit of latency. */
    public final double[] quantile;
    /** By model, the least accuracy; see {@link #leastAccuracy}. */
    final Double[] accuracy;

    /**
     * @param memory bytes of all models together
     * @param cores billionths of a core for all models together
     * @param latency by model, milliseconds at its quantile
     * @param quantile by model, the share of inferences that must keep its limit of latency
     * @param accuracy by model, the least accuracy
     */
    public Limits(Long memory, Long cores, Double[] latency, double[] quantile, Double[] accuracy) {
        this.memory = memory;
        this.cores = cores;
        this.latency = latency;
        this.quantile = quantile;
        this.accuracy = accuracy;
    }

    /** The greatest profiled latency, in nanoseconds, that model `m`'s limit admits at a thread count; -1 for none. */
    long latencyLimit(Instance instance, int m, int threads) {
        Double limit = latency[m];
        if (limit == null) {
            return NO_LIMIT_NS;
        }
        Fraction factor = instance.factor(m, threads);
        if (factor == null) {
            return -1;
        }
        long found = Fraction.of(limit).times(CompiledModel.NS_PER_MS).over(factor).floor(NO_LIMIT_NS);
        // Latencies just above the limit that are the same double: seldom more than one, never more than a few hundred.
        while (found < NO_LIMIT_NS && milliseconds(found + 1, factor) <= limit) {
            found++;
        }
        return found;
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

    /** A multiple of nanoseconds as plans tell it: in milliseconds, rounded once. */
    public static double milliseconds(long latency, Fraction factor) {
        return factor == Fraction.ONE ? latency / 1e6
                : Fraction.of(latency).times(factor).over(CompiledModel.NS_PER_MS).doubleValue();
    }

    /**
     * The least computed accuracy that holds the limit of model `m`; null if it has none. A computed accuracy may be
     * less by rounding than what losses add up to, which is no reason to refuse it.
     */
    Double leastAccuracy(Instance instance, int m) {
        return accuracy[m] == null ? null : Double.valueOf(accuracy[m] - instance.models[m].accuracyRounding);
    }

    /** Whether a composition of model `m` is within that model's own limits, latency and accuracy. */
    boolean admit(CompositionSums composition, Instance instance, int m) {
        Double least = leastAccuracy(instance, m);
        return composition.latency <= latencyLimit(instance, m, composition.threads)
                && (least == null || composition.accuracy >= least);
    }
}
