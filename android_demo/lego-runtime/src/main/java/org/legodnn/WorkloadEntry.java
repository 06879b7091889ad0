package org.legodnn;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.JsonException;

/** What a workload's document says of one model; places are as they are written there. */
final class WorkloadEntry {
    final String name;
    final String store;
    final String profile;
    final double weight;
    final @Nullable Double rateHz;
    final @Nullable Double latencyMs;
    final @Nullable Double quantile;
    final @Nullable Double minAccuracy;
    final boolean critical;
    final @Nullable Integer threads;

    /** @throws JsonException a field is missing, unknown or wrong, or asks for what this library does not do */
    WorkloadEntry(Fields fields) {
        name = fields.name("name");
        store = fields.path("store").replaceAll("(?<=.)/+$", "");
        profile = fields.hasValue("profile") ? fields.path("profile") : store + ".profile.json";
        weight = fields.has("weight") ? fields.number("weight", Bounds.LEAST_WEIGHT, Bounds.WEIGHT) : 1;
        rateHz = fields.hasValue("rate_hz") ? (Double) fields.number("rate_hz", 0, Bounds.RATE) : null;
        latencyMs = fields.hasValue("latency_ms") ? (Double) fields.positive("latency_ms") : null;
        quantile = fields.hasValue("quantile")
                ? (Double) fields.number("quantile", Tail.LEAST_QUANTILE, Math.nextDown(1.0)) : null;
        minAccuracy = fields.hasValue("min_accuracy")
                ? (Double) fields.number("min_accuracy", -Bounds.METRIC, Bounds.METRIC) : null;
        critical = !fields.has("critical") || fields.flag("critical");
        threads = fields.hasValue("threads") ? (Integer) fields.count("threads", 1, Bounds.THREADS) : null;
        if (fields.has("streaming") && fields.flag("streaming")) {
            throw fields.error("streaming: Android's library runs every model with all its weights in memory; take"
                    + " `streaming = true` from '" + name + "'");
        }
        fields.end();
    }

    /**
     * The model that is asked for.
     *
     * @throws ProfileException the profile is of another store
     * @throws WorkloadException it was not measured with the thread count that is asked for, or a figure makes no sense
     */
    LegoModel of(Store opened, Profile measured) {
        LegoModel model = LegoModel.of(opened, measured);
        ModelTable table = model.table.withName(name).withWeight(weight).withCritical(critical);
        table = rateHz == null ? table : table.withRateHz(rateHz);
        table = latencyMs == null ? table : table.withLatencyMs(latencyMs);
        table = quantile == null ? table : table.withQuantile(quantile);
        table = minAccuracy == null ? table : table.withMinAccuracy(minAccuracy);
        return model.withTable(threads == null ? table : table.withThreads(threads));
    }
}
