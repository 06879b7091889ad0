package org.legodnn;

import java.util.Collections;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** One option of one segment, as the scheduler sees it. */
public final class OptionRow {
    final String name;
    final long memoryBytes;
    final SortedMap<Integer, Double> latencyMs;
    final double loss;
    final long bytes;
    final double loadMs;

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

    /** As in the store. */
    public String name() {
        return name;
    }

    /** The memory that it adds to the process, in bytes. */
    public long memoryBytes() {
        return memoryBytes;
    }

    /** The median latency by thread count, in milliseconds. */
    public SortedMap<Integer, Double> latencyMs() {
        return latencyMs;
    }

    /** What it adds by itself to the sum that the link turns into accuracy; may be negative. */
    public double loss() {
        return loss;
    }

    /** The size of its file in bytes, for the switch charge. */
    public long bytes() {
        return bytes;
    }

    /** The time to load it in milliseconds, for the switch charge. */
    public double loadMs() {
        return loadMs;
    }
}
