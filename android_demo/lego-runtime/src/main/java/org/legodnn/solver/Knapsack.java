package org.legodnn.solver;

import java.util.Arrays;

import org.legodnn.WorkloadException;

/**
 * The multiple-choice knapsack, exactly: one item of each class, greatest total value, one or two total weights within
 * limits.
 *
 * <pre>
 * maximise  sum_c v(x_c)    subject to  sum_c w_i(x_c) &lt;= W_i,    x_c one item of class c
 * </pre>
 *
 * <p>For prices p_i >= 0 the relaxation D(p) = sum_c max_x r(x) + sum_i p_i W_i, r = v - sum_i p_i w_i, bounds the
 * optimum from above, and any x is worth exactly D(p) - sum_c gap(x_c) - sum_i p_i slack_i(x), gap(x_c) = max_y r(y) -
 * r(x_c). So whatever is worth at least V has gaps and priced slack of at most D(p) - V in all. That leaves few items
 * of each class, and few partial sums as classes are added one by one ({@link Sums}); dominance prunes the rest. V need
 * not be known: if anything feasible lies within a margin below D(p), the best of that is the optimum, so margins are
 * tried from small to great.
 *
 * <p>Where too many sums lie within a margin, bounds are found for each of them ({@link Tangents}), and a few go on from
 * class to class, then more: each time the best plan and the bound of what was left out come closer, until they meet, or
 * time or memory is used up.
 *
 * <p>Values and weights are integers below 2^53: sums are exact, and ties are real ties. Among the plans of greatest
 * value the one of least first weight is taken, then of least second weight, then the first met.
 */
final class Knapsack {
    /** Margins grow by so much; see {@code _STEP} in the Python package. */
    private static final double STEP = 1.5;
    private static final int PARTS = 17;
    /** With so many sums going on from class to class, better bounds pay. */
    private static final int FEW = 2048;

    private final long[][] values;
    private final long[][][] weights;
    private final long[] limits;
    private final Clock clock;
    /** A value that is as good as the greatest; null for none. */
    private final Long enough;

    /** One item of each class, their value, and what no plan is worth more than: the value where it is the optimum. */
    static final class Answer {
        final int[] chosen;
        final long value;
        final double bound;

        Answer(int[] chosen, long value, double bound) {
            this.chosen = chosen;
            this.value = value;
            this.bound = bound;
        }
    }

    private Knapsack(long[][] values, long[][][] weights, long[] limits, Clock clock, Long enough) {
        this.values = values;
        this.weights = weights;
        this.limits = limits;
        this.clock = clock;
        this.enough = enough;
    }

    /**
     * The optimal item of each class, or the best that is found in time; null if nothing fits.
     *
     * @param values by class and item
     * @param weights by limit (one or two), class and item, none negative; the items of a class in ascending order of
     *     the first weight
     * @param limits the greatest total of each weight
     * @param clock when to stop improving; whether anything fits is found out in any case
     */
    static Answer solve(long[][] values, long[][][] weights, long[] limits, Clock clock) {
        return solve(values, weights, limits, clock, null);
    }

    private static Answer solve(long[][] values, long[][][] weights, long[] limits, Clock clock, Long enough) {
        if (limits.length == 1) {
            int[] richest = new int[values.length];
            for (int c = 0; c < values.length; c++) {
                richest[c] = Numbers.firstGreatest(values[c]); // of the greatest that of least first weight
            }
            if (total(weights[0], richest) <= limits[0]) {
                long value = total(values, richest);
                return new Answer(richest, value, value);
            }
        }
        Knapsack problem = new Knapsack(values, weights, limits, clock, enough);
        Items items = new Items(values, weights, limits);
        Pricing pricing = problem.relaxed(items);
        return pricing == null ? null : problem.withinMargins(items, pricing.prices, improved(items, pricing.feasible));
    }

    /** Prices of the limits at (about) the minimum of D, for items that {@link #solve} has an answer to. */
    static double[] prices(Items items, long[][] values, long[][][] weights, long[] limits) {
        return new Knapsack(values, weights, limits, Clock.NO_END, null).relaxed(items).prices;
    }

    /** Prices and a feasible plan; null if nothing fits. */
    private Pricing relaxed(Items items) {
        if (limits.length == 1) {
            int[] lightest = new int[values.length];
            for (int c = 0; c < values.length; c++) {
                lightest[c] = Numbers.firstLeast(weights[0][c]);
            }
            return total(weights[0], lightest) > limits[0] ? null : Pricing.one(items, lightest);
        }
        int[] found = within(weights[1], weights[0], limits[1], limits[0]);
        return found == null ? null : Pricing.two(items, found);
    }

