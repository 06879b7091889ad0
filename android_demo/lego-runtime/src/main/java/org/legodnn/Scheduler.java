package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.solver.CompiledModel;
import org.legodnn.internal.solver.CompositionSums;
import org.legodnn.internal.solver.Deadline;
import org.legodnn.internal.solver.Fraction;
import org.legodnn.internal.solver.InfeasibilityReport;
import org.legodnn.internal.solver.Instance;
import org.legodnn.internal.solver.Limits;
import org.legodnn.internal.solver.Numbers;
import org.legodnn.internal.solver.Optimum;
import org.legodnn.internal.solver.ValueScale;

/**
 * Plans for a set of models: which option each block of each model should have, exactly, within the time of a frame.
 *
 * <pre>
 * maximise    sum_m weight_m accuracy_m  -  charge(plan, running plan)  -  S x (number of suspended models)
 * subject to  memory, each model's latency and least accuracy, and CPU cores' worth of compute
 * </pre>
 *
 * docs/scheduler.md has the problem in full. For the same tables, budget and running plan, the plan is the same as the
 * Python package's. Making a scheduler builds its models' frontiers; every plan after that is quick. Several threads
 * may use it at once.
 */
public final class Scheduler {
    /** How long a plan is improved, in milliseconds, unless the caller says otherwise. */
    public static final double DEADLINE_MS = 100;

    private static final double NANO = 1e9;

    private final List<ModelTable> tables;
    private final SwitchCharge charge;
    private final boolean charges;
    private final ValueScale scale;
    private final CompiledModel[] models;
    /** The last plan with its compositions, which need not be looked up when it comes back as the running plan. */
    private volatile @Nullable Last last;

    private static final class Last {
        final Plan plan;
        final CompositionSums[] chosen;

        Last(Plan plan, CompositionSums[] chosen) {
            this.plan = plan;
            this.chosen = chosen;
        }
    }

    /**
     * Build the frontiers of the models.
     *
     * @param tables the models' tables, at least one, in the order of plans
     * @param charge what leaving a running plan costs; {@link SwitchCharge#NONE} for nothing
     * @throws WorkloadException there are no tables, two have one name, or the figures of one are mostly noise
     */
    public Scheduler(List<ModelTable> tables, SwitchCharge charge) {
        if (tables.isEmpty()) {
            throw new WorkloadException("there is nothing to schedule: no models were given");
        }
        if (tables.size() > Bounds.MODELS) {
            throw new WorkloadException(
                    tables.size() + " models are too many: at most " + Bounds.MODELS + " are planned together");
        }
        this.tables = Collections.unmodifiableList(new ArrayList<>(tables));
        this.charge = charge;
        List<String> names = names();
        double accuracy = 0;
        double most = 0;
        for (int m = 0; m < tables.size(); m++) {
            ModelTable table = tables.get(m);
            if (names.indexOf(table.name) < m) {
                throw new WorkloadException("two models are called '" + table.name + "'; give each a name of its own");
            }
            double span = 0;
            for (double y : table.link.y()) {
                span = Math.max(span, Math.abs(y));
            }
            accuracy += table.weight * span;
            most += greatestCharge(table.blocks) + greatestCharge(table.fixed);
        }
        charges = most > 0;
        scale = new ValueScale(accuracy, most, tables.size());
        models = new CompiledModel[tables.size()];
        for (int m = 0; m < models.length; m++) {
            models[m] = new CompiledModel(tables.get(m), scale, charge);
        }
    }

    private double greatestCharge(List<BlockRows> segments) {
        double sum = 0;
        for (BlockRows segment : segments) {
            double most = 0;
            for (OptionRow option : segment.options) {
                most = Math.max(most, charge.of(option));
            }
            sum += most;
        }
        return sum;
    }

    /** The models' tables, in the order of plans. */
    public List<ModelTable> tables() {
        return tables;
    }

    private List<String> names() {
        List<String> names = new ArrayList<>();
        for (ModelTable table : tables) {
            names.add(table.name);
        }
        return names;
    }

    /** The optimal plan under a budget; see {@link #plan(Budget, Plan, Map)}. For a worker thread. */
    public Plan plan(Budget budget) {
        return plan(budget, null, null);
    }

    /** The optimal plan, given the one that runs now; see {@link #plan(Budget, Plan, Map)}. For a worker thread. */
    public Plan plan(Budget budget, @Nullable Plan running) {
        return plan(budget, running, null);
    }

    /** The optimal plan; see {@link #plan(Budget, Plan, Map, double)}. For a worker thread. */
    public Plan plan(Budget budget, @Nullable Plan running, @Nullable Map<String, Double> slowdown) {
        return plan(budget, running, slowdown, DEADLINE_MS);
    }

