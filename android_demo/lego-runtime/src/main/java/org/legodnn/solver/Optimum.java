package org.legodnn.solver;

/**
 * The optimal plan under given limits, and the least that plans need: each model becomes one class of a knapsack. The
 * optimum without the compute limit is tried first: if it happens to hold the limit, it is the optimum with it.
 */
public final class Optimum {
    private static final long UNLIMITED = 1L << 60;

    private Optimum() {}

    /** What each model runs in the optimal plan (null: suspended); null if no plan holds the limits. */
    public static Composition[] of(Instance instance, Limits limits) {
        long memory = limits.memory == null ? UNLIMITED : limits.memory;
        long[] caps = limits.cores == null ? new long[] {memory} : new long[] {memory, limits.cores};
        if (instance.charged) {
            Candidates[] classes = all(instance, limits, limits.cores != null);
            Candidates[] charged = classes == null ? null : Switching.chargedClasses(instance, limits, classes, caps);
            return charged == null ? null : choose(instance, charged, caps);
        }
        Candidates[] classes = all(instance, limits, false);
        if (classes == null) {
            return null;
        }
        Composition[] found = choose(instance, classes, new long[] {memory});
        if (found == null || limits.cores == null || cores(instance, found) <= limits.cores) {
            return found;
        }
        classes = all(instance, limits, true);
        return classes == null ? null : choose(instance, classes, caps);
    }

    /** Every model's candidates; null if one has none. */
    private static Candidates[] all(Instance instance, Limits limits, boolean inSpace) {
        Candidates[] classes = new Candidates[instance.size()];
        for (int m = 0; m < classes.length; m++) {
            classes[m] = inSpace ? Candidates.inSpace(instance, limits, m)
                    : Candidates.onStaircase(instance, limits, m);
            if (classes[m].size() == 0) {
                return null;
            }
        }
        return classes;
    }

    private static Composition[] choose(Instance instance, Candidates[] classes, long[] caps) {
        int[] chosen = Knapsack.solve(Candidates.values(classes), Candidates.weights(classes, caps.length), caps);
        if (chosen == null) {
            return null;
        }
        Composition[] found = new Composition[chosen.length];
        for (int m = 0; m < found.length; m++) {
            found[m] = classes[m].composition(instance, m, chosen[m]);
        }
        return found;
    }

    /** Billionths of a core that a plan takes. */
    private static long cores(Instance instance, Composition[] chosen) {
        long sum = 0;
        for (int m = 0; m < chosen.length; m++) {
            sum += chosen[m] == null ? 0 : instance.cores(m, chosen[m]);
        }
        return sum;
    }

    /** The least memory of any plan that holds the other limits; null if no plan does. */
    static Long leastMemory(Instance instance, Limits limits) {
        Candidates[] classes = critical(instance, limits);
        if (classes == null) {
            return null;
        }
        if (limits.cores == null) {
            long sum = 0;
            for (Candidates c : classes) {
                sum += Numbers.least(c.memory);
            }
            return sum;
        }
        long[][][] weights = Candidates.weights(classes, 2);
        return Knapsack.least(weights[0], weights[1], limits.cores);
    }

    /** The least compute (billionths of a core) of any plan that holds the other limits; null if no plan does. */
    static Long leastCores(Instance instance, Limits limits) {
        Candidates[] classes = critical(instance, limits);
        if (classes == null) {
            return null;
        }
        long[][][] weights = Candidates.weights(classes, 2);
        return Knapsack.least(weights[1], weights[0], limits.memory == null ? UNLIMITED : limits.memory);
    }

    /** Whether any plan holds the limits. */
    static boolean feasible(Instance instance, Limits limits) {
        Long least = leastMemory(instance, limits);
        return least != null && (limits.memory == null || least <= limits.memory);
    }

    /** The candidates of the models that must run (all others can be suspended); null if one has none. */
    private static Candidates[] critical(Instance instance, Limits limits) {
        int count = 0;
        for (CompiledModel model : instance.models) {
            count += model.table.critical ? 1 : 0;
        }
        Candidates[] classes = new Candidates[count];
        count = 0;
        for (int m = 0; m < instance.size(); m++) {
            if (instance.models[m].table.critical) {
                Candidates found = Candidates.inSpace(instance, limits, m);
                if (found.size() == 0) {
                    return null;
                }
                classes[count++] = found;
            }
        }
        return classes;
    }
}
