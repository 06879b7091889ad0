package org.legodnn.internal.solver;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertTrue;

import java.util.Arrays;
import java.util.Random;

import org.junit.Test;

/** Frontiers against all compositions. */
public class FrontierTest {
    /** Options that take less, and lose more, the further on they are; interactions up to a share of the most. */
    private static BlockFigures block(Random random, int before, int options, int most, double interactions) {
        BlockFigures block = new BlockFigures(new long[options], new long[options], new long[before][options]);
        double share = interactions * most * random.nextInt(4) / 3;
        for (int o = 0; o < options; o++) {
            double sparsity = 0.9 * o / (options - 1);
            block.memory[o] = Math.round(most * (1 - sparsity) * (0.8 + 0.4 * random.nextDouble()));
            block.latency[o] = Math.round(most * (1 - sparsity) * (0.8 + 0.4 * random.nextDouble()));
            double own = most * sparsity * sparsity * (0.8 + 0.4 * random.nextDouble());
            for (long[] after : block.loss) {
                after[o] = Math.round(own + share * (2 * random.nextDouble() - 1));
            }
        }
        return block;
    }

    /** Memory, latency and loss of a composition. */
    private static long[] sums(BlockFigures[] blocks, int[] choice) {
        long[] sums = {5, 7, 0}; // of fixed segments
        for (int b = 0; b < blocks.length; b++) {
            sums[0] += blocks[b].memory[choice[b]];
            sums[1] += blocks[b].latency[choice[b]];
            sums[2] += blocks[b].loss[b == 0 ? 0 : choice[b - 1]][choice[b]];
        }
        return sums;
    }

    private static boolean next(int[] choice, int options) {
        for (int b = 0; b < choice.length; b++) {
            if (++choice[b] < options) {
                return true;
            }
            choice[b] = 0;
        }
        return false;
    }

    private static boolean isCovered(long[] sums, long[][] points) {
        for (long[] point : points) {
            if (point[0] <= sums[0] && point[1] <= sums[1] && point[2] <= sums[2]) {
                return true;
            }
        }
        return false;
    }

    private static void check(int count, int options, int most, double interactions) {
        Random random = new Random(count);
        BlockFigures[] blocks = new BlockFigures[count];
        for (int b = 0; b < count; b++) {
            blocks[b] = block(random, b == 0 ? 1 : options, options, most, interactions);
        }
        Frontier found = Frontier.build(blocks, loss -> -loss, 2, 5, 7);
        long[][] points = new long[found.size()][];
        for (int i = 0; i < points.length; i++) {
            points[i] = new long[] {found.memory[i], found.latency[i], (long) -found.accuracy[i]};
            assertArrayEquals(sums(blocks, found.choiceOf(i)), points[i]);
        }
        int[] choice = new int[count];
        do {
            assertTrue(Arrays.toString(choice), isCovered(sums(blocks, choice), points));
        } while (next(choice, options));
    }

    @Test
    public void noCompositionIsBetterThanAllPoints() {
        for (double interactions : new double[] {0, 0.1, 1}) {
            check(3, 4, 50, interactions);
            check(4, 6, 10, interactions);
            check(5, 6, 1000, interactions);
            check(5, 9, 10_000, interactions);
        }
    }
}