    /**
     * One item of each class whose total cost is at most `most` and total weight within a limit; null if nothing fits.
     *
     * @throws WorkloadException that could not be found out, which takes thousands of items that are nearly alike
     */
    static int[] within(long[][] costs, long[][] weights, long most, long limit) {
        Answer found = cheapest(costs, weights, limit, -most);
        if (found == null || found.bound < -most) {
            return null;
        }
        if (found.value < -most) {
            throw new WorkloadException("whether a plan holds both the memory and the cores limit could not be found"
                    + " out, so near to each other they are to what is possible; relax one of them a little");
        }
        return found.chosen;
    }

    /** The least total cost of one item of each class whose total weight is within a limit; null if nothing fits. */
    static Long least(long[][] costs, long[][] weights, long limit) {
        Answer found = cheapest(costs, weights, limit, null);
        return found == null ? null : -found.value;
    }

    /** The least total cost, as its negative; anything with a value that is `enough` will do if that is given. */
    private static Answer cheapest(long[][] costs, long[][] weights, long limit, Long enough) {
        int n = costs.length;
        int[][] kept = new int[n][];
        long[][] values = new long[n][];
        long[][][] light = new long[1][n][];
        for (int c = 0; c < n; c++) {
            kept[c] = descending(costs[c], weights[c]);
            values[c] = Numbers.negated(Numbers.take(costs[c], kept[c]));
            light[0][c] = Numbers.take(weights[c], kept[c]);
        }
        Answer found = solve(values, light, new long[] {limit}, Clock.NO_END, enough);
        for (int c = 0; c < n && found != null; c++) {
            found.chosen[c] = kept[c][found.chosen[c]];
        }
        return found;
    }

    /** Indices of the items that none before them undercuts, by ascending weight. */
    private static int[] descending(long[] cost, long[] weight) {
        int[] kept = new int[cost.length];
        int count = 0;
        for (int i : Numbers.order(weight)) {
            if (count == 0 || cost[i] < cost[kept[count - 1]]) {
                kept[count++] = i;
            }
        }
        return Arrays.copyOf(kept, count);
    }

    private static long total(long[][] weights, int[] chosen) {
        long sum = 0;
        for (int c = 0; c < chosen.length; c++) {
            sum += weights[c][chosen[c]];
        }
        return sum;
    }

    /** A feasible plan made better by changing one class at a time, for as long as that helps. */
    private static int[] improved(Items items, int[] feasible) {
        int[] chosen = feasible.clone();
        while (true) {
            double best = Double.NEGATIVE_INFINITY;
            int bestClass = 0;
            int bestItem = 0;
            for (int c = 0; c < chosen.length; c++) {
                for (int k = 0; k < items.value[c].length; k++) {
                    double gain = items.value[c][k] - items.value[c][chosen[c]];
                    if (gain > best && fits(items, chosen, c, k)) {
                        best = gain;
                        bestClass = c;
                        bestItem = k;
                    }
                }
            }
            if (!(best > 0)) {
                return chosen;
            }
            chosen[bestClass] = bestItem;
        }
    }

    /** Whether a plan with one class's item replaced holds the limits. */
    private static boolean fits(Items items, int[] chosen, int c, int item) {
        for (int i = 0; i < items.limits.length; i++) {
            double[] weight = items.weights[i][c];
            if (weight[item] > items.limits[i] - items.weightOf(i, chosen) + weight[chosen[c]]) {
                return false;
            }
        }
        return true;
    }

