package org.legodnn.internal.solver;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.LongToDoubleFunction;

import org.legodnn.BlockRows;
import org.legodnn.ModelTable;
import org.legodnn.OptionRow;
import org.legodnn.SwitchCharge;
import org.legodnn.WorkloadException;

/**
 * A model's table compiled for the solver: its figures in whole numbers, and its frontiers.
 *
 * <p>The solver computes in bytes, nanoseconds and billionths of a core, and with losses and values in fixed point. A
 * sum of whole numbers does not depend on its order, "fits" needs no tolerance, and a tie is a tie.
 */
public final class CompiledModel {
    static final Fraction NS_PER_MS = Fraction.of(1_000_000L);
    private static final double NS = 1e6; // in a millisecond
    /** Sums of losses in fixed point have this many bits: few enough to be exact in doubles. */
    private static final int LOSS_BITS = 50;
    private static final double MOST_CORES = 1L << 50;
    /** Accuracies that differ by less than this part of the link's greatest value are taken to differ by rounding. */
    private static final double ROUNDING_OF_ACCURACY = 1e-12;

    /** The table that was compiled. */
    final ModelTable table;
    /** Turns objective values into whole numbers. */
    final ValueScale scale;
    /** The thread counts that a plan may choose from, ascending; other arrays are by their index here. */
    final int[] threadCounts;
    /** By thread count's index, the blocks' figures. */
    final BlockFigures[][] rows;
    /** By thread count's index, bytes of the fixed segments together. */
    final long[] fixedMemory;
    /** By thread count's index, nanoseconds of the fixed segments together, the chain's overhead included. */
    final long[] fixedLatency;
    /** Fixed-point units in one unit of loss. */
    final double lossScale;
    /** The loss of the fixed segments. */
    final double constantLoss;
    /** By how much an accuracy may be off for the rounding of losses and of the link. */
    final double accuracyRounding;
    /** By block and option, what loading it is charged, as a value. */
    final long[][] loads;
    /** What loading all fixed segments together is charged, as a value. */
    final long fixedLoad;
    /** The frontiers of all thread counts, side by side. */
    final Frontier frontier;
    /** The value of every point of the frontier. */
    final long[] value;
    /**
     * The staircases of the frontier by value; and those of each thread count alone, by index and by accuracy. There
     * value ascends with accuracy, but rounding may make one of several accuracies.
     */
    private final Staircases staircases;
    private final Staircases[] staircasesOf;

