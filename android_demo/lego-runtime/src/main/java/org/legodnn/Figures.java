package org.legodnn;

import java.util.List;

import org.legodnn.internal.Text;

/** Checks of a table's figures, which throw a WorkloadException: all are numbers, and small enough for exact sums. */
final class Figures {
    /** The greatest size of a figure for which no other is said. */
    static final double MOST = 1e12;
    /** The greatest bytes accepted: far beyond any device, and small enough for exact sums in 64-bit integers. */
    static final double MOST_BYTES = 1L << 48;
    /** The greatest milliseconds accepted, for the same reason. */
    static final double MOST_MS = 1e9;

    private Figures() {}

    static void checkFinite(double value, String what) {
        if (!(Math.abs(value) <= MOST)) {
            throw refused(value, what, "finite", MOST);
        }
    }

    static void checkAbove(double value, String what, double most) {
        if (!(value > 0 && value <= most)) {
            throw refused(value, what, "greater than 0", most);
        }
    }

    static void checkRange(double value, String what, double least, double most) {
        if (!(value >= least && value <= most)) {
            throw refused(value, what, "at least " + Text.significant(least, 6), most);
        }
    }

    private static WorkloadException refused(double value, String what, String wanted, double most) {
        return new WorkloadException(what + " is " + value + "; it must be a number " + wanted + " and at most "
                + Text.significant(most, 6));
    }

    /** Check that no name comes twice. */
    static void checkDistinct(List<String> names, String problem) {
        for (int i = 0; i < names.size(); i++) {
            if (names.indexOf(names.get(i)) < i) {
                throw new WorkloadException(problem + " '" + names.get(i) + "'");
            }
        }
    }
}
