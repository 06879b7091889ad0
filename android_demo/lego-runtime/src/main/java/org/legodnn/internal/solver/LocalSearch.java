package org.legodnn.internal.solver;

import java.util.Arrays;

/** Local search: a feasible choice of a knapsack's items made better by changing one class or two at a time. */
final class LocalSearch {
    /** Two classes at a time are changed among this many items: those of the least gaps. */
    private static final int EXCHANGED = 256;

    private LocalSearch() {}

    /** A feasible choice improved by changing one class at a time, for as long as that helps. */
    static int[] changedOneByOne(Items items, int[] feasible) {
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

    /** Whether a choice with the item of one class replaced is within the limits. */
    private static boolean fits(Items items, int[] chosen, int c, int item) {
        for (int i = 0; i < items.limits.length; i++) {
            double[] weight = items.weights[i][c];
            if (weight[item] > items.limits[i] - items.weightOf(i, chosen) + weight[chosen[c]]) {
                return false;
            }
        }
        return true;
    }

    /**
     * A feasible choice improved by changing two classes at a time, for as long as that helps. Only items of small gaps
     * take the place of others.
     *
     * @param values by class and item
     * @param weights by limit, class and item
     * @param limits the greatest total of each weight
     * @param gaps by class and item
     * @param feasible an item of each class, within the limits; it is left as it is
     * @param deadline when to stop
     */
    static int[] changedTwoByTwo(
            long[][] values, long[][][] weights, long[] limits, double[][] gaps, int[] feasible, Deadline deadline) {
        int total = 0;
        for (double[] row : gaps) {
            total += row.length;
        }
        double[] gap = new double[total];
        int[] classOf = new int[total];
        int[] itemOf = new int[total];
        int at = 0;
        for (int c = 0; c < gaps.length; c++) {
            for (int k = 0; k < gaps[c].length; k++, at++) {
                gap[at] = gaps[c][k];
                classOf[at] = c;
                itemOf[at] = k;
            }
        }
        int[] order = Numbers.order(Numbers.ordered(gap));
        int[] some = Arrays.copyOf(order, Math.min(EXCHANGED, total));
        Arrays.sort(some);
        int[] chosen = feasible.clone();
        while (!deadline.passed()) {
            long best = 0;
            int bestI = -1;
            int bestJ = -1;
            for (int i : some) {
                for (int j : some) {
                    int c = classOf[i];
                    int d = classOf[j];
                    long gain = values[c][itemOf[i]] - values[c][chosen[c]] + values[d][itemOf[j]]
                            - values[d][chosen[d]];
                    if (c != d && gain > best && fits(weights, limits, chosen, c, itemOf[i], d, itemOf[j])) {
                        best = gain;
                        bestI = i;
                        bestJ = j;
                    }
                }
            }
            if (best == 0) {
                break;
            }
            chosen[classOf[bestI]] = itemOf[bestI];
            chosen[classOf[bestJ]] = itemOf[bestJ];
        }
        return chosen;
    }

    /** Whether a choice with the items of two classes replaced is within the limits. */
    private static boolean fits(
            long[][][] weights, long[] limits, int[] chosen, int c, int item, int d, int other) {
        for (int i = 0; i < limits.length; i++) {
            long extra = weights[i][c][item] - weights[i][c][chosen[c]] + weights[i][d][other]
                    - weights[i][d][chosen[d]];
            if (extra > limits[i] - total(weights[i], chosen)) {
                return false;
            }
        }
        return true;
    }

    private static long total(long[][] weights, int[] chosen) {
        long sum = 0;
        for (int c = 0; c < chosen.length; c++) {
            sum += weights[c][chosen[c]];
        }
        return sum;
    }
}
