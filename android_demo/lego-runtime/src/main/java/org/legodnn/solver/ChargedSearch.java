package org.legodnn.solver;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/**
 * The search for the compositions of one model that are worth most, charge included, at given prices of memory and
 * compute.
 *
 * <p>Compositions are put together block by block. A partial one is dropped when even its best completion is below the
 * floor: with a line a - s L that is nowhere below the link, and a price q of latency,
 *
 * <pre>
 * r(x) &lt;= a - s L(x) - charge(x) - p . w(x) + q (limit - T(x))
 * </pre>
 *
 * is a sum over blocks and neighbours, whose best completion is found from the last block backwards: one number for
 * each option that the next block may come after. Every edge of the link's concave envelope gives such a line, and each
 * a good q of its own.
 */
final class ChargedSearch {
    /** Lines above the link that are used as bounds: those that bound best. */
    private static final int MOST_LINES = 4;

    private final Instance instance;
    private final Limits limits;
    private final int m;
    /** Of memory and compute. */
    private final double[] prices;
    /** What reduced values may be off by. */
    private final double rounding;
    private final CompiledModel model;
    private final Composition now;

    ChargedSearch(Instance instance, Limits limits, int m, double[] prices, double rounding) {
        this.instance = instance;
        this.limits = limits;
        this.m = m;
        this.prices = prices;
        this.rounding = rounding;
        this.model = instance.models[m];
        this.now = instance.running[m];
    }

    /** Compositions, as a frontier's arrays, with their charged and their reduced values. */
    final class Found {
        private final Frontier points;
        private final long[] value;
        private final long[] cores;
        private final double[] reduced;

        Found(Frontier points, long[] value, long[] cores, double[] reduced) {
            this.points = points;
            this.value = value;
            this.cores = cores;
            this.reduced = reduced;
        }

        /** The greatest reduced value; minus infinity if there is none. */
        double most() {
            return greatest(reduced);
        }

        /** By ascending memory, then descending value, with the choices to suspend the model and to leave it. */
        Candidates candidates() {
            int[] order = Numbers.order(points.memory, Numbers.negated(value));
            return new Candidates(Numbers.take(value, order), Numbers.take(points.memory, order),
                    Numbers.take(cores, order), order, points).withPresent(instance, limits, m);
        }
    }

    /** All compositions within the model's own limits whose reduced value is at least `floor`. */
    Found above(double floor) {
        int blocks = model.loads.length;
        int counts = model.threadCounts.length;
        char[][] parts = new char[counts][];
        int[] sizes = new int[counts];
        int total = 0;
        for (int n = 0; n < counts; n++) {
            Partial found = choices(n, floor - model.scale.step - rounding);
            parts[n] = found.choice;
            sizes[n] = found.size;
            total += found.size;
        }
        Frontier all = new Frontier(new long[total], new long[total], new double[total], new int[total], blocks,
                new char[total * blocks]);
        long[] value = new long[total];
        long[] cores = new long[total];
        double[] reduced = new double[total];
        int[] kept = new int[total];
        int count = 0;
        int at = 0;
        Double least = limits.accuracy[m];
        for (int n = 0; n < counts; n++) {
            System.arraycopy(parts[n], 0, all.choice, at * blocks, sizes[n] * blocks);
            for (int end = at + sizes[n]; at < end; at++) {
                Composition sums = model.compose(all.choiceOf(at), n);
                all.memory[at] = sums.memory;
                all.latency[at] = sums.latency;
                all.accuracy[at] = sums.accuracy;
                all.threads[at] = sums.threads;
                value[at] = model.valueOf(sums.accuracy) - model.chargeOf(now, all.choice, at, sums.threads);
                cores[at] = instance.cores(m, sums);
                reduced[at] = value[at] - prices[0] * sums.memory - prices[1] * cores[at];
                if (reduced[at] >= floor && (least == null || sums.accuracy >= least)) {
                    kept[count++] = at;
                }
            }
        }
        kept = Arrays.copyOf(kept, count);
        return new Found(all.take(kept), Numbers.take(value, kept), Numbers.take(cores, kept),
                Numbers.take(reduced, kept));
    }

