package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

import org.jspecify.annotations.Nullable;

/**
 * One model of a workload, as the scheduler sees it: the figures of every option, as plain data. A table is made from a
 * store and its profile, or by hand. It is immutable, and checked whenever one is made.
 */
public final class ModelTable {
    final String name;
    final List<BlockRows> blocks;
    final List<BlockRows> fixed;
    final Link link;
    final double accuracyError;
    final SortedMap<Integer, Double> overheadMs;
    final Tails tails;
    final double slowdown;
    final double weight;
    final @Nullable Double rateHz;
    final @Nullable Double latencyMs;
    final @Nullable Double quantile;
    final @Nullable Double minAccuracy;
    final boolean critical;
    final @Nullable Integer threads;
    final List<Integer> threadCounts;

    /**
     * A table with weight 1, no limits and any thread count.
     *
     * @param name unique in the workload
     * @param blocks the segments with a choice of options, in topological order; may be empty
     * @param fixed the segments without a choice, of one option each
     * @param link turns summed loss into accuracy
     * @param accuracyError nine in ten predicted accuracies of plans are within it
     * @throws WorkloadException a figure is missing, NaN, infinite, negative or absurdly great, a name is used twice,
     *     or the options have no thread count in common
     */
    public ModelTable(String name, List<BlockRows> blocks, List<BlockRows> fixed, Link link, double accuracyError) {
        this(new Draft(name, blocks, fixed, link, accuracyError));
    }

    private ModelTable(Draft draft) {
        name = draft.name;
        blocks = Collections.unmodifiableList(new ArrayList<>(draft.blocks));
        fixed = Collections.unmodifiableList(new ArrayList<>(draft.fixed));
        link = draft.link;
        accuracyError = draft.accuracyError;
        overheadMs = Collections.unmodifiableSortedMap(new TreeMap<>(draft.overheadMs));
        tails = draft.tails;
        quantile = draft.quantile;
        slowdown = draft.slowdown;
        weight = draft.weight;
        rateHz = draft.rateHz;
        latencyMs = draft.latencyMs;
        minAccuracy = draft.minAccuracy;
        critical = draft.critical;
        threads = draft.threads;
        threadCounts = TableCheck.threadCounts(this);
    }

    /** The parts of a table, while it is being made. */
    private static final class Draft {
        String name;
        final List<BlockRows> blocks;
        final List<BlockRows> fixed;
        final Link link;
        final double accuracyError;
        SortedMap<Integer, Double> overheadMs = new TreeMap<>();
        Tails tails = Tails.NONE;
        @Nullable Double quantile;
        double slowdown = 1;
        double weight = 1;
        @Nullable Double rateHz;
        @Nullable Double latencyMs;
        @Nullable Double minAccuracy;
        boolean critical = true;
        @Nullable Integer threads;

        Draft(String name, List<BlockRows> blocks, List<BlockRows> fixed, Link link, double accuracyError) {
            this.name = name;
            this.blocks = blocks;
            this.fixed = fixed;
            this.link = link;
            this.accuracyError = accuracyError;
        }
    }

    private Draft draft() {
        return draft(blocks, fixed);
    }

    private Draft draft(List<BlockRows> blocks, List<BlockRows> fixed) {
        Draft draft = new Draft(name, blocks, fixed, link, accuracyError);
        draft.overheadMs = overheadMs;
        draft.tails = tails;
        draft.quantile = quantile;
        draft.slowdown = slowdown;
        draft.weight = weight;
        draft.rateHz = rateHz;
        draft.latencyMs = latencyMs;
        draft.minAccuracy = minAccuracy;
        draft.critical = critical;
        draft.threads = threads;
        return draft;
    }

