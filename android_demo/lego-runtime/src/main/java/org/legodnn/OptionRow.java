package org.legodnn;

import java.util.Collections;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** One option of one segment, as the scheduler sees it. */
public final class OptionRow {
    /** As in the store. */
    public final String name;
    /** What it adds to the process's memory. */
    public final long memoryBytes;
    /** Median latency by thread count. */
    public final SortedMap<Integer, Double> latencyMs;
    /** What it alone adds to the sum that the link turns into accuracy; may be negative. */
    public final double loss;
    /** Size of its file, for the switch charge. */
    public final long bytes;
    /** Time to load it, for the switch charge. */
    public final double loadMs;

    /**
     * @param name as in the store
     * @param memoryBytes what it adds to the process's memory
     * @param latencyMs median latency by thread count
     * @param loss what it alone adds to the sum that the link turns into accuracy; may be negative
     * @param bytes size of its file, for the switch charge
     * @param loadMs time to load it, for the switch charge
     */
    public OptionRow(
            String name, long memoryBytes, Map<Integer, Double> latencyMs, double loss, long bytes, double loadMs) {
        this.name = name;
        this.memoryBytes = memoryBytes;
        this.latencyMs = Collections.unmodifiableSortedMap(new TreeMap<>(latencyMs));
        this.loss = loss;
        this.bytes = bytes;
        this.loadMs = loadMs;
    }
}
