package org.legodnn;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.JsonObject;

/** What one model is to run, and what is predicted of it. */
public final class ModelPlan {
    final String name;
    final boolean suspended;
    final int threads;
    final Map<String, String> options;
    final double accuracy;
    final double accuracyError;
    final double latencyMs;
    final @Nullable Double latencyLimitMs;
    final double quantile;
    final @Nullable Double quantileMs;
    final long memoryBytes;
    final double cores;

    ModelPlan(String name, boolean suspended, int threads, Map<String, String> options, double accuracy,
            double accuracyError, double latencyMs, @Nullable Double latencyLimitMs, double quantile,
            @Nullable Double quantileMs, long memoryBytes, double cores) {
        this.name = name;
        this.suspended = suspended;
        this.threads = threads;
        this.options = Collections.unmodifiableMap(options);
        this.accuracy = accuracy;
        this.accuracyError = accuracyError;
        this.latencyMs = latencyMs;
        this.latencyLimitMs = latencyLimitMs;
        this.quantile = quantile;
        this.quantileMs = quantileMs;
        this.memoryBytes = memoryBytes;
        this.cores = cores;
    }

    static ModelPlan suspended(String name, @Nullable Double latencyLimitMs, double quantile) {
        return new ModelPlan(name, true, 1, Collections.<String, String>emptyMap(), 0, 0, 0, latencyLimitMs, quantile,
                null, 0, 0);
    }

    static ModelPlan read(Fields fields) {
        if (fields.has("streamed") && fields.flag("streamed")) {
            throw fields.error(
                    "the plan streams this model, which Python alone can do; plan without `streaming = true`");
        }
        if (fields.has("compact") && fields.flag("compact")) {
            throw fields.error(
                    "the plan has this model compact, which Python alone can do; plan with a profile that was measured"
                            + " without --compact");
        }
        Map<String, String> options = new LinkedHashMap<>();
        if (fields.has("options")) {
            Fields chosen = fields.object("options");
            for (String block : chosen.raw().keys()) {
                options.put(block, chosen.name(block));
            }
        }
        ModelPlan plan = new ModelPlan(fields.name("name"), fields.has("suspended") && fields.flag("suspended"),
                fields.has("threads") ? fields.count("threads", 1, Bounds.THREADS) : 1, options,
                fields.has("accuracy") ? fields.number("accuracy", -Bounds.METRIC, Bounds.METRIC) : 0,
                fields.has("accuracy_error") ? fields.number("accuracy_error", 0, Bounds.METRIC) : 0,
                fields.has("latency_ms") ? fields.number("latency_ms", 0, Bounds.SUM) : 0,
                fields.hasValue("latency_limit_ms") ? fields.number("latency_limit_ms", 0, Bounds.SUM) : null,
                fields.has("quantile") ? fields.number("quantile", Tail.LEAST_QUANTILE, Math.nextDown(1.0))
                        : Tail.DEFAULT_QUANTILE,
                fields.hasValue("quantile_ms") ? fields.number("quantile_ms", 0, Bounds.SUM) : null,
                fields.has("memory_bytes") ? fields.integer("memory_bytes", 0, Bounds.MEMORY) : 0,
                fields.has("cores") ? fields.number("cores", 0, Bounds.SUM) : 0);
        fields.end();
        return plan;
    }

    JsonObject toJson() {
        return new JsonObject().put("name", name).put("suspended", suspended).put("threads", threads)
                .put("options", options).put("accuracy", accuracy).put("accuracy_error", accuracyError)
                .put("latency_ms", latencyMs).put("latency_limit_ms", latencyLimitMs)
                .put("quantile", quantile).put("quantile_ms", quantileMs)
                .put("memory_bytes", memoryBytes).put("cores", cores);
    }

    /** In one line. */
    @Override
    public String toString() {
        if (suspended) {
            return name + ": suspended";
        }
        StringBuilder chosen = new StringBuilder();
        for (Map.Entry<String, String> option : options.entrySet()) {
            chosen.append(' ').append(option.getKey()).append('=').append(option.getValue());
        }
        return name + ": accuracy " + Text.significant(accuracy, 4) + " ± " + Text.significant(accuracyError, 2) + ", "
                + Text.significant(latencyMs, 3) + " ms"
                + (quantileMs == null ? "" : " (" + Tail.percentile(quantile) + " " + Text.significant(quantileMs, 3)
                        + " ms)")
                + (threads == 1 ? "" : ", " + threads + " threads") + ", "
                + Text.size(memoryBytes) + ":" + (options.isEmpty() ? " no blocks" : chosen);
    }

    /** The model's name in the workload. */
    public String name() {
        return name;
    }

    /** A best-effort model for which there is no room: not loaded, no options; all figures are 0. */
    public boolean suspended() {
        return suspended;
    }

    /** Thread count of every segment. */
    public int threads() {
        return threads;
    }

    /** Block -> option, in topological order. */
    public Map<String, String> options() {
        return options;
    }

    /** Predicted metric. */
    public double accuracy() {
        return accuracy;
    }

    /** Nine in ten such predictions are within it; see {@link StoreManifest#accuracyError}. */
    public double accuracyError() {
        return accuracyError;
    }

    /** Predicted latency of an inference, slow-down included: the median. */
    public double latencyMs() {
        return latencyMs;
    }

    /** The limit that held for this model; null for none. */
    public @Nullable Double latencyLimitMs() {
        return latencyLimitMs;
    }

    /** The share of inferences that the limit is for. */
    public double quantile() {
        return quantile;
    }

    /** What that share of inferences is predicted to take at most; null where that is not known. */
    public @Nullable Double quantileMs() {
        return quantileMs;
    }

    /** Predicted memory, fixed segments included. */
    public long memoryBytes() {
        return memoryBytes;
    }

    /** Rate x threads x latency; 0 where no rate was given. */
    public double cores() {
        return cores;
    }
}
