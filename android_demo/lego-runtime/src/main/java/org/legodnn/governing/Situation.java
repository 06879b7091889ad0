package org.legodnn.governing;

import java.util.Collection;
import java.util.Map;

/** What is known at one moment. */
final class Situation {
    final Readings readings;
    /** The memory that the models hold now. They can keep it, besides what is available. */
    final long heldBytes;
    /** By model, how many times longer than profiled its inferences take; only models of which enough was seen. */
    final Map<String, Double> ratios;
    /**
     * By model, how many times longer than its profile promises the share of inferences takes that its limit of latency
     * is for; only models with a limit of which enough was seen.
     */
    final Map<String, Double> excesses;
    /** The models that do not run, of which nothing is seen: one that was slow is tried again after a while. */
    final Collection<String> suspended;

    Situation(Readings readings, long heldBytes, Map<String, Double> ratios, Map<String, Double> excesses,
            Collection<String> suspended) {
        this.readings = readings;
        this.heldBytes = heldBytes;
        this.ratios = ratios;
        this.excesses = excesses;
        this.suspended = suspended;
    }
}
