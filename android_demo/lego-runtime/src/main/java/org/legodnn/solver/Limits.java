package org.legodnn.solver;

/** The limits of the moment; null stands for no limit. Not to be changed once made. */
public final class Limits {
    /** The latency limit, in nanoseconds, of a model that has none. */
    static final long NO_LIMIT_NS = Frontier.INFINITE - 1;

    /** Bytes of all models together. */
    public final Long memory;
    /** Billionths of a core for all models together. */
    public final Long cores;
    /** By model, milliseconds after slow-down, exactly as given. */
    final Fraction[] latency;
    /** By model, the least accuracy. */
    final Double[] accuracy;

    /**
     * @param memory bytes of all models together
     * @param cores billionths of a core for all models together
     * @param latency by model, milliseconds after slow-down, exactly as given
     * @param accuracy by model, the least accuracy
     */
    public Limits(Long memory, Long cores, Fraction[] latency, Double[] accuracy) {
        this.memory = memory;
        this.cores = cores;
        this.latency = latency;
        this.accuracy = accuracy;
    }

    /** The greatest profiled latency, in nanoseconds, that model `m`'s limit admits under a slow-down. */
    long latencyLimit(int m, Fraction slowdown) {
        return latency[m] == null ? NO_LIMIT_NS
                : latency[m].times(CompiledModel.NS_PER_MS).over(slowdown).floor(NO_LIMIT_NS);
    }

    /** Whether a composition of model `m` is within that model's own limits, latency and accuracy. */
    boolean admit(CompositionSums composition, int m, Fraction slowdown) {
        return composition.latency <= latencyLimit(m, slowdown)
                && (accuracy[m] == null || composition.accuracy >= accuracy[m]);
    }
}
