package org.legodnn.internal.solver;

/**
 * The optimal plan under given limits, and the least that plans need: each model becomes one class of a knapsack. The
 * optimum without the compute limit is tried first: if it happens to hold the limit, it is the optimum with it.
 */
public final class Optimum {
    /** The cap that stands for no limit. */
    private static final long UNLIMITED = 1L << 60;

    /** By model, the composition to run; null to suspend it. */
    public final CompositionSums[] chosen;
    /** The plan's value. */
    public final long value;
    /** No plan within the limits has a greater value; equal to the value if the plan is proven to be optimal. */
    public final double bound;

    private Optimum(Instance instance, Candidates[] classes, Knapsack.Answer answer) {
        chosen = new CompositionSums[classes.length];
        for (int m = 0; m < chosen.length; m++) {
            chosen[m] = classes[m].composition(instance, m, answer.chosen[m]);
        }
        value = answer.value;
        bound = answer.bound;
    }

    /** The optimal plan, or the best that is found in time; null if no plan is within the limits. */
    public static Optimum of(Instance instance, Limits limits, Deadline deadline) {
        long memory = cap(limits.memory);
        long[] caps = limits.cores == null ? new long[] {memory} : new long[] {memory, cap(limits.cores)};
        if (instance.charged) {
            Candidates[] classes = all(instance, limits, limits.cores != null);
            ChargedOptimum charged =
                    classes == null ? null : ChargedOptimum.of(instance, limits, classes, caps, deadline);
            return charged == null ? null : new Optimum(instance, charged.classes, charged.best);
        }
        Candidates[] classes = all(instance, limits, false);
        if (classes == null) {
            return null;
        }
        Optimum found = choose(instance, classes, new long[] {memory}, deadline);
        if (found == null || limits.cores == null || cores(instance, found.chosen) <= limits.cores) {
            return found;
        }
        classes = all(instance, limits, true);
        return classes == null ? null : choose(instance, classes, caps, deadline);
    }

    private static long cap(Long limit) {
        return limit == null ? UNLIMITED : Math.min(limit, UNLIMITED);
    }

    /** The candidates of every model; null if some model has none. */
    private static Candidates[] all(Instance instance, Limits limits, boolean onFrontier) {
        Candidates[] classes = new Candidates[instance.size()];
        for (int m = 0; m < classes.length; m++) {
            classes[m] = onFrontier ? Candidates.onFrontier(instance, limits, m)
                    : Candidates.onStaircase(instance, limits, m);
            if (classes[m].size() == 0) {
                return null;
            }
        }
        return classes;
    }

    private static Optimum choose(Instance instance, Candidates[] classes, long[] caps, Deadline deadline) {
        long[][][] weights = Candidates.weights(classes, caps.length);
        Knapsack.Answer answer = Knapsack.solve(Candidates.values(classes), weights, caps, deadline);
        return answer == null ? null : new Optimum(instance, classes, answer);
    }

    /** The compute that a plan takes, in billionths of a core. */
    private static long cores(Instance instance, CompositionSums[] chosen) {
        long sum = 0;
        for (int m = 0; m < chosen.length; m++) {
            sum += chosen[m] == null ? 0 : instance.cores(m, chosen[m]);
        }
        return sum;
    }

    /** The least memory, in bytes, of any plan within the other limits; null if there is no such plan. */
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
        return Knapsack.least(weights[0], weights[1], cap(limits.cores));
    }

    /** The least compute, in billionths of a core, of any plan within the other limits; null if there is none. */
    static Long leastCores(Instance instance, Limits limits) {
        Candidates[] classes = critical(instance, limits);
        if (classes == null) {
            return null;
        }
        long[][][] weights = Candidates.weights(classes, 2);
        return Knapsack.least(weights[1], weights[0], cap(limits.memory));
    }

    /** Whether any plan is within the limits. Models that may be suspended do not count. */
    static boolean feasible(Instance instance, Limits limits) {
        Candidates[] classes = critical(instance, limits);
        if (classes == null) {
            return false;
        }
        long least = 0;
        for (Candidates c : classes) {
            least += Numbers.least(c.memory);
        }
        if (least > cap(limits.memory) || limits.cores == null) {
            return least <= cap(limits.memory);
        }
        long[][][] weights = Candidates.weights(classes, 2);
        return Knapsack.within(weights[1], weights[0], cap(limits.cores), cap(limits.memory)) != null;
    }

    /** The candidates of the models that may not be suspended; null if one of them has none. */
    private static Candidates[] critical(Instance instance, Limits limits) {
        int count = 0;
        for (CompiledModel model : instance.models) {
            count += model.table.critical() ? 1 : 0;
        }
        Candidates[] classes = new Candidates[count];
        count = 0;
        for (int m = 0; m < instance.size(); m++) {
            if (instance.models[m].table.critical()) {
                Candidates found = Candidates.onFrontier(instance, limits, m);
                if (found.size() == 0) {
                    return null;
                }
                classes[count++] = found;
            }
        }
        return classes;
    }
}
