package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import org.legodnn.internal.Text;

/** What the last change of plan did. */
public final class PlanSwitch {
    final List<String> loaded;
    final List<String> dropped;
    final double planMs;
    final double switchMs;

    PlanSwitch(List<String> loaded, List<String> dropped, double planMs, double switchMs) {
        this.loaded = Collections.unmodifiableList(new ArrayList<>(loaded));
        this.dropped = Collections.unmodifiableList(new ArrayList<>(dropped));
        this.planMs = planMs;
        this.switchMs = switchMs;
    }

    @Override
    public String toString() {
        return "planned in " + Text.significant(planMs, 3) + " ms, switched in " + Text.significant(switchMs, 3)
                + " ms: loaded " + loaded + ", dropped " + dropped;
    }

    /** Options that were loaded, as "model/block=option". */
    public List<String> loaded() {
        return loaded;
    }

    /** Options that were let go. */
    public List<String> dropped() {
        return dropped;
    }

    /** Time to find the plan. */
    public double planMs() {
        return planMs;
    }

    /** Time until all models ran it. */
    public double switchMs() {
        return switchMs;
    }
}
