package org.legodnn.solver;

/**
 * How objective values become integers.
 *
 * <p>An item's value is {@code round(weight x accuracy x unit) x step}; a step exceeds the number of models, so that
 * one unit less than a step, given to each model that stays as it is, decides between equal objectives and nothing
 * else. A suspended model is worth {@code -suspension}, more than all accuracy in play: as few as possible are
 * suspended.
 */
public final class Scale {
    /** Greatest sum of values, so that they and their products with prices stay exact enough in doubles. */
    private static final double VALUE_RANGE = 0x1p51;

    private static final double MEET = 0x1p14;

    /** No unit is finer, however little there is to be won. */
    private static final double FINEST = 1e300;

    final double unit;
    final long step;
    final long suspension;

    /**
     * The finest scale whose sums stay in range.
     *
     * @param accuracy the greatest sum over models of weight x accuracy, by size
     * @param charges the most that switching can be charged
     * @param models how many there are
     */
    public Scale(double accuracy, double charges, int models) {
        double span = accuracy * 2 + charges;
        step = 1L << 32 - Integer.numberOfLeadingZeros(models + 1);
        double room = VALUE_RANGE / (step * (models + 2));
        unit = span == 0 ? 1 : Math.scalb(1.0, Math.getExponent(Math.min(room / span, FINEST)));
        suspension = ((long) Math.ceil(span * unit) + models) * step;
    }

    /** How much more than a value a bound is, as an objective value; bounds are rounded up: so near, they meet. */
    public double gap(long value, double bound) {
        return bound - value <= MEET ? 0 : (bound - value) / (unit * step);
    }

    /** An objective value as an integer, rounded to a step. */
    long value(double objective) {
        return (long) Math.rint(objective * unit) * step;
    }
}
