package org.legodnn.solver;

/** How long a plan may be searched for, and how widely. */
public final class Clock {
    /** Never over. */
    public static final Clock NO_END = new Clock(Double.POSITIVE_INFINITY);

    /** A search keeps so many partial plans at a time, then more. */
    private static final int[] WIDTHS = {256, 1024, 4096, 16384};
    /** A wider search takes at least so many times as long as the one before, for it goes only as far as is needed. */
    private static final double GROWTH = 2;

    private final double untilNs;

    private Clock(double untilNs) {
        this.untilNs = untilNs;
    }

    /** Over in so many milliseconds from now. */
    public static Clock of(double deadlineMs) {
        return deadlineMs == Double.POSITIVE_INFINITY ? NO_END : new Clock(System.nanoTime() + deadlineMs * 1e6);
    }

    boolean over() {
        return System.nanoTime() >= untilNs;
    }

    /** The widths of searches one after the other, for as long as the next one is likely to end in time. */
    final class Widening {
        private int done;
        private long before = Long.MIN_VALUE;

        /** The next width; 0 where there is no time or no memory for it. */
        int next() {
            long now = System.nanoTime();
            double took = before == Long.MIN_VALUE ? 0 : now - before;
            before = now;
            return done == WIDTHS.length || now + GROWTH * took >= untilNs ? 0 : WIDTHS[done++];
        }
    }
}
