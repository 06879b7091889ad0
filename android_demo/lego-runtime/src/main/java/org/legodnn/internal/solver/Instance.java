package org.legodnn.internal.solver;

import java.util.List;
import java.util.Map;

/** What is to be planned, apart from the limits. Not to be changed once made. */
public final class Instance {
    /** The compiled tables. */
    final CompiledModel[] models;
    /** By model, how many times slower than profiled it runs. */
    public final Fraction[] slowdown;
    /** The nearest doubles of the slow-downs. */
    final double[] slowdownFactor;
    /**
     * By model, for each of its thread counts, how many times its latency after slow-down must be within its limit: at
     * the limit's quantile inferences take so many times longer than predicted. One that is missing is not known: then
     * no limit of latency is held.
     */
    final List<Map<Integer, Fraction>> stretch;
    /** By model, the composition that runs, or null if it does not run. */
    final CompositionSums[] running;
    /** Whether leaving what runs is charged. */
    final boolean charged;

    /**
     * @param models the compiled tables
     * @param slowdown by model, how many times slower than profiled it runs
     * @param stretch by model, for each thread count, how many times its latency must be within its limit; missing if
     *     not known
     * @param running by model, the composition that runs, or null if it does not run
     * @param charged whether leaving what runs is charged
     */
    public Instance(CompiledModel[] models, Fraction[] slowdown, List<Map<Integer, Fraction>> stretch,
            CompositionSums[] running, boolean charged) {
        this.models = models;
        this.slowdown = slowdown;
        this.slowdownFactor = new double[slowdown.length];
        for (int m = 0; m < slowdown.length; m++) {
            slowdownFactor[m] = slowdown[m].doubleValue();
        }
        this.stretch = stretch;
        this.running = running;
        this.charged = charged;
    }

    /** What the profiled latency of model `m` is multiplied with before its limit is applied; null if not known. */
    public Fraction factor(int m, int threads) {
        Fraction times = stretch.get(m).get(threads);
        return times == null ? null : times == Fraction.ONE ? slowdown[m] : slowdown[m].times(times);
    }

    int size() {
        return models.length;
    }

    /** The composition that a model runs; null if it does not run. */
    public CompositionSums running(int model) {
        return running[model];
    }

    /** Whether leaving what runs is charged. */
    public boolean isCharged() {
        return charged;
    }

    /** The compute of a model's composition, in billionths of a core. */
    long cores(int model, CompositionSums composition) {
        return models[model].cores(composition.latency, composition.threads, slowdownFactor[model]);
    }
}
