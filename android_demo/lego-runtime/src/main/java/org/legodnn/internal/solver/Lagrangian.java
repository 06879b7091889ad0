package org.legodnn.internal.solver;

/**
 * Lagrange multipliers of a multiple-choice knapsack: prices of its limits that minimise the relaxation D(p).
 *
 * <p>{@link Knapsack} says what D is and what prices are used for. D is convex and piecewise linear. Prices that are
 * not quite at its minimum make the search there longer, never wrong.
 */
final class Lagrangian {
    /** An iteration ends after this many steps at the latest. */
    private static final int STEPS = 60;

    /** The price of each limit. */
    final double[] prices;
    /** The best feasible choice that was met on the way to the prices. */
    final int[] feasible;

    private Lagrangian(double[] prices, int[] feasible) {
        this.prices = prices;
        this.feasible = feasible;
    }

    /** A choice of items, and the line that it contributes to D as the first price varies: value - price x weight. */
    private static final class Line {
        final int[] chosen;
        final double value;
        final double weight;
        final double second;

        Line(Items items, double[][] value, int[] chosen) {
            this.chosen = chosen;
            double sum = 0;
            for (int c = 0; c < chosen.length; c++) {
                sum += value[c][chosen[c]];
            }
            this.value = sum;
            this.weight = items.weightOf(0, chosen);
            this.second = items.limits.length > 1 ? items.weightOf(1, chosen) : 0;
        }
    }

    /** The first price that minimises D at a second price, and the choices on both sides of the limit. */
    private static final class Crossing {
        final double price;
        /** Null where the price is zero. */
        final Line heavy;
        final Line light;

        Crossing(double price, Line heavy, Line light) {
            this.price = price;
            this.heavy = heavy;
            this.light = light;
        }
    }

    /** The price of a single limit, given a choice within it. */
    static Lagrangian onePrice(Items items, int[] feasible) {
        Crossing found = firstPrice(items, feasible, null, 0);
        return new Lagrangian(new double[] {found.price}, found.light.chosen);
    }

    /**
     * The prices of two limits, given a choice within both. For each second price, the first is found as for one limit.
     * What remains is convex in the second price, and its slope is known: the second limit less the second weight of
     * the mixture of choices that just meets the first limit.
     */
    static Lagrangian twoPrices(Items items, int[] feasible) {
        Search search = new Search(items, feasible);
        double low = 0;
        Point atLow = search.evaluate(0);
        if (atLow.slope >= 0) {
            return new Lagrangian(new double[] {atLow.first, 0}, search.best);
        }
        double high = firstGuess(items);
        Point atHigh = search.evaluate(high);
        for (int i = 0; i < STEPS && atHigh.slope < 0; i++) {
            low = high;
            atLow = atHigh;
            high *= 4;
            atHigh = search.evaluate(high);
        }
        double second = high;
        double first = atHigh.first;
        for (int i = 0; i < STEPS && atHigh.slope > atLow.slope; i++) {
            double crossing = (atLow.dual - atHigh.dual + atHigh.slope * high - atLow.slope * low)
                    / (atHigh.slope - atLow.slope);
            if (!(low < crossing && crossing < high)) {
                break; // lines so alike that rounding tells them apart: what was evaluated last will do
            }
            second = crossing;
            double predicted = atLow.dual + atLow.slope * (second - low);
            Point now = search.evaluate(second);
            first = now.first;
            if (now.dual <= predicted + Items.ROUNDING + 1e-9 * Math.abs(predicted)) {
                break;
            }
            if (now.slope >= 0) {
                high = second;
                atHigh = now;
            } else {
                low = second;
                atLow = now;
            }
        }
        return new Lagrangian(new double[] {first, second}, search.best);
    }

    /** The second price to start from: the spread of values over that of second weights. */
    private static double firstGuess(Items items) {
        double leastValue = Double.POSITIVE_INFINITY;
        double mostValue = Double.NEGATIVE_INFINITY;
        double leastWeight = Double.POSITIVE_INFINITY;
        double mostWeight = Double.NEGATIVE_INFINITY;
        int longest = 0;
        for (double[] values : items.value) {
            longest = Math.max(longest, values.length);
        }
        for (int c = 0; c < items.classes(); c++) {
            for (double value : items.value[c]) {
                leastValue = Math.min(leastValue, value);
                mostValue = Math.max(mostValue, value);
            }
            for (double weight : items.weights[1][c]) {
                leastWeight = Math.min(leastWeight, weight);
                mostWeight = Math.max(mostWeight, weight);
            }
            if (items.value[c].length < longest) {
                leastWeight = Math.min(leastWeight, 0); // as if short classes were padded by items without weight
            }
        }
        double guess = (mostValue - leastValue) / Math.max(1, mostWeight - leastWeight);
        return guess == 0 ? 1 : guess;
    }

