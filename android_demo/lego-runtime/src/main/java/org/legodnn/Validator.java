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
 * How well latency is predicted. Compositions are drawn and timed as wholes, as inferences run them. Together they tell
 * what options take in use. Half of them, all drawn at random, also judge what the other half alone would have told:
 * what all tell is nearer.
 *
 * <p>One by one, each after another composition, options find caches filled by others: a whole that runs again and
 * again takes less than their sum, and perhaps something beside them. So a line is fitted ({@code InUse}), as Python
 * does of more compositions. Half of those it is fitted to are of options of equal rank, so that both fast and slow
 * ones occur; the others judge.
 *
 * <p>Those that judge take turns, as in Python. The first inference of each turn, which follows one of another
 * composition, and those that follow it are held against what all together predict: these are the tails "after" and
 * "alone". Then each runs after pauses, as a model that runs at a rate does: the tail "periodic".
 */
final class Validator {
    /** Compositions, so that each half tells something. */
    static final int PLANS = 40;
    private static final int JUDGES = PLANS / 2;
    private static final int RUNS = 6;
    /** Those that judge take turns in groups of so many, where they may all be loaded together. */
    private static final int GROUP = 4;
    private static final int RUNS_AFTER_THE_FIRST = 4;
    /** So that 0.99 is known of twenty compositions, of first inferences too. */
    private static final int LEAST_TURNS = 6;
    private static final int ROUNDS_PER_TURN = 10;
    /** As many as in Python. */
    private static final int RUNS_AFTER_PAUSES = 8;
    /** Of a camera, at 30 frames a second. */
    private static final long PAUSE_MS = 30;
    /** A clock may tell no time at all. */
    private static final double LEAST_MS = 1e-6;

    private final Store store;
    private final Random random;
    private final int turns;
    private final Runnable pause;

    /** What was found at one thread count. */
    static final class Found {
        /** How compositions in use compare with the sums of their options. */
        final InUse used;
        /** What options take in use. */
        final Map<Choice, Latency> latencies;
        /** As profiles have it: threads, plans, median_error and p95_error. */
        final JsonObject validation;
        /** Alone, after another composition, and after pauses. */
        final List<Tail> tails;

        Found(InUse used, Map<Choice, Latency> latencies, JsonObject validation, List<Tail> tails) {
            this.used = used;
            this.latencies = latencies;
            this.validation = validation;
            this.tails = tails;
        }
    }

    /** A composition that judges, and the milliseconds of its inferences. */
    private final class Judge {
        final List<Choice> choices;
        /** The first ones of each turn. */
        final double[] first = new double[turns];
        /** Those that follow them. */
        final double[] warm = new double[turns * RUNS_AFTER_THE_FIRST];
        /** Those that follow pauses. */
        final double[] periodic = new double[RUNS_AFTER_PAUSES];

        Judge(List<Choice> choices) {
            this.choices = choices;
        }
    }

    /** Runs a loaded composition as an inference does; returns the milliseconds. */
    interface Timer {
        double run(Chain chain, Chain.Composition composition);
    }

    /**
     * A validator.
     *
     * @param rounds how often each option is timed: who wants to know latencies better wants to know tails better
     * @param pause waits between inferences, see {@link #sleep}
     */
    Validator(Store store, Random random, int rounds, Runnable pause) {
        this.store = store;
        this.random = random;
        this.turns = turns(rounds);
        this.pause = pause;
    }