    /**
     * The table of a store, as a device profiled it. Its tail is that of a model which runs after others.
     *
     * @throws ProfileException the profile is of another store, or lacks a measurement
     * @throws WorkloadException a figure makes no sense
     */
    public static ModelTable fromStore(Store store, Profile profile) {
        profile.checkStore(store);
        Map<String, OptionProfile> measured = new HashMap<>();
        for (OptionProfile option : profile.options) {
            measured.put(Profile.key(option.segment, option.option), option);
        }
        List<BlockRows> blocks = new ArrayList<>();
        List<BlockRows> fixed = new ArrayList<>();
        List<Integer> before = Collections.emptyList();
        for (Segment segment : store.manifest().segments) {
            List<OptionRow> rows = new ArrayList<>();
            List<Integer> kept = new ArrayList<>();
            for (int o = 0; o < segment.options.size(); o++) {
                Option option = segment.options.get(o);
                OptionProfile figures = measured.get(Profile.key(segment.name, option.name));
                if (figures != null) { // the profile skipped it; checkStore has made sure that it may
                    rows.add(row(option, figures));
                    kept.add(o);
                }
            }
            if (segment.block) {
                blocks.add(new BlockRows(segment.name, rows, interaction(segment, before, kept)));
                before = kept;
            } else {
                fixed.add(new BlockRows(segment.name, rows));
            }
        }
        Draft draft = new Draft(
                store.name(), blocks, fixed, store.manifest().link, store.manifest().accuracyError);
        for (Map.Entry<Integer, Double> overhead : profile.chainOverheadMs.entrySet()) {
            draft.overheadMs.put(overhead.getKey(), overhead.getValue());
        }
        draft.tails = Tails.of(profile.tails, 1, Collections.singletonList(Tails.Companion.ANY), false);
        return new ModelTable(draft);
    }

    private static OptionRow row(Option option, OptionProfile figures) {
        Map<Integer, Double> latency = new TreeMap<>();
        for (Latency entry : figures.latency) {
            latency.put(entry.threads, entry.medianMs);
        }
        return new OptionRow(option.name, figures.memoryBytes, latency, option.loss, option.bytes, figures.loadMs);
    }

    /** A segment's interaction, of the kept options of the block before it and of its own. */
    private static List<List<Double>> interaction(Segment segment, List<Integer> before, List<Integer> kept) {
        List<List<Double>> found = new ArrayList<>();
        if (segment.interaction.isEmpty()) {
            return found;
        }
        for (int j : before) {
            List<Double> row = new ArrayList<>();
            for (int o : kept) {
                row.add(segment.interaction.get(j).get(o));
            }
            found.add(row);
        }
        return found;
    }

    /** The same table under another name. */
    public ModelTable withName(String other) {
        Draft draft = draft();
        draft.name = other;
        return new ModelTable(draft);
    }

    /**
     * The same table of a model that is expected to run so many times slower than profiled, such as beside others.
     *
     * @param other what a plan takes for its slow-down unless it is told another
     */
    public ModelTable withSlowdown(double other) {
        Draft draft = draft();
        draft.slowdown = other;
        return new ModelTable(draft);
    }

    /** The same table with another weight: what one unit of its accuracy is worth. */
    public ModelTable withWeight(double other) {
        Draft draft = draft();
        draft.weight = other;
        return new ModelTable(draft);
    }

    /**
     * The same table with a rate: inferences per second, needed where the budget limits cores. Its tails stay; a
     * runtime gives its models those of inferences after pauses.
     */
    public ModelTable withRateHz(double other) {
        Draft draft = draft();
        draft.rateHz = other;
        return new ModelTable(draft);
    }

    /** The same table with a latency limit of its own. */
    public ModelTable withLatencyMs(double other) {
        Draft draft = draft();
        draft.latencyMs = other;
        return new ModelTable(draft);
    }

    /** The same table with the share of inferences that must keep a limit of latency, this one's or the budget's. */
    public ModelTable withQuantile(double other) {
        Draft draft = draft();
        draft.quantile = Tail.checked(other, name + ": quantile");
        return new ModelTable(draft);
    }

    /** The same table with other tails. */
    public ModelTable withTails(Tails other) {
        Draft draft = draft();
        draft.tails = other;
        return new ModelTable(draft);
    }

    /** The same table with a least predicted accuracy. */
    public ModelTable withMinAccuracy(double other) {
        Draft draft = draft();
        draft.minAccuracy = other;
        return new ModelTable(draft);
    }

