package org.legodnn;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.JsonException;
import org.legodnn.internal.json.JsonObject;

/**
 * How many times longer than predicted whole inferences take, by quantile, at one thread count: a split conformal
 * prediction, as docs/profiler.md tells. Immutable.
 */
public final class Tail {
    /** The share of inferences that keep a limit of latency, unless a budget or a model says another. */
    public static final double DEFAULT_QUANTILE = 0.95;
    /** The least quantile, the median. */
    static final double LEAST_QUANTILE = 0.5;
    /** The quantiles that are kept, as far as there are enough inferences. */
    static final double[] QUANTILES = {0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999};
    /** The share of compositions whose inferences keep a quantile. */
    private static final double COMPOSITIONS_KEPT = 0.9;
    /** Inferences of one composition above a quantile, from which that is taken of it by itself. */
    private static final int ENOUGH_ABOVE = 5;
    private static final double LEAST_STRETCH = 1e-3;

    final int threads;
    final String condition;
    final @Nullable String other;
    final int inferences;
    final SortedMap<Double, Double> stretch;

    private Tail(int threads, String condition, @Nullable String other, int inferences,
            SortedMap<Double, Double> stretch) {
        this.threads = threads;
        this.condition = condition;
        this.other = other;
        this.inferences = inferences;
        this.stretch = Collections.unmodifiableSortedMap(stretch);
    }

    /**
     * The tail of measured over predicted times. It is Python's, of {@code legodnn/tail.py}, to the bit.
     *
     * @param ratios by composition, at least one of each
     */
    static Tail of(double[][] ratios, int threads, String condition) {
        double[][] ordered = new double[ratios.length][];
        int least = Integer.MAX_VALUE;
        int count = 0;
        for (int i = 0; i < ratios.length; i++) {
            ordered[i] = ascending(ratios[i]);
            least = Math.min(least, ratios[i].length);
            count += ratios[i].length;
        }
        SortedMap<Double, Double> kept = new TreeMap<>();
        for (double quantile : QUANTILES) {
            if (quantile == LEAST_QUANTILE || least * (1 - quantile) >= ENOUGH_ABOVE) {
                kept.put(quantile, ranked(ascending(ranked(ordered, quantile)), COMPOSITIONS_KEPT));
            }
        }
        // Further out too few were seen of each: there all are taken to have one shape, as multiples of their medians.
        double last = kept.lastKey();
        double[] shape = shape(ordered, count);
        double shapeAtLast = Math.max(ranked(shape, last), LEAST_STRETCH);
        for (double quantile : QUANTILES) {
            if (quantile > last && Math.ceil((count + 1) * quantile) <= count) {
                kept.put(quantile, kept.get(last) * Math.max(1, ranked(shape, quantile) / shapeAtLast));
            }
        }
        SortedMap<Double, Double> stretch = new TreeMap<>();
        for (Map.Entry<Double, Double> one : kept.entrySet()) {
            stretch.put(one.getKey(), bounded(one.getValue()));
        }
        return new Tail(threads, condition, null, count, stretch);
    }

    /** All ratios as multiples of their compositions' medians, ascending. */
    private static double[] shape(double[][] ordered, int count) {
        double[] shape = new double[count];
        int at = 0;
        for (double[] of : ordered) {
            double median = Math.max(ranked(of, LEAST_QUANTILE), LEAST_STRETCH);
            for (double ratio : of) {
                shape[at++] = ratio / median;
            }
        }
        return ascending(shape);
    }

    private static double[] ascending(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted;
    }

    /** What this share of values like these, ascending, keep; the greatest where they are too few to tell. */
    private static double ranked(double[] ascending, double quantile) {
        return ascending[Math.min(ascending.length, (int) Math.ceil((ascending.length + 1) * quantile)) - 1];
    }

    /** The same of several. */
    private static double[] ranked(double[][] ascending, double quantile) {
        double[] found = new double[ascending.length];
        for (int i = 0; i < found.length; i++) {
            found[i] = ranked(ascending[i], quantile);
        }
        return found;
    }

