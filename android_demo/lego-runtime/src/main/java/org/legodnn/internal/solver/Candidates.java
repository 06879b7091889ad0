package org.legodnn.internal.solver;

import java.util.Arrays;

/**
 * The candidates of one model under given limits, by ascending memory: a class of items of the knapsack.
 *
 * <p>Where compute is not limited, the candidates of a model are its staircase; where it is, all points of its frontier
 * that are within the model's limits. A best-effort model may also be suspended. A running model may stay as it is, and
 * the value of that is one greater, which breaks ties.
 */
final class Candidates {
    private static final int SUSPENDED = -1;
    private static final int RUNNING = -2;

    /** What each candidate is worth. */
    final long[] value;
    /** Bytes. */
    final long[] memory;
    /** Billionths of a core; 0 where compute is not limited. */
    final long[] cores;
    /** Indices of points of the origin; negative if the model is suspended or stays as it runs. */
    final int[] source;
    /** The compositions that candidates are taken from. */
    final Frontier origin;

    Candidates(long[] value, long[] memory, long[] cores, int[] source, Frontier origin) {
        this.value = value;
        this.memory = memory;
        this.cores = cores;
        this.source = source;
        this.origin = origin;
    }

    int size() {
        return value.length;
    }

    /** The candidates of model `m` where only memory is shared by the models; their cores are 0. */
    static Candidates onStaircase(Instance instance, Limits limits, int m) {
        CompiledModel model = instance.models[m];
        int[] points = model.staircasesUnder(limits.latencyLimits(instance, m), limits.leastAccuracy(instance, m));
        return of(model, points, new long[points.length]).withPresent(instance, limits, m);
    }

    /** The candidates of model `m` where compute is shared as well. */
    static Candidates onFrontier(Instance instance, Limits limits, int m) {
        CompiledModel model = instance.models[m];
        int[] points = pointsWithin(model, limits.latencyLimits(instance, m), limits.leastAccuracy(instance, m));
        long[] cores = new long[points.length];
        Frontier f = model.frontier;
        for (int i = 0; i < cores.length; i++) {
            cores[i] = model.cores(f.latency[points[i]], f.threads[points[i]], instance.slowdownFactor[m]);
        }
        return of(model, points, cores).withPresent(instance, limits, m);
    }

    /**
     * All points of the frontier within the latency limit of their thread count and a least accuracy (null for none),
     * ascending in memory.
     */
    private static int[] pointsWithin(CompiledModel model, long[] limitsNs, Double leastAccuracy) {
        Frontier f = model.frontier;
        int[] kept = new int[f.size()];
        int count = 0;
        for (int i = 0; i < kept.length; i++) {
            if (f.latency[i] <= limitsNs[model.indexOf(f.threads[i])]
                    && (leastAccuracy == null || f.accuracy[i] >= leastAccuracy)) {
                kept[count++] = i;
            }
        }
        return Arrays.copyOf(kept, count);
    }

    private static Candidates of(CompiledModel model, int[] points, long[] cores) {
        return new Candidates(Numbers.take(model.value, points), Numbers.take(model.frontier.memory, points), cores,
                points, model.frontier);
    }

    /** These together with two more: suspended, if the model may be, and as it runs, if that fits. */
    Candidates withPresent(Instance instance, Limits limits, int m) {
        CompiledModel model = instance.models[m];
        CompositionSums now = instance.running[m];
        Candidates found = this;
        if (!model.table.critical()) {
            found = found.inserted(0, (now == null ? 1 : 0) - model.scale.suspension, 0, 0, SUSPENDED);
        }
        if (now == null || !limits.admit(now, instance, m)) {
            return found;
        }
        int at = 0;
        while (at < found.size() && found.memory[at] <= now.memory) {
            at++;
        }
        return found.inserted(at, model.valueOf(now.accuracy) + 1, now.memory, instance.cores(m, now), RUNNING);
    }

    private Candidates inserted(int at, long value, long memory, long cores, int source) {
        int[] longer = new int[size() + 1];
        System.arraycopy(this.source, 0, longer, 0, at);
        longer[at] = source;
        System.arraycopy(this.source, at, longer, at + 1, size() - at);
        return new Candidates(inserted(this.value, at, value), inserted(this.memory, at, memory),
                inserted(this.cores, at, cores), longer, origin);
    }

    private static long[] inserted(long[] values, int at, long value) {
        long[] longer = new long[values.length + 1];
        System.arraycopy(values, 0, longer, 0, at);
        longer[at] = value;
        System.arraycopy(values, at, longer, at + 1, values.length - at);
        return longer;
    }

    /** The composition of a candidate; null for a suspended model. */
    CompositionSums composition(Instance instance, int m, int item) {
        int point = source[item];
        if (point < 0) {
            return point == SUSPENDED ? null : instance.running[m];
        }
        return new CompositionSums(origin.choiceOf(point), origin.threads[point], origin.memory[point],
                origin.latency[point], origin.accuracy[point]);
    }

    /** The same candidates with other values. */
    Candidates withValues(long[] values) {
        return new Candidates(values, memory, cores, source, origin);
    }

    /** The greatest reduced value at prices of memory and compute. */
    double highest(CompositionBound.Prices prices) {
        double most = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < value.length; i++) {
            most = Math.max(most, value[i] - prices.memory * memory[i] - prices.cores * cores[i]);
        }
        return most;
    }

    /** The candidates of both that are not dominated, by ascending memory. */
    Candidates merged(Candidates more, int limits) {
        int n = size();
        int total = n + more.size();
        long[][] joined = new long[3][total];
        int[] sources = Arrays.copyOf(source, total);
        for (int i = 0; i < total; i++) {
            Candidates from = i < n ? this : more;
            int at = i < n ? i : i - n;
            joined[0][i] = from.value[at];
            joined[1][i] = from.memory[at];
            joined[2][i] = from.cores[at];
            sources[i] = from.source[at] + (i < n ? 0 : origin.size());
        }
        long[][] weights = limits > 1 ? new long[][] {joined[1], joined[2]} : new long[][] {joined[1]};
        int[] kept = Dominance.undominated(joined[0], weights);
        return new Candidates(Numbers.take(joined[0], kept), Numbers.take(joined[1], kept),
                Numbers.take(joined[2], kept), Numbers.take(sources, kept), origin.beside(more.origin));
    }

    /** The weights of all models' candidates: memory, and cores if there are two limits. */
    static long[][][] weights(Candidates[] classes, int limits) {
        long[][][] weights = new long[limits][classes.length][];
        for (int c = 0; c < classes.length; c++) {
            weights[0][c] = classes[c].memory;
            if (limits > 1) {
                weights[1][c] = classes[c].cores;
            }
        }
        return weights;
    }

    /** The values of all models' candidates. */
    static long[][] values(Candidates[] classes) {
        long[][] values = new long[classes.length][];
        for (int c = 0; c < classes.length; c++) {
            values[c] = classes[c].value;
        }
        return values;
    }
}
