package org.legodnn.governing;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

import org.jspecify.annotations.Nullable;
import org.legodnn.ModelPlan;
import org.legodnn.ModelTable;
import org.legodnn.Tail;

/**
 * How long the slowest inferences take, learned from each as it comes: by model, thread count and quantile. For each
 * quantile q a threshold is kept, as a multiple of the profiled latency. An inference above it raises it by the factor
 * exp(q x step), one below lowers it by exp((1 - q) x step). Whatever the times do, over a while the share of
 * inferences above it then is 1 - q: adaptive conformal inference (Gibbs and Candes, NeurIPS 2021). Safe for several
 * threads.
 */
final class TailTracker {
    private static final double STEP = 0.1;
    private static final double LEAST_LOG = Math.log(1e-3);
    private static final double MOST_LOG = Math.log(1e6);

    private final double[] quantiles = Tail.quantiles();
    private final Map<String, ModelTable> tables = new HashMap<>();
    /** By model and thread count. */
    private final Map<List<Object>, Learned> learned = new HashMap<>();

    /** The logarithms of the thresholds, and how many inferences they rest on. */
    private static final class Learned {
        final double[] logs;
        int count;

        Learned(double[] logs) {
            this.logs = logs;
        }

        /** Whether so many inferences tell what is above a quantile. */
        boolean tells(double quantile) {
            return count * (1 - quantile) >= 1 - 1e-9;
        }

        /** The stretch of a quantile by its place; as in a profile, it never falls with the quantile. */
        double stretch(int place) {
            double most = Double.NEGATIVE_INFINITY;
            for (int i = 0; i <= place; i++) {
                most = Math.max(most, logs[i]);
            }
            return Math.exp(most);
        }
    }

    /** Begin with what the profiles say. */
    TailTracker(Iterable<ModelTable> tables) {
        for (ModelTable table : tables) {
            this.tables.put(table.name(), table);
        }
    }

    private static List<Object> key(ModelPlan plan) {
        return Arrays.<Object>asList(plan.name(), plan.threads());
    }

    /** Note one inference, which took so many times longer than profiled. */
    synchronized void add(ModelPlan plan, double ratio) {
        Learned known = learned.get(key(plan));
        if (known == null) {
            known = begin(plan);
        }
        double log = ratio > 0 ? Math.log(ratio) : LEAST_LOG;
        for (int i = 0; i < quantiles.length; i++) {
            double moved = known.logs[i] + STEP * (log > known.logs[i] ? quantiles[i] : quantiles[i] - 1);
            known.logs[i] = Math.min(Math.max(moved, LEAST_LOG), MOST_LOG);
        }
        known.count++;
    }

    private Learned begin(ModelPlan plan) {
        ModelTable table = tables.get(plan.name());
        double[] logs = new double[quantiles.length];
        for (int i = 0; i < logs.length; i++) {
            Double stretch = table.tails().stretch(plan.threads(), quantiles[i]);
            logs[i] = Math.log(table.slowdown() * (stretch == null ? 1 : stretch));
        }
        Learned begun = new Learned(logs);
        learned.put(key(plan), begun);
        return begun;
    }

    /**
     * How many times longer than its profile promises the share {@link ModelPlan#quantile} of inferences takes; null
     * where too few were seen to tell: less than 1 / (1 - quantile) with the plan's thread count.
     */
    synchronized @Nullable Double excess(ModelPlan plan) {
        ModelTable table = tables.get(plan.name());
        Double promised = table.tails().stretch(plan.threads(), plan.quantile());
        Learned known = learned.get(key(plan));
        if (promised == null || known == null || !known.tells(plan.quantile())) {
            return null;
        }
        int at = 0; // the least quantile that is kept and no less
        while (at < quantiles.length - 1 && quantiles[at] < plan.quantile()) {
            at++;
        }
        return known.stretch(at) / (table.slowdown() * promised);
    }

    /** What was learned of a model, by thread count: for a profile, as far as enough inferences were seen. */
    synchronized List<Tail> tails(String model) {
        SortedMap<Integer, Tail> found = new TreeMap<>();
        for (Map.Entry<List<Object>, Learned> one : learned.entrySet()) {
            Map<Double, Double> stretch = new TreeMap<>();
            for (int i = 0; i < quantiles.length && one.getValue().tells(quantiles[i]); i++) {
                stretch.put(quantiles[i], one.getValue().stretch(i));
            }
            if (one.getKey().get(0).equals(model) && !stretch.isEmpty()) {
                int threads = (Integer) one.getKey().get(1);
                found.put(threads, Tail.inUse(threads, one.getValue().count, stretch));
            }
        }
        return new ArrayList<>(found.values());
    }
}