    /**
     * A tail that was learned in use.
     *
     * @param threads thread count
     * @param inferences how many it rests on
     * @param stretch by quantile, the multiple of the predicted time that this share of inferences takes at most
     * @throws WorkloadException it falls with the quantile, or there is none
     */
    public static Tail inUse(int threads, int inferences, Map<Double, Double> stretch) {
        SortedMap<Double, Double> rising = new TreeMap<>();
        double last = 0;
        for (Map.Entry<Double, Double> one : new TreeMap<>(stretch).entrySet()) {
            double value = bounded(one.getValue());
            if (!(value >= last)) {
                throw new WorkloadException("no stretch of a tail may be less than the one before, got " + stretch);
            }
            last = value;
            rising.put(checked(one.getKey(), "the quantile of a tail"), value);
        }
        if (rising.isEmpty() || threads < 1 || inferences < 1) {
            throw new WorkloadException("a tail needs a stretch, a thread and an inference at least");
        }
        return new Tail(threads, "use", null, inferences, rising);
    }

    /** The last tail of each condition, in the order in which these came first. */
    static List<Tail> lastOfEach(List<Tail> tails) {
        Map<List<Object>, Tail> last = new LinkedHashMap<>();
        for (Tail tail : tails) {
            last.put(tail.key(), tail);
        }
        return new ArrayList<>(last.values());
    }

    private static double bounded(double ratio) {
        return Math.min(Math.max(ratio, LEAST_STRETCH), Bounds.SLOWDOWN);
    }

    static Tail read(Fields fields) {
        int threads = fields.count("threads", 1, Bounds.THREADS);
        String condition = fields.word("condition", "alone", "after", "periodic", "beside", "use");
        String other = fields.hasValue("other") ? fields.name("other") : null;
        int inferences = fields.count("inferences", 1, Integer.MAX_VALUE);
        double[] quantiles = fields.numbers("quantiles", 1, Bounds.QUANTILES, LEAST_QUANTILE, Math.nextDown(1.0));
        double[] stretches = fields.numbers("stretch", 1, Bounds.QUANTILES, Double.MIN_VALUE, Bounds.SLOWDOWN);
        fields.end();
        if (quantiles.length != stretches.length) {
            throw fields.error("a tail needs a stretch for each quantile");
        }
        SortedMap<Double, Double> stretch = new TreeMap<>();
        for (int i = 0; i < quantiles.length; i++) {
            if (i > 0 && (quantiles[i] <= quantiles[i - 1] || stretches[i] < stretches[i - 1])) {
                throw fields.error("quantiles of a tail must rise, and no stretch may be less than the one before");
            }
            stretch.put(quantiles[i], stretches[i]);
        }
        return new Tail(threads, condition, other, inferences, stretch);
    }

    /** What a profile has one tail for. */
    List<Object> key() {
        return Arrays.<Object>asList(threads, condition, other);
    }

    JsonObject toJson() {
        JsonObject json = new JsonObject().put("threads", threads).put("condition", condition).put("other", other);
        return json.put("inferences", inferences).put("quantiles", new ArrayList<>(stretch.keySet()))
                .put("stretch", new ArrayList<>(stretch.values()));
    }

    /** The quantiles that tails are kept for, ascending. */
    public static double[] quantiles() {
        return QUANTILES.clone();
    }

    /** Check a quantile that an application gives. */
    static double checked(double quantile, String what) {
        if (!(quantile >= LEAST_QUANTILE && quantile < 1)) {
            throw new WorkloadException(what + " must be a share of inferences, a number from 0.5 (the median) to below"
                    + " 1, got " + quantile);
        }
        return quantile;
    }

    /** A quantile's name for people, such as "p95". */
    static String percentile(double quantile) {
        return quantile == LEAST_QUANTILE ? "median" : "p" + Text.significant(100 * quantile, 6);
    }

    /** Every tail of a profile's document. */
    static List<Tail> readAll(Fields document) throws JsonException {
        List<Tail> tails = new ArrayList<>();
        if (document.has("tail")) {
            List<List<Object>> keys = new ArrayList<>();
            for (Fields entry : document.objects("tail", 0, Bounds.CONTAINERS)) {
                Tail tail = read(entry);
                if (keys.contains(tail.key())) {
                    throw entry.error("two tails of one condition at one thread count");
                }
                keys.add(tail.key());
                tails.add(tail);
            }
        }
        return Collections.unmodifiableList(tails);
    }

    /** Thread count. */
    public int threads() {
        return threads;
    }

    /** What else ran: "alone", "after", "periodic", "beside" or "use". */
    public String condition() {
        return condition;
    }

    /** The store of the other model; null for none. */
    public @Nullable String other() {
        return other;
    }

    /** How many inferences were measured. */
    public int inferences() {
        return inferences;
    }

    /** By quantile, ascending, the multiple of the predicted time that this share of inferences takes at most. */
    public SortedMap<Double, Double> stretch() {
        return stretch;
    }
}
