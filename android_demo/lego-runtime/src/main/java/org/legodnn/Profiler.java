package org.legodnn;

import java.nio.ByteBuffer;
import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TimeZone;

/**
 * Measures a store on this device: latency, memory and load time of every option.
 *
 * <p><b>Latency</b> is timed where options will run, in a whole, running composition. In each round every option of
 * every block runs once, in compositions drawn at random, so all see the same drift of clock and temperature, and no
 * order favours anyone. All options are loaded together meanwhile.
 *
 * <p><b>Memory</b> is weighed by comparing compositions ({@code Weigher}); its sum over a composition's options is
 * what the composition takes.
 */
public final class Profiler {
    private static final int WARM_UP_ROUNDS = 2;

    private final Store store;
    private final Executor executor;
    private final ProfilerOptions options;
    private final Progress progress;
    private final Random random = new Random(0);
    private final Weigher weigher;
    private final int total;
    /** By thread count, the compositions that were timed. */
    private final Map<Integer, List<Timed>> timed = new HashMap<>();
    private int done;

    private Profiler(Store store, Executor executor, ProfilerOptions options, Progress progress) {
        this.store = store;
        this.executor = executor;
        this.options = options;
        this.progress = progress;
        MemoryMeter meter = options.memory == null ? Device.MEMORY : options.memory;
        this.weigher = new Weigher(store, executor, meter, random);
        this.total = options.threads().length * (options.rounds + WARM_UP_ROUNDS)
                + options.weighings * weigher.steps();
    }

    /**
     * Measure every option of a store. Takes a while: run it on a thread of its own, with nothing else running.
     *
     * @param store the store
     * @param executor what is to run it
     * @param options how
     * @param progress is told how far it is, and may stop it; may be null
     * @throws ProfileException options make no sense, or progress said to stop
     * @throws StoreException an option cannot be loaded
     */
    public static Profile profile(Store store, Executor executor, ProfilerOptions options, Progress progress) {
        Set<Integer> counts = new HashSet<>();
        for (int threads : options.threads()) {
            if (threads < 1 || !counts.add(threads)) {
                throw new ProfileException("thread counts must be positive and different, got "
                        + Arrays.toString(options.threads()));
            }
        }
        if (counts.isEmpty() || options.rounds < 1 || options.weighings < 1) {
            throw new ProfileException("a profile needs a thread count, a round and a weighing at least");
        }
        return new Profiler(store, executor, options, progress).profile();
    }

    private Profile profile() {
        // Weighed first, while the process has not grown by anything else.
        Map<Choice, Weigher.Weight> weights = weigher.weigh(options.weighings, new Weigher.Step() {
            @Override
            public void done() {
                step("weighing");
            }
        });
        Map<Choice, List<Double>> times = new HashMap<>();
        for (int threads : options.threads()) {
            times.putAll(time(threads));
        }
        List<Tail> tails = new ArrayList<>();
        for (int threads : options.threads()) {
            double[] ratios = ratios(threads, times);
            tails.add(Tail.of(ratios, threads, "alone"));
            tails.add(Tail.of(ratios, threads, "after"));
        }
        List<OptionProfile> entries = new ArrayList<>();
        for (Segment segment : store.manifest().segments) {
            for (Option option : segment.options) {
                List<Latency> latency = new ArrayList<>();
                for (int threads : options.threads()) {
                    latency.add(summary(threads, times.get(new Choice(segment.name, option.name, threads))));
                }
                Weigher.Weight weight = weights.get(new Choice(segment.name, option.name, 1));
                entries.add(new OptionProfile(
                        segment.name, option.name, weight.memoryBytes, weight.loadMs, latency, null));
            }
        }
        SimpleDateFormat utc = new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'+00:00'", Locale.ROOT);
        utc.setTimeZone(TimeZone.getTimeZone("UTC"));
        Fingerprint device = options.device == null ? Device.fingerprint(executor) : options.device;
        return new Profile(store.id(), store.name(), device, utc.format(new Date()), entries, tails);
    }

    private void step(String what) {
        if (progress != null && !progress.step(what, ++done, total)) {
            throw new ProfileException("profiling was stopped; nothing was measured");
        }
    }

    // --- latency ---

    /** Milliseconds of every run of every option. */
    private Map<Choice, List<Double>> time(int threads) {
        Chain chain = new Chain(store, executor);
        try {
            return time(threads, chain);
        } finally {
            chain.retain(Collections.<Choice>emptyList());
        }
    }

