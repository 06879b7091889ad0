package org.legodnn.governing;

import org.jspecify.annotations.Nullable;
import org.legodnn.WorkloadException;

/**
 * How a limit follows what is available without flapping: down at once; up only after the target has been well above
 * for a while, and then no further than the least target of that while. What was given and had to be taken back soon
 * after is given more and more slowly. The rule is the Python package's ({@code legodnn.runtime.governing.hysteresis}).
 */
public final class Hysteresis {
    final double slack;
    final double margin;
    final double growth;
    final double holdS;
    final double mostHoldS;

    /** No slack, a margin of 5 %, growth of 15 % for 10 s, at most 300 s. */
    public Hysteresis() {
        this(0, 0.05, 0.15, 10, 300);
    }

    /**
     * @param slack the fraction that the target may be below the level before the level follows
     * @param margin the fraction that the level is then set below the target
     * @param growth the fraction that the target must be above the level before the level rises
     * @param holdS for how long it must be that, in seconds
     * @param mostHoldS the longest that this becomes
     * @throws WorkloadException it would flap or never move
     */
    public Hysteresis(double slack, double margin, double growth, double holdS, double mostHoldS) {
        boolean sound = 0 <= slack && slack < 1 && 0 <= margin && margin < 1 && 0 < holdS && holdS <= mostHoldS
                && mostHoldS < Double.POSITIVE_INFINITY;
        double rise = (1 - margin) * (1 + growth);
        if (!(sound && 1 < rise && rise < Double.POSITIVE_INFINITY)) {
            throw new WorkloadException("a hysteresis with slack " + slack + ", margin " + margin + ", growth " + growth
                    + ", hold " + holdS + " s and at most " + mostHoldS + " s would flap or never move: slack and"
                    + " margin must be fractions, (1 - margin) x (1 + growth) above 1, and 0 < hold <= most");
        }
        this.slack = slack;
        this.margin = margin;
        this.growth = growth;
        this.holdS = holdS;
        this.mostHoldS = mostHoldS;
    }

    /** A quantity that follows a target, and what of the past it must remember for that. Immutable. */
    public static final class Level {
        /** Nothing limits it yet. */
        public static final Level UNLIMITED = of(Double.POSITIVE_INFINITY);

        final double value;
        private final @Nullable Double sinceS;
        private final double least;
        private final double roseS;
        private final @Nullable Double holdS;
        /** The last rise has been taken back, and {@code holdS} counts that; a fall in many steps is one. */
        private final boolean takenBack;

        private Level(double value, @Nullable Double sinceS, double least, double roseS, @Nullable Double holdS,
                boolean takenBack) {
            this.value = value;
            this.sinceS = sinceS;
            this.least = least;
            this.roseS = roseS;
            this.holdS = holdS;
            this.takenBack = takenBack;
        }

        /** A level that nothing has followed yet. */
        static Level of(double value) {
            return new Level(value, null, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, null, false);
        }

        /** The level; never above what the target was, but for the slack. Infinite until something limits it. */
        public double value() {
            return value;
        }
    }

    /**
     * The level after a target was seen.
     *
     * @param level before
     * @param target what is available
     * @param nowS seconds of a clock that never goes back
     */
    public Level follow(Level level, double target, double nowS) {
        double hold = level.holdS == null ? holdS : level.holdS;
        if (target < level.value * (1 - slack)) {
            boolean soon = nowS - level.roseS <= 2 * hold;
            double next = !soon ? holdS : level.takenBack ? hold : Math.min(2 * hold, mostHoldS);
            return new Level(target * (1 - margin), null, Double.POSITIVE_INFINITY, level.roseS, next, soon);
        }
        if (!(target >= level.value * (1 + growth))) {
            return new Level(level.value, null, Double.POSITIVE_INFINITY, level.roseS, level.holdS, level.takenBack);
        }
        double least = Math.min(level.least, target);
        double since = level.sinceS == null ? nowS : level.sinceS;
        if (nowS - since < hold) {
            return new Level(level.value, since, least, level.roseS, level.holdS, level.takenBack);
        }
        return new Level(least * (1 - margin), null, Double.POSITIVE_INFINITY, nowS, hold, false);
    }

    /**
     * The level while nothing is seen of what it stands for: below what is usual it rises to that after the wait.
     */
    Level recover(Level level, double usual, double nowS) {
        if (!(level.value < usual)) {
            return level;
        }
        Level risen = follow(level, Math.max(usual, level.value * (1 + growth)), nowS);
        return new Level(Math.min(risen.value, usual), risen.sinceS, risen.least, risen.roseS, risen.holdS,
                risen.takenBack);
    }

    /** The fraction that the target may be below the level before the level follows. */
    public double slack() {
        return slack;
    }

    /** The fraction that the level is then set below the target, so that the next little drop is no change. */
    public double margin() {
        return margin;
    }

    /** The fraction that the target must be above the level before the level rises. */
    public double growth() {
        return growth;
    }

    /** For how long it must be that, without a break, in seconds. */
    public double holdS() {
        return holdS;
    }

    /** A rise that is taken back within two holds doubles the hold, up to this. */
    public double mostHoldS() {
        return mostHoldS;
    }
}
