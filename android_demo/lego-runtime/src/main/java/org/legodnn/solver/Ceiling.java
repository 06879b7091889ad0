package org.legodnn.solver;

import java.util.ArrayList;
import java.util.List;

/**
 * An upper bound of what a model's compositions are worth, charge included, as a sum over blocks and neighbours.
 *
 * <p>With a line a - s L that is nowhere below the link and a price q of latency, a composition x is worth at most
 * a - s L(x) - cost(x) + q (limit - T(x)). The best completion of what is chosen of the first blocks is found from the
 * last block backwards, one number for each option that the next block may come after.
 */
final class Ceiling {
    /** For any composition. */
    final double top;
    /** What an option costs, by block, row of its losses and option; none is negative, and one in each row is 0. */
    final double[][][] drops;

    Ceiling(double top, double[][][] drops) {
        this.top = top;
        this.drops = drops;
    }

    /**
     * The bound of one line a - s L, with a price of the latency that there is room for: a share of the best one where
     * nothing interacts, and any that is not negative gives a bound.
     */
    static Ceiling of(double[] line, Rows[] rows, double[][] costs, long room, double share) {
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
        double[] prices = rows.length == 0 ? new double[1] : new double[] {share * Pricing.one(items, fastest).prices[0]};
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
        return new Ceiling(top, drops);
    }

    private static double greatest(double[] values) {
        double greatest = Double.NEGATIVE_INFINITY;
        for (double value : values) {
            greatest = Math.max(greatest, value);
        }
        return greatest;
    }

    /** Lines (a, s), value <= a - s x loss: the edges of the link's concave envelope over the losses there can be. */
    static List<double[]> linesAbove(CompiledModel model, Rows[] rows) {
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
