package org.legodnn.solver;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Sums of one item of each class, kept only while they can still be the best: the last step of {@link Knapsack}, whose
 * documentation has the terms (gap, price, margin). Small classes are added up all at once; then class by class,
 * dropping what the margin, the limits or dominance rule out.
 */
final class Sums {
    /** So many combinations are simply added up. */
    static final int AT_ONCE = 4096;

    private final long[] limits;
    private final double[] prices;
    private final double margin;
    /** Least and greatest weights of the classes to come, by limit. */
    private final long[] restLeast;
    private final long[] restMost;
    private int later;

    /** The partial sums: value, gap, and every weight. */
    private long[] value;
    private double[] gap;
    private final long[][] weights;

    private Sums(long[] limits, double[] prices, double margin) {
        this.limits = limits;
        this.prices = prices;
        this.margin = margin;
        this.restLeast = new long[limits.length];
        this.restMost = new long[limits.length];
        this.weights = new long[limits.length][];
    }

    /**
     * The best choice that holds the limits among those whose gaps and priced slack add up to at most the margin.
     *
     * @param values by class and item; no class is empty
     * @param weights by limit, class and item
     * @param gaps by class and item
     * @param limits the greatest total of each weight
     * @param prices one for each limit
     * @param margin null is returned if nothing feasible lies within it
     */
    static int[] best(long[][] values, long[][][] weights, double[][] gaps, long[] limits, double[] prices,
            double margin) {
        return new Sums(limits, prices, margin).best(values, weights, gaps);
    }

    private int[] best(long[][] values, long[][][] ws, double[][] gaps) {
        int classes = values.length;
        long[] sizes = new long[classes];
        for (int c = 0; c < classes; c++) {
            sizes[c] = values[c].length;
        }
        int[] order = Numbers.order(sizes);
        int first = 1;
        double combinations = sizes[order[0]];
        while (first < classes && combinations * sizes[order[first]] <= AT_ONCE) {
            combinations *= sizes[order[first++]];
        }
        later = classes - first;
        for (int i = 0; i < limits.length; i++) {
            for (int k = first; k < classes; k++) {
                restLeast[i] += Numbers.least(ws[i][order[k]]);
                restMost[i] += Numbers.greatest(ws[i][order[k]]);
            }
        }
        addUp(values, ws, gaps, Arrays.copyOf(order, first));
        int[] start = prune();
        take(start);
        List<int[]> parents = new ArrayList<>();
        List<int[]> options = new ArrayList<>();
        for (int k = first; k < classes; k++) {
            add(values[order[k]], column(ws, order[k]), gaps[order[k]], parents, options);
        }
        if (value.length == 0) {
            return null;
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
        return answer;
    }

    private static long[][] column(long[][][] ws, int c) {
        long[][] found = new long[ws.length][];
        for (int i = 0; i < ws.length; i++) {
            found[i] = ws[i][c];
        }
        return found;
    }

    /** All sums over the first classes, the last class's items fastest. */
    private void addUp(long[][] values, long[][][] ws, double[][] gaps, int[] first) {
        value = new long[] {0};
        gap = new double[] {0};
        for (int i = 0; i < ws.length; i++) {
            weights[i] = new long[] {0};
        }
        for (int c : first) {
            int n = values[c].length;
            value = outer(value, values[c]);
            double[] longer = new double[gap.length * n];
            for (int k = 0; k < longer.length; k++) {
                longer[k] = gap[k / n] + gaps[c][k % n];
            }
            gap = longer;
            for (int i = 0; i < ws.length; i++) {
                weights[i] = outer(weights[i], ws[i][c]);
            }
        }
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

    /** Add one class, and note of what is kept which sum and which item it came from. */
    private void add(long[] values, long[][] ws, double[] gaps, List<int[]> parents, List<int[]> options) {
        later--;
        for (int i = 0; i < ws.length; i++) {
            restLeast[i] -= Numbers.least(ws[i]);
            restMost[i] -= Numbers.greatest(ws[i]);
        }
        // All pairs whose gaps add up to at most the margin.
        int[] order = Numbers.order(Numbers.ordered(gap));
        double[] ascending = Numbers.take(gap, order);
        int[] counts = new int[gaps.length];
        int total = 0;
        for (int k = 0; k < gaps.length; k++) {
            counts[k] = countUpTo(ascending, margin - gaps[k]);
            total += counts[k];
        }
        int[] parent = new int[total];
        int[] option = new int[total];
        long[] value = new long[total];
        double[] gap = new double[total];
        long[][] weights = new long[ws.length][total];
        int at = 0;
        for (int k = 0; k < gaps.length; k++) {
            for (int s = 0; s < counts[k]; s++, at++) {
                int before = order[s];
                parent[at] = before;
                option[at] = k;
                value[at] = this.value[before] + values[k];
                gap[at] = this.gap[before] + gaps[k];
                for (int i = 0; i < ws.length; i++) {
                    weights[i][at] = this.weights[i][before] + ws[i][k];
                }
            }
        }
        this.value = value;
        this.gap = gap;
        System.arraycopy(weights, 0, this.weights, 0, weights.length);
        int[] kept = prune();
        take(kept);
        parents.add(Numbers.take(parent, kept));
        options.add(Numbers.take(option, kept));
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

    private void take(int[] kept) {
        value = Numbers.take(value, kept);
        gap = Numbers.take(gap, kept);
        for (int i = 0; i < weights.length; i++) {
            weights[i] = Numbers.take(weights[i], kept);
        }
    }

    /** Indices of the sums that can still be the best. */
    private int[] prune() {
        int[] kept = new int[value.length];
        int count = 0;
        for (int k = 0; k < value.length; k++) {
            boolean possible = true;
            double waste = gap[k];
            for (int i = 0; i < limits.length && possible; i++) {
                possible = weights[i][k] <= limits[i] - restLeast[i];
                waste += prices[i] * Math.max(0, limits[i] - restMost[i] - weights[i][k]);
            }
            if (possible && (later == 0 || waste <= margin)) {
                kept[count++] = k;
            }
        }
        kept = Arrays.copyOf(kept, count);
        if (later == 0) { // nothing to come: whatever holds the limits
            return kept;
        }
        long[][] ws = new long[weights.length][];
        for (int i = 0; i < ws.length; i++) {
            ws[i] = Numbers.take(weights[i], kept);
        }
        return Numbers.take(kept, Dominance.undominated(Numbers.take(value, kept), ws));
    }

    /** The greatest value, then the least first weight, then the least second one, then the first met. */
    private int bestOf() {
        int best = 0;
        for (int k = 1; k < value.length; k++) {
            int better = Long.compare(value[k], value[best]);
            for (int i = 0; i < weights.length && better == 0; i++) {
                better = Long.compare(weights[i][best], weights[i][k]);
            }
            if (better > 0) {
                best = k;
            }
        }
        return best;
    }
}
