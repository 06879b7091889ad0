package org.legodnn;

import android.app.ActivityManager;
import android.content.ComponentCallbacks2;
import android.content.Context;
import android.content.res.Configuration;
import android.os.Handler;
import android.os.Looper;
import android.os.SystemClock;

/**
 * Turns what Android says of memory into budgets: {@link ActivityManager.MemoryInfo} once a second, and
 * {@link #onTrimMemory} at once. What follows from it is decided by {@link MemoryPolicy}. The budget that the runtime
 * has when the monitor is made is the application's own; no budget is ever wider. For use on the main thread.
 *
 * <pre>
 * monitor = new MemoryMonitor(context, runtime, budget -> worker.execute(() -> runtime.setBudget(budget)));
 * monitor.start();
 * </pre>
 */
public final class MemoryMonitor implements ComponentCallbacks2 {
    private static final long INTERVAL_MS = 1000;

    private final Context context;
    private final LegoRuntime runtime;
    private final Listener listener;
    private final Budget own;
    private final MemoryPolicy policy;
    private final Handler handler = new Handler(Looper.getMainLooper());
    private final Runnable look = new Runnable() {
        @Override
        public void run() {
            look(false);
            handler.postDelayed(this, INTERVAL_MS);
        }
    };
    private Budget last;

    /** Is told of every new budget, on the main thread. */
    public interface Listener {
        /** @param budget what the runtime should be set to, on a thread of the application's choice */
        void onBudget(Budget budget);
    }

    /**
     * A monitor that is not started, with the policy's own figures.
     *
     * @param context any of the app's
     * @param runtime whose models' memory is to follow
     * @param listener is told of every new budget
     */
    public MemoryMonitor(Context context, LegoRuntime runtime, Listener listener) {
        this(context, runtime, MemoryPolicy.of(runtime.scheduler()), listener);
    }

    /**
     * A monitor that is not started.
     *
     * @param context any of the app's
     * @param runtime whose models' memory is to follow
     * @param policy what to make of what Android says
     * @param listener is told of every new budget
     */
    public MemoryMonitor(Context context, LegoRuntime runtime, MemoryPolicy policy, Listener listener) {
        this.context = context.getApplicationContext();
        this.runtime = runtime;
        this.listener = listener;
        this.own = runtime.budget();
        this.policy = policy;
        this.last = own;
    }

    /** Look at memory once a second, and listen to the system, until {@link #stop}. */
    public void start() {
        stop();
        context.registerComponentCallbacks(this);
        handler.post(look);
    }

    /** Stop; may be started again. */
    public void stop() {
        context.unregisterComponentCallbacks(this);
        handler.removeCallbacks(look);
    }

    /** Look now, and tell the listener if the budget is another one. */
    private void look(boolean pressed) {
        ActivityManager.MemoryInfo memory = new ActivityManager.MemoryInfo();
        ((ActivityManager) context.getSystemService(Context.ACTIVITY_SERVICE)).getMemoryInfo(memory);
        long held;
        try {
            held = runtime.plan().memoryBytes();
        } catch (InputException closed) {
            stop();
            return;
        }
        Long limit = policy.limit(SystemClock.elapsedRealtime() / 1e3, memory.availMem, memory.totalMem,
                memory.threshold, held, pressed || memory.lowMemory);
        if (own.memoryBytes() != null) {
            limit = limit == null ? own.memoryBytes() : Long.valueOf(Math.min(limit, own.memoryBytes()));
        }
        Budget budget = limit == null ? own.withoutMemory() : own.withMemoryBytes(limit);
        if (!budget.equals(last)) {
            last = budget;
            listener.onBudget(budget);
        }
    }

    @Override
    public void onTrimMemory(int level) {
        // A hidden user interface is no lack of memory.
        look(level >= TRIM_MEMORY_RUNNING_LOW && level != TRIM_MEMORY_UI_HIDDEN);
    }

    @Override
    public void onLowMemory() {
        look(true);
    }

    @Override
    public void onConfigurationChanged(Configuration configuration) {
        // of no matter for memory
    }
}
