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
    /** So many sums are looked at before the first pruning. */
    private static final int START = 1 << 12;

    private final long[] limits;
    private final double[] prices;
    private final double margin;
    /** Least and greatest weights of the classes to come, by limit. */
    private final long[] restLeast;
    private final long[] restMost;
    private int later;

    /** The partial sums: how many, and their value, gap, and every weight; and what each is the sum of. */
    private int count;
    private long[] value;
    private double[] gap;
    private final long[][] weights;
    private int[] parent;
    private int[] option;

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
        prune();
        int[] start = parent;
        List<int[]> parents = new ArrayList<>();
        List<int[]> options = new ArrayList<>();
        for (int k = first; k < classes; k++) {
            add(values[order[k]], column(ws, order[k]), gaps[order[k]]);
            parents.add(parent);
            options.add(option);
        }
        if (value.length == 0) {
            return null;
        }
        int at = 0; // of the last class only the best was kept
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

    /** All sums over the first classes that are possible, numbered so that the last class's items are fastest. */
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
        parent = numbered(value.length);
        option = new int[value.length];
        int[] kept = new int[value.length];
        int possible = 0;
        long[] weight = new long[ws.length];
        for (int k = 0; k < kept.length; k++) {
            for (int i = 0; i < ws.length; i++) {
                weight[i] = weights[i][k];
            }
            if (isPossible(gap[k], weight)) {
                kept[possible++] = k;
            }
        }
        take(Arrays.copyOf(kept, possible));
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

    /** Add one class; of what can still be the best, note which sum and which item it came from. */
    private void add(long[] values, long[][] ws, double[] gaps) {
        later--;
        for (int i = 0; i < ws.length; i++) {
            restLeast[i] -= Numbers.least(ws[i]);
            restMost[i] -= Numbers.greatest(ws[i]);
        }
        int[] order = Numbers.order(Numbers.ordered(gap));
        double[] ascending = Numbers.take(gap, order);
        Sums next = new Sums(limits, prices, margin);
        System.arraycopy(restLeast, 0, next.restLeast, 0, limits.length);
        System.arraycopy(restMost, 0, next.restMost, 0, limits.length);
        next.later = later;
        next.clear();
        // All pairs whose gaps add up to at most the margin; pruned now and then, so that they never are many.
        long[] weight = new long[ws.length];
        for (int k = 0; k < gaps.length; k++) {
            int count = countUpTo(ascending, margin - gaps[k]);
            for (int s = 0; s < count; s++) {
                int before = order[s];
                for (int i = 0; i < ws.length; i++) {
                    weight[i] = weights[i][before] + ws[i][k];
                }
                next.put(value[before] + values[k], gap[before] + gaps[k], weight, before, k);
            }
        }
        next.prune();
        value = next.value;
        gap = next.gap;
        parent = next.parent;
        option = next.option;
        System.arraycopy(next.weights, 0, weights, 0, weights.length);
    }

    /** Hold no sums, with room for some. */
    private void clear() {
        value = new long[START];
        gap = new double[START];
        parent = new int[START];
        option = new int[START];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = new long[START];
        }
    }

    /** Note a sum, unless it is out of the question. */
    private void put(long v, double g, long[] ws, int from, int item) {
        if (!isPossible(g, ws)) {
            return;
        }
        if (count == value.length) {
            makeRoom();
        }
        value[count] = v;
        gap[count] = g;
        parent[count] = from;
        option[count] = item;
        for (int i = 0; i < ws.length; i++) {
            weights[i][count] = ws[i];
        }
        count++;
    }

    /** Whether a sum may hold the limits once all classes are added, within the margin. */
    private boolean isPossible(double g, long[] ws) {
        double waste = g;
        for (int i = 0; i < limits.length; i++) {
            if (ws[i] > limits[i] - restLeast[i]) {
                return false;
            }
            waste += prices[i] * Math.max(0, limits[i] - restMost[i] - ws[i]);
        }
        return later == 0 || waste <= margin; // of the last ones all that hold the limits count
    }

    private void makeRoom() {
        prune();
        int length = Math.max(START, 2 * count);
        value = Arrays.copyOf(value, length);
        gap = Arrays.copyOf(gap, length);
        parent = Arrays.copyOf(parent, length);
        option = Arrays.copyOf(option, length);
        for (int i = 0; i < weights.length; i++) {
            weights[i] = Arrays.copyOf(weights[i], length);
        }
    }

    private static int[] numbered(int count) {
        int[] numbers = new int[count];
        for (int i = 0; i < count; i++) {
            numbers[i] = i;
        }
        return numbers;
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
        parent = Numbers.take(parent, kept);
        option = Numbers.take(option, kept);
        for (int i = 0; i < weights.length; i++) {
            weights[i] = Numbers.take(weights[i], kept);
        }
        count = kept.length;
    }

    /** Keep only sums that can still be the best; of the last ones the best alone. */
    private void prune() {
        take(numbered(count)); // arrays have room for more
        if (later > 0) {
            take(Dominance.undominated(value, weights));
        } else if (count > 0) {
            take(new int[] {bestOf()});
        }
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