    /** D at a second price: the first price there, the value of D, and its slope. */
    private static final class Point {
        final double first;
        final double dual;
        final double slope;

        Point(double first, double dual, double slope) {
            this.first = first;
            this.dual = dual;
            this.slope = slope;
        }
    }

    /** Evaluations of D, each of which starts where the last one ended; and the best feasible choice that was met. */
    private static final class Search {
        private final Items items;
        private int[] below;
        private int[] above;
        private double bestValue;
        int[] best;

        Search(Items items, int[] feasible) {
            this.items = items;
            this.best = feasible;
            this.bestValue = items.valueOf(feasible);
            this.below = new int[items.classes()];
            for (int c = 0; c < below.length; c++) {
                double[] weight = items.weights[0][c];
                for (int k = 1; k < weight.length; k++) {
                    below[c] = weight[k] < weight[below[c]] ? k : below[c];
                }
            }
        }

        Point evaluate(double second) {
            Crossing found = firstPrice(items, below, above, second);
            below = found.light.chosen;
            above = found.heavy == null ? null : found.heavy.chosen;
            double used = found.light.second;
            if (found.heavy != null && found.heavy.weight > found.light.weight) {
                double share = (items.limits[0] - found.light.weight) / (found.heavy.weight - found.light.weight);
                used += share * (found.heavy.second - found.light.second);
            }
            if (found.light.second <= items.limits[1] && items.valueOf(found.light.chosen) > bestValue) {
                best = found.light.chosen;
                bestValue = items.valueOf(best);
            }
            double dual = found.light.value - found.price * found.light.weight + found.price * items.limits[0]
                    + second * items.limits[1];
            return new Point(found.price, dual, items.limits[1] - used);
        }
    }

    /**
     * See {@link Crossing}. The search keeps one choice on each side of the limit. At the price where their lines
     * cross, either no choice is better than both, and that is the minimum, or a better one replaces the one on its
     * side.
     *
     * @param below a choice within the first limit to start from; the nearer to the final one, the better
     * @param above a choice beyond the first limit to start from; null to start from the greatest values
     * @param second the second price; 0 where there is one limit
     */
    private static Crossing firstPrice(Items items, int[] below, int[] above, double second) {
        double[][] value = items.value;
        if (second != 0) {
            value = new double[items.classes()][];
            for (int c = 0; c < value.length; c++) {
                value[c] = items.value[c].clone();
                for (int k = 0; k < value[c].length; k++) {
                    value[c][k] -= second * items.weights[1][c][k];
                }
            }
        }
        double limit = items.limits[0];
        Line heavy = new Line(items, value, above == null ? richest(items, value, 0) : above);
        if (heavy.weight <= limit) {
            return new Crossing(0, null, heavy);
        }
        Line light = new Line(items, value, below);
        double price = 0;
        for (int i = 0; i < STEPS; i++) {
            price = Math.max(0, (heavy.value - light.value) / (heavy.weight - light.weight));
            Line now = new Line(items, value, richest(items, value, price));
            if (now.value - price * now.weight <= light.value - price * light.weight + Items.ROUNDING) {
                break;
            }
            if (now.weight > limit) {
                heavy = now;
            } else {
                light = now;
            }
        }
        return new Crossing(price, price > 0 ? heavy : null, light);
    }

    /** Of each class, the first item of the greatest reduced value at a first price. */
    private static int[] richest(Items items, double[][] value, double price) {
        int[] chosen = new int[value.length];
        for (int c = 0; c < chosen.length; c++) {
            double[] worth = value[c];
            double[] weight = items.weights[0][c];
            double best = Double.NEGATIVE_INFINITY;
            for (int k = 0; k < worth.length; k++) {
                double now = worth[k] - price * weight[k];
                if (now > best) {
                    best = now;
                    chosen[c] = k;
                }
            }
        }
        return chosen;
    }
}
