package org.legodnn.internal.solver;

import java.util.Arrays;
import java.util.function.LongToDoubleFunction;

/**
 * The Pareto frontier of one model: the compositions that are not dominated, and a few others, by memory, then threads
 * x latency.
 *
 * <p>A composition has a memory, a latency and a loss, each a sum over blocks. It is dominated if another composition
 * is no greater in all three. The options of one block are added to the sums over the blocks before it, dominated sums
 * are dropped, and what is left contains all sums over one block more that are not dominated. The frontier does not
 * depend on any budget, so it is built once. Pruning need not be perfect: a dominated point that stays is never chosen.
 *
 * <p>The loss of an option may depend on the option of the block before it (their interaction). Two sums that end in
 * different options may then lose differently with the same next option. One of them is dominated only if its loss is
 * no less even when the next option is the best one for it and the worst one for the other. What a next option loses
 * after every option alike says nothing about which of two sums is better, so it is left out of this comparison:
 * interactions centred in this way are small beside losses. Two sums that end in the same option are compared as usual.
 */
final class Frontier {
    /** Stands for infinity where numbers are whole. */
    static final long INFINITE = Long.MAX_VALUE;
    /** Fewer points than this are not pruned. */
    private static final int FEW = 128;
    /** The greatest number of cells along a side of the grid by which sums are compared. */
    private static final int CELLS = 1024;
    /**
     * A block for which more sums than this have to be compared means that the figures are noise: in a pruned network
     * an option that is smaller is usually faster as well, so most sums are dominated.
     */
    private static final int MOST = 1 << 22;
    /** The same limit after a block at which most sums had to be kept. */
    private static final int MOST_AFTER_NOISE = 1 << 17;
    /** Bits of the fixed point in which cells are computed: CELLS << SHIFT is below 2^63. */
    private static final int SHIFT = 52;

    /** Bytes. */
    final long[] memory;
    /** Nanoseconds. */
    final long[] latency;
    /** The link of the summed loss. */
    final double[] accuracy;
    /** Thread count; a composition is compared only with others of the same thread count. */
    final int[] threads;
    /** The number of blocks. */
    final int blocks;
    /** The index of each block's option, those of one composition after those of another. */
    final char[] choice;

    Frontier(long[] memory, long[] latency, double[] accuracy, int[] threads, int blocks, char[] choice) {
        this.memory = memory;
        this.latency = latency;
        this.accuracy = accuracy;
        this.threads = threads;
        this.blocks = blocks;
        this.choice = choice;
    }

    int size() {
        return memory.length;
    }

    /** The index of each block's option at a point. */
    int[] choiceOf(int point) {
        int[] found = new int[blocks];
        for (int b = 0; b < blocks; b++) {
            found[b] = choice[point * blocks + b];
        }
        return found;
    }

    /** Some of the points, in the order given. */
    Frontier take(int[] points) {
        char[] chosen = new char[points.length * blocks];
        for (int i = 0; i < points.length; i++) {
            System.arraycopy(choice, points[i] * blocks, chosen, i * blocks, blocks);
        }
        return new Frontier(Numbers.take(memory, points), Numbers.take(latency, points),
                Numbers.take(accuracy, points), Numbers.take(threads, points), blocks, chosen);
    }

    /**
     * The frontier of one model at one thread count.
     *
     * @param rows the blocks' figures
     * @param link turns summed losses into accuracies; non-increasing
     * @param threads the thread count that the points are marked with
     * @param memory bytes that fixed segments add
     * @param latency nanoseconds that fixed segments add
     * @return the frontier; null where millions of compositions are each the best at something
     */
    static Frontier build(BlockFigures[] rows, LongToDoubleFunction link, int threads, long memory, long latency) {
        int[] order = processingOrder(rows);
        long[] m = {memory};
        long[] t = {latency};
        long[] loss = {0};
        int[] last = {0};
        char[] choice = {};
        boolean noisy = false;
        for (int k = 0; k < order.length; k++) {
            BlockFigures block = rows[order[k]];
            int count = m.length;
            long compared = (long) count * block.size();
            if (compared > (noisy ? MOST_AFTER_NOISE : MOST)) {
                return null;
            }
            long[] losses = losses(loss, last, block);
            BlockFigures following = k + 1 < order.length ? rows[order[k + 1]] : null;
            boolean interacts = following != null && following.loss.length > 1;
            int[] sums = undominated(m, t, block, losses, interacts ? lossAhead(following) : null);
            noisy = compared > MOST_AFTER_NOISE / 32 && 2L * sums.length > compared;
            int[] ascending = ascending(added(m, block.memory, sums), added(t, block.latency, sums));
            sums = Numbers.take(sums, ascending);
            char[] longer = new char[sums.length * (k + 1)];
            last = new int[sums.length];
            for (int i = 0; i < sums.length; i++) {
                System.arraycopy(choice, sums[i] % count * k, longer, i * (k + 1), k);
                last[i] = sums[i] / count;
                longer[i * (k + 1) + k] = (char) last[i];
            }
            choice = longer;
            m = added(m, block.memory, sums);
            t = added(t, block.latency, sums);
            loss = Numbers.take(losses, sums);
        }
        int n = m.length;
        char[] inOrder = new char[choice.length];
        double[] accuracy = new double[n];
        int[] counts = new int[n];
        for (int i = 0; i < n; i++) {
            for (int k = 0; k < order.length; k++) {
                inOrder[i * order.length + order[k]] = choice[i * order.length + k];
            }
            accuracy[i] = link.applyAsDouble(loss[i]);
            counts[i] = threads;
        }
        return new Frontier(m, t, accuracy, counts, order.length, inOrder);
    }