    /**
     * The optimal plan; or, if no plan is proven optimal in time, the best that was found, with its {@link Plan#gap}.
     * For a worker thread.
     *
     * @param budget the limits of the moment; a model's own limits, in its table, hold as well
     * @param running the plan that runs now, for ties and the switch charge; null for none. A model that it does not
     *     name does not run
     * @param slowdown by model, how many times slower than profiled it runs; null for none. A model that is not named
     *     runs as its table expects
     * @param deadlineMs how long to improve the plan; infinity for no deadline. Whether anything fits is found out in
     *     any case
     * @throws InfeasibleException no plan is within the limits; its report says which limits clash, and what would do
     * @throws WorkloadException the budget or slow-down names an unknown model, cores are limited but a model has no
     *     rate, or the running plan is of other stores
     * @throws ProfileException a limit of latency is for more inferences than a model's tail is known for, with any of
     *     its thread counts
     */
    public Plan plan(Budget budget, @Nullable Plan running, @Nullable Map<String, Double> slowdown, double deadlineMs) {
        return plan(budget, running, slowdown, deadlineMs, null);
    }

    /**
     * The same where the slowest inferences take longer than the tables say.
     * For a worker thread.
     *
     * @param tail by model, how many times longer than its table says the inferences at the limit's quantile take,
     *     beside the slow-down; 1 for models not named; null for none
     */
    public Plan plan(Budget budget, @Nullable Plan running, @Nullable Map<String, Double> slowdown, double deadlineMs,
            @Nullable Map<String, Double> tail) {
        Deadline deadline = Deadline.after(deadlineMs);
        Limits limits = limits(budget);
        Instance instance = new Instance(
                models,
                slowdowns(slowdown == null ? Collections.<String, Double>emptyMap() : slowdown),
                stretches(limits, tail == null ? Collections.<String, Double>emptyMap() : tail),
                running(running),
                charges && running != null);
        Optimum found = Optimum.of(instance, limits, deadline);
        if (found == null) {
            throw new InfeasibleException(report(instance, limits, budget, Deadline.after(deadlineMs)));
        }
        Plan plan = plan(instance, limits, budget, found);
        last = new Last(plan, found.chosen);
        return plan;
    }

    private Limits limits(Budget budget) {
        checkNames(budget.latencyByModel(), "the budget limits the latency of");
        checkNames(budget.quantileByModel(), "the budget has a quantile for");
        @Nullable Double[] latency = new @Nullable Double[models.length];
        double[] quantile = new double[models.length];
        @Nullable Double[] accuracy = new @Nullable Double[models.length];
        for (int m = 0; m < models.length; m++) {
            ModelTable table = tables.get(m);
            if (budget.cores() != null && table.rateHz == null) {
                throw new WorkloadException("the budget limits cores, so '" + table.name
                        + "' needs a rateHz (inferences per second)");
            }
            latency[m] = latencyLimit(table, budget);
            quantile[m] = quantile(table, budget);
            accuracy[m] = table.minAccuracy;
        }
        Double cores = budget.cores();
        Long nanos = cores == null ? null : Long.valueOf(Math.max(1, (long) Math.rint(Math.min(cores * NANO, 0x1p60))));
        return new Limits(budget.memoryBytes(), nanos, latency, quantile, accuracy);
    }

    /** The greatest share of inferences that must keep a model's limit of latency, of those that are asked for. */
    private static double quantile(ModelTable table, Budget budget) {
        Double greatest = null;
        for (Double share : new @Nullable Double[] {
            table.quantile, budget.quantileByModel().get(table.name), budget.quantile()
        }) {
            if (share != null && (greatest == null || share > greatest)) {
                greatest = share;
            }
        }
        return greatest == null ? Tail.DEFAULT_QUANTILE : greatest;
    }

    /** By model and thread count, how many times its latency has to be within its limit; missing if unknown. */
    private List<Map<Integer, Fraction>> stretches(Limits limits, Map<String, Double> tail) {
        checkFactors(tail, "tail");
        List<Map<Integer, Fraction>> found = new ArrayList<>();
        for (int m = 0; m < models.length; m++) {
            ModelTable table = tables.get(m);
            Map<Integer, Fraction> each = new HashMap<>();
            for (int threads : table.threadCounts) {
                Double stretch = table.tails.stretch(threads, limits.quantile[m]);
                if (stretch == null) {
                    continue;
                }
                Fraction times = stretch == 1 ? Fraction.ONE : Fraction.of(stretch);
                Double more = tail.get(table.name);
                each.put(threads, more == null ? times : times.times(Fraction.of(more)));
            }
            if (each.isEmpty() && limits.latency[m] != null) {
                throw table.tails.unknown(table.name, table.threadCounts.get(0), limits.quantile[m]);
            }
            found.add(each);
        }
        return found;
    }

    private void checkFactors(Map<String, Double> factors, String what) {
        checkNames(factors, "a " + what + " was given for");
        for (Map.Entry<String, Double> entry : factors.entrySet()) {
            double factor = entry.getValue();
            if (!(factor > 0 && factor <= 1e6)) {
                throw new WorkloadException("the " + what + " of '" + entry.getKey() + "' is " + factor
                        + "; it must be above 0 and at most 1000000, 1 for none");
            }
        }
    }

    /** The tightest limit of a model's latency; null if there is none. */
    private static @Nullable Double latencyLimit(ModelTable table, Budget budget) {
        Double tightest = null;
        for (Double limit : new @Nullable Double[] {
            table.latencyMs, budget.latencyByModel().get(table.name), budget.latencyMs()
        }) {
            if (limit != null && (tightest == null || limit < tightest)) {
                tightest = limit;
            }
        }
        return tightest;
    }

