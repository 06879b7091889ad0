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
    private double floor;
    private int width;
    private Tangents tangents;
    /** See {@link Found#lost}. */
    private double lost = Double.NEGATIVE_INFINITY;

    /** The partial sums' values and gaps, and their weights by limit. */
    private long[] value;
    private double[] gap;
    private final long[][] weight;
    /** Of each partial sum, the sum over one class less that it was made from, and the item that was added. */
    private int[] parent;
    private int[] option;

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
        weight = new long[limits.length][];
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
        this.floor = floor;
        this.width = width;
        this.tangents = tangents;
        int classes = values.length;
        int first = 1;
        double combinations = sizes[order[0]];
        while (first < classes && combinations * sizes[order[first]] <= AT_ONCE) {
            combinations *= sizes[order[first++]];
        }
        addUp(first);
        prune(first);
        int[] start = parent;
        List<int[]> parents = new ArrayList<>();
        List<int[]> options = new ArrayList<>();
        for (int k = first; k < classes; k++) {
            if (deadline.passed()) {
                double least = Double.POSITIVE_INFINITY;
                for (double g : gap) {
                    least = Math.min(least, g);
                }
                return new Found(null, Math.max(lost, bound - least));
            }
            add(order[k]);
            prune(k + 1);
            parents.add(parent);
            options.add(option);
        }
        if (value.length == 0) {
            return new Found(null, lost);
        }
        int at = bestOf();
        int[] answer = new int[classes];
        for (int k = classes - 1; k >= first; k--) {
            answer[order[k]] = options.get(k - first)[at];
            at = parents.get(k - first)[at];
        }
        int combination = start[at];
        for (int k = first - 1; k >= 0; k--) {
            answer[order[k]] = (int) (combination % sizes[order[k]]);
            combination /= (int) sizes[order[k]];
        }
        return new Found(answer, lost);
    }

    /** Form all sums over the first classes; the item of the last class varies fastest. */
    private void addUp(int first) {
        value = new long[] {0};
        gap = new double[] {0};
        for (int i = 0; i < limits.length; i++) {
            weight[i] = new long[] {0};
        }
        for (int f = 0; f < first; f++) {
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
        parent = new int[value.length];
        for (int k = 0; k < parent.length; k++) {
            parent[k] = k;
        }
        option = new int[value.length];
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

    /**
     * Add one class: form all pairs of a sum and an item whose gaps leave them above the floor, or the best of them.
     */
    private void add(int c) {
        int[] byGap = Numbers.order(Numbers.ordered(gap));
        double[] ascending = Numbers.take(gap, byGap);
        int items = gaps[c].length;
        long most = (long) PAIRS * width;
        double margin = bound - floor;
        if (pairs(ascending, gaps[c], margin) > most) {
            double low = Double.POSITIVE_INFINITY;
            for (double g : gaps[c]) {
                low = Math.min(low, ascending[0] + g);
            }
            double high = margin;
            for (int step = 0; step < BISECTIONS; step++) {
                double middle = (low + high) / 2;
                if (pairs(ascending, gaps[c], middle) <= most) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            margin = low;
            lost = Math.max(lost, bound - low);
        }
        int[] counts = new int[items];
        long sum = 0;
        for (int k = 0; k < items; k++) {
            counts[k] = countUpTo(ascending, margin - gaps[c][k]);
            sum += counts[k];
        }
        int total = 0;
        for (int k = 0; k < items; k++) {
            if (sum > 2 * most) { // many gaps are equal
                counts[k] = (int) Math.min(counts[k], 1 + most / items);
            }
            total += counts[k];
        }
        long[] newValue = new long[total];
        double[] newGap = new double[total];
        long[][] newWeight = new long[limits.length][total];
        parent = new int[total];
        option = new int[total];
        int at = 0;
        for (int k = 0; k < items; k++) {
            for (int s = 0; s < counts[k]; s++, at++) {
                int before = byGap[s];
                newValue[at] = value[before] + values[c][k];
                newGap[at] = gap[before] + gaps[c][k];
                for (int i = 0; i < limits.length; i++) {
                    newWeight[i][at] = weight[i][before] + weights[i][c][k];
                }
                parent[at] = before;
                option[at] = k;
            }
        }
        value = newValue;
        gap = newGap;
        System.arraycopy(newWeight, 0, weight, 0, limits.length);
    }

    private static long pairs(double[] ascending, double[] gaps, double margin) {
        long count = 0;
        for (double g : gaps) {
            count += countUpTo(ascending, margin - g);
        }
        return count;
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

    /**
     * Keep only the sums that go on, where the classes from order[next] follow; after the last, all within the limits.
     */
    private void prune(int next) {
        boolean last = next == order.length;
        long[] least = new long[limits.length];
        long[] most = new long[limits.length];
        for (int i = 0; i < limits.length; i++) {
            for (int k = next; k < order.length; k++) {
                least[i] += Numbers.least(weights[i][order[k]]);
                most[i] += Numbers.greatest(weights[i][order[k]]);
            }
        }
        if (tangents != null && !last) {
            tangents.lookAhead(order, next);
        }
        int[] kept = new int[value.length];
        double[] bounds = new double[value.length];
        int count = 0;
        long[] own = new long[limits.length];
        for (int k = 0; k < kept.length; k++) {
            boolean fits = true;
            double best = bound - gap[k];
            for (int i = 0; i < limits.length; i++) {
                own[i] = weight[i][k];
                fits &= own[i] <= limits[i] - least[i];
                best -= prices[i] * Math.max(0, limits[i] - most[i] - own[i]);
            }
            if (fits && !last) {
                bounds[count] = tangents == null ? best : tangents.bound(value[k], own);
            }
            if (fits && (last || bounds[count] >= floor)) {
                kept[count++] = k;
            }
        }
        take(Arrays.copyOf(kept, count));
        if (last) {
            return;
        }
        bounds = cut(Arrays.copyOf(bounds, count), 2 * width);
        int[] best = Dominance.undominated(value, weight);
        take(best);
        cut(Numbers.take(bounds, best), width);
    }

    /** Keep the `most` sums of greatest bounds, note the greatest bound of the others, and return the bounds kept. */
    private double[] cut(double[] bounds, int most) {
        if (bounds.length <= most) {
            return bounds;
        }
        int[] falling = Numbers.order(Numbers.negated(Numbers.ordered(bounds)));
        lost = Math.max(lost, bounds[falling[most]]);
        int[] kept = Arrays.copyOf(falling, most);
        Arrays.sort(kept);
        take(kept);
        return Numbers.take(bounds, kept);
    }

    private void take(int[] kept) {
        value = Numbers.take(value, kept);
        gap = Numbers.take(gap, kept);
        parent = Numbers.take(parent, kept);
        option = Numbers.take(option, kept);
        for (int i = 0; i < weight.length; i++) {
            weight[i] = Numbers.take(weight[i], kept);
        }
    }

    /** The index of the greatest value; among equals, of the least first weight, then of the least second one. */
    private int bestOf() {
        int best = 0;
        for (int k = 1; k < value.length; k++) {
            int better = Long.compare(value[k], value[best]);
            for (int i = 0; i < weight.length && better == 0; i++) {
                better = Long.compare(weight[i][best], weight[i][k]);
            }
            if (better > 0) {
                best = k;
            }
        }
        return best;
    }
}
