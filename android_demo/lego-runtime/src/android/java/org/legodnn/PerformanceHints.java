package org.legodnn;

import android.content.Context;
import android.os.Build;

import java.io.Closeable;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.HintSession;

/**
 * Tells Android how long one thread's inferences take and may take, so that it clocks processors as high as that needs
 * and no higher (Android Dynamic Performance Framework). Android 12 and later know this, on devices whose makers
 * support it; elsewhere it does nothing. Only the thread that opened it is meant: threads of TensorFlow Lite's pools
 * are not known, so it is for plans of one thread. Any thread may call its methods, such as a {@link PlanListener} that
 * sets another target; after it was closed they do nothing.
 *
 * <pre>
 * try (PerformanceHints hints = PerformanceHints.ofThisThread(context, 8.0)) { // on the thread that infers
 *     while (running) {
 *         hints.report(runtime.run("faces", inputs, outputs).latencyMs());
 *     }
 * }
 * </pre>
 */
public final class PerformanceHints implements Closeable {
    private static final double MOST_MS = 1e6;

    /** Null where no one listens, and once it is closed: Android's own object ends the process if it is used then. */
    private @Nullable HintSession session;

    private PerformanceHints(@Nullable HintSession session) {
        this.session = session;
    }

    /**
     * Hints of the thread that calls this.
     *
     * @param context any of the app's
     * @param targetMs what an inference may take, in milliseconds
     * @throws WorkloadException that is no such time
     */
    public static PerformanceHints ofThisThread(Context context, double targetMs) {
        long target = nanos(targetMs);
        return new PerformanceHints(
                Build.VERSION.SDK_INT >= Build.VERSION_CODES.S ? HintSession.open(context, target) : null);
    }

    /** Whether anyone listens; no one does once it is closed. */
    public synchronized boolean supported() {
        return session != null;
    }

    /**
     * From now on an inference may take so many milliseconds, since a budget has changed, say.
     *
     * @throws WorkloadException that is no such time
     */
    public synchronized void setTarget(double targetMs) {
        long target = nanos(targetMs);
        if (session != null) {
            session.setTarget(target);
        }
    }

    /**
     * An inference took so many milliseconds.
     *
     * @throws WorkloadException that is no such time
     */
    public synchronized void report(double latencyMs) {
        long took = nanos(latencyMs);
        if (session != null) {
            session.report(took);
        }
    }

    private static long nanos(double ms) {
        if (!(ms > 0 && ms <= MOST_MS)) {
            throw new WorkloadException("an inference takes more than 0 and at most 1e6 ms, got " + ms);
        }
        return Math.max(1, Math.round(ms * 1e6));
    }

    /** Say no more; once is enough. */
    @Override
    public synchronized void close() {
        if (session != null) {
            session.close();
            session = null;
        }
    }
}