    /**
     * The order in which blocks are added. Where they interact, it is that of the chain. Otherwise blocks that trade
     * memory for latency at a similar rate are added one after the other: it keeps sums few.
     */
    private static int[] processingOrder(BlockFigures[] rows) {
        boolean interact = false;
        for (BlockFigures block : rows) {
            interact |= block.loss.length > 1;
        }
        double[] rate = new double[rows.length];
        for (int b = 0; b < rows.length; b++) {
            long memory = Numbers.greatest(rows[b].memory) - Numbers.least(rows[b].memory);
            rate[b] = interact ? b
                    : memory / (Numbers.greatest(rows[b].latency) - Numbers.least(rows[b].latency) + 1.0);
        }
        return Numbers.order(Numbers.ordered(rate));
    }

    /** The points of both, those of this one first. */
    Frontier beside(Frontier other) {
        return joined(this, other);
    }

    private static Frontier joined(Frontier... frontiers) {
        int n = 0;
        for (Frontier f : frontiers) {
            n += f.size();
        }
        int blocks = frontiers[0].blocks;
        Frontier joined = new Frontier(
                new long[n], new long[n], new double[n], new int[n], blocks, new char[n * blocks]);
        int at = 0;
        for (Frontier f : frontiers) {
            System.arraycopy(f.memory, 0, joined.memory, at, f.size());
            System.arraycopy(f.latency, 0, joined.latency, at, f.size());
            System.arraycopy(f.accuracy, 0, joined.accuracy, at, f.size());
            System.arraycopy(f.threads, 0, joined.threads, at, f.size());
            System.arraycopy(f.choice, 0, joined.choice, at * blocks, f.choice.length);
            at += f.size();
        }
        return joined;
    }

    /** The points of several frontiers of one model (those of its thread counts) as one, in the usual order. */
    static Frontier sideBySide(Frontier[] frontiers) {
        Frontier joined = joined(frontiers);
        int n = joined.size();
        long[] work = new long[n];
        for (int i = 0; i < n; i++) {
            work[i] = joined.latency[i] * joined.threads[i];
        }
        return joined.take(ascending(joined.memory, work));
    }

    /** The order by memory, then work (threads x latency); stable. */
    private static int[] ascending(long[] memory, long[] work) {
        int bits = 64 - Long.numberOfLeadingZeros(Numbers.greatest(work));
        // One sort of both in one number is quicker.
        if (64 - Long.numberOfLeadingZeros(Numbers.greatest(memory)) + bits < 64) {
            long[] packed = new long[memory.length];
            for (int i = 0; i < packed.length; i++) {
                packed[i] = memory[i] << bits | work[i];
            }
            return Numbers.order(packed);
        }
        return Numbers.order(memory, work);
    }

    /** For each option of a block, the least and the most loss that its interaction with the next block can add. */
    private static long[][] lossAhead(BlockFigures following) {
        long[] least = new long[following.loss.length];
        long[] most = new long[following.loss.length];
        long[] low = following.leastLoss();
        long[] high = following.greatestLoss();
        for (int o = 0; o < least.length; o++) {
            long[] centred = new long[low.length];
            for (int next = 0; next < centred.length; next++) {
                centred[next] = following.loss[o][next] - ((low[next] + high[next]) >> 1);
            }
            least[o] = Numbers.least(centred);
            most[o] = Numbers.greatest(centred);
        }
        return new long[][] {least, most};
    }

    /** Sums of a sum before and an option, each given by its number: option x number of sums before + sum before. */
    private static long[] added(long[] before, long[] options, int[] sums) {
        long[] found = new long[sums.length];
        for (int i = 0; i < sums.length; i++) {
            found[i] = before[sums[i] % before.length] + options[sums[i] / before.length];
        }
        return found;
    }