    /**
     * Compile a table and build its frontiers.
     *
     * @param table the model's table
     * @param scale turns objective values into whole numbers
     * @param charge what loading costs
     * @throws WorkloadException the figures are noise, so that the frontiers would be immense
     */
    public CompiledModel(ModelTable table, ValueScale scale, SwitchCharge charge) {
        this.table = table;
        this.scale = scale;
        int blocks = table.blocks().size();
        double[][][] blockLosses = new double[blocks][][];
        double greatest = 0;
        loads = new long[blocks][];
        for (int b = 0; b < blocks; b++) {
            List<OptionRow> options = table.blocks().get(b).options();
            loads[b] = new long[options.size()];
            for (int o = 0; o < options.size(); o++) {
                loads[b][o] = scale.value(charge.of(options.get(o)));
            }
            blockLosses[b] = losses(table.blocks().get(b));
        }
        double load = 0;
        double[] losses = new double[table.fixed().size()];
        for (int f = 0; f < losses.length; f++) {
            load += charge.of(table.fixed().get(f).options().get(0));
            losses[f] = table.fixed().get(f).options().get(0).loss();
        }
        fixedLoad = scale.value(load);
        constantLoss = Numbers.exactSum(losses);
        double greatestAccuracy = 0;
        for (double y : table.link().y()) {
            greatestAccuracy = Math.max(greatestAccuracy, Math.abs(y));
        }
        accuracyRounding = ROUNDING_OF_ACCURACY * greatestAccuracy;
        clip(blockLosses);
        for (double[][] block : blockLosses) {
            greatest += greatest(block);
        }
        lossScale = greatest == 0 ? 1
                : Math.scalb(1.0, Math.min(LOSS_BITS - 1 - Math.getExponent(greatest), 1000));

        int counts = table.threadCounts().size();
        threadCounts = new int[counts];
        rows = new BlockFigures[counts][blocks];
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
            threadCounts[n] = table.threadCounts().get(n);
            for (int b = 0; b < blocks; b++) {
                rows[n][b] = rows(table.blocks().get(b), threadCounts[n], blockLosses[b]);
            }
            for (BlockRows one : table.fixed()) {
                fixedMemory[n] += one.options().get(0).memoryBytes();
                fixedLatency[n] += nanoseconds(one.options().get(0).latencyMs().get(threadCounts[n]));
            }
            fixedLatency[n] += nanoseconds(table.overheadMs(threadCounts[n]));
            frontiers[n] = Frontier.build(rows[n], link, threadCounts[n], fixedMemory[n], fixedLatency[n]);
            if (frontiers[n] == null) {
                throw new WorkloadException(table.name() + ": as it was measured, millions of combinations of its"
                        + " options are each the best at something, as may be where figures are mostly noise; measure"
                        + " again with `legodnn profile` or Profiler while nothing else runs, or build fewer options");
            }
        }
        frontier = counts > 1 ? Frontier.sideBySide(frontiers) : frontiers[0];
        value = new long[frontier.size()];
        for (int i = 0; i < value.length; i++) {
            value[i] = valueOf(frontier.accuracy[i]);
        }
        double[] values = new double[value.length]; // they are less than 2^52, so doubles hold them
        for (int i = 0; i < values.length; i++) {
            values[i] = value[i];
        }
        staircases = new Staircases(frontier, values, points(0));
        staircasesOf = new Staircases[threadCounts.length];
        boolean wanted = threadCounts.length > 1 || table.minAccuracy() != null;
        for (int n = 0; n < threadCounts.length && wanted; n++) {
            staircasesOf[n] = new Staircases(frontier, frontier.accuracy, points(threadCounts[n]));
        }
    }

    /** The points of the frontier that have a thread count, or all for 0. */
    private int[] points(int threads) {
        int[] found = new int[frontier.size()];
        int count = 0;
        for (int i = 0; i < found.length; i++) {
            if (threads == 0 || frontier.threads[i] == threads) {
                found[count++] = i;
            }
        }
        return Arrays.copyOf(found, count);
    }

    /** The index of a thread count. */
    int indexOf(int threads) {
        int n = 0;
        while (threadCounts[n] != threads) {
            n++;
        }
        return n;
    }

    /**
     * The staircase of the frontier under a latency limit for each thread count, by index, in nanoseconds, and above a
     * least accuracy (null for none).
     */
    int[] staircasesUnder(long[] limits, Double leastAccuracy) {
        boolean same = leastAccuracy == null;
        for (long limit : limits) {
            same &= limit == limits[0];
        }
        if (same) {
            return staircases.under(limits[0]);
        }
        List<int[]> each = new ArrayList<>();
        for (int n = 0; n < limits.length; n++) {
            int[] points = staircasesOf[n].under(limits[n]);
            // Before the lightest of those of one value is chosen: others may be more accurate.
            each.add(leastAccuracy == null ? points : accurate(points, leastAccuracy));
        }
        return Staircases.highest(value, each);
    }

    private int[] accurate(int[] points, double leastAccuracy) {
        int[] kept = new int[points.length];
        int count = 0;
        for (int point : points) {
            if (frontier.accuracy[point] >= leastAccuracy) {
                kept[count++] = point;
            }
        }
        return Arrays.copyOf(kept, count);
    }

    private static long nanoseconds(double ms) {
        return (long) Math.rint(ms * NS);
    }

    /** The losses of a block, as {@link BlockFigures#loss} has them but in units of loss. */
    private static double[][] losses(BlockRows block) {
        double[][] found = new double[Math.max(1, block.interaction().size())][block.options().size()];
        for (int before = 0; before < found.length; before++) {
            for (int o = 0; o < found[before].length; o++) {
                double more = block.interaction().isEmpty() ? 0 : block.interaction().get(before).get(o);
                found[before][o] = block.options().get(o).loss() + more;
            }
        }
        return found;
    }

    /**
     * Clip losses, so that fixed point need not reach further than they matter. A loss that takes every sum beyond the
     * link's last knot, whatever the other blocks have, need not be greater than what just does so. A loss that keeps
     * every sum before the first knot need not be less than what just does so.
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
        double[] knots = table.link().x();
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

    private BlockFigures rows(BlockRows block, int threads, double[][] losses) {
        int n = block.options().size();
        long[] memory = new long[n];
        long[] latency = new long[n];
        for (int o = 0; o < n; o++) {
            OptionRow option = block.options().get(o);
            memory[o] = option.memoryBytes();
            latency[o] = nanoseconds(option.latencyMs().get(threads));
        }
        long[][] loss = new long[losses.length][n];
        boolean same = true;
        for (int before = 0; before < loss.length; before++) {
            for (int o = 0; o < n; o++) {
                loss[before][o] = (long) Math.rint(losses[before][o] * lossScale);
            }
            same &= Arrays.equals(loss[before], loss[0]);
        }
        return new BlockFigures(memory, latency, same ? new long[][] {loss[0]} : loss);
    }

    /** The accuracy to which the link turns a summed fixed-point loss. */
    double accuracy(double loss) {
        return table.link().at(constantLoss + loss / lossScale);
    }

    /** The value of an accuracy of this model. */
    long valueOf(double accuracy) {
        return scale.value(table.weight() * accuracy);
    }

    /** The rate, in inferences per second, times the slow-down; 0 without a rate. */
    double rate(double slowdown) {
        return (table.rateHz() == null ? 0 : table.rateHz()) * slowdown;
    }

    /** The compute of a composition in billionths of a core: rate x threads x latency, rounded up; 0 without a rate. */
    long cores(long latency, int threads, double slowdown) {
        return (long) Math.min(Math.ceil(latency * (rate(slowdown) * threads)), MOST_CORES);
    }

    /** The index of a thread count; -1 if a plan may not choose it. */
    int threadIndex(int threads) {
        for (int n = 0; n < threadCounts.length; n++) {
            if (threadCounts[n] == threads) {
                return n;
            }
        }
        return -1;
    }
}
