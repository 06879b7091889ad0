package org.legodnn.internal.solver;

/**
 * The fixed-point scale of objective values.
 *
 * <p>The value of a composition is {@code round(weight x accuracy x unit) x step}, and one more for a model that stays
 * as it runs. A step is greater than the number of models, so these ones decide between plans of equal objective and
 * nothing else. A suspended model has the value {@code -suspension}, which outweighs all accuracy and charges in play,
 * so that as few models as possible are suspended.
 */
public final class ValueScale {
    /** The greatest sum of values: it leaves room for products with prices to stay exact enough in doubles. */
    private static final double VALUE_RANGE = 0x1p51;

    /** Bounds are rounded up. A bound that exceeds a value by no more than this is taken to be equal to it. */
    private static final double ROUNDING_OF_BOUNDS = 0x1p14;

    /** The unit is no finer than this, however small the objective's range is. */
    private static final double FINEST_UNIT = 1e300;

    /** Fixed-point units in one unit of the objective. */
    final double unit;
    /** The multiple to which values are rounded. */
    final long step;
    /** What suspending one model costs. */
    final long suspension;

    /**
     * The finest scale at which no sum over some models leaves the range.
     *
     * @param accuracy the sum over models of weight x the greatest size of an accuracy
     * @param charges the most that switching can be charged, in units of the objective
     * @param models the number of models
     */
    public ValueScale(double accuracy, double charges, int models) {
        double span = accuracy * 2 + charges;
        step = 1L << 32 - Integer.numberOfLeadingZeros(models + 1);
        double room = VALUE_RANGE / (step * (models + 2));
        unit = span == 0 ? 1 : Math.scalb(1.0, Math.getExponent(Math.min(room / span, FINEST_UNIT)));
        suspension = ((long) Math.ceil(span * unit) + models) * step;
    }

    /** By how much an upper bound exceeds a value, in units of the objective; 0 within rounding. */
    public double gap(long value, double bound) {
        return bound - value <= ROUNDING_OF_BOUNDS ? 0 : (bound - value) / (unit * step);
    }

    /** An objective value as a whole number, rounded to a step. */
    long value(double objective) {
        return (long) Math.rint(objective * unit) * step;
    }
}
