package org.legodnn;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.JsonObject;

/** Latency of one option at one thread count, in milliseconds, over runs spread over the whole profiling. */
public final class Latency {
    final int threads;
    final int runs;
    final double minMs;
    final double medianMs;
    final double p95Ms;
    final @Nullable Double firstMs;

    Latency(int threads, int runs, double minMs, double medianMs, double p95Ms, @Nullable Double firstMs) {
        this.threads = threads;
        this.runs = runs;
        this.minMs = minMs;
        this.medianMs = medianMs;
        this.p95Ms = p95Ms;
        this.firstMs = firstMs;
    }

    static Latency read(Fields fields) {
        Latency found = new Latency(fields.count("threads", 1, Bounds.THREADS),
                fields.count("runs", 1, Integer.MAX_VALUE), fields.number("min_ms", 0, Bounds.MS),
                fields.number("median_ms", 0, Bounds.MS), fields.number("p95_ms", 0, Bounds.MS),
                fields.hasValue("first_ms") ? fields.number("first_ms", 0, Bounds.MS) : null);
        fields.end();
        return found;
    }

    JsonObject toJson() {
        JsonObject json = new JsonObject().put("threads", threads).put("runs", runs).put("min_ms", minMs)
                .put("median_ms", medianMs).put("p95_ms", p95Ms);
        return firstMs == null ? json : json.put("first_ms", firstMs);
    }

    /** Thread count. */
    public int threads() {
        return threads;
    }

    /** How often it was timed. */
    public int runs() {
        return runs;
    }

    /** Least. */
    public double minMs() {
        return minMs;
    }

    /** Median. */
    public double medianMs() {
        return medianMs;
    }

    /** 95th percentile. */
    public double p95Ms() {
        return p95Ms;
    }

    /** The first run after loading; null if it was not measured. */
    public @Nullable Double firstMs() {
        return firstMs;
    }
}