    /** The best plan, given prices and a feasible plan. */
    private Answer withinMargins(Items items, double[] prices, int[] feasible) {
        double[][] gaps = items.reduced(prices);
        double dual = 0;
        for (double[] reduced : gaps) {
            double top = Double.NEGATIVE_INFINITY;
            for (double r : reduced) {
                top = Math.max(top, r);
            }
            for (int k = 0; k < reduced.length; k++) {
                reduced[k] = top - reduced[k];
            }
            dual += top;
        }
        double priced = 0;
        for (int i = 0; i < limits.length; i++) {
            priced += prices[i] * limits[i];
        }
        double rounding = items.rounding(prices);
        dual += priced + rounding;
        int[] best = feasible;
        long worth = total(values, best);
        if (settled(worth, dual)) {
            return new Answer(best, worth, dual);
        }
        double margin = firstMargin(gaps, dual - worth);
        while (true) {
            int[][] kept = within(gaps, margin);
            Sums.Found found = sums(gaps, kept, prices, dual).best(dual - margin, FEW, null, clock);
            if (found.lost > Double.NEGATIVE_INFINITY) {
                break; // so many that better bounds pay
            }
            if (found.chosen != null) {
                best = unpacked(found.chosen, kept);
                worth = total(values, best);
                if (margin >= dual - worth) {
                    return new Answer(best, worth, worth);
                }
            } else if (margin >= dual - worth) {
                throw new AssertionError("the widest margin holds the feasible plan");
            }
            margin = Math.min(dual - worth, margin * STEP);
        }

        double bound = dual;
        Tangents tangents = new Tangents(values, weights, limits, prices, rounding);
        Clock.Widening widening = clock.new Widening();
        for (int width = widening.next(); width > 0; width = widening.next()) {
            int[][] kept = within(gaps, dual - worth);
            Sums.Found found = sums(gaps, kept, prices, dual).best(worth, width, tangents, clock);
            if (found.chosen != null) {
                int[] chosen = unpacked(found.chosen, kept);
                if (total(values, chosen) >= worth) {
                    best = chosen;
                    worth = total(values, best);
                }
            }
            bound = Math.min(bound, Math.max(worth, found.lost));
            if (found.lost < worth || settled(worth, bound)) {
                break;
            }
            best = new Exchange(values, weights, limits).improved(gaps, best, clock);
            worth = total(values, best);
        }
        return new Answer(best, worth, Math.max(bound, worth));
    }

    /** Whether it is known if the greatest value is enough. */
    private boolean settled(long worth, double bound) {
        return enough != null && !(worth < enough && enough <= bound);
    }

    private Sums sums(double[][] gaps, int[][] kept, double[] prices, double bound) {
        return new Sums(take(values, kept), take(weights, kept), gapsOf(gaps, kept), limits, prices, bound);
    }

    private static int[] unpacked(int[] chosen, int[][] kept) {
        int[] found = new int[chosen.length];
        for (int c = 0; c < found.length; c++) {
            found[c] = kept[c][chosen[c]];
        }
        return found;
    }

    /**
     * The widest margin, or where that leaves too much to be added up at once, the greatest part of it that does not.
     */
    private static double firstMargin(double[][] gaps, double widest) {
        if (combinations(gaps, widest) <= Sums.AT_ONCE) {
            return widest;
        }
        double margin = widest * Math.pow(STEP, 1 - PARTS);
        for (int k = PARTS - 2; k >= 0; k--) {
            double wider = widest * Math.pow(STEP, -k);
            if (combinations(gaps, wider) > Sums.AT_ONCE) {
                break;
            }
            margin = wider;
        }
        return margin;
    }

    /** How many choices have no single gap beyond the margin. */
    private static double combinations(double[][] gaps, double margin) {
        double product = 1;
        for (double[] row : gaps) {
            int count = 0;
            for (double gap : row) {
                count += gap <= margin ? 1 : 0;
            }
            product *= count;
        }
        return product;
    }

    private static int[][] within(double[][] gaps, double margin) {
        int[][] kept = new int[gaps.length][];
        for (int c = 0; c < gaps.length; c++) {
            int[] some = new int[gaps[c].length];
            int count = 0;
            for (int k = 0; k < some.length; k++) {
                if (gaps[c][k] <= margin) {
                    some[count++] = k;
                }
            }
            kept[c] = Arrays.copyOf(some, count);
        }
        return kept;
    }

    private static long[][] take(long[][] classes, int[][] kept) {
        long[][] taken = new long[classes.length][];
        for (int c = 0; c < classes.length; c++) {
            taken[c] = Numbers.take(classes[c], kept[c]);
        }
        return taken;
    }

    private static long[][][] take(long[][][] weights, int[][] kept) {
        long[][][] taken = new long[weights.length][][];
        for (int i = 0; i < weights.length; i++) {
            taken[i] = take(weights[i], kept);
        }
        return taken;
    }

    private static double[][] gapsOf(double[][] gaps, int[][] kept) {
        double[][] taken = new double[gaps.length][];
        for (int c = 0; c < gaps.length; c++) {
            taken[c] = Numbers.take(gaps[c], kept[c]);
        }
        return taken;
    }
}
