package org.legodnn.governing;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

import org.jspecify.annotations.Nullable;
import org.legodnn.BlockRows;
import org.legodnn.ModelPlan;
import org.legodnn.ModelTable;
import org.legodnn.OptionRow;

/**
 * How much slower models run than they were profiled: for each the median ratio of the inferences since it was judged
 * before, or of its last ones if those are more, so that a moment's wait does not stand for a second of a fast model.
 * Contention and heat slow a whole model down by much the same factor, whatever options it runs (LegoDNN, Han et al.,
 * MobiCom 2021). The first inference after a switch is not counted: it brings new weights into the caches. Safe for
 * several threads.
 */
final class SlowdownTracker {
    private static final int WINDOW = 64;
    /** So many are remembered. */
    private static final int MOST = 1024;

    private final Map<String, ModelTable> tables = new HashMap<>();
    private final Map<String, Deque<Double>> ratios = new LinkedHashMap<>();
    /** Of inferences, which may be more than are remembered. */
    private final Map<String, Long> counts = new HashMap<>();
    /** The counts when models were judged. */
    private final Map<String, Long> judged = new HashMap<>();
    private final Map<String, Profiled> profiled = new HashMap<>();

    /** The latency that was profiled of what a model runs. */
    private static final class Profiled {
        final ModelPlan plan;
        final double ms;

        Profiled(ModelPlan plan, double ms) {
            this.plan = plan;
            this.ms = ms;
        }
    }

    SlowdownTracker(Iterable<ModelTable> tables) {
        for (ModelTable table : tables) {
            this.tables.put(table.name(), table);
            ratios.put(table.name(), new ArrayDeque<Double>());
            counts.put(table.name(), 0L);
            judged.put(table.name(), 0L);
        }
    }

    /** Note one inference; returns how many times longer than profiled it took, null if it does not count. */
    synchronized @Nullable Double add(ModelPlan plan, double latencyMs) {
        Profiled known = profiled.get(plan.name());
        if (known == null || known.plan != plan) {
            boolean switched = known == null || known.plan.threads() != plan.threads()
                    || !known.plan.options().equals(plan.options());
            known = new Profiled(plan, profiledMs(tables.get(plan.name()), plan));
            profiled.put(plan.name(), known);
            if (switched) {
                return null;
            }
        }
        if (known.ms <= 0) {
            return null;
        }
        Deque<Double> seen = ratios.get(plan.name());
        if (seen.size() == MOST) {
            seen.removeFirst();
        }
        seen.addLast(latencyMs / known.ms);
        counts.put(plan.name(), counts.get(plan.name()) + 1);
        return seen.getLast();
    }

    /** Judge a model anew once it runs again, which is a switch: it is suspended. */
    synchronized void rest(String model) {
        ratios.get(model).clear();
        counts.put(model, 0L);
        judged.put(model, 0L);
        profiled.remove(model);
    }

    /** Note that models have been judged by what was seen so far. */
    synchronized void judged() {
        judged.putAll(counts);
    }

    /**
     * By model, the median of measured over profiled latency of the inferences that it is judged by; only models with
     * at least so many inferences, which may be more than these.
     */
    synchronized Map<String, Double> ratios(int least) {
        Map<String, Double> medians = new LinkedHashMap<>();
        for (Map.Entry<String, Deque<Double>> model : ratios.entrySet()) {
            long all = counts.get(model.getKey());
            if (all >= least) {
                long wanted = Math.max(WINDOW, all - judged.get(model.getKey()));
                int count = (int) Math.min(wanted, model.getValue().size());
                double[] ordered = new double[count];
                Iterator<Double> last = model.getValue().descendingIterator();
                for (int i = 0; i < count; i++) {
                    ordered[i] = last.next();
                }
                Arrays.sort(ordered);
                medians.put(model.getKey(), count % 2 == 1 ? ordered[count / 2]
                        : (ordered[count / 2 - 1] + ordered[count / 2]) / 2);
            }
        }
        return medians;
    }

    /** The profiled latency of what a model runs, without the slow-down that it is planned for. */
    private static double profiledMs(ModelTable table, ModelPlan plan) {
        double sum = table.overheadMs(plan.threads());
        for (BlockRows block : table.blocks()) {
            for (OptionRow option : block.options()) {
                if (option.name().equals(plan.options().get(block.name()))) {
                    sum += option.latencyMs().get(plan.threads());
                }
            }
        }
        for (BlockRows fixed : table.fixed()) {
            sum += fixed.options().get(0).latencyMs().get(plan.threads());
        }
        return sum;
    }
}