    /** The same table; false lets the scheduler suspend the model when not everything fits. */
    public ModelTable withCritical(boolean other) {
        Draft draft = draft();
        draft.critical = other;
        return new ModelTable(draft);
    }

    /** The same table with one thread count, which must be among those that were profiled. */
    public ModelTable withThreads(int other) {
        Draft draft = draft();
        draft.threads = other;
        return new ModelTable(draft);
    }

    /** The same table with what is asked of another: its name, weight, rate, limits and threads. */
    ModelTable withRequestsOf(ModelTable other) {
        Draft draft = draft();
        draft.name = other.name;
        draft.weight = other.weight;
        draft.rateHz = other.rateHz;
        draft.latencyMs = other.latencyMs;
        draft.quantile = other.quantile;
        draft.minAccuracy = other.minAccuracy;
        draft.critical = other.critical;
        draft.threads = other.threads;
        return new ModelTable(draft);
    }

    /** The same table of a model that takes so many bytes more, whatever it runs: each option of one segment does. */
    ModelTable withMoreMemory(long bytes) {
        List<BlockRows> changed = new ArrayList<>(blocks.isEmpty() ? fixed : blocks);
        BlockRows first = changed.get(0);
        List<OptionRow> options = new ArrayList<>();
        for (OptionRow o : first.options) {
            options.add(new OptionRow(o.name, o.memoryBytes + bytes, o.latencyMs, o.loss, o.bytes, o.loadMs));
        }
        changed.set(0, new BlockRows(first.name, options, first.interaction));
        return new ModelTable(draft(blocks.isEmpty() ? blocks : changed, blocks.isEmpty() ? changed : fixed));
    }

    /** The same table with other overheads of a composition, in milliseconds by thread count. */
    public ModelTable withOverheadMs(Map<Integer, Double> other) {
        Draft draft = draft();
        draft.overheadMs = new TreeMap<>(other);
        return new ModelTable(draft);
    }

    /** Unique in the workload. */
    public String name() {
        return name;
    }

    /** The segments with a choice of options, in topological order; there may be none. */
    public List<BlockRows> blocks() {
        return blocks;
    }

    /** The segments without a choice. */
    public List<BlockRows> fixed() {
        return fixed;
    }

    /** All segments: the blocks, then those without a choice. */
    public List<BlockRows> segments() {
        List<BlockRows> segments = new ArrayList<>(blocks);
        segments.addAll(fixed);
        return segments;
    }

    /** Turns summed loss into accuracy. */
    public Link link() {
        return link;
    }

    /** Nine in ten predicted accuracies of plans are within it. */
    public double accuracyError() {
        return accuracyError;
    }

    /** By thread count, the latency of a composition beyond that of its segments; 0 where not given. */
    public SortedMap<Integer, Double> overheadMs() {
        return overheadMs;
    }

    /** The same at one thread count. */
    public double overheadMs(int threads) {
        Double known = overheadMs.get(threads);
        return known == null ? 0 : known;
    }

    /** How much longer than the median its slowest inferences take. */
    public Tails tails() {
        return tails;
    }

    /** How many times slower than profiled it is expected to run, unless a plan is told otherwise. */
    public double slowdown() {
        return slowdown;
    }

    /** What one unit of its accuracy is worth. */
    public double weight() {
        return weight;
    }

    /** Inferences per second; null if unknown. */
    public @Nullable Double rateHz() {
        return rateHz;
    }

    /** The longest that an inference may take; null for no limit. */
    public @Nullable Double latencyMs() {
        return latencyMs;
    }

    /** The share of inferences that must keep a limit of latency; null leaves it to the budget. */
    public @Nullable Double quantile() {
        return quantile;
    }

    /** The least predicted accuracy; null for no limit. */
    public @Nullable Double minAccuracy() {
        return minAccuracy;
    }

    /** Whether it must run; otherwise it may be suspended when not everything fits. */
    public boolean critical() {
        return critical;
    }

    /** The thread count; null leaves it to the scheduler, among those that were profiled. */
    public @Nullable Integer threads() {
        return threads;
    }

    /** The thread counts that a plan may choose from, ascending. */
    public List<Integer> threadCounts() {
        return threadCounts;
    }
}
