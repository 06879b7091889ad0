package org.legodnn.internal.solver;

/** A moment at which a plan's search stops improving it; and the beam widths that a search tries before then. */
public final class Deadline {
    /** A deadline that never passes. */
    public static final Deadline NO_DEADLINE = new Deadline(Double.POSITIVE_INFINITY);

    /** How many partial plans a beam search keeps at a time, in the first search and in each one after it. */
    private static final int[] WIDTHS = {256, 1024, 4096, 16384};
    /**
     * A wider search is expected to take at least this many times as long as the one before it. The factor is smaller
     * than that of the widths, because a search goes only as far as it needs to.
     */
    private static final double GROWTH = 2;

    private final double atNs;

    private Deadline(double atNs) {
        this.atNs = atNs;
    }

    /** The deadline that passes so many milliseconds from now; infinity gives one that never passes. */
    public static Deadline after(double milliseconds) {
        return milliseconds == Double.POSITIVE_INFINITY ? NO_DEADLINE
                : new Deadline(System.nanoTime() + milliseconds * 1e6);
    }

    /** Whether the deadline has passed. */
    boolean passed() {
        return System.nanoTime() >= atNs;
    }

    /** The widths of successive beam searches, for as long as the next search is likely to end before the deadline. */
    final class BeamWidths {
        private int done;
        private long lastStart = Long.MIN_VALUE;

        /** The next width; 0 if no width is left or the search would probably end too late. */
        int next() {
            long now = System.nanoTime();
            double took = lastStart == Long.MIN_VALUE ? 0 : now - lastStart;
            lastStart = now;
            return done == WIDTHS.length || now + GROWTH * took >= atNs ? 0 : WIDTHS[done++];
        }
    }
}
