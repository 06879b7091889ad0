package org.legodnn.internal.solver;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/**
 * An upper bound of what a model's compositions are worth, charge included, as a sum over blocks.
 *
 * <p>Let the line a - s L be nowhere below the model's link, and q >= 0 a price of latency. Then a composition x is
 * worth at most a - s L(x) - cost(x) + q (limit - T(x)), where the cost holds the charge and the priced memory and
 * compute. That is a sum over blocks and their interactions with the block before. The best completion of what is
 * chosen of the first blocks is therefore found from the last block backwards, as one number for each option that the
 * next block may come after.
 */
final class CompositionBound {
    /** Of the lines above the link, at most this many are used at the same prices: those that give the least bounds. */
    private static final int MOST_LINES = 2;
    /**
     * The shares of latency's best price for which bounds are made: to a partial composition, latency may be worth less
     * than to a whole one.
     */
    private static final double[] SHARES = {1, 0};

    /** The bound of any composition. */
    final double top;
    /**
     * By block, row of its losses and option: by how much an option lowers the bound. None is negative, and in each row
     * there is one of 0.
     */
    final double[][][] drops;

    /**
     * Prices of memory and compute, and what limits and other models add to a model's reduced value at these prices.
     */
    static final class Prices {
        final double memory;
        final double cores;
        final double rest;

        Prices(double memory, double cores, double rest) {
            this.memory = memory;
            this.cores = cores;
            this.rest = rest;
        }
    }

    CompositionBound(double top, double[][][] drops) {
        this.top = top;
        this.drops = drops;
    }

    /**
     * Bounds of the plans that hold a composition of model `m` at the thread count of an index: several, each of which
     * holds; none if all compositions are beyond the model's latency limit.
     */
    static List<CompositionBound> boundsAt(Instance instance, Limits limits, int m, int n, Prices prices) {
        CompiledModel model = instance.models[m];
        BlockFigures[] rows = model.rows[n];
        long limit = limits.latencyLimit(instance, m, model.threadCounts[n]);
        long latency = model.fixedLatency[n];
        long least = latency;
        for (BlockFigures row : rows) {
            least += Numbers.least(row.latency);
        }
        List<CompositionBound> bounds = new ArrayList<>();
        if (least > limit) {
            return bounds;
        }
        double perNs = prices.cores * model.rate(instance.slowdownFactor[m]) * model.threadCounts[n];
        double constant = prices.rest - prices.memory * model.fixedMemory[n] - perNs * latency
                - CompositionSums.fixedChargeAt(model, instance.running[m], n);
        long[][] charges = CompositionSums.chargesAt(model, instance.running[m], n);
        double[][] costs = new double[rows.length][];
        double greatest = Math.abs(constant);
        for (int b = 0; b < rows.length; b++) {
            costs[b] = new double[rows[b].size()];
            for (int o = 0; o < costs[b].length; o++) {
                costs[b][o] = charges[b][o] + prices.memory * rows[b].memory[o] + perNs * rows[b].latency[o];
            }
            greatest += Math.max(0, greatest(costs[b]));
        }
        double rounding = greatest * Items.ROUNDING_OF_PRICED;
        List<double[]> lines = linesAbove(model, rows);
        for (double share : limit < Limits.NO_LIMIT_NS ? SHARES : new double[] {1}) {
            List<CompositionBound> found = new ArrayList<>();
            for (double[] line : lines) {
                found.add(of(line, rows, costs, limit - latency, share));
            }
            Collections.sort(found, new Comparator<CompositionBound>() {
                @Override
                public int compare(CompositionBound a, CompositionBound b) {
                    return Double.compare(a.top, b.top);
                }
            });
            for (CompositionBound bound : found.subList(0, Math.min(MOST_LINES, found.size()))) {
                bounds.add(new CompositionBound(bound.top + constant + rounding, bound.drops));
            }
        }
        return bounds;
    }

    /**
     * The bound of one line above the link.
     *
     * @param line a and s, of a - s x loss
     * @param rows the blocks' figures
     * @param costs by block and option, what the option costs in values: its charge, and its priced memory and compute
     * @param room the nanoseconds that the latency limit leaves to blocks
     * @param share the price of latency, as a share of its best price where nothing interacts. A bound holds at any
     *     price that is not negative
     */
    private static CompositionBound of(double[] line, BlockFigures[] rows, double[][] costs, long room, double share) {
        double a = line[0];
        double s = line[1];
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
        double[] prices = new double[1];
        if (rows.length > 0) {
            prices[0] = share * Lagrangian.onePrice(items, fastest).prices[0];
        }
        double[][][] drops = new double[rows.length][][];
        double[] ahead = {0}; // what the best completion adds, after each option or after any
        for (int b = rows.length - 1; b >= 0; b--) {
            BlockFigures row = rows[b];
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
        return new CompositionBound(top, drops);
    }

    private static double greatest(double[] values) {
        double greatest = Double.NEGATIVE_INFINITY;
        for (double value : values) {
            greatest = Math.max(greatest, value);
        }
        return greatest;
    }

    /**
     * Lines (a, s) with value <= a - s x loss for every loss that a model's compositions can have: the edges of the
     * link's concave envelope over these losses. Values and losses are in fixed point.
     */
    private static List<double[]> linesAbove(CompiledModel model, BlockFigures[] rows) {
        long low = 0;
        long high = 0;
        for (BlockFigures row : rows) {
            low += Numbers.least(row.leastLoss());
            high += Numbers.greatest(row.greatestLoss());
        }
        double[] knots = model.table.link().x();
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
            y[i] = model.table.weight() * model.accuracy(x[i]) * (model.scale.unit * model.scale.step);
        }
        int[] hull = new int[count];
        int size = 0;
        for (int i = 0; i < count; i++) {
            while (size > 1 && isOnOrBelow(x, y, hull[size - 2], hull[size - 1], i)) {
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

    /** Whether point j lies on or below the segment from point i to point k. */
    private static boolean isOnOrBelow(double[] x, double[] y, int i, int j, int k) {
        return (y[j] - y[i]) * (x[k] - x[i]) <= (y[k] - y[i]) * (x[j] - x[i]);
    }
}
