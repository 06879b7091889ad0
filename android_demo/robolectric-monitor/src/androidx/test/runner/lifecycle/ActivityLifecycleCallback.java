package androidx.test.runner.lifecycle;

import android.app.Activity;

/** Told of every change. */
public interface ActivityLifecycleCallback {
    void onActivityLifecycleChanged(Activity activity, Stage stage);
}
