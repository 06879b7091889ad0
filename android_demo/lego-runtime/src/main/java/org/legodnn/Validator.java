package org.legodnn;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

import org.legodnn.internal.json.JsonObject;

/**
 * How well latency is predicted. Compositions are drawn and timed as wholes, again and again, as inferences run them.
 * Together they tell what options take in use. Half of them, all drawn at random, also judge what the other half alone
 * would have told: what all tell is nearer.
 *
 * <p>One by one, each after another composition, options find caches filled by others: a whole that runs again and
 * again takes less than their sum, and perhaps something beside them. So a line is fitted ({@code InUse}), as Python
 * does of more compositions. Half of those it is fitted to are of options of equal rank, so that both fast and slow
 * ones occur; the others judge.
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
        List<List<Choice>> judging = new ArrayList<>();
        double[] x = new double[PLANS]; // first those of equal rank, then those that judge
        double[] y = new double[PLANS];
        for (int i = 0; i < PLANS; i++) {
            boolean judges = i % 2 == 1;
            List<Choice> choices = judges ? draw(threads) : drawRank(threads);
            int at = i / 2;
            if (judges) {
                judging.add(choices);
                at += PLANS / 2;
            }
            x[at] = sum(choices, latencies);
            y[at] = Math.max(LEAST_MS, medianMs(executor, choices, timer));
            step.done();
        }
        int segments = store.manifest().segments.size();
        InUse ofHalf = InUse.lineThrough(Arrays.copyOf(x, PLANS / 2), Arrays.copyOf(y, PLANS / 2), segments);
        Map<Choice, Latency> judged = inUse(ofHalf, latencies);
        List<Double> errors = new ArrayList<>();
        for (int i = 0; i < judging.size(); i++) {
            double predicted = sum(judging.get(i), judged) + ofHalf.overheadMs();
            errors.add(Math.abs(predicted / y[PLANS / 2 + i] - 1));
        }
        InUse used = InUse.lineThrough(x, y, segments);
        return new Found(used, inUse(used, latencies), new JsonObject().put("threads", threads)
                .put("plans", errors.size()).put("median_error", Profiler.median(errors))
                .put("p95_error", Profiler.quantile(Profiler.sorted(errors), 0.95)));
    }

    private static Map<Choice, Latency> inUse(InUse used, Map<Choice, Latency> latencies) {
        Map<Choice, Latency> inUse = new HashMap<>();
        for (Map.Entry<Choice, Latency> one : latencies.entrySet()) {
            inUse.put(one.getKey(), used.latency(one.getValue()));
        }
        return inUse;
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
