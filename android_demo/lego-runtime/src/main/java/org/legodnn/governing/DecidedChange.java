package org.legodnn.governing;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.JsonObject;

/** One thing that a decision changes. */
public final class DecidedChange {
    private final String what;
    private final @Nullable Double before;
    private final @Nullable Double after;
    private final String why;

    DecidedChange(String what, @Nullable Double before, @Nullable Double after, String why) {
        this.what = what;
        this.before = before;
        this.after = after;
        this.why = why;
    }

    /** "memory", "cores", "speed of NAME" or "tail of NAME". */
    public String what() {
        return what;
    }

    /** Bytes, processors, the factor of the slow-down, or that of the tail; null for no limit. */
    public @Nullable Double before() {
        return before;
    }

    /** The same afterwards. */
    public @Nullable Double after() {
        return after;
    }

    /** The reason, in one line for people. */
    public String why() {
        return why;
    }

    JsonObject toJson() {
        return new JsonObject().put("what", what).put("before", before).put("after", after).put("why", why);
    }

    @Override
    public String toString() {
        return what + ": " + (before == null ? "no limit" : before) + " to " + (after == null ? "no limit" : after)
                + ", since " + why;
    }
}
