package org.legodnn;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonException;
import org.legodnn.internal.json.JsonNumber;
import org.legodnn.internal.json.JsonObject;

/**
 * The limits of the moment. Immutable; null is no limit.
 *
 * <pre>Budget.none().withMemoryBytes(20_000_000).withLatencyMs("faces", 8.0)</pre>
 */
public final class Budget {
    private static final Budget NONE = new Budget(null, null, Collections.<String, Double>emptyMap(), null,
            Collections.<String, Double>emptyMap(), null);

    private final @Nullable Long memoryBytes;
    private final @Nullable Double latencyMs;
    private final Map<String, Double> latencyByModel;
    private final @Nullable Double quantile;
    private final Map<String, Double> quantileByModel;
    private final @Nullable Double cores;

    private Budget(@Nullable Long memoryBytes, @Nullable Double latencyMs, Map<String, Double> latencyByModel,
            @Nullable Double quantile, Map<String, Double> quantileByModel, @Nullable Double cores) {
        this.memoryBytes = memoryBytes;
        this.latencyMs = latencyMs;
        this.latencyByModel = latencyByModel;
        this.quantile = quantile;
        this.quantileByModel = quantileByModel;
        this.cores = cores;
    }

    /** No limits. */
    public static Budget none() {
        return NONE;
    }

    /**
     * The same with another limit of what all models together may hold.
     *
     * @throws WorkloadException not positive, or 2^62 and more
     */
    public Budget withMemoryBytes(long limit) {
        if (limit <= 0 || limit > Bounds.MEMORY) {
            throw new WorkloadException("Budget: memory_bytes must be greater than 0 and less than 2^62, got " + limit);
        }
        return new Budget(limit, latencyMs, latencyByModel, quantile, quantileByModel,
                cores);
    }

    /** The same without a limit of memory. */
    public Budget withoutMemory() {
        return new Budget(null, latencyMs, latencyByModel, quantile, quantileByModel,
                cores);
    }

    /**
     * The same with one limit of latency for every model, instead of any that was set before.
     *
     * @throws WorkloadException not a positive number, or one beyond 10^21
     */
    public Budget withLatencyMs(double limit) {
        return new Budget(memoryBytes, positive(limit, "latency_ms"), Collections.<String, Double>emptyMap(),
                quantile, quantileByModel, cores);
    }

    /**
     * The same with a limit of latency for one model; it replaces one for every model.
     *
     * @throws WorkloadException not a positive number, or one beyond 10^21
     */
    public Budget withLatencyMs(String model, double limit) {
        Map<String, Double> limits = new LinkedHashMap<>(latencyByModel);
        limits.put(model, positive(limit, "latency_ms of " + model));
        return new Budget(memoryBytes, null, Collections.unmodifiableMap(limits), quantile, quantileByModel,
                cores);
    }

    /** The same without limits of latency. */
    public Budget withoutLatency() {
        return new Budget(memoryBytes, null, Collections.<String, Double>emptyMap(), quantile, quantileByModel,
                cores);
    }

    /**
     * The same with one quantile for every model, instead of any that was set before: the share of inferences that must
     * keep their limit of latency. Where it is not set it is {@link Tail#DEFAULT_QUANTILE}.
     *
     * @throws WorkloadException not from 0.5 (the median) to below 1
     */
    public Budget withQuantile(double share) {
        return new Budget(memoryBytes, latencyMs, latencyByModel, Tail.checked(share, "Budget: quantile"),
                Collections.<String, Double>emptyMap(), cores);
    }

    /**
     * The same with a quantile for one model; it replaces one for every model.
     *
     * @throws WorkloadException not from 0.5 (the median) to below 1
     */
    public Budget withQuantile(String model, double share) {
        Map<String, Double> shares = new LinkedHashMap<>(quantileByModel);
        shares.put(model, Tail.checked(share, "Budget: quantile of " + model));
        return new Budget(memoryBytes, latencyMs, latencyByModel, null, Collections.unmodifiableMap(shares), cores);
    }

    /**
     * The same with a limit of compute: CPU cores' worth, sum over models of rate x threads x latency.
     *
     * @throws WorkloadException not a positive number, or one beyond 10^21
     */
    public Budget withCores(double limit) {
        return new Budget(memoryBytes, latencyMs, latencyByModel, quantile, quantileByModel,
                positive(limit, "cores"));
    }

    /** The same without a limit of compute. */
    public Budget withoutCores() {
        return new Budget(memoryBytes, latencyMs, latencyByModel, quantile, quantileByModel,
                null);
    }

