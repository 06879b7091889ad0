package org.legodnn.solver;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * An index by latency of a frontier, from which its staircase under any latency limit is read: by ascending memory, the
 * points within the limit whose value is greater than that of all points before them.
 *
 * <p>Latencies are divided into intervals. For a limit in the interval from s to s', only those points can matter that
 * are no slower than s' and whose value no lighter point of latency <= s reaches. They are found when a limit in the
 * interval is first asked for, and kept.
 */
final class Staircases {
    /** A frontier of N points gets sqrt(N) / PER_INTERVAL intervals. */
    private static final int PER_INTERVAL = 8;
    /** The bounds of intervals are quantiles of a sample, with this many latencies for each interval. */
    private static final int SAMPLES = 16;

    private final Frontier frontier;
    private final long[] value;
    /** The intervals' first latencies, ascending. */
    private final long[] starts;
    private final AtomicReferenceArray<int[]> found;

    /** The index of a frontier whose points have these values. */
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

    /** The staircase under a limit in nanoseconds: indices of points, ascending in memory and in value. */
    int[] under(long latencyLimit) {
        int at = Arrays.binarySearch(starts, latencyLimit);
        at = at >= 0 ? at : -at - 2;
        if (at < 0) {
            return new int[0];
        }
        int[] points = found.get(at);
        if (points == null) {
            points = canMatter(at);
            found.set(at, points); // two threads that come here at once find the same
        }
        int[] steps = new int[points.length];
        int count = 0;
        long best = -Frontier.INFINITE;
        for (int point : points) {
            if (frontier.latency[point] <= latencyLimit && value[point] > best) {
                best = value[point];
                steps[count++] = point;
            }
        }
        return Arrays.copyOf(steps, count);
    }

    /** The points that can matter under a limit in one interval, ascending in memory. */
    private int[] canMatter(int interval) {
        long start = starts[interval];
        long end = interval + 1 < starts.length ? starts[interval + 1] : Frontier.INFINITE;
        int[] points = new int[value.length];
        int count = 0;
        long best = -Frontier.INFINITE;
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