    /**
     * The losses of all sums with all options, by number (see {@link #added}); `last` is the option each sum ends in.
     */
    private static long[] losses(long[] loss, int[] last, BlockFigures block) {
        long[] found = new long[loss.length * block.size()];
        for (int i = 0; i < loss.length; i++) {
            long[] after = block.lossAfter(last[i]);
            for (int o = 0; o < after.length; o++) {
                found[o * loss.length + i] = loss[i] + after[o];
            }
        }
        return found;
    }

    /**
     * Which options to add to which sums, as numbers (see {@link #added}), ascending: all pairs that are not dominated,
     * and a few others.
     *
     * @param losses by number
     * @param ahead the least and the most that each option can add to the loss of the next block; null if that is the
     *     same for all options
     */
    private static int[] undominated(long[] m, long[] t, BlockFigures block, long[] losses, long[][] ahead) {
        if (ahead == null) {
            return kept(m, t, block.memory, block.latency, losses, losses);
        }
        long[] atLeast = new long[losses.length];
        long[] atMost = new long[losses.length];
        for (int i = 0; i < losses.length; i++) {
            atLeast[i] = losses[i] + ahead[0][i / m.length];
            atMost[i] = losses[i] + ahead[1][i / m.length];
        }
        int[] found = kept(m, t, block.memory, block.latency, atLeast, atMost);
        // Sums that end in the same option lose the same in the next block, so among them losses are compared exactly.
        long[] nothing = {0};
        int count = 0;
        for (int from = 0, to; from < found.length; from = to) {
            int option = found[from] / m.length;
            to = from;
            while (to < found.length && found[to] / m.length == option) {
                to++;
            }
            int[] numbers = Arrays.copyOfRange(found, from, to);
            long[] loss = Numbers.take(losses, numbers);
            int[] parents = new int[numbers.length];
            for (int i = 0; i < parents.length; i++) {
                parents[i] = numbers[i] % m.length;
            }
            for (int i : kept(Numbers.take(m, parents), Numbers.take(t, parents), nothing, nothing, loss, loss)) {
                found[count++] = numbers[i]; // never beyond what has been read
            }
        }
        return Arrays.copyOf(found, count);
    }

    /**
     * The numbers of all pairs that are not dominated, and of a few others.
     *
     * <p>The plane of memory and latency is cut into a grid. A pair is dropped if another one, in a cell that is lower
     * in both, loses at most what this one loses at least. Pairs in one row or one column of cells are not compared.
     * That leaves a few too many, at a tenth of the cost of an exact answer.
     */
    private static int[] kept(
            long[] m, long[] t, long[] memory, long[] latency, long[] atLeast, long[] atMost) {
        int n = atLeast.length;
        int[] found = new int[n];
        if (n < FEW) {
            for (int i = 0; i < n; i++) {
                found[i] = i;
            }
            return found;
        }
        int cells = Math.min(CELLS, (int) Math.sqrt(n));
        int width = cells + 1;
        int[] row = cells(m, memory, cells);
        int[] column = cells(t, latency, cells);
        // Losses are entered one row and one column further on, so that a cell's number finds what lies strictly below.
        long[] least = new long[width * width];
        Arrays.fill(least, INFINITE);
        for (int i = 0; i < n; i++) {
            int at = (row[i] + 1) * width + column[i] + 1;
            least[at] = Math.min(least[at], atMost[i]);
        }
        for (int r = 0; r < width; r++) {
            for (int c = 0; c < width; c++) {
                int at = r * width + c;
                long above = r > 0 ? least[at - width] : INFINITE;
                long before = c > 0 ? least[at - 1] : INFINITE;
                least[at] = Math.min(least[at], Math.min(above, before));
            }
        }
        int count = 0;
        for (int i = 0; i < n; i++) {
            if (least[row[i] * width + column[i]] > atLeast[i]) {
                found[count++] = i;
            }
        }
        return Arrays.copyOf(found, count);
    }

    /** The cell 0..cells-1 of each sum y + x, all sums of one y in a row. Cells do not decrease with the sum. */
    private static int[] cells(long[] x, long[] y, int cells) {
        long lowX = Numbers.least(x);
        long lowY = Numbers.least(y);
        long factor = ((long) cells << SHIFT) / (Numbers.greatest(x) - lowX + Numbers.greatest(y) - lowY + 1);
        int[] found = new int[x.length * y.length];
        int at = 0;
        for (long option : y) {
            long start = (option - lowY) * factor;
            for (long sum : x) {
                found[at++] = (int) (start + (sum - lowX) * factor >> SHIFT);
            }
        }
        return found;
    }
}
