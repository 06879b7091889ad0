package org.legodnn.solver;

/** What is to be decided. Not to be changed once made. */
public final class Instance {
    final CompiledModel[] models;
    /** By model, how much slower it runs than profiled. */
    final Fraction[] slowdown;
    final double[] slowdownFactor;
    /** By model, the composition that runs, or null where it does not run. */
    final Composition[] running;
    /** Whether leaving what runs is charged. */
    final boolean charged;

    /**
     * @param models compiled tables
     * @param slowdown by model, how much slower it runs than profiled
     * @param running by model, the composition that runs, or null where it does not run
     * @param charged whether leaving what runs is charged
     */
    public Instance(CompiledModel[] models, Fraction[] slowdown, Composition[] running, boolean charged) {
        this.models = models;
        this.slowdown = slowdown;
        this.slowdownFactor = new double[slowdown.length];
        for (int m = 0; m < slowdown.length; m++) {
            slowdownFactor[m] = slowdown[m].doubleValue();
        }
        this.running = running;
        this.charged = charged;
    }

    int size() {
        return models.length;
    }

    /** What a model runs; null where it does not run. */
    public Composition running(int model) {
        return running[model];
    }

    /** Whether leaving what runs is charged. */
    public boolean isCharged() {
        return charged;
    }

    /** Billionths of a core that a model's composition takes. */
    long cores(int model, Composition composition) {
        return models[model].cores(composition.latency, composition.threads, slowdownFactor[model]);
    }
}
