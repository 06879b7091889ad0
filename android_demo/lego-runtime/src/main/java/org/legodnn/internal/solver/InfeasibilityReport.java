package org.legodnn.internal.solver;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import org.legodnn.Limit;

/**
 * Why no plan is within the limits: which limits clash, what least relaxation would do, and which plan comes nearest.
 *
 * <p>Every question is put to the exact feasibility test of {@link Optimum}: are there compositions within these limits
 * for the models that must run? Since wider limits never make a plan impossible, the least relaxation of a latency or
 * accuracy limit is found by bisection over the values that compositions have, and is exact. All best-effort models are
 * taken as suspended, because they are never the reason why nothing fits. The nearest plan breaks no limit that need
 * not be broken.
 */
public final class InfeasibilityReport {
    /** The common relaxation under which the nearest plan exists is found by bisection, to this part of itself ... */
    private static final double NEAREST_PART = 1e-6;
    /** ... and in at most this many steps. */
    private static final int NEAREST_STEPS = 80;
    /** The first common relaxation that is tried. */
    private static final double FIRST_EXCESS = 0x1p-10;
    /** The greatest common relaxation that is tried. */
    private static final double MOST_EXCESS = 0x1p60;
    /** Greater than every sum of weights. */
    private static final long MOST = 1L << 61;
    private static final double NANO = 1e9;

    private final Instance instance;
    private final Limits limits;
    /** All limits that are set, but for those of models that may be suspended. */
    public final List<Entry> entries = new ArrayList<>();
    /** The greatest fraction by which a limit that clashes is relaxed for the nearest plan; null if there is none. */
    public final Double excess;
    /** The best plan under limits of which those that clash are relaxed, as little as will do; null if none does it. */
    public final Optimum nearest;

    /** What the report says of one limit. */
    public static final class Entry {
        /** Which limit. */
        public final Limit.Kind kind;
        /** The model's index, for latency and accuracy; else -1. */
        public final int model;
        /** Its value, as reports show it. */
        public final double value;
        /** Whether it belongs to the limits that cannot hold together. */
        public final boolean clashes;
        /** The least relaxation of it alone that lets a plan exist; null if there is none. */
        public final Double needed;

        Entry(Limit.Kind kind, int model, double value, boolean clashes, Double needed) {
            this.kind = kind;
            this.model = model;
            this.value = value;
            this.clashes = clashes;
            this.needed = needed;
        }
    }

    /** Find out why nothing fits; the nearest plan is improved until the deadline. */
    public InfeasibilityReport(Instance instance, Limits limits, Deadline deadline) {
        this.instance = instance;
        this.limits = limits;
        List<Entry> keys = setLimits();
        List<Entry> clash = clash(limits, keys);
        for (Entry key : keys) {
            boolean clashes = clash.contains(key);
            entries.add(new Entry(key.kind, key.model, key.value, clashes, clashes ? needed(key) : null));
        }
        Nearest found = nearest(clash, keys);
        nearest = found == null ? null : Optimum.of(instance, found.limits, deadline);
        excess = nearest == null ? null : found.excess.doubleValue();
    }

    /** The limits of the nearest plan, and the greatest fraction by which one is relaxed. */
    private static final class Nearest {
        final Limits limits;
        final Fraction excess;

        Nearest(Limits limits, Fraction excess) {
            this.limits = limits;
            this.excess = excess;
        }
    }

    /**
     * Relax limits that clash by the same fraction, the least that will do; where others clash without them, those by a
     * fraction of their own. Null if none would do.
     */
    private Nearest nearest(List<Entry> clashing, List<Entry> keys) {
        List<List<Entry>> groups = new ArrayList<>();
        groups.add(clashing);
        List<Entry> rest = new ArrayList<>(keys);
        rest.removeAll(clashing);
        for (Limits free = without(limits, groups, 0); !Optimum.feasible(instance, free);
                free = without(limits, groups, 0)) {
            List<Entry> group = clash(free, rest);
            groups.add(group);
            rest.removeAll(group);
        }
        double most = 0;
        Limits found = limits;
        for (int i = 0; i < groups.size(); i++) {
            Double excess = leastExcess(without(found, groups, i + 1), groups.get(i));
            if (excess == null) {
                return null;
            }
            most = Math.max(most, excess);
            found = relaxed(found, groups.get(i), Fraction.of(excess));
        }
        return new Nearest(found, Fraction.of(most));
    }

    private static Limits without(Limits limits, List<List<Entry>> groups, int from) {
        Limits left = limits;
        for (List<Entry> group : groups.subList(from, groups.size())) {
            for (Entry key : group) {
                left = with(left, key, null, null);
            }
        }
        return left;
    }

    private List<Entry> setLimits() {
        List<Entry> keys = new ArrayList<>();
        if (limits.memory != null) {
            keys.add(new Entry(Limit.Kind.MEMORY, -1, limits.memory, false, null));
        }
        if (limits.cores != null) {
            keys.add(new Entry(Limit.Kind.CORES, -1, limits.cores / NANO, false, null));
        }
        for (int m = 0; m < instance.size(); m++) {
            if (instance.models[m].table.critical() && limits.latency[m] != null) {
                keys.add(new Entry(Limit.Kind.LATENCY, m, limits.latency[m], false, null));
            }
        }
        for (int m = 0; m < instance.size(); m++) {
            if (instance.models[m].table.critical() && limits.accuracy[m] != null) {
                keys.add(new Entry(Limit.Kind.ACCURACY, m, limits.accuracy[m], false, null));
            }
        }
        return keys;
    }

