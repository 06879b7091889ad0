package androidx.test.runner.lifecycle;

import android.app.Activity;

/** Knows the stage of every activity. */
public interface ActivityLifecycleMonitor {
    void addLifecycleCallback(ActivityLifecycleCallback callback);

    void removeLifecycleCallback(ActivityLifecycleCallback callback);

    Stage getLifecycleStageOf(Activity activity);
}
