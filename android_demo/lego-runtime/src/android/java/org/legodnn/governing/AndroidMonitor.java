package org.legodnn.governing;

import android.app.ActivityManager;
import android.content.ComponentCallbacks2;
import android.content.Context;
import android.content.res.Configuration;
import android.os.Process;
import android.os.SystemClock;

import java.io.File;
import java.util.Collections;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Heat;

/**
 * What Android tells of memory, processors and heat: {@link ActivityManager.MemoryInfo}, {@link #onTrimMemory}, from
 * Android 10 on the thermal status and from Android 11 on its forecast. It asks for no permission.
 *
 * Since Android 8 the system does not tell how busy other apps keep the processors; then they are not counted, and what
 * they take shows in how long inferences take.
 */
public final class AndroidMonitor implements DeviceMonitor {
    /** How long pressure lasts that the system says once, as long as what Linux tells of it: an average over 10 s. */
    private static final double TRIMMED_S = 10;

    private final Context context;
    private final ActivityManager activities;
    private final Heat heat;
    private final BusyCores busy = new BusyCores(new File("/proc/stat"));
    private final ComponentCallbacks2 callbacks = new ComponentCallbacks2() {
        @Override
        public void onTrimMemory(int level) {
            AndroidMonitor.this.onTrimMemory(level);
        }

        @Override
        public void onLowMemory() {
            pressed();
        }

        @Override
        public void onConfigurationChanged(Configuration configuration) {
            // of no matter for memory
        }
    };
    /** Null while it is stopped. */
    private @Nullable Runnable changed;
    /** When memory was last said to be short, in seconds since the device started. */
    private double trimmedS = Double.NEGATIVE_INFINITY;

    /** @param context any of the app's */
    public AndroidMonitor(Context context) {
        this.context = context.getApplicationContext();
        activities = (ActivityManager) this.context.getSystemService(Context.ACTIVITY_SERVICE);
        heat = Heat.of(this.context);
    }

    @Override
    public Readings read() {
        ActivityManager.MemoryInfo memory = new ActivityManager.MemoryInfo();
        activities.getMemoryInfo(memory);
        double now = SystemClock.elapsedRealtime() / 1e3;
        int cores = Runtime.getRuntime().availableProcessors();
        Readings readings = new Readings(now, memory.totalMem, memory.availMem).withMemoryThreshold(memory.threshold)
                .withMemoryPressure(wasTrimmed(now) || memory.lowMemory ? 1 : 0).withCores(cores, cores)
                .withThrottled(heat.throttled());
        BusyCores.Use use = busy.since(now, Process.getElapsedCpuTime() / 1e3);
        return use == null ? readings : readings.withUse(use.busy, use.own, Collections.<Competitor>emptyList());
    }

    private synchronized boolean wasTrimmed(double now) {
        return now - trimmedS < TRIMMED_S;
    }

    @Override
    public synchronized void start(Runnable changed) {
        if (this.changed == null) {
            this.changed = changed;
            context.registerComponentCallbacks(callbacks);
            heat.start(changed);
        }
    }

    @Override
    public synchronized void stop() {
        if (changed != null) {
            changed = null;
            context.unregisterComponentCallbacks(callbacks);
            heat.stop();
        }
    }

    /**
     * To be called by the system; tests call it too. That the app is not seen is no lack of memory, and from Android 14
     * on the system tells of nothing else.
     */
    void onTrimMemory(int level) {
        if (isPressure(level)) {
            pressed();
        } else {
            wake();
        }
    }

    @SuppressWarnings("deprecation") // From Android 14 on only UI_HIDDEN and BACKGROUND arrive; older devices send all.
    private static boolean isPressure(int level) {
        return level == ComponentCallbacks2.TRIM_MEMORY_RUNNING_LOW
                || level == ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL
                || level == ComponentCallbacks2.TRIM_MEMORY_MODERATE
                || level == ComponentCallbacks2.TRIM_MEMORY_COMPLETE;
    }

    private void pressed() {
        synchronized (this) {
            trimmedS = SystemClock.elapsedRealtime() / 1e3;
        }
        wake();
    }

    private void wake() {
        Runnable told;
        synchronized (this) {
            told = changed;
        }
        if (told != null) {
            told.run(); // without this lock, which the governor takes while it holds its own
        }
    }
}
