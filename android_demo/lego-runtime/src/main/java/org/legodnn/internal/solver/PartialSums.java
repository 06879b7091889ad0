package org.legodnn.internal.solver;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The search of {@link Knapsack}, which defines the terms (gap, price, margin): sums of one item of each class, kept
 * only while they can still become the best.
 *
 * <p>Small classes are added up all at once. The others follow one by one, and sums are dropped that the limits, a
 * bound or dominance rule out. No more than `width` sums go on to the next class: those of the greatest bounds. The
 * bounds of the others say what these could have become, so a search that left some out still says how far from the
 * optimum it may be.
 */
final class PartialSums {
    /** Classes are added up all at once as long as they have no more combinations than this. */
    static final int AT_ONCE = 4096;
    /** Pairs of a sum and an item that are formed for each sum that may go on to the next class. */
    private static final int PAIRS = 8;
    private static final int BISECTIONS = 20;

    /** By class and item; no class is empty. */
    private final long[][] values;
    /** By limit, class and item. */
    private final long[][][] weights;
    /** By class and item. */
    private final double[][] gaps;
    private final long[] limits;
    private final double[] prices;
    /**
     * An upper bound of all choices. Less the gaps of a partial sum's items and the priced slack that it must leave, it
     * is an upper bound of the choices that contain this sum.
     */
    private final double bound;

    private final int[] order;
    private final long[] sizes;

    /** Sums of one item of each of some classes. */
    private static final class Sums {
        final long[] value;
        final double[] gap;
        /** By limit. */
        final long[][] weight;

        Sums(long[] value, double[] gap, long[][] weight) {
            this.value = value;
            this.gap = gap;
            this.weight = weight;
        }

        Sums take(int[] kept) {
            return new Sums(Numbers.take(value, kept), Numbers.take(gap, kept), Numbers.takeOfEach(weight, kept));
        }
    }

    /** Which sums go on to the next class, in order. */
    private static final class Kept {
        final int[] sums;
        /** An upper bound of what each can become; of no meaning where all classes were added. */
        final double[] bounds;
        /** The greatest bound of those that only lack of width cut; minus infinity if there are none. */
        final double cut;

        Kept(int[] sums, double[] bounds, double cut) {
            this.sums = sums;
            this.bounds = bounds;
            this.cut = cut;
        }

        Kept take(int[] some) {
            return new Kept(Numbers.take(sums, some), Numbers.take(bounds, some), cut);
        }

        /** At most so many of them: those of greatest bounds. */
        Kept greatest(int most) {
            if (sums.length <= most) {
                return this;
            }
            int[] falling = Numbers.order(Numbers.negated(Numbers.ordered(bounds)));
            int[] best = Arrays.copyOf(falling, most);
            Arrays.sort(best);
            return new Kept(Numbers.take(sums, best), Numbers.take(bounds, best),
                    Math.max(cut, bounds[falling[most]]));
        }
    }

    /** Pairs of a sum and an item of the next class. */
    private static final class Pairs {
        final int[] sums;
        final int[] items;
        /** The least gap of the pairs that were left out though they are within the margin; infinity if none was. */
        final double beyond;

        Pairs(int[] sums, int[] items, double beyond) {
            this.sums = sums;
            this.items = items;
            this.beyond = beyond;
        }
    }

    /** What a search found. */
    static final class Found {
        /** The index of an item of each class; null if no choice was found. */
        final int[] chosen;
        /**
         * An upper bound of the choices that were left out although their value may reach the floor; minus infinity if
         * there were none.
         */
        final double lost;

        Found(int[] chosen, double lost) {
            this.chosen = chosen;
            this.lost = lost;
        }
    }

    PartialSums(long[][] values, long[][][] weights, double[][] gaps, long[] limits, double[] prices, double bound) {
        this.values = values;
        this.weights = weights;
        this.gaps = gaps;
        this.limits = limits;
        this.prices = prices;
        this.bound = bound;
        sizes = new long[values.length];
        for (int c = 0; c < sizes.length; c++) {
            sizes[c] = values[c].length;
        }
        order = Numbers.order(sizes);
    }