    /**
     * How many times longer than predicted every timed composition took. Each ran once, after another one; so this is
     * the tail after another composition, and no shorter than that of one which runs again and again.
     */
    private double[] ratios(int threads, Map<Choice, List<Double>> times) {
        Map<Choice, Double> medians = new HashMap<>();
        for (Map.Entry<Choice, List<Double>> entry : times.entrySet()) {
            if (entry.getKey().threads == threads) {
                medians.put(entry.getKey(), summary(threads, entry.getValue()).medianMs);
            }
        }
        List<Timed> runs = timed.get(threads);
        double[] ratios = new double[runs.size()];
        for (int i = 0; i < ratios.length; i++) {
            double predicted = 0;
            for (Choice choice : runs.get(i).choices) {
                predicted += medians.get(choice);
            }
            ratios[i] = predicted > 0 ? runs.get(i).ms / predicted : 1;
        }
        return ratios;
    }

    /** A composition that ran, and the milliseconds that its segments took. */
    private static final class Timed {
        final List<Choice> choices = new ArrayList<>();
        double ms;
    }

    private Map<Choice, List<Double>> time(int threads, Chain chain) {
        List<Segment> segments = store.manifest().segments;
        int longest = 0;
        for (Segment segment : segments) {
            longest = Math.max(longest, segment.options.size());
        }
        // Every option is in one of these, a segment's n options in the first n, and all of them stay loaded.
        List<Chain.Composition> composed = new ArrayList<>();
        Map<Choice, List<Double>> times = new HashMap<>();
        for (int turn = 0; turn < longest; turn++) {
            List<Choice> choices = new ArrayList<>();
            for (Segment segment : segments) {
                String option = segment.options.get(turn % segment.options.size()).name;
                choices.add(new Choice(segment.name, option, threads));
                times.put(choices.get(choices.size() - 1), new ArrayList<Double>());
            }
            composed.add(chain.compose(choices));
        }
        Map<String, float[]> image = image();
        List<Timed> runs = new ArrayList<>();
        timed.put(threads, runs);
        for (int round = -WARM_UP_ROUNDS; round < options.rounds; round++) {
            List<List<Integer>> orders = orders(segments);
            for (int turn = 0; turn < longest; turn++) {
                put(chain, image);
                Timed run = new Timed();
                for (int s = 0; s < segments.size(); s++) {
                    Chain.Composition one = composed.get(orders.get(s).get(turn % orders.get(s).size()));
                    long start = System.nanoTime();
                    one.run(s);
                    long end = System.nanoTime();
                    run.choices.add(one.choices.get(s));
                    run.ms += (end - start) / 1e6;
                    if (round >= 0) {
                        times.get(one.choices.get(s)).add((end - start) / 1e6);
                    }
                }
                if (round >= 0) {
                    runs.add(run);
                }
            }
            step("timing with " + threads + (threads == 1 ? " thread" : " threads"));
        }
        return times;
    }

    private List<List<Integer>> orders(List<Segment> segments) {
        List<List<Integer>> orders = new ArrayList<>();
        for (Segment segment : segments) {
            List<Integer> order = new ArrayList<>();
            for (int o = 0; o < segment.options.size(); o++) {
                order.add(o);
            }
            Collections.shuffle(order, random);
            orders.add(order);
        }
        return orders;
    }

    /** An image of noise. */
    private Map<String, float[]> image() {
        Map<String, float[]> image = new LinkedHashMap<>();
        for (InputSpec input : store.manifest().inputs) {
            float[] values = new float[input.elements()];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) (input.low + random.nextFloat() * (input.high - input.low));
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
        double[] sorted = new double[values.size()];
        for (int i = 0; i < sorted.length; i++) {
            sorted[i] = values.get(i);
        }
        Arrays.sort(sorted);
        return new Latency(
                threads, sorted.length, sorted[0], quantile(sorted, 0.5), quantile(sorted, 0.95), null);
    }

    /** A quantile of ascending values, between neighbours in proportion. */
    static double quantile(double[] ascending, double share) {
        double at = share * (ascending.length - 1);
        int below = (int) at;
        int above = Math.min(below + 1, ascending.length - 1);
        return ascending[below] + (at - below) * (ascending[above] - ascending[below]);
    }
}
