package org.legodnn;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;

/**
 * Measures a store on this device: latency, memory and load time of every option.
 *
 * <p><b>Latency</b> is timed where options will run, in a whole, running composition. In each round every option of
 * every block runs once, in compositions drawn at random, so all see the same drift of clock and temperature, and no
 * order favours anyone. All options are loaded together meanwhile; with several threads, where every loaded option has
 * a pool of threads of its own, in groups, and in several passes over all groups, so that they still see the same
 * drift.
 *
 * <p><b>Whole compositions</b> are timed at last, for what they take beyond their options, how far predictions are off,
 * and how far the slowest inferences are above them ({@code Validator}).
 *
 * <p><b>Memory</b> is weighed by comparing compositions ({@code Weigher}); its sum over a composition's options is
 * what the composition takes.
 */
public final class Profiler {
    private static final int WARM_UP_ROUNDS = 2;
    private static final int PASSES = 5;

    private final Store store;
    private final BlockExecutor executor;
    private final ProfilerOptions options;
    private final @Nullable Progress progress;
    private final MeasuringConditions conditions;
    private final Random random = new Random(0);
    private final Weigher weigher;
    private final int total;
    private int done;

    private Profiler(Store store, BlockExecutor executor, ProfilerOptions options, @Nullable Progress progress) {
        this.store = store;
        this.executor = executor;
        this.options = options;
        this.progress = progress;
        this.conditions = new MeasuringConditions(
                options.conditions == null ? () -> "" : options.conditions, new File("/sys/devices/system/cpu"));
        MemoryMeter meter = options.memory == null ? Device.MEMORY : options.memory;
        this.weigher = new Weigher(store, executor, meter, random);
        int steps = options.weighings * weigher.steps();
        for (int threads : options.threads()) {
            steps += steps(threads);
        }
        this.total = steps;
    }

    /**
     * Measure every option of a store. Takes a while: run it on a thread of its own, with nothing else running.
     * For a worker thread.
     *
     * @param store the store
     * @param executor what is to run it
     * @param options how
     * @param progress is told how far it is, and may stop it; may be null
     * @throws ProfileException options make no sense, progress said to stop, or the device is held back by heat, say
     * @throws StoreException an option cannot be loaded
     */
    public static Profile profile(Store store, BlockExecutor executor, ProfilerOptions options,
            @Nullable Progress progress) {
        Set<Integer> counts = new HashSet<>();
        for (int threads : options.threads()) {
            if (threads < 1 || !counts.add(threads)) {
                throw new ProfileException("thread counts must be positive and different, got "
                        + Arrays.toString(options.threads()));
            }
            String problem = PoolThreads.problem(executor, store.manifest().segments.size(), threads);
            if (!problem.isEmpty()) {
                throw new ProfileException(store.name() + ": " + problem);
            }
        }
        if (counts.isEmpty() || options.rounds < 1 || options.weighings < 1) {
            throw new ProfileException("a profile needs a thread count, a round and a weighing at least");
        }
        return new Profiler(store, executor, options, progress).profile();
    }

    private Profile profile() {
        Fingerprint device = options.device == null ? Device.fingerprint(executor) : options.device;
        ProfilingState state = new ProfilingState(options.stateFile, store.id() + ", " + options.rounds + " rounds, "
                + options.weighings + " weighings, " + device);
        conditions.recall(state.warnings());
        Map<Choice, Weigher.Weight> weights = state.weights();
        if (weights == null) { // first, while the process has not grown by anything else
            check(state);
            weights = weigher.weigh(options.weighings, () -> step("weighing"));
            state.keep(conditions.warnings());
            state.keep(weights);
        } else {
            done += options.weighings * weigher.steps();
        }
        SortedMap<Integer, Validator.Found> timed = new TreeMap<>();
        for (int threads : options.threads()) {
            Validator.Found known = state.timed(threads);
            if (known == null) {
                check(state);
                known = timed(threads);
                state.keep(conditions.warnings());
                state.keep(threads, known);
            } else {
                done += steps(threads);
            }
            timed.put(threads, known);
        }
        List<OptionProfile> entries = new ArrayList<>();
        for (Segment segment : store.manifest().segments) {
            for (Option option : segment.options) {
                List<Latency> latency = new ArrayList<>();
                for (int threads : options.threads()) {
                    latency.add(timed.get(threads).latencies.get(new Choice(segment.name, option.name, threads)));
                }
                Weigher.Weight weight = weights.get(new Choice(segment.name, option.name, 1));
                entries.add(new OptionProfile(
                        segment.name, option.name, weight.memoryBytes, weight.loadMs, latency, null));
            }
        }
        List<Tail> tails = new ArrayList<>();
        for (Validator.Found one : timed.values()) {
            tails.addAll(one.tails);
        }
        Profile profile = new Profile(
                store.id(), store.name(), device, Text.now("ss"), entries, tails, timed, conditions.toJson());
        state.end();
        return profile;
    }

    /** Go on only where the device is itself; if it is not, that is kept with what was measured before. */
    private void check(ProfilingState state) {
        try {
            conditions.check();
        } catch (ProfileException e) {
            state.keep(conditions.warnings());
            throw e;
        }
    }

