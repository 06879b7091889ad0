package org.legodnn.governing;

import java.util.Collections;
import java.util.List;
import java.util.Map;

import org.legodnn.Budget;

/** The budget and the slow-downs to plan for. Immutable. */
public final class Decision {
    private final Budget budget;
    private final Map<String, Double> slowdown;
    private final Map<String, Double> tail;
    private final List<DecidedChange> changes;

    Decision(Budget budget, Map<String, Double> slowdown, Map<String, Double> tail, List<DecidedChange> changes) {
        this.budget = budget;
        this.slowdown = Collections.unmodifiableMap(slowdown);
        this.tail = Collections.unmodifiableMap(tail);
        this.changes = Collections.unmodifiableList(changes);
    }

    /** The limits. */
    public Budget budget() {
        return budget;
    }

    /** By model, how many times longer than profiled its inferences take; only where that is not what was expected. */
    public Map<String, Double> slowdown() {
        return slowdown;
    }

    /** By model, how many times longer than planned its slowest inferences take, beside the slow-down. */
    public Map<String, Double> tail() {
        return tail;
    }

    /** What differs from the decision before; if nothing does, there is nothing to do. */
    public List<DecidedChange> changes() {
        return changes;
    }
}
