package org.legodnn;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;

/** How much longer than planned a model's inferences take, by thread count and quantile. Immutable. */
public final class Tails {
    /** All inferences take equally long: latencies hold for every share of them. */
    public static final Tails NONE = new Tails(new TreeMap<Integer, SortedMap<Double, Double>>());
    /** Medians alone are known, which is what latencies of profiles are. */
    public static final Tails UNKNOWN = new Tails(null);

    private static final double MOST_STRETCH = 1e9;

    /** By thread count, by quantile; null if nothing is known. */
    final @Nullable SortedMap<Integer, SortedMap<Double, Double>> stretches;

    private Tails(@Nullable SortedMap<Integer, SortedMap<Double, Double>> stretches) {
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

    /** Another model of the workload. */
    static final class Companion {
        /** One of which nothing was measured: inferences after its take as long as after another composition. */
        static final Companion ANY = new Companion("", 0, 1);

        private final String storeId;
        private final double meets;
        private final double slowdown;

        /**
         * @param storeId its store
         * @param meets the share of this model's inferences during which the other one runs as well, 0 to 1
         * @param slowdown how many times longer this model takes beside it, by the medians
         */
        Companion(String storeId, double meets, double slowdown) {
            this.storeId = storeId;
            this.meets = meets;
            this.slowdown = slowdown;
        }
    }

    /**
     * Those of a profile's model in a workload: what was learned in use, else what the profiler measured. A model alone
     * has the tail that it has alone, or after pauses if it runs at a rate. One of several has that of inferences that
     * come after another model's; beside those that run in more than 1 - q of its inferences it is longer at quantile
     * q. What pauses and several others add is summed.
     *
     * @param tails the profile's
     * @param slowdown the slow-down that the model is planned with, which tails do not count again
     * @param companions the other models of the workload
     * @param periodic whether the model runs at a rate
     */
    static Tails of(List<Tail> tails, double slowdown, List<Companion> companions, boolean periodic) {
        SortedMap<Integer, SortedMap<Double, Double>> planned = new TreeMap<>();
        for (Tail tail : tails) {
            SortedMap<Double, Double> row = new TreeMap<>();
            for (double quantile : Tail.QUANTILES) {
                double stretch = measured(tails, tail.threads, quantile, companions, periodic);
                if (stretch < Double.POSITIVE_INFINITY) {
                    row.put(quantile, stretch / slowdown);
                }
            }
            if (!row.isEmpty()) {
                planned.put(tail.threads, row);
            }
        }
        return planned.isEmpty() ? UNKNOWN : new Tails(planned);
    }

    /**
     * How many times longer than predicted inferences take at one thread count; infinity if that is not known. What was
     * learned in use counts as far as it goes. Beyond, it is known what the profiler measured, but no less.
     */
    private static double measured(
            List<Tail> tails, int threads, double quantile, List<Companion> companions, boolean periodic) {
        SortedMap<Double, Double> used = find(tails, threads, "use", null);
        if (used == null) {
            return profiled(tails, threads, quantile, companions, periodic);
        }
        double learned = at(used, quantile);
        return learned < Double.POSITIVE_INFINITY ? learned
                : Math.max(used.get(used.lastKey()), profiled(tails, threads, quantile, companions, periodic));
    }

    /**
     * How many times longer than predicted inferences take, as profiled; infinity if that is not known. A condition
     * that was not measured counts as if nothing took longer than alone, or beside another model than medians say. The
     * stretch of one of which too few inferences were measured is not known, and so the whole is not.
     */
    private static double profiled(
            List<Tail> tails, int threads, double quantile, List<Companion> companions, boolean periodic) {
        SortedMap<Double, Double> measuredAlone = find(tails, threads, "alone", null);
        double alone = measuredAlone == null ? Double.POSITIVE_INFINITY : at(measuredAlone, quantile);
        if (alone == Double.POSITIVE_INFINITY) {
            return alone;
        }
        SortedMap<Double, Double> paused = periodic ? find(tails, threads, "periodic", null) : null;
        double inTurn = paused == null ? alone : Math.max(alone, at(paused, quantile));
        double slowerBeside = 0;
        for (Companion other : companions) {
            SortedMap<Double, Double> own = find(tails, threads, "after", other.storeId);
            SortedMap<Double, Double> after = own == null ? find(tails, threads, "after", null) : own;
            inTurn += after == null ? 0 : Math.max(0, at(after, quantile) - alone);
            if (other.meets > 1 - quantile) {
                SortedMap<Double, Double> beside = find(tails, threads, "beside", other.storeId);
                slowerBeside += Math.max(0, (beside == null ? other.slowdown : at(beside, quantile) / alone) - 1);
            }
        }
        return inTurn * (1 + slowerBeside);
    }

    private static @Nullable SortedMap<Double, Double> find(
            List<Tail> tails, int threads, String condition, @Nullable String other) {
        for (Tail tail : tails) {
            if (tail.threads == threads && Objects.equals(tail.other, other) && tail.condition.equals(condition)) {
                return tail.stretch;
            }
        }
        return null;
    }

    /** The stretch at the least quantile of a tail that is no less than this one; infinity if there is none. */
    private static double at(SortedMap<Double, Double> tail, double quantile) {
        SortedMap<Double, Double> kept = tail.tailMap(quantile);
        return kept.isEmpty() ? Double.POSITIVE_INFINITY : kept.get(kept.firstKey());
    }

    private SortedMap<Double, Double> tail(int threads) {
        SortedMap<Double, Double> tail = stretches == null ? null : stretches.get(threads);
        return tail == null ? Collections.unmodifiableSortedMap(new TreeMap<Double, Double>()) : tail;
    }

    /**
     * How many times its planned latency a share of inferences takes at most; null if that is not known. The median is
     * known where no tail is.
     */
    public @Nullable Double stretch(int threads, double quantile) {
        if (stretches != null && stretches.isEmpty()) {
            return 1.0;
        }
        SortedMap<Double, Double> tail = tail(threads);
        double found = tail.isEmpty() && quantile == Tail.LEAST_QUANTILE ? 1 : at(tail, quantile);
        return found < Double.POSITIVE_INFINITY ? Double.valueOf(found) : null;
    }

    /** The error that a limit of latency is for more inferences of a model than its tail is known for. */
    ProfileException unknown(String model, int threads, double quantile) {
        SortedMap<Double, Double> tail = tail(threads);
        double greatest = tail.isEmpty() ? Tail.LEAST_QUANTILE : tail.lastKey();
        return new ProfileException(model + ": a limit that " + Text.significant(100 * quantile, 6)
                + " % of inferences must keep cannot be promised, since its profile "
                + (greatest == Tail.LEAST_QUANTILE ? "knows medians alone"
                        : "knows quantiles up to " + Text.significant(greatest, 6))
                + " (" + threads + (threads > 1 ? " threads" : " thread") + "); "
                + (greatest < Tail.quantiles()[Tail.quantiles().length - 1] ? "measure again, or " : "")
                + "plan for less: quantile " + Text.significant(greatest, 6));
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
