package org.legodnn.governing;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.JsonObject;

/**
 * The state of a device at one moment. What the device does not tell is null, and nothing follows from it. Immutable.
 */
public final class Readings {
    final double timeS;
    final long memoryTotalBytes;
    final long memoryAvailableBytes;
    final @Nullable Long memoryThresholdBytes;
    final @Nullable Double memoryPressure;
    final double coresTotal;
    final double coresAllowed;
    final @Nullable Double busyCores;
    final @Nullable Double ownCores;
    final List<Competitor> competing;
    final String throttled;

    /**
     * Readings of which memory alone is known.
     *
     * @param timeS seconds of a clock that never goes back
     * @param memoryTotalBytes the device's memory
     * @param memoryAvailableBytes how much can be allocated before the system must take memory from others
     */
    public Readings(double timeS, long memoryTotalBytes, long memoryAvailableBytes) {
        this(timeS, memoryTotalBytes, memoryAvailableBytes, null, null, 1, 1, null, null,
                Collections.<Competitor>emptyList(), "");
    }

    private Readings(double timeS, long memoryTotalBytes, long memoryAvailableBytes,
            @Nullable Long memoryThresholdBytes, @Nullable Double memoryPressure, double coresTotal,
            double coresAllowed, @Nullable Double busyCores, @Nullable Double ownCores, List<Competitor> competing,
            String throttled) {
        this.timeS = timeS;
        this.memoryTotalBytes = memoryTotalBytes;
        this.memoryAvailableBytes = memoryAvailableBytes;
        this.memoryThresholdBytes = memoryThresholdBytes;
        this.memoryPressure = memoryPressure;
        this.coresTotal = coresTotal;
        this.coresAllowed = coresAllowed;
        this.busyCores = busyCores;
        this.ownCores = ownCores;
        this.competing = competing;
        this.throttled = throttled;
    }

    /** The same with another amount of available memory. */
    Readings withAvailable(long bytes) {
        return new Readings(timeS, memoryTotalBytes, bytes, memoryThresholdBytes, memoryPressure, coresTotal,
                coresAllowed, busyCores, ownCores, competing, throttled);
    }

    /** The same with the amount of available memory below which the system ends other apps, as Android has one. */
    public Readings withMemoryThreshold(long bytes) {
        return new Readings(timeS, memoryTotalBytes, memoryAvailableBytes, bytes, memoryPressure, coresTotal,
                coresAllowed, busyCores, ownCores, competing, throttled);
    }

    /** The same with the share of the last ten seconds in which some process had to wait for memory, 0 to 1. */
    public Readings withMemoryPressure(double share) {
        return new Readings(timeS, memoryTotalBytes, memoryAvailableBytes, memoryThresholdBytes, share, coresTotal,
                coresAllowed, busyCores, ownCores, competing, throttled);
    }

    /** The same with how many processors the device has, and how many of them this process may use. */
    public Readings withCores(double total, double allowed) {
        return new Readings(timeS, memoryTotalBytes, memoryAvailableBytes, memoryThresholdBytes, memoryPressure, total,
                allowed, busyCores, ownCores, competing, throttled);
    }

    /**
     * The same with the use of the processors since the readings before.
     *
     * @param busy processor seconds that all processes that can be seen used in each second
     * @param own the same of this process
     * @param others the part of it that others used, and their weights beside this process, as far as they are known
     */
    public Readings withUse(double busy, double own, List<Competitor> others) {
        return new Readings(timeS, memoryTotalBytes, memoryAvailableBytes, memoryThresholdBytes, memoryPressure,
                coresTotal, coresAllowed, busy, own, Collections.unmodifiableList(new ArrayList<>(others)), throttled);
    }

    /** The same with the reason why the processor is held back, such as heat; empty if it is not. */
    public Readings withThrottled(String why) {
        return new Readings(timeS, memoryTotalBytes, memoryAvailableBytes, memoryThresholdBytes, memoryPressure,
                coresTotal, coresAllowed, busyCores, ownCores, competing, why);
    }

    JsonObject toJson() {
        List<Object> others = new ArrayList<>();
        for (Competitor other : competing) {
            List<Object> pair = new ArrayList<>();
            pair.add(other.cores);
            pair.add(other.weight);
            others.add(pair);
        }
        return new JsonObject().put("time_s", timeS).put("memory_total_bytes", memoryTotalBytes)
                .put("memory_available_bytes", memoryAvailableBytes)
                .put("memory_threshold_bytes", memoryThresholdBytes).put("memory_pressure", memoryPressure)
                .put("cores_total", coresTotal).put("cores_allowed", coresAllowed).put("busy_cores", busyCores)
                .put("own_cores", ownCores).put("competing", others).put("throttled", throttled);
    }
}
