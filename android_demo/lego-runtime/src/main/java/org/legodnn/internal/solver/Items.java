package org.legodnn.internal.solver;

/** All classes of a knapsack side by side, as doubles: value and weights of every item, and the limits. */
final class Items {
    /**
     * Values and products of prices and weights are computed in doubles from whole numbers below 2^53. Once for each
     * class, this covers the rounding of values.
     */
    static final double ROUNDING = 64;
    /**
     * The relative rounding of products of prices and weights. Where the last byte of an option decides, they are far
     * greater than values.
     */
    static final double ROUNDING_OF_PRICED = 0x1p-49;

    /** By class and item. */
    final double[][] value;
    /** By limit, class and item. */
    final double[][][] weights;
    /** The greatest total of each weight. */
    final double[] limits;

    Items(double[][] value, long[][][] weights, long[] limits) {
        this.value = value;
        this.weights = new double[weights.length][value.length][];
        this.limits = new double[limits.length];
        for (int i = 0; i < weights.length; i++) {
            this.limits[i] = limits[i];
            for (int c = 0; c < value.length; c++) {
                this.weights[i][c] = doubles(weights[i][c]);
            }
        }
    }

    Items(long[][] value, long[][][] weights, long[] limits) {
        this(doubles(value), weights, limits);
    }

    private static double[][] doubles(long[][] values) {
        double[][] found = new double[values.length][];
        for (int c = 0; c < values.length; c++) {
            found[c] = doubles(values[c]);
        }
        return found;
    }

    private static double[] doubles(long[] values) {
        double[] found = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            found[i] = values[i];
        }
        return found;
    }

    int classes() {
        return value.length;
    }

    /** Reduced values, by class and item: values less prices x weights. */
    double[][] reduced(double[] prices) {
        double[][] found = new double[classes()][];
        for (int c = 0; c < found.length; c++) {
            found[c] = value[c].clone();
            for (int i = 0; i < prices.length; i++) {
                for (int k = 0; k < found[c].length; k++) {
                    found[c][k] -= prices[i] * weights[i][c][k];
                }
            }
        }
        return found;
    }

    /** The greatest error of a sum of reduced values, one of each class, and of prices x limits. */
    double rounding(double[] prices) {
        double priced = 0;
        for (int i = 0; i < prices.length; i++) {
            double greatest = 0;
            for (double[] weight : weights[i]) {
                double most = 0;
                for (double w : weight) {
                    most = Math.max(most, w);
                }
                greatest += most;
            }
            priced += prices[i] * (limits[i] + greatest);
        }
        return ROUNDING * classes() + ROUNDING_OF_PRICED * priced;
    }

    /** The total value of one item of each class. */
    double valueOf(int[] chosen) {
        double sum = 0;
        for (int c = 0; c < chosen.length; c++) {
            sum += value[c][chosen[c]];
        }
        return sum;
    }

    /** The total of one weight of one item of each class. */
    double weightOf(int limit, int[] chosen) {
        double sum = 0;
        for (int c = 0; c < chosen.length; c++) {
            sum += weights[limit][c][chosen[c]];
        }
        return sum;
    }
}