    private Fraction[] slowdowns(Map<String, Double> slowdown) {
        checkFactors(slowdown, "slow-down");
        Fraction[] factors = new Fraction[models.length];
        for (int m = 0; m < factors.length; m++) {
            ModelTable table = tables.get(m);
            Double told = slowdown.get(table.name);
            double factor = told == null ? table.slowdown : told;
            factors[m] = factor == 1 ? Fraction.ONE : Fraction.of(factor);
        }
        return factors;
    }

    private @Nullable CompositionSums[] running(@Nullable Plan running) {
        Last known = last;
        if (known != null && known.plan == running) {
            return known.chosen;
        }
        @Nullable CompositionSums[] now = new @Nullable CompositionSums[models.length];
        for (int m = 0; m < now.length && running != null; m++) {
            ModelPlan planned = running.find(tables.get(m).name);
            now[m] = planned == null ? null : CompositionSums.compositionOf(models[m], planned);
        }
        return now;
    }

    private void checkNames(Map<String, Double> named, String what) {
        List<String> known = names();
        for (String name : new TreeSet<>(named.keySet())) {
            if (!known.contains(name)) {
                throw new WorkloadException(what + " '" + name + "', which is none of " + Text.list(known));
            }
        }
    }

    private Plan plan(Instance instance, Limits limits, Budget budget, Optimum found) {
        CompositionSums[] chosen = found.chosen;
        List<ModelPlan> parts = new ArrayList<>();
        double[] worth = new double[chosen.length];
        double[] charged = new double[chosen.length];
        for (int m = 0; m < chosen.length; m++) {
            ModelTable table = tables.get(m);
            parts.add(modelPlan(instance, limits, m, chosen[m]));
            worth[m] = chosen[m] == null ? 0 : table.weight * parts.get(m).accuracy;
            charged[m] = instance.isCharged() ? chargeOf(table, instance.running(m), chosen[m]) : 0;
        }
        return new Plan(parts, budget, Numbers.exactSum(worth), Numbers.exactSum(charged),
                scale.gap(found.value, found.bound));
    }

    /** What going from one composition of a model to another is charged, in units of the objective. */
    private double chargeOf(ModelTable table, @Nullable CompositionSums now,
            @Nullable CompositionSums then) {
        if (then == null) {
            return 0;
        }
        boolean reload = now == null || now.threads != then.threads;
        double[] charged = new double[table.blocks.size() + table.fixed.size()];
        for (int b = 0; b < table.blocks.size(); b++) {
            if (now == null || reload || now.option(b) != then.option(b)) {
                charged[b] = charge.of(table.blocks.get(b).options.get(then.option(b)));
            }
        }
        for (int f = 0; f < table.fixed.size() && reload; f++) {
            charged[table.blocks.size() + f] = charge.of(table.fixed.get(f).options.get(0));
        }
        return Numbers.exactSum(charged);
    }

    private ModelPlan modelPlan(Instance instance, Limits limits, int m, @Nullable CompositionSums chosen) {
        ModelTable table = tables.get(m);
        Double limitMs = limits.latency[m];
        double quantile = limits.quantile[m];
        if (chosen == null) {
            return ModelPlan.suspended(table.name, limitMs, quantile);
        }
        Map<String, String> options = new LinkedHashMap<>();
        for (int b = 0; b < table.blocks.size(); b++) {
            BlockRows block = table.blocks.get(b);
            options.put(block.name, block.options.get(chosen.option(b)).name);
        }
        Fraction slowdown = instance.slowdown[m];
        Fraction factor = instance.factor(m, chosen.threads);
        double rate = (table.rateHz == null ? 0 : table.rateHz) * slowdown.doubleValue();
        return new ModelPlan(table.name, false, chosen.threads, options, chosen.accuracy, table.accuracyError,
                Limits.milliseconds(chosen.latency, slowdown), limitMs, quantile,
                factor == null ? null : Limits.milliseconds(chosen.latency, factor), chosen.memory,
                Math.ceil(chosen.latency * (rate * chosen.threads)) / NANO);
    }

    private Infeasible report(Instance instance, Limits limits, Budget budget, Deadline deadline) {
        InfeasibilityReport why = new InfeasibilityReport(instance, limits, deadline);
        List<Limit> entries = new ArrayList<>();
        for (InfeasibilityReport.Entry entry : why.entries) {
            String model = entry.model < 0 ? null : tables.get(entry.model).name;
            Double quantile = entry.kind == Limit.Kind.LATENCY ? limits.quantile[entry.model] : null;
            entries.add(new Limit(entry.kind, model, quantile, entry.value, entry.needed, entry.clashes));
        }
        List<String> suspended = new ArrayList<>();
        for (ModelTable table : tables) {
            if (!table.critical) {
                suspended.add(table.name);
            }
        }
        Plan nearest = why.nearest == null ? null : plan(instance, limits, budget, why.nearest);
        return new Infeasible(budget, entries, nearest, why.excess, suspended);
    }
}
