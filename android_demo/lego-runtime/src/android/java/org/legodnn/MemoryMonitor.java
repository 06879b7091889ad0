package org.legodnn;

import android.app.ActivityManager;
import android.content.ComponentCallbacks2;
import android.content.Context;
import android.content.res.Configuration;
import android.os.Handler;
import android.os.HandlerThread;
import android.os.SystemClock;

import java.io.Closeable;

/**
 * Keeps a runtime within what Android can spare: it looks at {@link ActivityManager.MemoryInfo} once a second and at
 * {@link #onTrimMemory} at once, and calls {@link LegoRuntime#setSpareMemory}, on a thread of its own. The application's
 * budget stays the application's: it may be set at any time. What follows from what Android says is decided by
 * {@link MemoryPolicy}.
 *
 * <pre>
 * monitor = new MemoryMonitor(context, runtime);
 * monitor.start();   // in onStart
 * monitor.close();   // in onStop, or before the runtime is closed
 * </pre>
 *
 * A switch that fails leaves the running plan as it is, is told to the listener, and is tried again a second later.
 */
public final class MemoryMonitor implements ComponentCallbacks2, Closeable {
    private static final long INTERVAL_MS = 1000;

    private final Context context;
    private final LegoRuntime runtime;
    private final MemoryPolicy policy;
    private final Listener listener;
    private final Runnable lookAndRepeat = new Runnable() {
        @Override
        public void run() {
            look(false);
            repeat();
        }
    };
    /** Null while it is stopped. */
    private HandlerThread thread;
    private Handler handler;
    /** The limit that the runtime has from here. The thread's own. */
    private Long last;

    /** Is told what became of a new limit, on the monitor's thread. */
    public interface Listener {
        /**
         * The runtime switched, if that was needed.
         *
         * @param spareBytes what the device can spare; null for no limit
         * @param done what changed
         */
        void onSpareMemory(Long spareBytes, PlanSwitch done);

        /** The limit could not be set; the old plan runs, and it is tried again. */
        void onFailed(LegoException problem);
    }

    /**
     * A monitor that is not started, with the policy's own figures.
     *
     * @param context any of the app's
     * @param runtime whose models' memory is to follow
     */
    public MemoryMonitor(Context context, LegoRuntime runtime) {
        this(context, runtime, MemoryPolicy.of(runtime.scheduler()), null);
    }

    /**
     * A monitor that is not started.
     *
     * @param context any of the app's
     * @param runtime whose models' memory is to follow
     * @param policy what to make of what Android says; no other monitor's
     * @param listener is told of every new limit; may be null
     */
    public MemoryMonitor(Context context, LegoRuntime runtime, MemoryPolicy policy, Listener listener) {
        this.context = context.getApplicationContext();
        this.runtime = runtime;
        this.policy = policy;
        this.listener = listener;
    }

    /** Look at memory now and once a second, and listen to the system, until {@link #close}. */
    public synchronized void start() {
        if (thread != null) {
            return;
        }
        thread = new HandlerThread("legodnn-memory");
        thread.start();
        handler = new Handler(thread.getLooper());
        context.registerComponentCallbacks(this);
        handler.post(lookAndRepeat);
    }

    /** Stop looking; the last limit stays. May be started again. */
    @Override
    public synchronized void close() {
        if (thread != null) {
            context.unregisterComponentCallbacks(this);
            thread.quit();
            thread = null;
            handler = null;
        }
    }

    private synchronized void repeat() {
        if (Thread.currentThread() == thread) { // not one that was closed while it looked
            handler.postDelayed(lookAndRepeat, INTERVAL_MS);
        }
    }

    private synchronized void lookSoon(final boolean pressed) {
        if (handler != null) {
            handler.post(new Runnable() {
                @Override
                public void run() {
                    look(pressed);
                }
            });
        }
    }

    /** Look now, and set the limit if it is another one. */
    private void look(boolean pressed) {
        ActivityManager.MemoryInfo memory = new ActivityManager.MemoryInfo();
        ((ActivityManager) context.getSystemService(Context.ACTIVITY_SERVICE)).getMemoryInfo(memory);
        long held;
        try {
            held = runtime.plan().memoryBytes();
        } catch (InputException closed) {
            close();
            return;
        }
        Long limit = policy.limit(SystemClock.elapsedRealtime() / 1e3, memory.availMem, memory.threshold, held,
                pressed || memory.lowMemory);
        if (limit == null ? last == null : limit.equals(last)) {
            return;
        }
        try {
            PlanSwitch done = runtime.setSpareMemory(limit);
            last = limit;
            if (listener != null) {
                listener.onSpareMemory(limit, done);
            }
        } catch (LegoException e) {
            if (listener != null) {
                listener.onFailed(e);
            }
        }
    }

    /** Whether a level of {@link #onTrimMemory} tells of a lack of memory, and not only that the app is not seen. */
    @SuppressWarnings("deprecation") // From Android 14 on only UI_HIDDEN and BACKGROUND arrive; older devices send all.
    static boolean isPressure(int level) {
        return level == TRIM_MEMORY_RUNNING_LOW || level == TRIM_MEMORY_RUNNING_CRITICAL
                || level == TRIM_MEMORY_MODERATE || level == TRIM_MEMORY_COMPLETE;
    }

    @Override
    public void onTrimMemory(int level) {
        lookSoon(isPressure(level));
    }

    @Override
    public void onLowMemory() {
        lookSoon(true);
    }

    @Override
    public void onConfigurationChanged(Configuration configuration) {
        // of no matter for memory
    }
}
