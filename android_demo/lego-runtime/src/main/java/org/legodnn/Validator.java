package org.legodnn;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;

import org.legodnn.internal.json.JsonObject;

/**
 * How well latency is predicted. Compositions are drawn at random and timed as wholes, as inferences run them. Half of
 * them tell what a whole takes beyond its parts; with the other half predictions are compared.
 */
final class Validator {
    /** Compositions, so that each half tells something. */
    static final int PLANS = 20;
    private static final int RUNS = 6;

    private final Store store;
    private final Random random;

    /** What was found at one thread count. */
    static final class Found {
        /** What a composition takes beyond the sum of its options' medians. */
        final double overheadMs;
        /** As profiles have it: threads, plans, median_error and p95_error. */
        final JsonObject validation;

        Found(double overheadMs, JsonObject validation) {
            this.overheadMs = overheadMs;
            this.validation = validation;
        }
    }

    /** Runs a loaded composition as an inference does; returns the milliseconds. */
    interface Timer {
        double run(Chain chain, Chain.Composition composition);
    }

    Validator(Store store, Random random) {
        this.store = store;
        this.random = random;
    }

    /**
     * Time compositions at one thread count.
     *
     * @param executor what runs them; no more than one composition is loaded at a time
     * @param latencies of every option
     * @param step is told of every composition that was timed
     */
    Found validate(BlockExecutor executor, int threads, Map<Choice, Latency> latencies, Timer timer,
            Weigher.Step step) {
        List<Double> beyond = new ArrayList<>();
        double[] predicted = new double[PLANS];
        double[] measured = new double[PLANS];
        for (int i = 0; i < PLANS; i++) {
            List<Choice> choices = drawn(threads);
            for (Choice choice : choices) {
                predicted[i] += latencies.get(choice).medianMs;
            }
            measured[i] = medianMs(executor, choices, timer);
            if (i % 2 == 0) {
                beyond.add(measured[i] - predicted[i]);
            }
            step.done();
        }
        double overhead = Math.max(0, Profiler.quantile(sorted(beyond), 0.5));
        List<Double> errors = new ArrayList<>();
        for (int i = 1; i < PLANS; i += 2) {
            errors.add(Math.abs((predicted[i] + overhead) / Math.max(measured[i], 1e-6) - 1));
        }
        return new Found(overhead, new JsonObject().put("threads", threads).put("plans", errors.size())
                .put("median_error", Profiler.quantile(sorted(errors), 0.5))
                .put("p95_error", Profiler.quantile(sorted(errors), 0.95)));
    }

    private List<Choice> drawn(int threads) {
        List<Choice> choices = new ArrayList<>();
        for (Segment segment : store.manifest().segments) {
            Option option = segment.options.get(random.nextInt(segment.options.size()));
            choices.add(new Choice(segment.name, option.name, threads));
        }
        return choices;
    }

    private double medianMs(BlockExecutor executor, List<Choice> choices, Timer timer) {
        Chain chain = new Chain(store, executor);
        try {
            Chain.Composition composition = chain.compose(choices);
            List<Double> times = new ArrayList<>();
            timer.run(chain, composition); // the first run after loading is slower
            for (int i = 0; i < RUNS; i++) {
                times.add(timer.run(chain, composition));
            }
            return Profiler.quantile(sorted(times), 0.5);
        } finally {
            chain.retain(Collections.<Choice>emptyList());
        }
    }

    private static double[] sorted(List<Double> values) {
        double[] sorted = new double[values.size()];
        for (int i = 0; i < sorted.length; i++) {
            sorted[i] = values.get(i);
        }
        Arrays.sort(sorted);
        return sorted;
    }
}