    private static double positive(double value, String what) {
        if (!(value > 0 && value <= Bounds.SUM)) {
            throw new WorkloadException("Budget: " + what + " must be a number greater than 0 and at most " + Bounds.SUM
                    + ", got " + value);
        }
        return value;
    }

    /** What all models together may hold; null for no limit. */
    public @Nullable Long memoryBytes() {
        return memoryBytes;
    }

    /** The limit for every model; null if there is none. */
    public @Nullable Double latencyMs() {
        return latencyMs;
    }

    /** Limits for some models, by name. */
    public Map<String, Double> latencyByModel() {
        return latencyByModel;
    }

    /** The quantile for every model; null if there is none. */
    public @Nullable Double quantile() {
        return quantile;
    }

    /** Quantiles for some models, by name. */
    public Map<String, Double> quantileByModel() {
        return quantileByModel;
    }

    /** CPU cores' worth of compute; null for no limit. */
    public @Nullable Double cores() {
        return cores;
    }

    /**
     * A budget from its JSON text: memory_bytes, latency_ms (one number, or numbers by model) and cores, each optional.
     *
     * @throws WorkloadException it makes no sense
     */
    public static Budget parse(String text) {
        try {
            return read(new Fields(Json.parse(text), ""));
        } catch (JsonException e) {
            throw new WorkloadException("Budget: " + e.getMessage(), e);
        }
    }

    static Budget read(Fields fields) {
        Budget budget = none();
        if (fields.hasValue("memory_bytes")) {
            budget = budget.withMemoryBytes(fields.integer("memory_bytes", 1, Bounds.MEMORY));
        }
        if (fields.hasValue("latency_ms") && fields.any("latency_ms") instanceof JsonNumber) {
            budget = budget.withLatencyMs(fields.positive("latency_ms"));
        } else if (fields.hasValue("latency_ms")) {
            Fields limits = byModel(fields, "latency_ms");
            for (String model : limits.raw().keys()) {
                budget = budget.withLatencyMs(model, limits.positive(model));
            }
        }
        if (fields.hasValue("quantile") && fields.any("quantile") instanceof JsonNumber) {
            budget = budget.withQuantile(fields.number("quantile"));
        } else if (fields.hasValue("quantile")) {
            Fields shares = byModel(fields, "quantile");
            for (String model : shares.raw().keys()) {
                budget = budget.withQuantile(model, shares.number(model));
            }
        }
        if (fields.hasValue("cores")) {
            budget = budget.withCores(fields.positive("cores"));
        }
        fields.end();
        return budget;
    }

    /** Numbers by the models' names. */
    private static Fields byModel(Fields fields, String key) {
        Fields numbers = fields.object(key);
        if (numbers.raw().keys().size() > Bounds.MODELS) {
            throw fields.error(key + " names more than " + Bounds.MODELS + " models");
        }
        for (String model : numbers.raw().keys()) {
            if (model.isEmpty() || model.codePointCount(0, model.length()) > Bounds.NAME) {
                throw fields.error(key + ": names must have 1 to " + Bounds.NAME + " characters");
            }
        }
        return numbers;
    }

    /** The JSON text. */
    public String toJson() {
        return Json.write(toJsonObject());
    }

    JsonObject toJsonObject() {
        Object latency = latencyMs;
        if (!latencyByModel.isEmpty()) {
            latency = latencyByModel;
        }
        Object shares = quantileByModel.isEmpty() ? quantile : quantileByModel;
        return new JsonObject().put("memory_bytes", memoryBytes).put("latency_ms", latency).put("quantile", shares)
                .put("cores", cores);
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof Budget && ((Budget) other).toJsonObject().equals(toJsonObject());
    }

    @Override
    public int hashCode() {
        return toJsonObject().hashCode();
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        if (memoryBytes != null) {
            text.append("memory ").append(Text.size(memoryBytes));
        }
        if (latencyMs != null || !latencyByModel.isEmpty()) {
            text.append(text.length() == 0 ? "" : ", ").append("latency ")
                    .append(latencyMs == null ? latencyByModel : latencyMs).append(" ms");
        }
        if (quantile != null || !quantileByModel.isEmpty()) {
            text.append(text.length() == 0 ? "" : ", ").append("quantile ")
                    .append(quantile == null ? quantileByModel : quantile);
        }
        if (cores != null) {
            text.append(text.length() == 0 ? "" : ", ").append(cores).append(" cores");
        }
        return text.length() == 0 ? "no limits" : text.toString();
    }
}
