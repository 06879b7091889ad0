package org.legodnn.demo;

import java.util.List;
import org.legodnn.BlockRows;
import org.legodnn.Budget;
import org.legodnn.LegoModel;
import org.legodnn.ModelPlan;
import org.legodnn.ModelTable;
import org.legodnn.OptionRow;
import org.legodnn.Plan;
import org.legodnn.Tail;

/**
 * What the sliders' positions mean. At LEAST a limit is the least that any composition takes; below that nothing holds
 * it, down to a fifth less; above, it rises to what the plan without limits takes. MAX is no limit.
 */
final class Limits {
    static final int MAX = 1000;
    static final int LEAST = 150;

    private static final double BELOW = 0.8;
    private static final double MEDIAN = 0.5;

    private final double leastMemory;
    private final double mostMemory;
    private final double leastLatency;
    private final double mostLatency;
    /** The share of inferences that limits of latency are for: the median where the profiles know no tail. */
    private final double quantile;

    /** @param unlimited the plan under no limits */
    Limits(List<LegoModel> models, Plan unlimited) {
        double memory = 0;
        double latency = 0;
        for (LegoModel model : models) {
            for (BlockRows segment : model.table().segments()) {
                memory += leastMemory(segment);
            }
            latency = Math.max(latency, leastLatency(model.table()));
        }
        double longest = 0;
        boolean known = true;
        for (ModelPlan model : unlimited.models()) {
            longest = Math.max(longest, model.quantileMs() == null ? model.latencyMs() : model.quantileMs());
            known &= model.quantileMs() != null;
        }
        quantile = known ? Tail.DEFAULT_QUANTILE : MEDIAN;
        leastMemory = memory;
        mostMemory = unlimited.memoryBytes();
        leastLatency = latency;
        mostLatency = longest;
    }

    /** The budget of two positions, 0 to MAX. */
    Budget budget(int memory, int latency) {
        Budget budget = Budget.none();
        if (memory < MAX) {
            budget = budget.withMemoryBytes((long) Math.max(1, Math.ceil(limit(leastMemory, mostMemory, memory))));
        }
        if (latency < MAX) {
            budget = budget.withLatencyMs(limit(leastLatency, mostLatency, latency)).withQuantile(quantile);
        }
        return budget;
    }

    private static double limit(double least, double most, int position) {
        return position < LEAST
                ? least * (BELOW + (1 - BELOW) * position / LEAST)
                : least + (most - least) * (position - LEAST) / (MAX - LEAST);
    }

    private static double leastMemory(BlockRows segment) {
        double least = Double.POSITIVE_INFINITY;
        for (OptionRow option : segment.options()) {
            least = Math.min(least, option.memoryBytes());
        }
        return least;
    }

    private static double leastLatency(ModelTable table) {
        double least = Double.POSITIVE_INFINITY;
        for (int threads : table.threadCounts()) {
            double sum = table.overheadMs(threads);
            for (BlockRows segment : table.segments()) {
                double fastest = Double.POSITIVE_INFINITY;
                for (OptionRow option : segment.options()) {
                    fastest = Math.min(fastest, option.latencyMs().get(threads));
                }
                sum += fastest;
            }
            Double stretch = table.tails().stretch(threads, Tail.DEFAULT_QUANTILE);
            least = Math.min(least, sum * (stretch == null ? 1 : stretch));
        }
        return least;
    }
}
