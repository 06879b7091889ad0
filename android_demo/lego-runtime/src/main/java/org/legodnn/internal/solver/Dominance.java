package org.legodnn.internal.solver;

import java.util.Arrays;

/** Which choices are not dominated, exactly: in value and one weight or two. */
final class Dominance {
    private Dominance() {}

    /**
     * The indices of the choices that no other equals or beats in value and all weights, by ascending first weight. Of
     * equal choices the first is kept.
     */
    static int[] undominated(long[] value, long[][] weights) {
        long[] falling = Numbers.negated(value);
        return weights.length == 1 ? byOne(value, Numbers.order(weights[0], falling))
                : byTwo(value, weights[1], Numbers.order(weights[0], weights[1], falling));
    }

    private static int[] byOne(long[] value, int[] order) {
        int[] kept = new int[order.length];
        int count = 0;
        for (int i : order) {
            if (count == 0 || value[i] > value[kept[count - 1]]) {
                kept[count++] = i;
            }
        }
        return Arrays.copyOf(kept, count);
    }

    /** A choice is kept unless another one before it in order has no less value and no more second weight. */
    private static int[] byTwo(long[] value, long[] second, int[] order) {
        int[] rank = new int[value.length];
        int[] byValue = Numbers.order(Numbers.negated(value));
        int ranks = 0;
        for (int i = 0; i < byValue.length; i++) {
            ranks += i == 0 || value[byValue[i]] != value[byValue[i - 1]] ? 1 : 0;
            rank[byValue[i]] = ranks;
        }
        // A Fenwick tree of prefix minima: the least second weight so far among the choices of a value's rank or a
        // better one; the greatest value has rank 1.
        long[] least = new long[ranks + 1];
        Arrays.fill(least, Frontier.INFINITE);
        int[] kept = new int[order.length];
        int count = 0;
        for (int i : order) {
            long beaten = Frontier.INFINITE;
            for (int r = rank[i]; r > 0; r -= r & -r) {
                beaten = Math.min(beaten, least[r]);
            }
            if (beaten > second[i]) {
                kept[count++] = i;
            }
            for (int r = rank[i]; r <= ranks; r += r & -r) {
                least[r] = Math.min(least[r], second[i]);
            }
        }
        return Arrays.copyOf(kept, count);
    }
}
