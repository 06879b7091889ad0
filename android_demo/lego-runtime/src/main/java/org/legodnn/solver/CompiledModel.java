package org.legodnn.solver;

import java.util.Arrays;
import java.util.List;
import java.util.function.LongToDoubleFunction;

import org.legodnn.BlockRows;
import org.legodnn.ModelPlan;
import org.legodnn.ModelTable;
import org.legodnn.OptionRow;
import org.legodnn.SwitchCharge;
import org.legodnn.WorkloadException;

/**
 * A model table in whole numbers, with its frontiers: bytes, nanoseconds and billionths of a core; losses and values in
 * fixed point. In whole numbers a sum does not depend on its order, "fits" has no tolerance, and a tie is a tie.
 */
public final class CompiledModel {
    static final Fraction NS_PER_MS = Fraction.of(1_000_000L);
    private static final double NS = 1e6;
    /** Sums of losses in fixed point have so many bits: few enough to be exact in doubles. */
    private static final int LOSS_BITS = 50;
    private static final double MOST_CORES = 1L << 50;
    private static final String REMEDY = "was its store replaced? plan without a running plan";

    final ModelTable table;
    final Scale scale;
    final int[] threadCounts;
    /** By thread count's index and block. */
    final Rows[][] rows;
    /** By thread count's index, of the fixed segments together. */
    final long[] fixedMemory;
    final long[] fixedLatency;
    /** Fixed-point units in one unit of loss. */
    final double lossScale;
    /** The loss of the fixed segments. */
    final double constantLoss;
    /** By block and option, what loading it is charged, as a value; and the same for all fixed segments together. */
    final long[][] loads;
    final long fixedLoad;
    /** The frontiers of all thread counts, side by side. */
    final Frontier frontier;
    /** Of every point of the frontier. */
    final long[] value;
    final Staircases staircases;

    /**
     * Build a model's frontiers.
     *
     * @throws WorkloadException its figures are noise, so that its frontiers would be immense
     */
    public CompiledModel(ModelTable table, Scale scale, SwitchCharge charge) {
        this.table = table;
        this.scale = scale;
        int blocks = table.blocks.size();
        double[][][] blockLosses = new double[blocks][][];
        double greatest = 0;
        loads = new long[blocks][];
        for (int b = 0; b < blocks; b++) {
            List<OptionRow> options = table.blocks.get(b).options;
            loads[b] = new long[options.size()];
            for (int o = 0; o < options.size(); o++) {
                loads[b][o] = scale.value(charge.of(options.get(o)));
            }
            blockLosses[b] = losses(table.blocks.get(b));
        }
        double load = 0;
        double[] losses = new double[table.fixed.size()];
        for (int f = 0; f < losses.length; f++) {
            load += charge.of(table.fixed.get(f).options.get(0));
            losses[f] = table.fixed.get(f).options.get(0).loss;
        }
        fixedLoad = scale.value(load);
        constantLoss = Numbers.exactSum(losses);
        clip(blockLosses);
        for (double[][] block : blockLosses) {
            greatest += greatest(block);
        }
        lossScale = greatest == 0 ? 1
                : Math.scalb(1.0, Math.min(LOSS_BITS - 1 - Math.getExponent(greatest), 1000));

        int counts = table.threadCounts.size();
        threadCounts = new int[counts];
        rows = new Rows[counts][blocks];
        fixedMemory = new long[counts];
        fixedLatency = new long[counts];
        Frontier[] frontiers = new Frontier[counts];
        LongToDoubleFunction link = new LongToDoubleFunction() {
            @Override
            public double applyAsDouble(long loss) {
                return accuracy(loss);
            }
        };
        for (int n = 0; n < counts; n++) {
            threadCounts[n] = table.threadCounts.get(n);
            for (int b = 0; b < blocks; b++) {
                rows[n][b] = rows(table.blocks.get(b), threadCounts[n], blockLosses[b]);
            }
            for (BlockRows one : table.fixed) {
                fixedMemory[n] += one.options.get(0).memoryBytes;
                fixedLatency[n] += nanoseconds(one.options.get(0).latencyMs.get(threadCounts[n]));
            }
            Double overhead = table.overheadMs.get(threadCounts[n]);
            fixedLatency[n] += overhead == null ? 0 : nanoseconds(overhead);
            frontiers[n] = Frontier.build(rows[n], link, threadCounts[n], fixedMemory[n], fixedLatency[n]);
            if (frontiers[n] == null) {
                throw new WorkloadException(table.name + ": as it was measured, millions of combinations of its options"
                        + " are each the best at something, as may be where figures are mostly noise; measure again with"
                        + " `legodnn profile` or Profiler while nothing else runs, or build fewer options");
            }
        }
        frontier = counts > 1 ? Frontier.sideBySide(frontiers) : frontiers[0];
        value = new long[frontier.size()];
        for (int i = 0; i < value.length; i++) {
            value[i] = valueOf(frontier.accuracy[i]);
        }
        staircases = new Staircases(frontier, value);
    }