    /** A pause such as a model that runs at a camera's rate makes. */
    static void sleep() {
        try {
            Thread.sleep(PAUSE_MS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new ProfileException("profiling was stopped: its thread was interrupted", e);
        }
    }

    private static int turns(int rounds) {
        return Math.max(LEAST_TURNS, rounds / ROUNDS_PER_TURN);
    }

    /** Steps of {@link #validate}: compositions that the first line is fitted to, turns and pauses of the others. */
    static int steps(int rounds) {
        return PLANS - JUDGES + JUDGES * (turns(rounds) + 1);
    }

    /**
     * Time compositions at one thread count.
     *
     * @param executor what runs them; no more compositions are loaded at a time than pools of threads allow
     * @param latencies of every option, one by one
     * @param step is told of every step
     */
    Found validate(BlockExecutor executor, int threads, Map<Choice, Latency> latencies, Timer timer,
            Weigher.Step step) {
        int segments = store.manifest().segments.size();
        int together = PoolThreads.together(executor, segments, threads, GROUP);
        List<Judge> judges = new ArrayList<>();
        double[] x = new double[PLANS]; // first those of equal rank, then those that judge
        double[] y = new double[PLANS];
        while (judges.size() < JUDGES) { // some of both kinds, so that they see the same drift of clock and heat
            List<Judge> group = new ArrayList<>();
            int from = judges.size();
            for (int i = from; i < Math.min(JUDGES, from + together); i++) {
                List<Choice> choices = drawRank(threads);
                x[i] = sum(choices, latencies);
                y[i] = medianMs(executor, choices, timer);
                step.done();
                group.add(new Judge(draw(threads)));
            }
            takeTurns(executor, group, timer, step);
            judges.addAll(group);
        }
        for (int i = 0; i < JUDGES; i++) {
            x[PLANS - JUDGES + i] = sum(judges.get(i).choices, latencies);
            y[PLANS - JUDGES + i] = InUse.median(judges.get(i).warm);
        }
        InUse ofHalf = InUse.lineThrough(
                Arrays.copyOf(x, PLANS - JUDGES), Arrays.copyOf(y, PLANS - JUDGES), segments);
        Map<Choice, Latency> judged = inUse(ofHalf, latencies);
        List<Double> errors = new ArrayList<>();
        for (Judge judge : judges) {
            double predicted = sum(judge.choices, judged) + ofHalf.overheadMs();
            errors.add(Math.abs(predicted / InUse.median(judge.warm) - 1));
        }
        InUse used = InUse.lineThrough(x, y, segments);
        Map<Choice, Latency> inUse = inUse(used, latencies);
        JsonObject validation = new JsonObject().put("threads", threads).put("plans", errors.size())
                .put("median_error", Profiler.median(errors))
                .put("p95_error", Profiler.quantile(Profiler.sorted(errors), 0.95));
        return new Found(used, inUse, validation, tails(judges, threads, used, inUse));
    }

    /** How far inferences are above what plans are predicted to take. */
    private static List<Tail> tails(List<Judge> judges, int threads, InUse used, Map<Choice, Latency> inUse) {
        double[][] first = new double[judges.size()][];
        double[][] warm = new double[judges.size()][];
        double[][] periodic = new double[judges.size()][];
        for (int i = 0; i < first.length; i++) {
            double predicted = sum(judges.get(i).choices, inUse) + used.overheadMs();
            first[i] = Arrays.stream(judges.get(i).first).map(ms -> ms / predicted).toArray();
            warm[i] = Arrays.stream(judges.get(i).warm).map(ms -> ms / predicted).toArray();
            periodic[i] = Arrays.stream(judges.get(i).periodic).map(ms -> ms / predicted).toArray();
        }
        return Arrays.asList(Tail.of(warm, threads, "alone"), Tail.of(first, threads, "after"),
                Tail.of(periodic, threads, "periodic"));
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
            double[] times = new double[RUNS];
            timer.run(chain, composition); // the first run after loading is slower
            for (int i = 0; i < RUNS; i++) {
                times[i] = ms(timer, chain, composition);
            }
            return InUse.median(times);
        } finally {
            chain.retain(Collections.<Choice>emptyList());
        }
    }

    /** Time some compositions, loaded together, in turns; then each after pauses. */
    private void takeTurns(BlockExecutor executor, List<Judge> group, Timer timer, Weigher.Step step) {
        Chain chain = new Chain(store, executor);
        try {
            List<Chain.Composition> compositions = new ArrayList<>();
            for (Judge judge : group) {
                compositions.add(chain.compose(judge.choices));
            }
            // Where one alone may be loaded, one of a single thread, which has no pool, runs between its turns: its
            // first inferences would find its own caches otherwise.
            Chain.Composition between = group.size() > 1 ? null : chain.compose(draw(1));
            for (Chain.Composition composition : compositions) {
                timer.run(chain, composition); // the first run after loading is slower
            }
            for (int turn = 0; turn < turns; turn++) {
                for (int i = 0; i < group.size(); i++) {
                    if (between != null) {
                        timer.run(chain, between);
                    }
                    group.get(i).first[turn] = ms(timer, chain, compositions.get(i));
                    for (int run = 0; run < RUNS_AFTER_THE_FIRST; run++) {
                        group.get(i).warm[turn * RUNS_AFTER_THE_FIRST + run] = ms(timer, chain, compositions.get(i));
                    }
                    step.done();
                }
            }
            for (int i = 0; i < group.size(); i++) {
                timer.run(chain, compositions.get(i)); // the first one would follow another composition, too
                for (int run = 0; run < RUNS_AFTER_PAUSES; run++) {
                    pause.run();
                    group.get(i).periodic[run] = ms(timer, chain, compositions.get(i));
                }
                step.done();
            }
        } finally {
            chain.retain(Collections.<Choice>emptyList());
        }
    }

    private static double ms(Timer timer, Chain chain, Chain.Composition composition) {
        return Math.max(LEAST_MS, timer.run(chain, composition));
    }
}
