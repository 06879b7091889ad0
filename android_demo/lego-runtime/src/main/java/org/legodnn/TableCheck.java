package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;

import org.legodnn.internal.Text;
import org.legodnn.internal.json.Bounds;

/** What is checked of every table of a model. */
final class TableCheck {
    private TableCheck() {}

    /**
     * Check a table's figures, and find the thread counts that all its options were measured with.
     *
     * @throws WorkloadException a figure makes no sense, a name is used twice, or there is no such thread count
     */
    static List<Integer> threadCounts(ModelTable table) {
        List<BlockRows> segments = table.segments();
        checkSegments(table, segments);
        checkFigures(table);
        return commonThreads(table, segments);
    }

    private static void checkSegments(ModelTable table, List<BlockRows> segments) {
        String name = table.name;
        List<String> names = new ArrayList<>();
        for (BlockRows segment : segments) {
            names.add(segment.name);
        }
        if (segments.size() > Bounds.SEGMENTS) {
            throw new WorkloadException(name + ": " + segments.size() + " segments are too many: at most "
                    + Bounds.SEGMENTS + " are planned");
        }
        Figures.checkDistinct(names, "model '" + name + "' has two segments called");
        for (BlockRows segment : segments) {
            segment.check(name + "/" + segment.name);
        }
        int before = 0;
        for (BlockRows block : table.blocks) {
            block.checkInteraction(name + "/" + block.name, before);
            before = block.options.size();
        }
        for (BlockRows one : table.fixed) {
            one.checkInteraction(name + "/" + one.name, 0);
            if (one.options.size() > 1) {
                throw new WorkloadException(name + "/" + one.name + ": a fixed segment has one option, not "
                        + one.options.size());
            }
        }
    }

    private static void checkFigures(ModelTable table) {
        String name = table.name;
        Figures.checkAbove(table.slowdown, name + ": slowdown", Bounds.SLOWDOWN);
        Figures.checkAbove(table.weight, name + ": weight", Figures.MOST);
        Figures.checkRange(table.accuracyError, name + ": accuracy_error", 0, Figures.MOST);
        table.tails.check(name);
        for (double overhead : table.overheadMs.values()) {
            Figures.checkRange(overhead, name + ": overhead_ms", 0, Figures.MOST_MS);
        }
        for (double x : table.link.x()) {
            Figures.checkFinite(x, name + ": a knot of its link");
        }
        for (double y : table.link.y()) {
            Figures.checkFinite(y, name + ": a value of its link");
        }
        if (table.rateHz != null) {
            Figures.checkRange(table.rateHz, name + ": rate_hz", 0, Figures.MOST);
        }
        if (table.latencyMs != null) {
            Figures.checkAbove(table.latencyMs, name + ": latency_ms", Figures.MOST);
        }
        if (table.minAccuracy != null) {
            Figures.checkFinite(table.minAccuracy, name + ": min_accuracy");
        }
    }

    private static List<Integer> commonThreads(ModelTable table, List<BlockRows> segments) {
        SortedSet<Integer> common = null;
        for (BlockRows segment : segments) {
            for (OptionRow option : segment.options) {
                if (common == null) {
                    common = new TreeSet<>(option.latencyMs.keySet());
                }
                common.retainAll(option.latencyMs.keySet());
            }
        }
        if (common == null) {
            common = new TreeSet<>(Collections.singleton(1));
        }
        if (common.isEmpty()) {
            throw new WorkloadException(table.name + ": its options have no thread count in common; " + Profile.REMEDY);
        }
        if (table.threads != null && !common.contains(table.threads)) {
            throw new WorkloadException(table.name + ": not measured with " + table.threads + " threads, but with "
                    + Text.list(common) + "; measure again with these and " + table.threads
                    + ", by `legodnn profile --threads` or on the device with ProfilerOptions.withThreads");
        }
        return Collections.unmodifiableList(
                table.threads == null ? new ArrayList<>(common) : Collections.singletonList(table.threads));
    }
}
