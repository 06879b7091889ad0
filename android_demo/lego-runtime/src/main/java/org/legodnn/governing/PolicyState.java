package org.legodnn.governing;

import java.util.Collections;
import java.util.Map;

/** What is remembered from one decision to the next. */
final class PolicyState {
    /** Before the first decision. */
    static final PolicyState NONE = new PolicyState(Hysteresis.Level.UNLIMITED, Hysteresis.Level.UNLIMITED,
            Collections.<String, Hysteresis.Level>emptyMap(), Collections.<String, Hysteresis.Level>emptyMap(),
            Double.NEGATIVE_INFINITY);

    /** The memory limit in bytes. */
    final Hysteresis.Level memory;
    /** The compute limit in processors. */
    final Hysteresis.Level cores;
    /** By model, its speed as a factor of the profiled speed. */
    final Map<String, Hysteresis.Level> speed;
    /** By model, the speed of its slowest inferences as a factor of what its profile promises. */
    final Map<String, Hysteresis.Level> tail;
    /** When models last had to give memory back because of pressure. */
    final double relievedS;

    PolicyState(Hysteresis.Level memory, Hysteresis.Level cores, Map<String, Hysteresis.Level> speed,
            Map<String, Hysteresis.Level> tail, double relievedS) {
        this.memory = memory;
        this.cores = cores;
        this.speed = speed;
        this.tail = tail;
        this.relievedS = relievedS;
    }
}
