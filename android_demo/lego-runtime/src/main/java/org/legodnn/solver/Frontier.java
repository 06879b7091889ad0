package org.legodnn.solver;

import java.util.Arrays;
import java.util.function.LongToDoubleFunction;

/**
 * All non-dominated compositions of one model, and a few others, by memory, then work (threads x latency).
 *
 * <p>A composition has a memory, a latency and a loss, each a sum over blocks, and is dominated when another has all
 * three no greater. Adding one block's options to the non-dominated sums over the blocks before it, and dropping what
 * is dominated, gives those over one block more. It depends on no budget, so it is built once. Pruning need not be
 * perfect for that: a dominated point that stays is never chosen.
 *
 * <p>What an option loses may depend on the option of the block before it. Two sums that end in different options do
 * not then lose the same with the same next option; one is dominated where its loss is no less even if the next option
 * is the best for it and the worst for the other. (What a next option loses after any option at all does not count in
 * that: centred, interactions are small beside losses.) Two sums that end in the same option compare as ever.
 */
final class Frontier {
    static final long NEVER = Long.MAX_VALUE;
    /** So few points are not pruned; and the greatest grid, in cells along a side. */
    private static final int FEW = 128;
    private static final int CELLS = 1024;
    /**
     * Where so many sums would have to be looked at, figures are noise: pruned blocks trade one thing for another. A
     * quarter of what Python looks at, for a phone gives a process less memory.
     */
    private static final int MOST = 1 << 22;
    /** Or so many after a block at which most of them had to be kept. */
    private static final int MOST_AFTER_NOISE = 1 << 17;
    /** Fixed point of cells: CELLS << SHIFT is below 2^63. */
    private static final int SHIFT = 52;

    final long[] memory;
    final long[] latency;
    final double[] accuracy;
    final int[] threads;
    final int blocks;
    /** Index of each block's option, those of one composition after the other. */
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

    int[] choiceOf(int point) {
        int[] found = new int[blocks];
        for (int b = 0; b < blocks; b++) {
            found[b] = choice[point * blocks + b];
        }
        return found;
    }

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
     * @param rows the blocks' options
     * @param link summed losses -> accuracies, non-increasing
     * @param threads to be noted
     * @param memory what fixed segments add
     * @param latency what fixed segments add
     * @return the frontier; null where millions of compositions are each the best at something
     */
    static Frontier build(Rows[] rows, LongToDoubleFunction link, int threads, long memory, long latency) {
        int[] order = processingOrder(rows);
        long[] m = {memory};
        long[] t = {latency};
        long[] loss = {0};
        int[] last = {0};
        char[] choice = {};
        boolean noisy = false;
        for (int k = 0; k < order.length; k++) {
            Rows block = rows[order[k]];
            int count = m.length;
            long lookedAt = (long) count * block.size();
            if (lookedAt > (noisy ? MOST_AFTER_NOISE : MOST)) {
                return null;
            }
            long[] losses = losses(loss, last, block);
            Rows following = k + 1 < order.length ? rows[order[k + 1]] : null;
            boolean interacts = following != null && following.loss.length > 1;
            int[] sums = undominated(m, t, block, losses, interacts ? ahead(following) : null);
            noisy = lookedAt > MOST_AFTER_NOISE / 32 && 2L * sums.length > lookedAt;
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
     * The order of the chain where blocks interact. Else those that trade memory for latency at a like rate come one
     * after the other: sums stay few for longer.
     */
    private static int[] processingOrder(Rows[] rows) {
        boolean interact = false;
        for (Rows block : rows) {
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

    /** The points of both, these first. */
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

    /** The points of several frontiers of one model (its thread counts), in order. */
    static Frontier sideBySide(Frontier[] frontiers) {
        Frontier joined = joined(frontiers);
        int n = joined.size();
        long[] work = new long[n];
        for (int i = 0; i < n; i++) {
            work[i] = joined.latency[i] * joined.threads[i];
        }
        return joined.take(ascending(joined.memory, work));
    }

    /** The order by memory, then work; stable. */
    private static int[] ascending(long[] memory, long[] work) {
        int bits = 64 - Long.numberOfLeadingZeros(Numbers.greatest(work));
        // One sort of both packed is quicker.
        if (64 - Long.numberOfLeadingZeros(Numbers.greatest(memory)) + bits < 64) {
            long[] packed = new long[memory.length];
            for (int i = 0; i < packed.length; i++) {
                packed[i] = memory[i] << bits | work[i];
            }
            return Numbers.order(packed);
        }
        return Numbers.order(memory, work);
    }

    /** For each option of a block, the least and the most that the next block's interaction with it adds to the loss. */
    private static long[][] ahead(Rows following) {
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

    /** Sums, each given by its number: option x number of sums before + sum before. */
    private static long[] added(long[] before, long[] options, int[] sums) {
        long[] found = new long[sums.length];
        for (int i = 0; i < sums.length; i++) {
            found[i] = before[sums[i] % before.length] + options[sums[i] / before.length];
        }
        return found;
    }

    /** The losses of all sums with all options, by number (see {@link #added}); `last` is what each sum ends in. */
    private static long[] losses(long[] loss, int[] last, Rows block) {
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
     * Which options to add to which sums, as numbers (see {@link #added}), ascending: all that give a non-dominated
     * sum, few others.
     *
     * <p>Sums that end in different options need not lose the same next: one falls only if it does whatever comes next.
     * Those that end in one option compare as ever.
     *
     * @param losses by number
     * @param ahead the least and the most that each option may add to the loss of what comes next; null for the same
     *     whichever it is
     */
    private static int[] undominated(long[] m, long[] t, Rows block, long[] losses, long[][] ahead) {
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
     * The numbers of all sums that are not dominated, and of a few others.
     *
     * <p>Memory x latency is cut into a grid; a sum falls if one in a cell strictly lower in both loses at most what it
     * loses at least. Sums of one row or column of cells are not compared: that leaves some too many, at a tenth of the
     * cost of an exact answer.
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
        long[] least = new long[width * width]; // one row and column on, so that a sum's cell holds what is below it
        Arrays.fill(least, NEVER);
        for (int i = 0; i < n; i++) {
            int at = (row[i] + 1) * width + column[i] + 1;
            least[at] = Math.min(least[at], atMost[i]);
        }
        for (int r = 0; r < width; r++) {
            for (int c = 0; c < width; c++) {
                int at = r * width + c;
                long above = r > 0 ? least[at - width] : NEVER;
                long before = c > 0 ? least[at - 1] : NEVER;
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

    /** All sums y + x, mapped to 0..cells-1 by a non-decreasing function; those of one y in a row. */
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
