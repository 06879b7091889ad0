package org.legodnn.internal.solver;

/**
 * Upper bounds of what the remaining classes of a knapsack can add to a partial sum, for any room that it leaves.
 *
 * <p>At prices p of the limits, one item of each remaining class adds at most T(p) + p . room, where T(p) is the sum of
 * each class's greatest v - p . w. One vector of prices gives a good bound for one room only. Each one is a tangent to
 * the optimum of the relaxation as a function of the room, which is concave, so the least over many prices is close to
 * it everywhere. Prices lie densest around those of the whole problem.
 */
final class Tangents {
    /** The factors of the first price come as near to 1 as 2 to the power of minus this. */
    private static final int NEAREST = 9;
    /** The factors of the second price. */
    private static final double[] SECOND = {1.0, 0.97, 1.03, 0.9, 1.1, 0.5, 2.0};

    /** Prices of the first limit, ascending. */
    private final double[] first;
    /** Prices of the second limit; one 0 if there is no second limit. */
    private final double[] second;
    /** By second price, first price and class: each class's greatest v - p . w. */
    private final double[][][] tops;
    private final long[] limits;
    /** The greatest rounding error of a bound, which is added to it. */
    private final double rounding;
    /** By second and first price, the sum of the tops of the remaining classes. */
    private final double[][] sums;
    /** The rooms at which tangents of neighbouring first prices cross: beyond, the lower price bounds better. */
    private final double[][] crossings;

    Tangents(long[][] values, long[][][] weights, long[] limits, double[] prices, double rounding) {
        double[] factors = factors();
        this.limits = limits;
        this.rounding = rounding * factors[factors.length - 1];
        first = times(price(prices[0], values, weights[0]), factors);
        second = limits.length > 1 ? times(price(prices[1], values, weights[1]), SECOND) : new double[1];
        tops = new double[second.length][first.length][values.length];
        for (int j = 0; j < second.length; j++) {
            for (int g = 0; g < first.length; g++) {
                for (int c = 0; c < values.length; c++) {
                    double top = Double.NEGATIVE_INFINITY;
                    for (int k = 0; k < values[c].length; k++) {
                        double less = second[j] == 0 ? values[c][k] : values[c][k] - second[j] * weights[1][c][k];
                        top = Math.max(top, less - first[g] * weights[0][c][k]);
                    }
                    tops[j][g][c] = top;
                }
            }
        }
        sums = new double[second.length][first.length];
        crossings = new double[second.length][first.length - 1];
    }

    private static double[] factors() {
        double[] factors = new double[2 * (NEAREST - 1) + 8];
        int at = 0;
        for (double factor : new double[] {0, 0.25, 0.5}) {
            factors[at++] = factor;
        }
        for (int k = 2; k <= NEAREST; k++) {
            factors[at++] = 1 - Math.scalb(1.0, -k);
        }
        factors[at++] = 1;
        for (int k = NEAREST; k >= 2; k--) {
            factors[at++] = 1 + Math.scalb(1.0, -k);
        }
        for (double factor : new double[] {1.5, 2, 4, 16}) {
            factors[at++] = factor;
        }
        return factors;
    }

    private static double[] times(double price, double[] factors) {
        double[] prices = new double[factors.length];
        for (int i = 0; i < prices.length; i++) {
            prices[i] = price * factors[i];
        }
        return prices;
    }

    /**
     * The price, or a guess if it is zero: a limit that does not bind the whole problem may still bind a part of it.
     */
    private static double price(double price, long[][] values, long[][] weights) {
        if (price > 0) {
            return price;
        }
        double spread = 0;
        double weight = 0;
        for (int c = 0; c < values.length; c++) {
            spread += Numbers.greatest(values[c]) - Numbers.least(values[c]);
            weight += Numbers.greatest(weights[c]) - Numbers.least(weights[c]);
        }
        return spread == 0 ? 1 : spread / Math.max(1, weight);
    }

    /** From now on bound sums to which one item of each of the classes order[from], order[from + 1], ... is added. */
    void lookAhead(int[] order, int from) {
        for (int j = 0; j < second.length; j++) {
            for (int g = 0; g < first.length; g++) {
                double sum = 0;
                for (int k = from; k < order.length; k++) {
                    sum += tops[j][g][order[k]];
                }
                sums[j][g] = sum;
            }
            for (int g = 0; g + 1 < first.length; g++) {
                crossings[j][g] = (sums[j][g] - sums[j][g + 1]) / (first[g + 1] - first[g]);
            }
        }
    }

    /** An upper bound of the values that a sum of this value and these weights can lead to. */
    double bound(long value, long[] weight) {
        double room = limits[0] - weight[0];
        double best = Double.POSITIVE_INFINITY;
        for (int j = 0; j < second.length; j++) {
            int low = 0; // how many crossings lie beyond the room
            int high = crossings[j].length;
            while (low < high) {
                int middle = low + high >>> 1;
                if (crossings[j][middle] > room) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            double found = sums[j][low] + first[low] * room;
            if (limits.length > 1) {
                found += second[j] * (limits[1] - weight[1]);
            }
            best = Math.min(best, found);
        }
        return best + value + rounding;
    }
}