    /** Choices of options for the first blocks, those of one after the other. */
    private static final class Partial {
        final int size;
        final char[] choice;

        Partial(int size, char[] choice) {
            this.size = size;
            this.choice = choice;
        }
    }

    /** The compositions at one thread count that no bound puts below the floor. */
    private Partial choices(int n, double floor) {
        Rows[] rows = model.rows[n];
        int threads = model.threadCounts[n];
        long limit = limits.latencyNs(m, instance.slowdown[m]);
        long latency = model.fixedLatency[n];
        long rest = 0;
        for (Rows row : rows) {
            rest += Numbers.least(row.latency);
        }
        if (latency + rest > limit) {
            return new Partial(0, new char[0]);
        }
        boolean reload = now == null || now.threads != threads;
        double perNs = prices[1] * model.rate(instance.slowdownFactor[m]) * threads;
        double constant = -prices[0] * model.fixedMemory[n] - perNs * latency - (reload ? model.fixedLoad : 0);
        double[][] costs = new double[rows.length][];
        double most = Math.abs(constant);
        for (int b = 0; b < rows.length; b++) {
            costs[b] = new double[rows[b].size()];
            for (int o = 0; o < costs[b].length; o++) {
                double charge = reload || o != now.option(b) ? model.loads[b][o] : 0;
                costs[b][o] = charge + prices[0] * rows[b].memory[o] + perNs * rows[b].latency[o];
            }
            most += greatest(costs[b]);
        }
        List<Bound> bounds = bounds(rows, costs, limit - latency);

        int lines = bounds.size();
        int size = 1;
        double[][] best = new double[lines][1];
        for (int line = 0; line < lines; line++) {
            best[line][0] = bounds.get(line).top + constant + Items.ROUNDING_OF_PRICED * most;
        }
        long[] spent = {latency};
        int[] last = {0};
        char[] choice = {};
        for (int b = 0; b < rows.length; b++) {
            int options = rows[b].size();
            rest -= Numbers.least(rows[b].latency);
            int[] kept = new int[size * options];
            int count = 0;
            for (int i = 0; i < kept.length; i++) {
                boolean keep = spent[i / options] + rows[b].latency[i % options] <= limit - rest;
                for (int line = 0; line < lines && keep; line++) {
                    double drop = bounds.get(line).drops[b][rows[b].rowAfter(last[i / options])][i % options];
                    keep = best[line][i / options] - drop >= floor;
                }
                if (keep) {
                    kept[count++] = i;
                }
            }
            double[][] nextBest = new double[lines][count];
            long[] nextSpent = new long[count];
            int[] nextLast = new int[count];
            char[] longer = new char[count * (b + 1)];
            for (int i = 0; i < count; i++) {
                int before = kept[i] / options;
                int option = kept[i] % options;
                for (int line = 0; line < lines; line++) {
                    double drop = bounds.get(line).drops[b][rows[b].rowAfter(last[before])][option];
                    nextBest[line][i] = best[line][before] - drop;
                }
                nextSpent[i] = spent[before] + rows[b].latency[option];
                nextLast[i] = option;
                System.arraycopy(choice, before * b, longer, i * (b + 1), b);
                longer[i * (b + 1) + b] = (char) option;
            }
            best = nextBest;
            spent = nextSpent;
            last = nextLast;
            choice = longer;
            size = count;
        }
        return new Partial(size, choice);
    }

    /**
     * An upper bound of reduced values: `top` for any composition, less the `drops` of the options it has. These are by
     * block, row of its losses and option; none is negative, and one in each row is 0.
     */
    private static final class Bound {
        final double top;
        final double[][][] drops;

        Bound(double top, double[][][] drops) {
            this.top = top;
            this.drops = drops;
        }
    }

    private List<Bound> bounds(Rows[] rows, double[][] costs, long room) {
        List<Bound> bounds = new ArrayList<>();
        for (double[] line : linesAbove(rows)) {
            bounds.add(bound(line[0], line[1], rows, costs, room));
        }
        Collections.sort(bounds, new Comparator<Bound>() {
            @Override
            public int compare(Bound a, Bound b) {
                return Double.compare(a.top, b.top);
            }
        });
        return bounds.size() > MOST_LINES ? bounds.subList(0, MOST_LINES) : bounds;
    }

