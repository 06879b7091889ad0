package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What the last change of plan did. */
public final class Switch {
    /** Options that were loaded, as "model/block=option". */
    public final List<String> loaded;
    /** Options that were let go. */
    public final List<String> dropped;
    /** Time to find the plan. */
    public final double planMs;
    /** Time until all models ran it. */
    public final double switchMs;

    Switch(List<String> loaded, List<String> dropped, double planMs, double switchMs) {
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
}
