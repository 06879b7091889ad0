package org.legodnn.solver;

/** The limits of the moment in whole numbers; null is no limit. Not to be changed once made. */
public final class Limits {
    /** Bytes. */
    public final Long memory;
    /** Billionths of a core. */
    public final Long cores;
    /** By model, milliseconds after slow-down, exactly as given. */
    final Fraction[] latency;
    /** By model, least accuracy. */
    final Double[] accuracy;

    /**
     * @param memory bytes
     * @param cores billionths of a core
     * @param latency by model, milliseconds after slow-down
     * @param accuracy by model, least accuracy
     */
    public Limits(Long memory, Long cores, Fraction[] latency, Double[] accuracy) {
        this.memory = memory;
        this.cores = cores;
        this.latency = latency;
        this.accuracy = accuracy;
    }

    /** The greatest profiled latency, in nanoseconds, that a model's limit admits under a slow-down. */
    long latencyNs(int model, Fraction slowdown) {
        return latency[model] == null ? Frontier.NEVER - 1
                : latency[model].times(CompiledModel.NS_PER_MS).over(slowdown).floor(Frontier.NEVER - 1);
    }
}
