package org.legodnn.solver;

import java.util.Arrays;

/** Plans of a knapsack made better by changing two classes at a time. */
final class Exchange {
    /** Two items at a time are exchanged among so many. */
    private static final int EXCHANGED = 256;

    private final long[][] values;
    private final long[][][] weights;
    private final long[] limits;

    Exchange(long[][] values, long[][][] weights, long[] limits) {
        this.values = values;
        this.weights = weights;
        this.limits = limits;
    }

    /** A plan made better by changing two classes at a time, for as long as that helps; items of small gaps only. */
    int[] improved(double[][] gaps, int[] feasible, Clock clock) {
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
        while (!clock.over()) {
            long best = 0;
            int bestI = -1;
            int bestJ = -1;
            for (int i = 0; i < some.length; i++) {
                for (int j = 0; j < some.length; j++) {
                    int c = classOf[some[i]];
                    int d = classOf[some[j]];
                    long gain = values[c][itemOf[some[i]]] - values[c][chosen[c]]
                            + values[d][itemOf[some[j]]] - values[d][chosen[d]];
                    if (c != d && gain > best && fits(chosen, c, itemOf[some[i]], d, itemOf[some[j]])) {
                        best = gain;
                        bestI = some[i];
                        bestJ = some[j];
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

    private boolean fits(int[] chosen, int c, int item, int d, int other) {
        for (int i = 0; i < limits.length; i++) {
            long extra = weights[i][c][item] - weights[i][c][chosen[c]] + weights[i][d][other] - weights[i][d][chosen[d]];
            if (extra > limits[i] - total(i, chosen)) {
                return false;
            }
        }
        return true;
    }

    private long total(int limit, int[] chosen) {
        long sum = 0;
        for (int c = 0; c < chosen.length; c++) {
            sum += weights[limit][c][chosen[c]];
        }
        return sum;
    }
}