    /**
     * The best choice within the limits, of those whose value may reach a floor.
     *
     * @param floor choices of less value are of no use
     * @param width how many sums go on to the next class, at most
     * @param tangents better bounds than gaps give, at some cost; null to use gaps
     * @param deadline when to end the search
     */
    Found best(double floor, int width, Tangents tangents, Deadline deadline) {
        int classes = values.length;
        int atOnce = 1;
        double combinations = sizes[order[0]];
        while (atOnce < classes && combinations * sizes[order[atOnce]] <= AT_ONCE) {
            combinations *= sizes[order[atOnce++]];
        }
        Sums sums = ofAllChoices(atOnce);
        Kept kept = goingOn(sums, atOnce, floor, width, tangents);
        int[] first = kept.sums;
        double lost = kept.cut;
        sums = sums.take(first);
        List<int[]> parents = new ArrayList<>(); // by later class, of which sum before it a sum is made,
        List<int[]> items = new ArrayList<>(); // and of which item
        for (int k = atOnce; k < classes; k++) {
            if (deadline.passed()) {
                return new Found(null, Math.max(lost, bound - Numbers.least(sums.gap)));
            }
            Pairs pairs = pairs(sums.gap, gaps[order[k]], bound - floor, (long) PAIRS * width);
            sums = plus(sums, order[k], pairs);
            kept = goingOn(sums, k + 1, floor, width, tangents);
            sums = sums.take(kept.sums);
            parents.add(Numbers.take(pairs.sums, kept.sums));
            items.add(Numbers.take(pairs.items, kept.sums));
            lost = Math.max(lost, Math.max(bound - pairs.beyond, kept.cut));
        }
        if (sums.value.length == 0) {
            return new Found(null, lost);
        }
        int at = bestOf(sums);
        int[] answer = new int[classes];
        for (int k = classes - 1; k >= atOnce; k--) {
            answer[order[k]] = items.get(k - atOnce)[at];
            at = parents.get(k - atOnce)[at];
        }
        int combination = first[at];
        for (int k = atOnce - 1; k >= 0; k--) {
            answer[order[k]] = (int) (combination % sizes[order[k]]);
            combination /= (int) sizes[order[k]];
        }
        return new Found(answer, lost);
    }

    /** The sums of all choices from the first classes; the item of the last class varies fastest. */
    private Sums ofAllChoices(int classes) {
        long[] value = {0};
        double[] gap = {0};
        long[][] weight = new long[limits.length][1];
        for (int f = 0; f < classes; f++) {
            int c = order[f];
            int n = values[c].length;
            double[] longer = new double[gap.length * n];
            for (int k = 0; k < longer.length; k++) {
                longer[k] = gap[k / n] + gaps[c][k % n];
            }
            gap = longer;
            value = outer(value, values[c]);
            for (int i = 0; i < limits.length; i++) {
                weight[i] = outer(weight[i], weights[i][c]);
            }
        }
        return new Sums(value, gap, weight);
    }

    private static long[] outer(long[] sums, long[] items) {
        long[] found = new long[sums.length * items.length];
        int at = 0;
        for (long sum : sums) {
            for (long item : items) {
                found[at++] = sum + item;
            }
        }
        return found;
    }

    /** The sums of pairs, whose items are of class c. */
    private Sums plus(Sums sums, int c, Pairs pairs) {
        int total = pairs.sums.length;
        Sums longer = new Sums(new long[total], new double[total], new long[limits.length][total]);
        for (int at = 0; at < total; at++) {
            int before = pairs.sums[at];
            int item = pairs.items[at];
            longer.value[at] = sums.value[before] + values[c][item];
            longer.gap[at] = sums.gap[before] + gaps[c][item];
            for (int i = 0; i < limits.length; i++) {
                longer.weight[i][at] = sums.weight[i][before] + weights[i][c][item];
            }
        }
        return longer;
    }

