package org.legodnn;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.Locale;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;
import org.legodnn.internal.json.JsonObject;

/** One limit in a report. */
public final class Limit {
    /** Which limit. */
    public enum Kind {
        /** In bytes. */
        MEMORY,
        /** In CPU cores' worth. */
        CORES,
        /** In milliseconds. */
        LATENCY,
        /** In the metric; the others are upper limits, this is a lower one. */
        ACCURACY
    }

    final Kind kind;
    final @Nullable String model;
    final @Nullable Double quantile;
    final double limit;
    final @Nullable Double needed;
    final boolean clashes;

    Limit(Kind kind, @Nullable String model, @Nullable Double quantile, double limit, @Nullable Double needed,
            boolean clashes) {
        this.kind = kind;
        this.model = model;
        this.quantile = quantile;
        this.limit = limit;
        this.needed = needed;
        this.clashes = clashes;
    }

    /** Such as "memory" or "p95 latency of faces". */
    public String title() {
        return (quantile == null ? "" : Tail.percentile(quantile) + " ") + kindName()
                + (model == null ? "" : " of " + model);
    }

    private String kindName() {
        return kind.name().toLowerCase(Locale.ROOT);
    }

    /** A value of this limit with its unit. */
    public String show(double value) {
        switch (kind) {
            case MEMORY:
                return value >= 1000 ? Text.size(value) + " (" + Text.whole(value) + " B)" : Text.size(value);
            case CORES:
                return Text.significant(value, 6) + " cores";
            case LATENCY:
                return Text.significant(value, 9) + " ms";
            default:
                return Text.significant(value, 6);
        }
    }

    /** `needed` with its unit, rounded to the side on which it will do as it stands; empty where nothing will. */
    public String remedy() {
        if (needed == null) {
            return "";
        }
        if (kind == Kind.ACCURACY) {
            return Text.rounded(needed, 6, RoundingMode.FLOOR);
        }
        if (kind != Kind.MEMORY) {
            return Text.rounded(needed, 6, RoundingMode.CEILING) + (kind == Kind.CORES ? " cores" : " ms");
        }
        String[] units = {"B", "kB", "MB", "GB"};
        int power = needed >= 1e9 ? 3 : needed >= 1e6 ? 2 : needed >= 1e3 ? 1 : 0;
        BigDecimal count = new BigDecimal(needed).movePointLeft(3 * power);
        return Text.rounded(count, 5, RoundingMode.CEILING) + " " + units[power];
    }

    JsonObject toJson() {
        return new JsonObject().put("kind", kindName()).put("model", model).put("quantile", quantile)
                .put("limit", limit).put("needed", needed).put("clashes", clashes);
    }

    /** Which limit. */
    public Kind kind() {
        return kind;
    }

    /** Whose, for latency and accuracy; else null. */
    public @Nullable String model() {
        return model;
    }

    /** The share of inferences that a limit of latency is for; null for other limits. */
    public @Nullable Double quantile() {
        return quantile;
    }

    /** Its value. */
    public double limit() {
        return limit;
    }

    /** The least change of this limit alone that lets a plan exist, as its new value; null if no value of it does. */
    public @Nullable Double needed() {
        return needed;
    }

    /** Whether it belongs to the set of limits that cannot hold together. */
    public boolean clashes() {
        return clashes;
    }
}
