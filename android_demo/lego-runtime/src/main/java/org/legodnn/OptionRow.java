package org.legodnn;

import java.util.Collections;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** One option of one segment, as the scheduler sees it. */
public final class OptionRow {
    /** As in the store. */
    public final String name;
    /** The memory that it adds to the process, in bytes. */
    public final long memoryBytes;
    /** The median latency by thread count, in milliseconds. */
    public final SortedMap<Integer, Double> latencyMs;
    /** What it adds by itself to the sum that the link turns into accuracy; may be negative. */
    public final double loss;
    /** The size of its file in bytes, for the switch charge. */
    public final long bytes;
    /** The time to load it in milliseconds, for the switch charge. */
    public final double loadMs;

    /**
     * @param name as in the store
     * @param memoryBytes the memory that it adds to the process, in bytes
     * @param latencyMs the median latency by thread count, in milliseconds
     * @param loss what it adds by itself to the sum that the link turns into accuracy; may be negative
     * @param bytes the size of its file in bytes, for the switch charge
     * @param loadMs the time to load it in milliseconds, for the switch charge
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
