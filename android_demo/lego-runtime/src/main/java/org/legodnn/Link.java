package org.legodnn;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.Bounds;

/** A non-increasing, piecewise linear function from the summed loss to the metric; constant outside its knots. */
public final class Link {
    /** 1 - loss, for losses from 0 to 1. */
    public static final Link IDENTITY = new Link(new double[] {0, 1}, new double[] {1, 0});

    private final double[] x;
    private final double[] y;

    /**
     * @param x the knots' losses, ascending, at least two
     * @param y the metric there, not increasing
     * @throws WorkloadException the knots are none of that
     */
    public Link(double[] x, double[] y) {
        String problem = problem(x, y);
        if (problem != null) {
            throw new WorkloadException("link: " + problem);
        }
        this.x = x.clone();
        this.y = y.clone();
    }

    /** What is wrong with knots; null if nothing is. */
    static @Nullable String problem(double[] x, double[] y) {
        if (x.length != y.length || x.length < 2) {
            return x.length != y.length ? "x and y differ in length" : "it needs two knots at least";
        }
        for (int i = 0; i < x.length; i++) {
            if (Double.isNaN(x[i] + y[i]) || Double.isInfinite(x[i]) || Double.isInfinite(y[i])) {
                return "its knots must be finite";
            }
            if (i > 0 && !(x[i] - x[i - 1] >= Bounds.LEAST_KNOT)) {
                return "x must increase, by at least " + Bounds.LEAST_KNOT + " each time";
            }
            if (i > 0 && y[i] > y[i - 1]) {
                return "y must not increase";
            }
        }
        return null;
    }

    /** The metric at a summed loss. */
    public double at(double loss) {
        int last = x.length - 1;
        if (loss <= x[0] || loss >= x[last]) {
            return loss <= x[0] ? y[0] : y[last];
        }
        int j = java.util.Arrays.binarySearch(x, loss);
        if (j >= 0) {
            return y[j];
        }
        j = -j - 2; // the knot before
        double slope = (y[j + 1] - y[j]) / (x[j + 1] - x[j]);
        return slope * (loss - x[j]) + y[j];
    }

    /** The knots' losses. */
    public double[] x() {
        return x.clone();
    }

    /** The metric at the knots. */
    public double[] y() {
        return y.clone();
    }
}
