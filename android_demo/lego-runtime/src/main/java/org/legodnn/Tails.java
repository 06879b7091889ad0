package org.legodnn;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** How much longer than planned a model's inferences take, by thread count and quantile. Immutable. */
public final class Tails {
    /** All inferences take equally long: latencies hold for every share of them. */
    public static final Tails NONE = new Tails(new TreeMap<Integer, SortedMap<Double, Double>>());
    /** Medians alone are known, which is what latencies of profiles are. */
    public static final Tails UNKNOWN = new Tails(null);

    private static final double MOST_STRETCH = 1e9;

    /** By thread count, by quantile; null if nothing is known. */
    private final SortedMap<Integer, SortedMap<Double, Double>> stretches;

    private Tails(SortedMap<Integer, SortedMap<Double, Double>> stretches) {
        this.stretches = stretches;
    }

    /**
     * Tails that were measured.
     *
     * @param stretches by thread count, by quantile, how many times its planned latency that share of inferences takes
     *     at most; a quantile between two has the greater one's. Empty is {@link #NONE}
     */
    public static Tails of(Map<Integer, ? extends Map<Double, Double>> stretches) {
        SortedMap<Integer, SortedMap<Double, Double>> copy = new TreeMap<>();
        for (Map.Entry<Integer, ? extends Map<Double, Double>> tail : stretches.entrySet()) {
            copy.put(tail.getKey(), Collections.unmodifiableSortedMap(new TreeMap<>(tail.getValue())));
        }
        return new Tails(copy);
    }

    /**
     * Those of a profile's model: what was learned in use, else the longer of alone and after another composition.
     *
     * @param tails the profile's
     */
    static Tails of(List<Tail> tails) {
        SortedMap<Integer, SortedMap<Double, Double>> planned = new TreeMap<>();
        for (Tail tail : tails) {
            SortedMap<Double, Double> row = planned(tails, tail.threads);
            if (!row.isEmpty()) {
                planned.put(tail.threads, row);
            }
        }
        return planned.isEmpty() ? UNKNOWN : new Tails(planned);
    }

    private static SortedMap<Double, Double> planned(List<Tail> tails, int threads) {
        SortedMap<Double, Double> used = find(tails, threads, "use");
        SortedMap<Double, Double> alone = find(tails, threads, "alone");
        SortedMap<Double, Double> after = find(tails, threads, "after");
        SortedMap<Double, Double> row = new TreeMap<>();
        for (double quantile : Tail.QUANTILES) {
            Double stretch = at(used == null ? alone : used, quantile);
            Double longer = used == null ? at(after, quantile) : null;
            if (stretch != null) {
                row.put(quantile, longer == null ? stretch : Double.valueOf(Math.max(stretch, longer)));
            }
        }
        return row;
    }

    private static SortedMap<Double, Double> find(List<Tail> tails, int threads, String condition) {
        for (Tail tail : tails) {
            if (tail.threads == threads && tail.other == null && tail.condition.equals(condition)) {
                return tail.stretch;
            }
        }
        return null;
    }

    /** The stretch at the least quantile of a tail that is no less than this one; null if there is none. */
    private static Double at(SortedMap<Double, Double> tail, double quantile) {
        SortedMap<Double, Double> kept = tail == null ? null : tail.tailMap(quantile);
        return kept == null || kept.isEmpty() ? null : kept.get(kept.firstKey());
    }

    private SortedMap<Double, Double> tail(int threads) {
        SortedMap<Double, Double> tail = stretches == null ? null : stretches.get(threads);
        return tail == null ? Collections.unmodifiableSortedMap(new TreeMap<Double, Double>()) : tail;
    }

    /**
     * How many times its planned latency a share of inferences takes at most; null if that is not known. The median is
     * known where no tail is.
     */
    public Double stretch(int threads, double quantile) {
        if (stretches != null && stretches.isEmpty()) {
            return 1.0;
        }
        SortedMap<Double, Double> tail = tail(threads);
        Double found = at(tail, quantile);
        return found == null && tail.isEmpty() && quantile == Tail.LEAST_QUANTILE ? Double.valueOf(1) : found;
    }

    /** The error that a limit of latency is for more inferences of a model than its tail is known for. */
    ProfileException unknown(String model, int threads, double quantile) {
        SortedMap<Double, Double> tail = tail(threads);
        double greatest = tail.isEmpty() ? Tail.LEAST_QUANTILE : tail.lastKey();
        return new ProfileException(model + ": a limit that " + Text.significant(100 * quantile, 6)
                + " % of inferences must keep cannot be promised, since its profile "
                + (greatest == Tail.LEAST_QUANTILE ? "knows medians alone"
                        : "knows quantiles up to " + Text.significant(greatest, 6))
                + " (" + threads + (threads > 1 ? " threads" : " thread") + "); measure again, or plan for less:"
                + " quantile " + Text.significant(greatest, 6));
    }

    /** Throw a WorkloadException if a figure of the model of this name makes no sense. */
    void check(String model) {
        if (stretches == null) {
            return;
        }
        for (SortedMap<Double, Double> tail : stretches.values()) {
            for (Map.Entry<Double, Double> entry : tail.entrySet()) {
                Figures.checkRange(entry.getKey(), model + ": quantile of a tail", Tail.LEAST_QUANTILE, 1);
                Figures.checkAbove(entry.getValue(), model + ": tail at quantile "
                        + Text.significant(entry.getKey(), 6), MOST_STRETCH);
            }
        }
    }
}
