package org.legodnn.governing;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
 * inferences above it then is 1 - q: adaptive conformal inference (Gibbs and Candes, NeurIPS 2021). From the 65th
 * inference since models were judged before on, steps shrink as 1 / count: the threshold of a fast model comes to rest
 * at the quantile of the time in between, where it would stand for its last hundredth of a second. What was learned
 * with another number of threads than the model runs with fades as it would by inferences below the threshold, and a
 * model that was suspended is judged anew: else what is seen no more might keep a plan away for ever. Safe for several
 * threads.
 */
final class TailTracker {
    private static final double STEP = 0.1;
    /** Inferences since models were judged from which on steps shrink. */
    private static final int STEADY = 64;
    private static final double LEAST_LOG = Math.log(1e-3);
    private static final double MOST_LOG = Math.log(1e6);

    private final double[] quantiles = Tail.quantiles();
    private final Map<String, ModelTable> tables = new HashMap<>();
    /** By model, by thread count. */
    private final Map<String, SortedMap<Integer, Learned>> learned = new HashMap<>();
    /** The models that were suspended since they last ran. */
    private final Set<String> rested = new HashSet<>();

    /** The logarithms of the thresholds, and how many inferences they rest on. */
    private static final class Learned {
        final double[] quantiles;
        final double[] promised;
        final double[] logs;
        int count;
        /** Inferences since the model was judged. */
        private int since;

        Learned(double[] quantiles, double[] promised) {
            this.quantiles = quantiles;
            this.promised = promised;
            this.logs = promised.clone();
        }

        /** The step of one more inference of the model. */
        private double step() {
            since++;
            return STEP * Math.min(1.0, (double) STEADY / since);
        }

        void add(double log) {
            double step = step();
            for (int i = 0; i < logs.length; i++) {
                double moved = logs[i] + step * (log > logs[i] ? quantiles[i] : quantiles[i] - 1);
                logs[i] = Math.min(Math.max(moved, LEAST_LOG), MOST_LOG);
            }
            count++;
        }

        /** Let what is above the profile's promise fade by as much as in an inference below it. */
        void fade() {
            double step = step();
            for (int i = 0; i < logs.length; i++) {
                logs[i] = Math.min(logs[i], Math.max(logs[i] - step * (1 - quantiles[i]), promised[i]));
            }
        }

        /** Begin anew, where more than the profile promises was learned. */
        void forget() {
            for (int i = 0; i < logs.length; i++) {
                logs[i] = Math.min(logs[i], promised[i]);
            }
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
            learned.put(table.name(), new TreeMap<Integer, Learned>());
        }
    }

    /** Note one inference, which took so many times longer than profiled. */
    synchronized void add(ModelPlan plan, double ratio) {
        SortedMap<Integer, Learned> seen = learned.get(plan.name());
        if (rested.remove(plan.name())) {
            for (Learned one : seen.values()) {
                one.forget();
            }
        }
        if (!seen.containsKey(plan.threads())) {
            seen.put(plan.threads(), begun(plan));
        }
        for (Map.Entry<Integer, Learned> one : seen.entrySet()) {
            if (one.getKey() == plan.threads()) {
                one.getValue().add(ratio > 0 ? Math.log(ratio) : LEAST_LOG);
            } else {
                one.getValue().fade();
            }
        }
    }

    /** Judge a model anew once it runs again: it is suspended. */
    synchronized void rest(String model) {
        rested.add(model);
    }

    /** Note that models have been judged by what was seen so far. */
    synchronized void judged() {
        for (SortedMap<Integer, Learned> seen : learned.values()) {
            for (Learned one : seen.values()) {
                one.since = 0;
            }
        }
    }

    private Learned begun(ModelPlan plan) {
        ModelTable table = tables.get(plan.name());
        double[] promised = new double[quantiles.length];
        for (int i = 0; i < promised.length; i++) {
            Double stretch = table.tails().stretch(plan.threads(), quantiles[i]);
            promised[i] = Math.log(table.slowdown() * (stretch == null ? 1 : stretch));
        }
        return new Learned(quantiles, promised);
    }

    /**
     * How many times longer than its profile promises the share {@link ModelPlan#quantile} of inferences takes; null
     * where too few were seen to tell, less than 1 / (1 - quantile) with the plan's thread count, or none since the
     * model was suspended.
     */
    synchronized @Nullable Double excess(ModelPlan plan) {
        ModelTable table = tables.get(plan.name());
        Double promised = table.tails().stretch(plan.threads(), plan.quantile());
        Learned known = rested.contains(plan.name()) ? null : learned.get(plan.name()).get(plan.threads());
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
        List<Tail> found = new ArrayList<>();
        if (!learned.containsKey(model)) {
            return found;
        }
        for (Map.Entry<Integer, Learned> one : learned.get(model).entrySet()) {
            Map<Double, Double> stretch = new TreeMap<>();
            for (int i = 0; i < quantiles.length && one.getValue().tells(quantiles[i]); i++) {
                stretch.put(quantiles[i], one.getValue().stretch(i));
            }
            if (!stretch.isEmpty()) {
                found.add(Tail.inUse(one.getKey(), one.getValue().count, stretch));
            }
        }
        return found;
    }
}
