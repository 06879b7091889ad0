package org.legodnn.internal.solver;

import java.util.Arrays;

import org.legodnn.WorkloadException;

/**
 * The multiple-choice knapsack, solved exactly: one item of each class, of the greatest total value within one or two
 * limits.
 *
 * <pre>
 * maximise  sum_c v(x_c)    subject to  sum_c w_i(x_c) &lt;= W_i,    x_c one item of class c
 * </pre>
 *
 * <p>For prices p_i >= 0 the relaxation D(p) = sum_c max_x r(x) + sum_i p_i W_i, where r = v - sum_i p_i w_i, is an
 * upper bound of the optimum, and the value of any x is exactly D(p) - sum_c gap(x_c) - sum_i p_i slack_i(x), where
 * gap(x_c) = max_y r(y) - r(x_c). So every x of value V or more has gaps and priced slack of at most D(p) - V in all.
 * That leaves few items of each class, and few partial sums when classes are added one by one ({@link PartialSums});
 * bounds and dominance prune the rest. V need not be known: if any feasible x has a value within a margin below D(p),
 * the best one of these is the optimum. So margins are tried from small to great.
 *
 * <p>If too many sums lie within a margin, a beam search follows: each sum gets a bound of its own ({@link Tangents}),
 * and only the sums of the greatest bounds go on from class to class. Each search is wider than the one before. The
 * best choice and the bound of what was left out come closer each time, until they meet, or until time or memory is
 * used up.
 *
 * <p>Values and weights are whole numbers below 2^53: sums are exact, and ties are real ties. Among the choices of the
 * greatest value, the one of least first weight is taken, then of least second weight, then the one found first.
 */
final class Knapsack {
    /**
     * The factor by which margins grow. Work grows so fast with the margin that a small step, which may have been in
     * vain, costs less than a step that is too great.
     */
    private static final double STEP = 1.5;
    /** The first margin is the widest one divided by a power of STEP: one of this many. */
    private static final int FRACTIONS = 17;
    /** If more sums than this go on from class to class, finding better bounds for them pays. */
    private static final int FEW = 2048;

    private final long[][] values;
    private final long[][][] weights;
    private final long[] limits;
    private final Deadline deadline;
    /** A value that is as good as the greatest: the search ends once a choice reaches it, or none can; or null. */
    private final Long enough;

    /** A feasible choice, and how good it is. */
    static final class Answer {
        /** The index of an item of each class. */
        final int[] chosen;
        /** Their total value. */
        final long value;
        /** No feasible choice has a greater value than this; equal to the value if the choice is optimal. */
        final double bound;

        Answer(int[] chosen, long value, double bound) {
            this.chosen = chosen;
            this.value = value;
            this.bound = bound;
        }
    }

    private Knapsack(long[][] values, long[][][] weights, long[] limits, Deadline deadline, Long enough) {
        this.values = values;
        this.weights = weights;
        this.limits = limits;
        this.deadline = deadline;
        this.enough = enough;
    }

    /**
     * The optimal choice, or the best that is found in time; null if no choice is within the limits.
     *
     * @param values by class and item
     * @param weights by limit (one or two), class and item, none negative; the items of a class in ascending order of
     *     the first weight
     * @param limits the greatest total of each weight
     * @param deadline when to stop improving. Whether anything is within the limits is found out in any case
     */
    static Answer solve(long[][] values, long[][][] weights, long[] limits, Deadline deadline) {
        return solve(values, weights, limits, deadline, null);
    }

    private static Answer solve(long[][] values, long[][][] weights, long[] limits, Deadline deadline, Long enough) {
        if (limits.length == 1) {
            int[] richest = new int[values.length];
            for (int c = 0; c < values.length; c++) {
                richest[c] = Numbers.firstGreatest(values[c]); // the one of least first weight
            }
            if (total(weights[0], richest) <= limits[0]) {
                long value = total(values, richest);
                return new Answer(richest, value, value);
            }
        }
        Knapsack problem = new Knapsack(values, weights, limits, deadline, enough);
        Items items = new Items(values, weights, limits);
        Lagrangian relaxed = problem.relaxed(items);
        if (relaxed == null) {
            return null;
        }
        return problem.withinMargins(items, relaxed.prices, LocalSearch.changedOneByOne(items, relaxed.feasible));
    }

    /** Prices of the limits at (about) the minimum of D; something must be within the limits. */
    static double[] prices(Items items, long[][] values, long[][][] weights, long[] limits) {
        return new Knapsack(values, weights, limits, Deadline.NO_DEADLINE, null).relaxed(items).prices;
    }

    /** Prices of the limits, and a feasible choice; null if nothing is within the limits. */
    private Lagrangian relaxed(Items items) {
        if (limits.length == 1) {
            int[] lightest = new int[values.length];
            for (int c = 0; c < values.length; c++) {
                lightest[c] = Numbers.firstLeast(weights[0][c]);
            }
            return total(weights[0], lightest) > limits[0] ? null : Lagrangian.onePrice(items, lightest);
        }
        int[] found = within(weights[1], weights[0], limits[1], limits[0]);
        return found == null ? null : Lagrangian.twoPrices(items, found);
    }

