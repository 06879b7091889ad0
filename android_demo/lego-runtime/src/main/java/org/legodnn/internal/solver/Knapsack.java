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
    private final double[] prices;
    /** By class and item. */
    private final double[][] gaps;
    /** The greatest error of sums of gaps; the bound is greater by it. */
    private final double rounding;
    /** D at the prices: no choice is worth more. */
    private final double bound;
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

    private Knapsack(Items items, long[][] values, long[][][] weights, long[] limits, double[] prices,
            Deadline deadline, Long enough) {
        this.values = values;
        this.weights = weights;
        this.limits = limits;
        this.prices = prices;
        this.deadline = deadline;
        this.enough = enough;
        rounding = items.rounding(prices);
        gaps = items.reduced(prices);
        double tops = 0;
        for (double[] reduced : gaps) {
            double top = Double.NEGATIVE_INFINITY;
            for (double r : reduced) {
                top = Math.max(top, r);
            }
            for (int k = 0; k < reduced.length; k++) {
                reduced[k] = top - reduced[k];
            }
            tops += top;
        }
        double priced = 0;
        for (int i = 0; i < limits.length; i++) {
            priced += prices[i] * limits[i];
        }
        bound = tops + (priced + rounding);
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
        Items items = new Items(values, weights, limits);
        Lagrangian relaxed = relaxed(items, weights, limits);
        if (relaxed == null) {
            return null;
        }
        Knapsack problem = new Knapsack(items, values, weights, limits, relaxed.prices, deadline, enough);
        Answer found = problem.answer(LocalSearch.changedOneByOne(items, relaxed.feasible), problem.bound);
        if (!problem.isEnough(found)) {
            found = problem.byMargins(found);
        }
        if (!problem.isEnough(found)) {
            found = problem.byBeams(found);
        }
        return found;
    }

    /** Prices of the limits at (about) the minimum of D; something must be within the limits. */
    static double[] prices(Items items, long[][][] weights, long[] limits) {
        return relaxed(items, weights, limits).prices;
    }

    /** Prices of the limits, and a feasible choice; null if nothing is within the limits. */
    private static Lagrangian relaxed(Items items, long[][][] weights, long[] limits) {
        if (limits.length == 1) {
            int[] lightest = new int[weights[0].length];
            for (int c = 0; c < lightest.length; c++) {
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

    /** A choice as an answer, where no choice is worth more than a bound, or than this one. */
    private Answer answer(int[] chosen, double most) {
        long value = total(values, chosen);
        return new Answer(chosen, value, Math.max(value, most));
    }

    /** Whether a search need not go on: the choice is optimal or as good as that, or none can be as good. */
    private boolean isEnough(Answer found) {
        return found.value == found.bound || enough != null && !(found.value < enough && enough <= found.bound);
    }

    /** What {@link PartialSums} finds among the items whose gaps are within a margin. */
    private PartialSums.Found bestWithin(double margin, double floor, int width, Tangents tangents) {
        int[][] kept = new int[gaps.length][];
        double[][] near = new double[gaps.length][];
        for (int c = 0; c < kept.length; c++) {
            kept[c] = upTo(gaps[c], margin);
            near[c] = Numbers.take(gaps[c], kept[c]);
        }
        PartialSums.Found found = new PartialSums(take(values, kept), take(weights, kept), near, limits, prices, bound)
                .best(floor, width, tangents, deadline);
        for (int c = 0; c < kept.length && found.chosen != null; c++) {
            found.chosen[c] = kept[c][found.chosen[c]];
        }
        return found;
    }

    /**
     * The optimal choice, given a feasible one; or the best within a margin, if too many sums lie in the next.
     *
     * <p>All choices of a value within a margin below the bound are made of items whose gaps are within it. So if the
     * best of them is, it is the optimum.
     */
    private Answer byMargins(Answer feasible) {
        Answer found = feasible;
        double margin = firstMargin(bound - found.value);
        while (true) {
            PartialSums.Found best = bestWithin(margin, bound - margin, FEW, null);
            if (best.lost > Double.NEGATIVE_INFINITY) {
                return found;
            }
            if (best.chosen != null) {
                found = answer(best.chosen, bound);
            }
            if (margin >= bound - found.value) {
                if (best.chosen == null) {
                    throw new AssertionError("the widest margin holds the feasible choice");
                }
                return answer(best.chosen, Double.NEGATIVE_INFINITY);
            }
            margin = Math.min(bound - found.value, margin * STEP);
        }
    }

    /** A feasible choice made better by ever wider searches, and a bound of all others. */
    private Answer byBeams(Answer feasible) {
        Answer found = feasible;
        double most = found.bound;
        Tangents tangents = new Tangents(values, weights, limits, prices, rounding);
        Deadline.BeamWidths widths = deadline.new BeamWidths();
        for (int width = widths.next(); width > 0; width = widths.next()) {
            PartialSums.Found best = bestWithin(bound - found.value, found.value, width, tangents);
            if (best.chosen != null && total(values, best.chosen) >= found.value) {
                found = answer(best.chosen, most);
            }
            most = Math.min(most, Math.max(found.value, best.lost));
            found = answer(found.chosen, most);
            if (best.lost < found.value || isEnough(found)) {
                break;
            }
            found = answer(LocalSearch.changedTwoByTwo(values, weights, limits, gaps, found.chosen, deadline), most);
        }
        return found;
    }

    /**
     * The widest margin, or where that leaves too much to be added up at once, the greatest part of it that does not.
     */
    private double firstMargin(double widest) {
        if (combinations(widest) <= PartialSums.AT_ONCE) {
            return widest;
        }
        double margin = widest * Math.pow(STEP, 1 - FRACTIONS);
        for (int k = FRACTIONS - 2; k >= 0; k--) {
            double wider = widest * Math.pow(STEP, -k);
            if (combinations(wider) > PartialSums.AT_ONCE) {
                break;
            }
            margin = wider;
        }
        return margin;
    }

    /** How many choices have no single gap beyond the margin. */
    private double combinations(double margin) {
        double product = 1;
        for (double[] row : gaps) {
            product *= upTo(row, margin).length;
        }
        return product;
    }

    /** Where numbers are no greater than another one. */
    private static int[] upTo(double[] numbers, double most) {
        int[] kept = new int[numbers.length];
        int count = 0;
        for (int k = 0; k < kept.length; k++) {
            if (numbers[k] <= most) {
                kept[count++] = k;
            }
        }
        return Arrays.copyOf(kept, count);
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
}
