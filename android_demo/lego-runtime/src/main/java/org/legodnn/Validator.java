package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

import org.legodnn.internal.json.JsonObject;

/**
 * How well latency is predicted. Compositions are drawn and timed as wholes, again and again, as inferences run them.
 * Half of them tell what options take in use; with the other half, all drawn at random, predictions are compared.
 *
 * <p>One by one, each after another composition, options find caches filled by others: a whole that runs again and
 * again takes less than their sum, and perhaps something beside them. So a line is fitted ({@code InUse}), as Python
 * does of more compositions. Half of those it is fitted to are of options of equal rank, so that both fast and slow
 * ones occur.
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
        /** How compositions in use compare with the sums of their options. */
        final InUse used;
        /** What options take in use. */
        final Map<Choice, Latency> latencies;
        /** As profiles have it: threads, plans, median_error and p95_error. */
        final JsonObject validation;

        Found(InUse used, Map<Choice, Latency> latencies, JsonObject validation) {
            this.used = used;
            this.latencies = latencies;
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
        List<List<Choice>> drawn = new ArrayList<>();
        double[] measured = new double[PLANS];
        double[] x = new double[PLANS / 2];
        double[] y = new double[PLANS / 2];
        for (int i = 0; i < PLANS; i++) {
            List<Choice> choices = i % 4 == 2 ? drawRank(threads) : draw(threads);
            drawn.add(choices);
            measured[i] = Math.max(LEAST_MS, medianMs(executor, choices, timer));
            if (i % 2 == 0) {
                x[i / 2] = sum(choices, latencies);
                y[i / 2] = measured[i];
            }
            step.done();
        }
        InUse used = InUse.lineThrough(x, y, store.manifest().segments.size());
        Map<Choice, Latency> inUse = new HashMap<>();
        for (Map.Entry<Choice, Latency> one : latencies.entrySet()) {
            inUse.put(one.getKey(), used.latency(one.getValue()));
        }
        List<Double> errors = new ArrayList<>();
        for (int i = 1; i < PLANS; i += 2) {
            errors.add(Math.abs((sum(drawn.get(i), inUse) + used.overheadMs()) / measured[i] - 1));
        }
        return new Found(used, inUse, new JsonObject().put("threads", threads)
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

    /** A random composition, each option of a segment being equally likely. */
    private List<Choice> draw(int threads) {
        List<Choice> choices = new ArrayList<>();
        for (Segment segment : store.manifest().segments) {
            Option option = segment.options.get(random.nextInt(segment.options.size()));
            choices.add(new Choice(segment.name, option.name, threads));
        }
        return choices;
    }

    /** A composition of options of equal rank, from all first ones to all last ones, at random. */
    private List<Choice> drawRank(int threads) {
        double rank = random.nextDouble();
        List<Choice> choices = new ArrayList<>();
        for (Segment segment : store.manifest().segments) {
            Option option = segment.options.get((int) (rank * segment.options.size()));
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