    /** A minimal set of limits that cannot hold together: each limit in turn is left out if the others still clash. */
    private List<Entry> clash(Limits limits, List<Entry> keys) {
        List<Entry> clashing = new ArrayList<>(keys);
        Limits held = limits;
        for (Entry key : keys) {
            Limits without = with(held, key, null, null);
            if (!Optimum.feasible(instance, without)) {
                held = without;
                clashing.remove(key);
            }
        }
        return clashing;
    }

    /** The limits with one of them changed; null drops it. A limit of memory or cores is always dropped. */
    private static Limits with(Limits limits, Entry key, Double latency, Double accuracy) {
        Double[] latencies = limits.latency.clone();
        Double[] accuracies = limits.accuracy.clone();
        if (key.kind == Limit.Kind.LATENCY) {
            latencies[key.model] = latency;
        } else if (key.kind == Limit.Kind.ACCURACY) {
            accuracies[key.model] = accuracy;
        }
        return new Limits(key.kind == Limit.Kind.MEMORY ? null : limits.memory,
                key.kind == Limit.Kind.CORES ? null : limits.cores, latencies, limits.quantile, accuracies);
    }

    /** The value of one limit at which a plan exists, relaxed as little as possible; null if no value would do. */
    private Double needed(Entry key) {
        Limits freed = with(limits, key, null, null);
        if (!Optimum.feasible(instance, freed)) {
            return null;
        }
        switch (key.kind) {
            case MEMORY:
                return (double) Optimum.leastMemory(instance, freed);
            case CORES:
                return Optimum.leastCores(instance, freed) / NANO;
            case LATENCY:
                return neededLatency(key);
            default:
                return neededAccuracy(key);
        }
    }

    private Double neededLatency(Entry key) {
        double least = Double.POSITIVE_INFINITY;
        for (int threads : instance.models[key.model].threadCounts) {
            least = Math.min(least, neededLatency(key, threads));
        }
        return least == Double.POSITIVE_INFINITY ? null : Double.valueOf(least);
    }

    /**
     * The least limit, of those that compositions with one thread count just hold, at which a plan exists;
     * infinite if there is none.
     */
    private double neededLatency(Entry key, int threads) {
        if (instance.factor(key.model, threads) == null) {
            return Double.POSITIVE_INFINITY;
        }
        Frontier frontier = instance.models[key.model].frontier;
        long[] latencies = new long[frontier.size()];
        int count = 0;
        for (int i = 0; i < latencies.length; i++) {
            if (frontier.threads[i] == threads) {
                latencies[count++] = frontier.latency[i];
            }
        }
        latencies = Arrays.copyOf(latencies, count);
        Arrays.sort(latencies);
        int low = 0;
        int high = count - 1;
        if (!wouldDo(key, threads, latencies[high])) {
            return Double.POSITIVE_INFINITY;
        }
        while (low < high) {
            int middle = low + high >>> 1;
            if (wouldDo(key, threads, latencies[middle])) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return scaled(key, threads, latencies[low]);
    }

    private boolean wouldDo(Entry key, int threads, long latency) {
        return Optimum.feasible(instance, with(limits, key, scaled(key, threads, latency), null));
    }

    private double scaled(Entry key, int threads, long latency) {
        return Limits.milliseconds(latency, instance.factor(key.model, threads));
    }

    private double neededAccuracy(Entry key) {
        double[] levels = instance.models[key.model].frontier.accuracy.clone();
        Arrays.sort(levels);
        int low = 0;
        int high = levels.length - 1;
        while (low < high) { // the least does
            int middle = low + high + 1 >>> 1;
            if (Optimum.feasible(instance, with(limits, key, null, levels[middle]))) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        return levels[low];
    }

    /** The least fraction by which some limits must be relaxed together for a plan to exist; null if none would do. */
    private Double leastExcess(Limits limits, List<Entry> keys) {
        // All of these are short binary fractions, so doubles hold them exactly until the bisection is over.
        double high = FIRST_EXCESS;
        while (!Optimum.feasible(instance, relaxed(limits, keys, Fraction.of(high)))) {
            high *= 2;
            if (high > MOST_EXCESS) {
                return null;
            }
        }
        double low = high > FIRST_EXCESS ? high / 2 : 0;
        for (int i = 0; i < NEAREST_STEPS && high - low > high * NEAREST_PART; i++) {
            double middle = (low + high) / 2;
            if (Optimum.feasible(instance, relaxed(limits, keys, Fraction.of(middle)))) {
                high = middle;
            } else {
                low = middle;
            }
        }
        return high;
    }

    /** The limits, of which some are relaxed: upper ones x (1 + excess), least accuracies less excess x their size. */
    private static Limits relaxed(Limits limits, List<Entry> keys, Fraction excess) {
        Fraction factor = Fraction.ONE.plus(excess);
        Long memory = limits.memory;
        Long cores = limits.cores;
        Double[] latency = limits.latency.clone();
        Double[] accuracy = limits.accuracy.clone();
        for (Entry key : keys) {
            switch (key.kind) {
                case MEMORY:
                    memory = Fraction.of(memory).times(factor).floor(MOST);
                    break;
                case CORES:
                    cores = Fraction.of(cores).times(factor).floor(MOST);
                    break;
                case LATENCY:
                    latency[key.model] *= factor.doubleValue();
                    break;
                default:
                    double least = accuracy[key.model];
                    accuracy[key.model] = least - excess.doubleValue() * Math.max(Math.abs(least), 1e-9);
            }
        }
        return new Limits(memory, cores, latency, limits.quantile, accuracy);
    }
}
