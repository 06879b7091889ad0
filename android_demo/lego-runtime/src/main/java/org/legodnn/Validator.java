package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

import org.legodnn.internal.json.JsonObject;

/**
 * How well latency is predicted. Compositions are drawn at random and timed as wholes, again and again, as inferences
 * run them. Half of them tell what options take in use; with the other half predictions are compared.
 *
 * <p>One by one, each after another composition, options find caches filled by others: a whole that runs again and
 * again then takes a share of their sum, and each option takes that share in use. Where a whole takes more than the
 * sum, that is added to all. (Python fits a line to many more compositions.)
 */
final class Validator {
    /** Compositions, so that each half tells something. */
    static final int PLANS = 40;
    private static final int RUNS = 6;
    /** A clock may tell no time at all. */
    private static final double LEAST_MS = 1e-6;

    private final Store store;
    private final Random random;

    /** What was found at one thread count. */
    static final class Found {
        /** What options take in use. */
        final Map<Choice, Latency> latencies;
        /** What a composition takes beyond the sum of their medians. */
        final double overheadMs;
        /** As profiles have it: threads, plans, median_error and p95_error. */
        final JsonObject validation;

        Found(Map<Choice, Latency> latencies, double overheadMs, JsonObject validation) {
            this.latencies = latencies;
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
     * @param latencies of every option, one by one
     * @param step is told of every composition that was timed
     */
    Found validate(BlockExecutor executor, int threads, Map<Choice, Latency> latencies, Timer timer,
            Weigher.Step step) {
        double[] sums = new double[PLANS];
        double[] measured = new double[PLANS];
        List<Double> shares = new ArrayList<>();
        List<Double> beyond = new ArrayList<>();
        for (int i = 0; i < PLANS; i++) {
            List<Choice> choices = drawn(threads);
            sums[i] = sum(choices, latencies);
            measured[i] = Math.max(LEAST_MS, medianMs(executor, choices, timer));
            if (i % 2 == 0) {
                shares.add(measured[i] / sums[i]);
                beyond.add(measured[i] - sums[i]);
            }
            step.done();
        }
        double factor = Math.min(1, Profiler.median(shares));
        double overhead = factor < 1 ? 0 : Math.max(0, Profiler.median(beyond));
        List<Double> errors = new ArrayList<>();
        for (int i = 1; i < PLANS; i += 2) {
            errors.add(Math.abs((factor * sums[i] + overhead) / measured[i] - 1));
        }
        return new Found(inUse(latencies, factor), overhead, new JsonObject().put("threads", threads)
                .put("plans", errors.size()).put("median_error", Profiler.median(errors))
                .put("p95_error", Profiler.quantile(Profiler.sorted(errors), 0.95)));
    }

    private static double sum(List<Choice> choices, Map<Choice, Latency> latencies) {
        double sum = 0;
        for (Choice choice : choices) {
            sum += latencies.get(choice).medianMs;
        }
        return Math.max(sum, LEAST_MS);
    }

    private static Map<Choice, Latency> inUse(Map<Choice, Latency> latencies, double factor) {
        Map<Choice, Latency> used = new HashMap<>();
        for (Map.Entry<Choice, Latency> one : latencies.entrySet()) {
            Latency was = one.getValue();
            used.put(one.getKey(), new Latency(was.threads, was.runs, was.minMs * factor, was.medianMs * factor,
                    was.p95Ms * factor, null));
        }
        return used;
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
            return Profiler.median(times);
        } finally {
            chain.retain(Collections.<Choice>emptyList());
        }
    }
}