    /**
     * The bound of one line a - s L, with a price of the latency that there is room for: the best one where nothing
     * interacts, and any that is not negative gives a bound.
     */
    private static Bound bound(double a, double s, Rows[] rows, double[][] costs, long room) {
        double[][] scores = new double[rows.length][];
        long[][][] latencies = new long[1][rows.length][];
        int[] fastest = new int[rows.length];
        for (int b = 0; b < rows.length; b++) {
            scores[b] = new double[rows[b].size()];
            long[] least = rows[b].leastLoss();
            for (int o = 0; o < scores[b].length; o++) {
                scores[b][o] = -s * least[o] - costs[b][o];
            }
            latencies[0][b] = rows[b].latency;
            fastest[b] = Numbers.firstLeast(rows[b].latency);
        }
        Items items = new Items(scores, latencies, new long[] {room});
        double[] prices = rows.length == 0 ? new double[1] : Pricing.one(items, fastest).prices;
        double[][][] drops = new double[rows.length][][];
        double[] ahead = {0}; // what the best completion adds, after each option or after any
        for (int b = rows.length - 1; b >= 0; b--) {
            Rows row = rows[b];
            double[] most = new double[row.loss.length];
            drops[b] = new double[most.length][row.size()];
            for (int before = 0; before < most.length; before++) {
                double[] reduced = drops[b][before];
                for (int o = 0; o < reduced.length; o++) {
                    reduced[o] = -s * row.loss[before][o] - costs[b][o] - prices[0] * row.latency[o]
                            + ahead[o % ahead.length];
                }
                most[before] = greatest(reduced);
                for (int o = 0; o < reduced.length; o++) {
                    reduced[o] = most[before] - reduced[o];
                }
            }
            ahead = most;
        }
        double top = a + prices[0] * room + ahead[0] + (rows.length == 0 ? 0 : items.rounding(prices));
        return new Bound(top, drops);
    }

    private static double greatest(double[] values) {
        double greatest = Double.NEGATIVE_INFINITY;
        for (double value : values) {
            greatest = Math.max(greatest, value);
        }
        return greatest;
    }

    /** Lines (a, s), value <= a - s x loss: the edges of the link's concave envelope over the losses there can be. */
    private List<double[]> linesAbove(Rows[] rows) {
        long low = 0;
        long high = 0;
        for (Rows row : rows) {
            low += Numbers.least(row.leastLoss());
            high += Numbers.greatest(row.greatestLoss());
        }
        double[] knots = model.table.link.x();
        double[] x = new double[knots.length + 2];
        int count = 0;
        x[count++] = low;
        for (double knot : knots) {
            double scaled = (knot - model.constantLoss) * model.lossScale;
            if (scaled > low && scaled < high) {
                x[count++] = scaled;
            }
        }
        x[count++] = high;
        double[] y = new double[count];
        for (int i = 0; i < count; i++) {
            y[i] = model.table.weight * model.accuracy(x[i]) * (model.scale.unit * model.scale.step);
        }
        int[] hull = new int[count];
        int size = 0;
        for (int i = 0; i < count; i++) {
            while (size > 1 && isBelow(x, y, hull[size - 2], hull[size - 1], i)) {
                size--;
            }
            hull[size++] = i;
        }
        List<double[]> lines = new ArrayList<>();
        for (int k = 1; k < size; k++) {
            int i = hull[k - 1];
            int j = hull[k];
            if (x[j] > x[i]) {
                double s = (y[i] - y[j]) / (x[j] - x[i]);
                lines.add(new double[] {y[i] + s * x[i], s});
            }
        }
        if (lines.isEmpty()) {
            lines.add(new double[] {Math.max(y[0], y[count - 1]), 0});
        }
        return lines;
    }

    /** Whether point j lies on or below the segment from i to k. */
    private static boolean isBelow(double[] x, double[] y, int i, int j, int k) {
        return (y[j] - y[i]) * (x[k] - x[i]) <= (y[k] - y[i]) * (x[j] - x[i]);
    }
}