    private static long nanoseconds(double ms) {
        return (long) Math.rint(ms * NS);
    }

    /** As {@link Rows#loss}, in units of loss. */
    private static double[][] losses(BlockRows block) {
        double[][] found = new double[Math.max(1, block.interaction.size())][block.options.size()];
        for (int before = 0; before < found.length; before++) {
            for (int o = 0; o < found[before].length; o++) {
                double more = block.interaction.isEmpty() ? 0 : block.interaction.get(before).get(o);
                found[before][o] = block.options.get(o).loss + more;
            }
        }
        return found;
    }

    /**
     * A loss with which any sum is beyond the link's last knot, whatever the other blocks have, need be no greater than
     * that takes, nor one with which any sum is before the first knot any less: so fixed point need not reach that far.
     */
    private void clip(double[][][] losses) {
        double[] least = new double[losses.length];
        double[] most = new double[losses.length];
        for (int b = 0; b < losses.length; b++) {
            least[b] = Double.POSITIVE_INFINITY;
            most[b] = Double.NEGATIVE_INFINITY;
            for (double[] after : losses[b]) {
                for (double loss : after) {
                    least[b] = Math.min(least[b], loss);
                    most[b] = Math.max(most[b], loss);
                }
            }
        }
        double[] knots = table.link.x();
        double first = knots[0] - constantLoss - Numbers.exactSum(most);
        double last = knots[knots.length - 1] - constantLoss - Numbers.exactSum(least);
        for (int b = 0; b < losses.length; b++) {
            double low = Math.min(first + most[b], most[b]);
            double high = Math.max(last + least[b], least[b]);
            for (double[] after : losses[b]) {
                for (int o = 0; o < after.length; o++) {
                    after[o] = Math.min(Math.max(after[o], low), high);
                }
            }
        }
    }

    private static double greatest(double[][] losses) {
        double greatest = 0;
        for (double[] after : losses) {
            for (double loss : after) {
                greatest = Math.max(greatest, Math.abs(loss));
            }
        }
        return greatest;
    }

    private Rows rows(BlockRows block, int threads, double[][] losses) {
        int n = block.options.size();
        long[] memory = new long[n];
        long[] latency = new long[n];
        for (int o = 0; o < n; o++) {
            OptionRow option = block.options.get(o);
            memory[o] = option.memoryBytes;
            latency[o] = nanoseconds(option.latencyMs.get(threads));
        }
        long[][] loss = new long[losses.length][n];
        boolean same = true;
        for (int before = 0; before < loss.length; before++) {
            for (int o = 0; o < n; o++) {
                loss[before][o] = (long) Math.rint(losses[before][o] * lossScale);
            }
            same &= Arrays.equals(loss[before], loss[0]);
        }
        return new Rows(memory, latency, same ? new long[][] {loss[0]} : loss);
    }

    /** The link of summed fixed-point losses. */
    double accuracy(double loss) {
        return table.link.at(constantLoss + loss / lossScale);
    }

    /** What an accuracy of this model is worth. */
    long valueOf(double accuracy) {
        return scale.value(table.weight * accuracy);
    }

