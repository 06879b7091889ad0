package org.legodnn.solver;

import java.util.Arrays;

/**
 * One model's class of items under given limits, by ascending memory: value, memory, cores, and where each comes from.
 *
 * <p>Where compute is not limited a model's candidates are its staircase; where it is, all its points within its
 * limits. A best-effort model may also be suspended, and a running model may stay as it is, which is worth the least
 * bit more.
 */
final class Candidates {
    private static final int SUSPENDED = -1;
    private static final int RUNNING = -2;

    final long[] value;
    final long[] memory;
    final long[] cores;
    /** Index of a point of the origin; negative where the model is suspended or stays as it is. */
    final int[] source;
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

    /** What matters of a model where only memory is shared; cores are not filled in. */
    static Candidates onStaircase(Instance instance, Limits limits, int m) {
        CompiledModel model = instance.models[m];
        int[] points = model.steps(limits.latencyNs(m, instance.slowdown[m]), limits.accuracy[m]);
        return of(model, points, new long[points.length]).withPresent(instance, limits, m);
    }

    /** What matters of a model where compute is shared as well. */
    static Candidates inSpace(Instance instance, Limits limits, int m) {
        CompiledModel model = instance.models[m];
        int[] points = model.admissible(limits.latencyNs(m, instance.slowdown[m]), limits.accuracy[m]);
        long[] cores = new long[points.length];
        Frontier f = model.frontier;
        for (int i = 0; i < cores.length; i++) {
            cores[i] = model.cores(f.latency[points[i]], f.threads[points[i]], instance.slowdownFactor[m]);
        }
        return of(model, points, cores).withPresent(instance, limits, m);
    }

    private static Candidates of(CompiledModel model, int[] points, long[] cores) {
        return new Candidates(Numbers.take(model.value, points), Numbers.take(model.frontier.memory, points), cores,
                points, model.frontier);
    }

    /** These, with the choice to suspend the model and to leave it as it is. */
    Candidates withPresent(Instance instance, Limits limits, int m) {
        CompiledModel model = instance.models[m];
        Composition now = instance.running[m];
        Candidates found = this;
        if (!model.table.critical) {
            found = found.with(0, (now == null ? 1 : 0) - model.scale.suspension, 0, 0, SUSPENDED);
        }
        if (now == null || !holds(now, instance, limits, m)) {
            return found;
        }
        int at = 0;
        while (at < found.size() && found.memory[at] <= now.memory) {
            at++;
        }
        return found.with(at, model.valueOf(now.accuracy) + 1, now.memory, instance.cores(m, now), RUNNING);
    }

    /** Whether a composition is within its model's own limits. */
    private static boolean holds(Composition composition, Instance instance, Limits limits, int m) {
        Double least = limits.accuracy[m];
        return composition.latency <= limits.latencyNs(m, instance.slowdown[m])
                && (least == null || composition.accuracy >= least);
    }

    private Candidates with(int at, long value, long memory, long cores, int source) {
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

    /** What an item is; null for a suspended model. */
    Composition composition(Instance instance, int m, int item) {
        int point = source[item];
        if (point < 0) {
            return point == SUSPENDED ? null : instance.running[m];
        }
        return new Composition(origin.choiceOf(point), origin.threads[point], origin.memory[point],
                origin.latency[point], origin.accuracy[point]);
    }

    /** The same, worth something else. */
    Candidates worth(long[] values) {
        return new Candidates(values, memory, cores, source, origin);
    }

    /** The greatest reduced value at prices of memory and compute. */
    double most(double[] prices) {
        double most = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < value.length; i++) {
            most = Math.max(most, value[i] - prices[0] * memory[i] - prices[1] * cores[i]);
        }
        return most;
    }

    /** What is worth having of these and others, by ascending memory. */
    Candidates with(Candidates more, int limits) {
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

    /** The classes' weights: memory, and cores where they are limited. */
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

    /** The classes' values. */
    static long[][] values(Candidates[] classes) {
        long[][] values = new long[classes.length][];
        for (int c = 0; c < classes.length; c++) {
            values[c] = classes[c].value;
        }
        return values;
    }
}
