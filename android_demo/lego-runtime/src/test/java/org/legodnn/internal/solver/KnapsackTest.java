package org.legodnn.internal.solver;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;

import java.util.Arrays;
import java.util.Random;

import org.junit.Test;

/** Knapsacks against all choices. */
public class KnapsackTest {
    private static final long[] VALUES = {0, 1 << 20, 1L << 40, 85_333_333_166_666L, 85_333_333_333_333L};

    /** Items whose weights differ in their last digits alone, as where limits are met to the byte. */
    private static long[] nearlyAlike(Random random, int count, long base, int spread) {
        long[] weights = new long[count];
        for (int i = 0; i < count; i++) {
            weights[i] = base + random.nextInt(spread);
        }
        return weights;
    }

    private static Long best(long[][] values, long[][][] weights, long[] limits) {
        Long best = null;
        int[] choice = new int[values.length];
        int at;
        do {
            long[] sums = new long[3];
            for (int c = 0; c < choice.length; c++) {
                sums[0] += values[c][choice[c]];
                sums[1] += weights[0][c][choice[c]];
                sums[2] += weights[1][c][choice[c]];
            }
            boolean within = sums[1] <= limits[0] && sums[2] <= limits[1];
            best = within && (best == null || sums[0] > best) ? Long.valueOf(sums[0]) : best;
            at = 0;
            while (at < choice.length && ++choice[at] == values[at].length) {
                choice[at++] = 0;
            }
        } while (at < choice.length);
        return best;
    }

    private static long middle(long[][] weights) {
        double sum = 0;
        for (long[] w : weights) {
            sum += Arrays.stream(w).average().getAsDouble();
        }
        return (long) sum;
    }

    @Test
    public void itemsThatAreNearlyAlikeAreChosenRight() {
        for (int seed = 0; seed < 3000; seed++) {
            Random random = new Random(seed);
            int classes = 1 + random.nextInt(3);
            long base = (long) Math.pow(10, 3 + 10 * random.nextDouble());
            int spread = (int) Math.pow(10, 3 * random.nextDouble()) + 1;
            long[][] values = new long[classes][];
            long[][][] weights = new long[2][classes][];
            for (int c = 0; c < classes; c++) {
                int items = 2 + random.nextInt(5);
                values[c] = new long[items];
                for (int i = 0; i < items; i++) {
                    values[c][i] = VALUES[random.nextInt(VALUES.length)] + random.nextInt(3);
                }
                weights[0][c] = nearlyAlike(random, items, base, spread);
                weights[1][c] = nearlyAlike(random, items, base, spread);
                Arrays.sort(weights[0][c]);
            }
            long[] limits = {middle(weights[0]), middle(weights[1])};
            Long best = best(values, weights, limits);
            Knapsack.Answer found = Knapsack.solve(values, weights, limits, Deadline.NO_DEADLINE);
            if (best == null) {
                assertNull("seed " + seed, found);
            } else {
                assertEquals("seed " + seed, best.longValue(), found.value);
            }
        }
    }
}
