package org.legodnn.solver;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * A frontier's staircases for all latency limits: by ascending memory, the points within the limit that are worth more
 * than all before them.
 *
 * <p>For limits between two neighbouring latencies of a few, s <= t < s', only those points can matter that are no
 * slower than s' and that no point of latency <= s beats. They are found when an interval is first asked for, and kept.
 */
final class Staircases {
    /** A frontier of N points gets sqrt(N) / 8 intervals, between quantiles of so many samples for each. */
    private static final int PER_INTERVAL = 8;
    private static final int SAMPLES = 16;

    private final Frontier frontier;
    private final long[] value;
    /** The intervals' first latencies, ascending. */
    private final long[] starts;
    private final AtomicReferenceArray<int[]> found;

    /** The index of a frontier, whose points are worth `value`. */
    Staircases(Frontier frontier, long[] value) {
        this.frontier = frontier;
        this.value = value;
        int n = frontier.size();
        int intervals = 1 + (int) Math.sqrt(n) / PER_INTERVAL;
        long[] some = every(frontier.latency, 1 + n / (SAMPLES * intervals));
        Arrays.sort(some);
        long[] quantiles = every(some, 1 + some.length / intervals);
        quantiles[0] = Numbers.least(frontier.latency);
        int count = 1;
        for (int i = 1; i < quantiles.length; i++) {
            if (quantiles[i] > quantiles[count - 1]) {
                quantiles[count++] = quantiles[i];
            }
        }
        this.starts = Arrays.copyOf(quantiles, count);
        this.found = new AtomicReferenceArray<>(count);
    }

    private static long[] every(long[] values, int step) {
        long[] some = new long[(values.length + step - 1) / step];
        for (int i = 0; i < some.length; i++) {
            some[i] = values[i * step];
        }
        return some;
    }

    /** The points that matter under a limit: by ascending memory, each worth more than all before. */
    int[] under(long latencyLimit) {
        int at = Arrays.binarySearch(starts, latencyLimit);
        at = at >= 0 ? at : -at - 2;
        if (at < 0) {
            return new int[0];
        }
        int[] points = found.get(at);
        if (points == null) {
            points = canMatter(at);
            found.set(at, points); // of two threads both find the same
        }
        int[] steps = new int[points.length];
        int count = 0;
        long best = -Frontier.NEVER;
        for (int point : points) {
            if (frontier.latency[point] <= latencyLimit && value[point] > best) {
                best = value[point];
                steps[count++] = point;
            }
        }
        return Arrays.copyOf(steps, count);
    }

    private int[] canMatter(int interval) {
        long start = starts[interval];
        long end = interval + 1 < starts.length ? starts[interval + 1] : Frontier.NEVER;
        int[] points = new int[value.length];
        int count = 0;
        long best = -Frontier.NEVER;
        for (int i = 0; i < value.length; i++) {
            if (value[i] > best && frontier.latency[i] <= end) {
                points[count++] = i;
            }
            if (frontier.latency[i] <= start) {
                best = Math.max(best, value[i]);
            }
        }
        return Arrays.copyOf(points, count);
    }
}