    /** Inferences per second and unit of slowed-down latency; 0 without a rate. */
    double rate(double slowdown) {
        return (table.rateHz == null ? 0 : table.rateHz) * slowdown;
    }

    /** Billionths of a core that a composition takes: rate x threads x latency, rounded up; 0 without a rate. */
    long cores(long latency, int threads, double slowdown) {
        return (long) Math.min(Math.ceil(latency * (rate(slowdown) * threads)), MOST_CORES);
    }

    /** The index of a thread count; -1 if it is not to be used. */
    int threadIndex(int threads) {
        for (int n = 0; n < threadCounts.length; n++) {
            if (threadCounts[n] == threads) {
                return n;
            }
        }
        return -1;
    }

    /** What going from what runs (null: nothing) to a composition is charged, as a value. */
    long chargeOf(Composition now, char[] choice, int point, int threads) {
        boolean reload = now == null || threads != now.threads;
        long total = reload ? fixedLoad : 0;
        for (int b = 0; b < loads.length; b++) {
            int chosen = choice[point * loads.length + b];
            total += reload || chosen != now.option(b) ? loads[b][chosen] : 0;
        }
        return total;
    }

    /** The composition of options' indices at a thread count's index. */
    Composition compose(int[] choice, int n) {
        long memory = fixedMemory[n];
        long latency = fixedLatency[n];
        long loss = 0;
        for (int b = 0; b < choice.length; b++) {
            memory += rows[n][b].memory[choice[b]];
            latency += rows[n][b].latency[choice[b]];
            loss += rows[n][b].lossAfter(b == 0 ? 0 : choice[b - 1])[choice[b]];
        }
        return new Composition(choice, threadCounts[n], memory, latency, accuracy(loss));
    }

    /**
     * What a plan runs of this model; null if it is suspended or runs with a thread count that is not to be used.
     *
     * @throws WorkloadException the plan is of another store: its blocks or options are not the table's
     */
    public Composition compositionOf(ModelPlan planned) {
        int n = threadIndex(planned.threads);
        if (planned.suspended || n < 0) {
            return null;
        }
        int blocks = table.blocks.size();
        int[] choice = new int[blocks];
        boolean same = planned.options.size() == blocks;
        for (BlockRows block : table.blocks) {
            same &= planned.options.containsKey(block.name);
        }
        if (!same) {
            throw new WorkloadException(
                    "the running plan's blocks of '" + planned.name + "' are not those of its table; " + REMEDY);
        }
        for (int b = 0; b < blocks; b++) {
            BlockRows block = table.blocks.get(b);
            choice[b] = index(block, planned.options.get(block.name));
            if (choice[b] < 0) {
                throw new WorkloadException("the running plan has " + planned.name + "/" + block.name + "="
                        + planned.options.get(block.name) + ", which its table lacks; " + REMEDY);
            }
        }
        return compose(choice, n);
    }

    private static int index(BlockRows block, String option) {
        for (int o = 0; o < block.options.size(); o++) {
            if (block.options.get(o).name.equals(option)) {
                return o;
            }
        }
        return -1;
    }

    /** Points of the frontier that matter under a latency and an accuracy limit, ascending in memory and value. */
    int[] steps(long limitNs, Double leastAccuracy) {
        int[] points = staircases.under(limitNs);
        if (leastAccuracy == null) {
            return points;
        }
        int[] kept = new int[points.length];
        int count = 0;
        for (int point : points) {
            if (frontier.accuracy[point] >= leastAccuracy) {
                kept[count++] = point;
            }
        }
        return Arrays.copyOf(kept, count);
    }

    /** All points of the frontier within a latency and an accuracy limit, ascending in memory. */
    int[] admissible(long limitNs, Double leastAccuracy) {
        int[] kept = new int[frontier.size()];
        int count = 0;
        for (int i = 0; i < kept.length; i++) {
            if (frontier.latency[i] <= limitNs && (leastAccuracy == null || frontier.accuracy[i] >= leastAccuracy)) {
                kept[count++] = i;
            }
        }
        return Arrays.copyOf(kept, count);
    }
}