    /**
     * The pairs whose gaps add up to at most a margin; if they are many, about `most` of least gaps.
     *
     * @param gap of each sum
     * @param itemGap of each item
     * @param margin the greatest sum of two gaps that is of use
     * @param most about how many pairs may be formed
     */
    private static Pairs pairs(double[] gap, double[] itemGap, double margin, long most) {
        int[] order = Numbers.order(Numbers.ordered(gap));
        double[] ascending = Numbers.take(gap, order);
        double beyond = Double.POSITIVE_INFINITY;
        int[] counts = countsWithin(ascending, itemGap, margin);
        if (Numbers.sum(counts) > most) {
            double low = ascending[0] + Numbers.least(itemGap);
            double high = margin;
            for (int step = 0; step < BISECTIONS; step++) {
                double middle = (low + high) / 2;
                if (Numbers.sum(countsWithin(ascending, itemGap, middle)) <= most) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            beyond = low;
            counts = countsWithin(ascending, itemGap, low);
        }
        if (Numbers.sum(counts) > 2 * most) { // many gaps are equal
            for (int k = 0; k < counts.length; k++) {
                counts[k] = (int) Math.min(counts[k], 1 + most / counts.length);
            }
        }
        int total = (int) Numbers.sum(counts);
        int[] sums = new int[total];
        int[] items = new int[total];
        int at = 0;
        for (int k = 0; k < counts.length; k++) {
            System.arraycopy(order, 0, sums, at, counts[k]);
            Arrays.fill(items, at, at + counts[k], k);
            at += counts[k];
        }
        return new Pairs(sums, items, beyond);
    }

    /** By item, how many sums form a pair with it within a margin: the first so many by ascending gap. */
    private static int[] countsWithin(double[] ascending, double[] itemGap, double margin) {
        int[] counts = new int[itemGap.length];
        for (int k = 0; k < counts.length; k++) {
            counts[k] = countUpTo(ascending, margin - itemGap[k]);
        }
        return counts;
    }

    private static int countUpTo(double[] ascending, double most) {
        int low = 0;
        int high = ascending.length;
        while (low < high) {
            int middle = low + high >>> 1;
            if (ascending[middle] <= most) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    /** Which sums go on, where the classes from order[next] follow; after the last, all within the limits. */
    private Kept goingOn(Sums sums, int next, double floor, int width, Tangents tangents) {
        boolean last = next == order.length;
        long[] lightest = new long[limits.length];
        long[] heaviest = new long[limits.length];
        for (int i = 0; i < limits.length; i++) {
            for (int k = next; k < order.length; k++) {
                lightest[i] += Numbers.least(weights[i][order[k]]);
                heaviest[i] += Numbers.greatest(weights[i][order[k]]);
            }
        }
        if (tangents != null && !last) {
            tangents.lookAhead(order, next);
        }
        int[] within = new int[sums.value.length];
        double[] bounds = new double[within.length];
        int count = 0;
        long[] own = new long[limits.length];
        for (int k = 0; k < within.length; k++) {
            boolean fits = true;
            double most = bound - sums.gap[k];
            for (int i = 0; i < limits.length; i++) {
                own[i] = sums.weight[i][k];
                fits &= own[i] <= limits[i] - lightest[i];
                most -= prices[i] * Math.max(0, limits[i] - heaviest[i] - own[i]);
            }
            if (fits && !last && tangents != null) {
                most = tangents.bound(sums.value[k], own);
            }
            if (fits && (last || most >= floor)) {
                bounds[count] = most;
                within[count++] = k;
            }
        }
        Kept kept = new Kept(Arrays.copyOf(within, count), Arrays.copyOf(bounds, count), Double.NEGATIVE_INFINITY);
        if (last) {
            return kept;
        }
        // Dominance takes long, so it is tested among twice as many sums as may go on.
        kept = kept.greatest(2 * width);
        return kept.take(Dominance.undominated(Numbers.take(sums.value, kept.sums),
                Numbers.takeOfEach(sums.weight, kept.sums))).greatest(width);
    }

    /** The index of the greatest value; among equals, of the least first weight, then of the least second one. */
    private static int bestOf(Sums sums) {
        int best = 0;
        for (int k = 1; k < sums.value.length; k++) {
            int better = Long.compare(sums.value[k], sums.value[best]);
            for (int i = 0; i < sums.weight.length && better == 0; i++) {
                better = Long.compare(sums.weight[i][best], sums.weight[i][k]);
            }
            if (better > 0) {
                best = k;
            }
        }
        return best;
    }
}
