package org.legodnn.internal.solver;

import java.util.List;

import org.legodnn.BlockRows;
import org.legodnn.ModelPlan;
import org.legodnn.OptionRow;
import org.legodnn.WorkloadException;

/** One composition of one model: what its options add up to, how a plan names it, and what changing it is charged. */
public final class CompositionSums {
    private static final String REMEDY = "was its store replaced? plan without a running plan";

    private final int[] choice;
    /** The thread count of all segments. */
    public final int threads;
    /** Bytes. */
    public final long memory;
    /** Nanoseconds, as profiled. */
    public final long latency;
    /** The link of the summed loss. */
    public final double accuracy;

    CompositionSums(int[] choice, int threads, long memory, long latency, double accuracy) {
        this.choice = choice;
        this.threads = threads;
        this.memory = memory;
        this.latency = latency;
        this.accuracy = accuracy;
    }

    /** The index of a block's option. */
    public int option(int block) {
        return choice[block];
    }

    /** The sums of a composition of a model, given the index of each block's option and that of a thread count. */
    static CompositionSums of(CompiledModel model, int[] choice, int n) {
        long memory = model.fixedMemory[n];
        long latency = model.fixedLatency[n];
        long loss = 0;
        for (int b = 0; b < choice.length; b++) {
            BlockFigures block = model.rows[n][b];
            memory += block.memory[choice[b]];
            latency += block.latency[choice[b]];
            loss += block.lossAfter(b == 0 ? 0 : choice[b - 1])[choice[b]];
        }
        return new CompositionSums(choice, model.threadCounts[n], memory, latency, model.accuracy(loss));
    }

    /**
     * The composition that a plan runs of a model; null if it is suspended or has a thread count not in use.
     *
     * @throws WorkloadException the plan is of another store: its blocks or options are not those of the table
     */
    public static CompositionSums compositionOf(CompiledModel model, ModelPlan planned) {
        int n = model.threadIndex(planned.threads());
        if (planned.suspended() || n < 0) {
            return null;
        }
        List<BlockRows> blocks = model.table.blocks();
        int[] choice = new int[blocks.size()];
        boolean same = planned.options().size() == blocks.size();
        for (BlockRows block : blocks) {
            same &= planned.options().containsKey(block.name());
        }
        if (!same) {
            throw new WorkloadException(
                    "the running plan's blocks of '" + planned.name() + "' are not those of its table; " + REMEDY);
        }
        for (int b = 0; b < choice.length; b++) {
            BlockRows block = blocks.get(b);
            choice[b] = index(block.options(), planned.options().get(block.name()));
            if (choice[b] < 0) {
                throw new WorkloadException("the running plan has " + planned.name() + "/" + block.name() + "="
                        + planned.options().get(block.name()) + ", which its table lacks; " + REMEDY);
            }
        }
        return of(model, choice, n);
    }

    private static int index(List<OptionRow> options, String name) {
        for (int o = 0; o < options.size(); o++) {
            if (options.get(o).name().equals(name)) {
                return o;
            }
        }
        return -1;
    }

    /**
     * What going from the running composition to a point of a frontier is charged, as a value.
     *
     * @param now what runs; null if the model does not run
     */
    static long chargeOf(CompiledModel model, CompositionSums now, Frontier frontier, int point) {
        boolean reload = now == null || frontier.threads[point] != now.threads;
        long total = reload ? model.fixedLoad : 0;
        for (int b = 0; b < model.loads.length; b++) {
            int chosen = frontier.choice[point * model.loads.length + b];
            total += reload || chosen != now.option(b) ? model.loads[b][chosen] : 0;
        }
        return total;
    }

    /**
     * What loading is charged at the thread count of an index, by block and option. What runs with this thread count
     * already is not loaded, and so not charged.
     *
     * @param now what runs; null if the model does not run
     */
    static long[][] chargesAt(CompiledModel model, CompositionSums now, int n) {
        long[][] charges = new long[model.loads.length][];
        for (int b = 0; b < charges.length; b++) {
            charges[b] = model.loads[b].clone();
            if (!isReloaded(model, now, n)) {
                charges[b][now.option(b)] = 0;
            }
        }
        return charges;
    }

    /** What loading all fixed segments is charged at the thread count of an index; see {@link #chargesAt}. */
    static long fixedChargeAt(CompiledModel model, CompositionSums now, int n) {
        return isReloaded(model, now, n) ? model.fixedLoad : 0;
    }

    private static boolean isReloaded(CompiledModel model, CompositionSums now, int n) {
        return now == null || now.threads != model.threadCounts[n];
    }
}