    private Validator.Found timed(int threads) {
        Map<Choice, Latency> latencies = new HashMap<>();
        for (Map.Entry<Choice, List<Double>> entry : time(threads).entrySet()) {
            latencies.put(entry.getKey(), summary(threads, entry.getValue()));
        }
        Map<String, float[]> image = image();
        return new Validator(store, random, options.rounds, options.pause).validate(executor, threads, latencies,
                (chain, composition) -> {
                    long start = System.nanoTime();
                    put(chain, image);
                    composition.run();
                    return (System.nanoTime() - start) / 1e6;
                }, () -> step("validating"));
    }

    private int steps(int threads) {
        return groups(threads) * (options.rounds + passes(threads) * WARM_UP_ROUNDS)
                + Validator.steps(options.rounds);
    }

    private void step(String what) {
        conditions.note();
        if (progress != null && !progress.step(what, ++done, total)) {
            throw new ProfileException("profiling was stopped");
        }
    }

    // --- latency ---

    /** Compositions that together hold every option. */
    private int turns() {
        int most = 0;
        for (Segment segment : store.manifest().segments) {
            most = Math.max(most, segment.options.size());
        }
        return most;
    }

    /** How many of these are loaded at a time. */
    private int together(int threads) {
        return PoolThreads.together(executor, store.manifest().segments.size(), threads, turns());
    }

    private int groups(int threads) {
        return (turns() + together(threads) - 1) / together(threads);
    }

    private int passes(int threads) {
        return groups(threads) == 1 ? 1 : Math.min(PASSES, options.rounds);
    }

    /** Milliseconds of every run of every option. */
    private Map<Choice, List<Double>> time(int threads) {
        Map<Choice, List<Double>> times = new HashMap<>();
        for (int pass = 0; pass < passes(threads); pass++) {
            int before = options.rounds * pass / passes(threads);
            int rounds = options.rounds * (pass + 1) / passes(threads) - before;
            for (int group = 0; group < groups(threads); group++) {
                Chain chain = new Chain(store, executor);
                try {
                    time(chain, composed(chain, threads, group, times), rounds, times);
                } finally {
                    chain.retain(Collections.<Choice>emptyList());
                }
            }
        }
        return times;
    }

    /** The compositions of a group, loaded; each of their options gets a list of times if it has none. */
    private List<Chain.Composition> composed(Chain chain, int threads, int group, Map<Choice, List<Double>> times) {
        List<Chain.Composition> composed = new ArrayList<>();
        int end = Math.min(turns(), (group + 1) * together(threads));
        for (int turn = group * together(threads); turn < end; turn++) {
            List<Choice> choices = new ArrayList<>();
            for (Segment segment : store.manifest().segments) {
                Option option = segment.options.get(turn % segment.options.size());
                Choice choice = new Choice(segment.name, option.name, threads);
                choices.add(choice);
                if (!times.containsKey(choice)) {
                    times.put(choice, new ArrayList<Double>());
                }
            }
            composed.add(chain.compose(choices));
        }
        return composed;
    }

    /** Run every segment of the compositions once in each round, in whole chains that are mixed from them. */
    private void time(Chain chain, List<Chain.Composition> composed, int rounds, Map<Choice, List<Double>> times) {
        int segments = store.manifest().segments.size();
        int threads = composed.get(0).choices.get(0).threads;
        Map<String, float[]> image = image();
        for (int round = -WARM_UP_ROUNDS; round < rounds; round++) {
            List<List<Chain.Composition>> orders = new ArrayList<>();
            for (int s = 0; s < segments; s++) {
                List<Chain.Composition> order = new ArrayList<>(composed);
                Collections.shuffle(order, random);
                orders.add(order);
            }
            for (int turn = 0; turn < composed.size(); turn++) {
                put(chain, image);
                for (int s = 0; s < segments; s++) {
                    Chain.Composition one = orders.get(s).get(turn);
                    long start = System.nanoTime();
                    one.run(s);
                    long end = System.nanoTime();
                    if (round >= 0) {
                        times.get(one.choices.get(s)).add((end - start) / 1e6);
                    }
                }
            }
            step("timing with " + threads + (threads == 1 ? " thread" : " threads"));
        }
    }

    /** An image of noise. */
    private Map<String, float[]> image() {
        Map<String, float[]> image = new LinkedHashMap<>();
        for (InputSpec input : store.manifest().inputs) {
            float[] values = new float[input.elements()];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) (input.low() + random.nextFloat() * (input.high() - input.low()));
            }
            image.put(input.name, values);
        }
        return image;
    }

    private static void put(Chain chain, Map<String, float[]> image) {
        for (Map.Entry<String, float[]> input : image.entrySet()) {
            ByteBuffer buffer = chain.tensor(input.getKey());
            buffer.clear();
            buffer.asFloatBuffer().put(input.getValue());
        }
    }

    private static Latency summary(int threads, List<Double> values) {
        double[] sorted = sorted(values);
        return new Latency(
                threads, sorted.length, sorted[0], quantile(sorted, 0.5), quantile(sorted, 0.95), null);
    }

    static double[] sorted(List<Double> values) {
        double[] sorted = new double[values.size()];
        for (int i = 0; i < sorted.length; i++) {
            sorted[i] = values.get(i);
        }
        Arrays.sort(sorted);
        return sorted;
    }

    static double median(List<Double> values) {
        return quantile(sorted(values), 0.5);
    }

    /** A quantile of ascending values, between neighbours in proportion. */
    static double quantile(double[] ascending, double share) {
        double at = share * (ascending.length - 1);
        int below = (int) at;
        int above = Math.min(below + 1, ascending.length - 1);
        return ascending[below] + (at - below) * (ascending[above] - ascending[below]);
    }
}
