package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Memory and load time of every option.
 *
 * <p>An option is weighed where it will run: its memory is what a composition of the originals takes more with one of
 * them replaced by it than without, the originals being weighed before and after, so that what the process grows by
 * meanwhile cancels. The whole that the originals take is divided among them by size. So the sum over any
 * composition's options is, up to what is not additive, what that composition takes.
 */
final class Weigher {
    private final Store store;
    private final BlockExecutor executor;
    private final MemoryMeter meter;
    private final Random random;
    private final List<Choice> originals = new ArrayList<>();
    private final List<Choice> others = new ArrayList<>();
    /** By choice, its file's size; and the number of its segment. */
    private final Map<Choice, Long> files = new LinkedHashMap<>();
    private final Map<Choice, Integer> places = new LinkedHashMap<>();

    /** What was weighed of one option. */
    static final class Weight {
        final long memoryBytes;
        final double loadMs;

        Weight(long memoryBytes, double loadMs) {
            this.memoryBytes = memoryBytes;
            this.loadMs = loadMs;
        }
    }

    /** Is told of every option that was weighed. */
    interface Step {
        void done();
    }

    Weigher(Store store, BlockExecutor executor, MemoryMeter meter, Random random) {
        this.store = store;
        this.executor = executor;
        this.meter = meter;
        this.random = random;
        for (Segment segment : store.manifest().segments) {
            for (Option option : segment.options) {
                Choice choice = new Choice(segment.name, option.name, 1);
                files.put(choice, option.bytes);
                places.put(choice, originals.size());
                if (option != segment.original()) {
                    others.add(choice);
                }
            }
            originals.add(new Choice(segment.name, segment.original().name, 1));
        }
    }

    /** How many steps {@link #weigh} takes each time. */
    int steps() {
        return others.size() + 1;
    }

    /** Weigh every option so many times; by (segment, option, 1 thread). */
    Map<Choice, Weight> weigh(int times, Step step) {
        weighed(originals); // what the library itself holds from its first use on is no model's memory
        List<Double> wholes = new ArrayList<>();
        for (int i = 0; i < times; i++) {
            wholes.add(taken(store, executor, meter, originals));
        }
        double whole = Math.max(0, Profiler.median(wholes));
        double wholeMs = loadMs(originals);
        Map<Choice, List<Double>> extra = new LinkedHashMap<>();
        Map<Choice, List<Double>> loads = new LinkedHashMap<>();
        for (Choice other : others) {
            extra.put(other, new ArrayList<Double>());
            loads.put(other, new ArrayList<Double>());
        }
        for (int i = 0; i < times; i++) {
            Collections.shuffle(others, random);
            double before = weighed(originals);
            step.done();
            for (Choice other : others) {
                List<Choice> replaced = new ArrayList<>(originals);
                replaced.set(places.get(other), other);
                double with = weighed(replaced);
                double after = weighed(originals);
                extra.get(other).add(with - (before + after) / 2);
                loads.get(other).add(loadMs(replaced));
                before = after;
                step.done();
            }
        }
        return weights(whole, wholeMs, extra, loads);
    }

    private Map<Choice, Weight> weights(double whole, double wholeMs, Map<Choice, List<Double>> extra,
            Map<Choice, List<Double>> loads) {
        // Each original gets of the whole what a byte of its file takes, as savings tell, and an equal part of the
        // rest.
        double originalBytes = 0;
        for (Choice original : originals) {
            originalBytes += files.get(original);
        }
        List<Double> rates = new ArrayList<>();
        for (Choice other : others) {
            long saved = files.get(originals.get(places.get(other))) - files.get(other);
            if (saved > 0) {
                rates.add(-Profiler.median(extra.get(other)) / saved);
            }
        }
        double rate = Math.min(rates.isEmpty() ? 1 : Math.max(0, Profiler.median(rates)), whole / originalBytes);
        Map<Choice, Weight> weights = new LinkedHashMap<>();
        double[] shares = new double[originals.size()];
        for (int i = 0; i < shares.length; i++) {
            shares[i] = files.get(originals.get(i)) * rate + (whole - originalBytes * rate) / shares.length;
            weights.put(originals.get(i), new Weight(Math.round(shares[i]), wholeMs / shares.length));
        }
        for (Choice other : others) {
            double bytes = shares[places.get(other)] + Profiler.median(extra.get(other));
            weights.put(other, new Weight(Math.max(0, Math.round(bytes)), Profiler.median(loads.get(other))));
        }
        return weights;
    }

    /**
     * What a composition takes of this process's memory: what the process holds with it, loaded and run, more than
     * before and afterwards. Of three times the one counts in which the process changed least by anything else.
     */
    static double taken(Store store, BlockExecutor executor, MemoryMeter meter, List<Choice> choices) {
        double taken = 0;
        double least = Double.POSITIVE_INFINITY;
        double before = memory(meter);
        for (int i = 0; i < 3; i++) {
            double with = weighed(store, executor, meter, choices);
            double after = memory(meter);
            if (Math.abs(after - before) < least) {
                least = Math.abs(after - before);
                taken = with - (before + after) / 2;
            }
            before = after;
        }
        return taken;
    }

    private double weighed(List<Choice> choices) {
        return weighed(store, executor, meter, choices);
    }

    /** This process's memory while it holds a composition that has run. */
    private static double weighed(Store store, BlockExecutor executor, MemoryMeter meter, List<Choice> choices) {
        Chain chain = new Chain(store, executor);
        try {
            goTo(chain, choices);
            return memory(meter);
        } finally {
            chain.retain(Collections.<Choice>emptyList());
        }
    }

    /** Milliseconds to go to choices: from nothing if they are the originals, else from these. */
    private double loadMs(List<Choice> choices) {
        Chain chain = new Chain(store, executor);
        try {
            if (!choices.equals(originals)) {
                goTo(chain, originals);
            }
            return goTo(chain, choices);
        } finally {
            chain.retain(Collections.<Choice>emptyList());
        }
    }

    /** Milliseconds from deciding to ready: loading, and what the first run takes more than the next. */
    private static double goTo(Chain chain, List<Choice> choices) {
        long start = System.nanoTime();
        Chain.Composition composition = chain.compose(choices);
        chain.retain(choices);
        long composed = System.nanoTime();
        composition.run();
        long first = System.nanoTime();
        composition.run();
        long second = System.nanoTime();
        return (composed - start + Math.max(0, first - composed - (second - first))) / 1e6;
    }

    private static double memory(MemoryMeter meter) {
        Runtime.getRuntime().gc(); // what Java itself has freed is no model's; Android's System.gc() may just note it
        return meter.processBytes();
    }
}
