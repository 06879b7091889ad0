package org.legodnn.internal;

import android.annotation.TargetApi;
import android.content.Context;
import android.os.Build;
import android.os.PerformanceHintManager;
import android.os.Process;

import org.jspecify.annotations.Nullable;

/** A session of Android's performance hints, from Android 12 on. To be loaded there only. */
@TargetApi(Build.VERSION_CODES.S)
public final class HintSession {
    private final PerformanceHintManager.Session session;

    private HintSession(PerformanceHintManager.Session session) {
        this.session = session;
    }

    /** One of the calling thread; null where the device has none. */
    public static @Nullable HintSession open(Context context, long targetNanos) {
        PerformanceHintManager manager = context.getSystemService(PerformanceHintManager.class);
        PerformanceHintManager.Session session = manager == null ? null
                : manager.createHintSession(new int[] {Process.myTid()}, targetNanos);
        return session == null ? null : new HintSession(session);
    }

    /** See {@code PerformanceHints.setTarget}. */
    public void setTarget(long nanos) {
        session.updateTargetWorkDuration(nanos);
    }

    /** See {@code PerformanceHints.report}. */
    public void report(long nanos) {
        session.reportActualWorkDuration(nanos);
    }

    /** Once is enough. */
    public void close() {
        session.close();
    }
}
