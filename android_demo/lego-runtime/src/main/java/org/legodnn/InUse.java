package org.legodnn;

import java.util.Arrays;

/**
 * What options that take some milliseconds one by one take in use, at one thread count: a straight line through the
 * times of whole compositions, against the sums of their options' medians. It is Python's, of {@code
 * profiler/in_use.py}, to the bit.
 */
final class InUse {
    /** Points to which a line is fitted at most: all pairs of them are compared. */
    private static final int LINE_POINTS = 300;
    /** Of the sums that a line with a slope and a constant is fitted to. */
    private static final double LEAST_SPREAD = 1.2;
    private static final double LEAST_SLOPE = 0.1;
    static final double MOST_SLOPE = 2;
    /** Of what an option takes by itself, which it takes in use at least. */
    private static final double LEAST_SHARE = 0.1;

    /** What the sum over all segments is multiplied by. */
    final double factor;
    /** What is then added; it may be negative. */
    final double constantMs;
    /** The number of segments. */
    final int segments;

    InUse(double factor, double constantMs, int segments) {
        this.factor = factor;
        this.constantMs = constantMs;
        this.segments = segments;
    }

    /**
     * Fit a line to positive numbers so that relative errors are small: fast compositions count as slow ones do.
     *
     * <p>It is the Theil-Sen estimator, the median of the slopes between far points, of {@code y / x} against {@code
     * 1 / x}. Half of the points may be far off without harm, as times on a busy device are. Where all of x are nearly
     * equal, the constant is 0.
     *
     * @param x the sums, one at least
     * @param y what the whole compositions took
     * @param segments of each composition
     */
    static InUse lineThrough(double[] x, double[] y, int segments) {
        int count = Math.min(x.length, LINE_POINTS);
        double[] xs = Arrays.copyOfRange(x, x.length - count, x.length);
        double[] ys = Arrays.copyOfRange(y, y.length - count, y.length);
        double[] ratios = new double[count];
        double[] inverse = new double[count];
        for (int i = 0; i < count; i++) {
            ratios[i] = ys[i] / xs[i];
            inverse[i] = 1 / xs[i];
        }
        if (greatest(xs) < LEAST_SPREAD * least(xs)) {
            return new InUse(clipped(median(ratios)), 0, segments);
        }
        double far = (greatest(inverse) - least(inverse)) / 2;
        double constant = median(slopes(inverse, ratios, far));
        double[] slopes = new double[count];
        for (int i = 0; i < count; i++) {
            slopes[i] = ratios[i] - constant * inverse[i];
        }
        double slope = clipped(median(slopes));
        double[] constants = new double[count];
        for (int i = 0; i < count; i++) {
            constants[i] = ys[i] - slope * xs[i];
        }
        return new InUse(slope, median(constants), segments);
    }

    /** The slopes between all pairs of points that are far from each other in x. */
    private static double[] slopes(double[] x, double[] y, double far) {
        double[] slopes = new double[x.length * x.length];
        int found = 0;
        for (int i = 0; i < x.length; i++) {
            for (int j = 0; j < x.length; j++) {
                double across = x[i] - x[j];
                if (across >= far) {
                    slopes[found++] = (y[i] - y[j]) / across;
                }
            }
        }
        return Arrays.copyOf(slopes, found);
    }

    /** What one option takes in use: if the constant is negative, it is shared equally by the segments. */
    double latencyMs(double aloneMs) {
        return Math.max(LEAST_SHARE * aloneMs, factor * aloneMs + Math.min(0, constantMs) / segments);
    }

    /** The latency of an option in use, of what it takes by itself. */
    Latency latency(Latency alone) {
        return new Latency(alone.threads, alone.runs, latencyMs(alone.minMs), latencyMs(alone.medianMs),
                latencyMs(alone.p95Ms), null);
    }

    /** What a composition takes beyond its options, at least 0. */
    double overheadMs() {
        return Math.max(0, constantMs);
    }

    private static double clipped(double slope) {
        return Math.min(Math.max(slope, LEAST_SLOPE), MOST_SLOPE);
    }

    private static double least(double[] values) {
        return Arrays.stream(values).min().getAsDouble();
    }

    private static double greatest(double[] values) {
        return Arrays.stream(values).max().getAsDouble();
    }

    /** As NumPy rounds it: between two values it is half of their sum. */
    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
