package org.legodnn.governing;

import java.util.LinkedHashMap;
import java.util.Map;

import org.jspecify.annotations.Nullable;
import org.legodnn.BlockRows;
import org.legodnn.Budget;
import org.legodnn.ModelTable;
import org.legodnn.OptionRow;
import org.legodnn.Scheduler;

/** What an application allows, and the most that its models can use. */
final class Demand {
    /** The application's own budget; no decision is wider. */
    final Budget budget;
    /** The memory of the models' largest options; a higher limit is no limit. */
    final long mostMemoryBytes;
    /**
     * The processors that the slowest options keep busy at the models' rates, with the slow-downs that are expected;
     * null if a model has no rate.
     */
    final @Nullable Double mostCores;
    /** By model, the slow-down that it is planned for until enough was seen; 1 for those that are not named. */
    private final Map<String, Double> expected;

    Demand(Budget budget, long mostMemoryBytes, @Nullable Double mostCores, Map<String, Double> expected) {
        this.budget = budget;
        this.mostMemoryBytes = mostMemoryBytes;
        this.mostCores = mostCores;
        this.expected = expected;
    }

    /** An application's budget, for the models of a scheduler. */
    static Demand of(Scheduler scheduler, Budget budget) {
        long memory = 0;
        Double cores = 0.0;
        Map<String, Double> expected = new LinkedHashMap<>();
        for (ModelTable table : scheduler.tables()) {
            expected.put(table.name(), table.slowdown());
            memory += mostMemory(table.segments());
            double busyMs = 0;
            for (int threads : table.threadCounts()) {
                double mostMs = table.overheadMs(threads) + mostMs(table.segments(), threads);
                busyMs = Math.max(busyMs, table.slowdown() * threads * mostMs);
            }
            cores = cores == null || table.rateHz() == null ? null
                    : Double.valueOf(cores + table.rateHz() * busyMs / 1e3);
        }
        return new Demand(budget, memory, cores, expected);
    }

    private static long mostMemory(Iterable<BlockRows> segments) {
        long sum = 0;
        for (BlockRows segment : segments) {
            long most = 0;
            for (OptionRow option : segment.options()) {
                most = Math.max(most, option.memoryBytes());
            }
            sum += most;
        }
        return sum;
    }

    private static double mostMs(Iterable<BlockRows> segments, int threads) {
        double sum = 0;
        for (BlockRows segment : segments) {
            double most = 0;
            for (OptionRow option : segment.options()) {
                most = Math.max(most, option.latencyMs().get(threads));
            }
            sum += most;
        }
        return sum;
    }

    double expected(String model) {
        Double factor = expected.get(model);
        return factor == null ? 1 : factor;
    }
}
