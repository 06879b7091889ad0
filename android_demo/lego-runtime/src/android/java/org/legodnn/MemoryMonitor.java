package org.legodnn;

import android.content.ComponentCallbacks2;
import android.content.Context;
import android.content.res.Configuration;

/** Turns what the system says of memory into budgets. */
public final class MemoryMonitor implements ComponentCallbacks2 {
    /** Is told of every new budget, on the main thread. */
    public interface Listener {
        /** @param budget what the runtime should be set to */
        void onBudget(Budget budget);
    }

    /**
     * A monitor that is not started.
     *
     * @param context the app's
     * @param runtime whose models' memory is to follow
     * @param listener is told of every new budget
     */
    public MemoryMonitor(Context context, LegoRuntime runtime, Listener listener) {
    }

    /** Look at memory once a second, and listen to the system, until {@link #stop}. */
    public void start() {
    }

    /** Stop; may be started again. */
    public void stop() {
    }

    @Override
    public void onTrimMemory(int level) {
    }

    @Override
    public void onLowMemory() {
    }

    @Override
    public void onConfigurationChanged(Configuration configuration) {
    }
}