    /**
     * One item of each class, of a total cost and a total weight within limits; null if no choice is.
     *
     * @param costs by class and item
     * @param weights by class and item
     * @param most the greatest total cost
     * @param limit the greatest total weight
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

    /** The least total cost of one item of each class whose total weight is within a limit; null if none is. */
    static Long least(long[][] costs, long[][] weights, long limit) {
        Answer found = cheapest(costs, weights, limit, null);
        return found == null ? null : -found.value;
    }

    /** The choice of least total cost within a limit of weight. Its value is the negative cost, and so is `enough`. */
    private static Answer cheapest(long[][] costs, long[][] weights, long limit, Long enough) {
        int n = costs.length;
        int[][] kept = new int[n][];
        long[][] values = new long[n][];
        long[][][] light = new long[1][n][];
        for (int c = 0; c < n; c++) {
            kept[c] = falling(costs[c], weights[c]);
            values[c] = Numbers.negated(Numbers.take(costs[c], kept[c]));
            light[0][c] = Numbers.take(weights[c], kept[c]);
        }
        Answer found = solve(values, light, new long[] {limit}, Deadline.NO_DEADLINE, enough);
        for (int c = 0; c < n && found != null; c++) {
            found.chosen[c] = kept[c][found.chosen[c]];
        }
        return found;
    }

    /** Indices by ascending weight of the items that cost less than all before them. */
    private static int[] falling(long[] cost, long[] weight) {
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

    /** The best choice, given prices and a feasible choice: by growing margins, then by beams if these fail. */
    private Answer withinMargins(Items items, double[] prices, int[] feasible) {
        double[][] gaps = items.reduced(prices);
        double bound = 0;
        for (double[] reduced : gaps) {
            double top = Double.NEGATIVE_INFINITY;
            for (double r : reduced) {
                top = Math.max(top, r);
            }
            for (int k = 0; k < reduced.length; k++) {
                reduced[k] = top - reduced[k];
            }
            bound += top;
        }
        double priced = 0;
        for (int i = 0; i < limits.length; i++) {
            priced += prices[i] * limits[i];
        }
        double rounding = items.rounding(prices);
        bound += priced + rounding;
        int[] best = feasible;
        long bestValue = total(values, best);
        if (settled(bestValue, bound)) {
            return new Answer(best, bestValue, bound);
        }
        double margin = firstMargin(gaps, bound - bestValue);
        while (true) {
            int[][] kept = within(gaps, margin);
            PartialSums.Found found = sums(gaps, kept, prices, bound).best(bound - margin, FEW, null, deadline);
            if (found.lost > Double.NEGATIVE_INFINITY) {
                break; // too many sums for these bounds
            }
            if (found.chosen != null) {
                best = unpacked(found.chosen, kept);
                bestValue = total(values, best);
                if (margin >= bound - bestValue) {
                    return new Answer(best, bestValue, bestValue);
                }
            } else if (margin >= bound - bestValue) {
                throw new AssertionError("the widest margin holds the feasible choice");
            }
            margin = Math.min(bound - bestValue, margin * STEP);
        }

        double dual = bound;
        Tangents tangents = new Tangents(values, weights, limits, prices, rounding);
        Deadline.BeamWidths widths = deadline.new BeamWidths();
        for (int width = widths.next(); width > 0; width = widths.next()) {
            int[][] kept = within(gaps, dual - bestValue);
            PartialSums.Found found = sums(gaps, kept, prices, dual).best(bestValue, width, tangents, deadline);
            if (found.chosen != null) {
                int[] chosen = unpacked(found.chosen, kept);
                if (total(values, chosen) >= bestValue) {
                    best = chosen;
                    bestValue = total(values, best);
                }
            }
            bound = Math.min(bound, Math.max(bestValue, found.lost));
            if (found.lost < bestValue || settled(bestValue, bound)) {
                break;
            }
            best = LocalSearch.changedTwoByTwo(values, weights, limits, gaps, best, deadline);
            bestValue = total(values, best);
        }
        return new Answer(best, bestValue, Math.max(bound, bestValue));
    }

    /** Whether it is known if any choice is as good as `enough`. */
    private boolean settled(long bestValue, double bound) {
        return enough != null && !(bestValue < enough && enough <= bound);
    }

    private PartialSums sums(double[][] gaps, int[][] kept, double[] prices, double bound) {
        return new PartialSums(take(values, kept), take(weights, kept), gapsOf(gaps, kept), limits, prices, bound);
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
        if (combinations(gaps, widest) <= PartialSums.AT_ONCE) {
            return widest;
        }
        double margin = widest * Math.pow(STEP, 1 - FRACTIONS);
        for (int k = FRACTIONS - 2; k >= 0; k--) {
            double wider = widest * Math.pow(STEP, -k);
            if (combinations(gaps, wider) > PartialSums.AT_ONCE) {
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
