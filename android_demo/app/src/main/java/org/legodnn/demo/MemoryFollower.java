package org.legodnn.demo;

import android.content.Context;
import java.util.concurrent.Executor;
import org.legodnn.LegoException;
import org.legodnn.LegoRuntime;
import org.legodnn.MemoryMonitor;
import org.legodnn.MemoryPolicy;
import org.legodnn.PlanSwitch;

/** Keeps a runtime within what the device can spare. It is used on one thread, which also hears what was done. */
final class MemoryFollower {
    /** Called on that thread while a runtime is followed; what comes of a monitor that was stopped is no news. */
    interface Listener {
        /** The runtime has another limit, {@link #spareBytes}. */
        void onSpareMemory();

        void onFailed(LegoException failed);
    }

    private final Context context;
    private final Executor thread;
    private final Listener listener;
    /** Null while nothing is followed. */
    private Followed followed;

    /**
     * @param thread runs tasks on the thread that uses this
     * @param listener is told what was done
     */
    MemoryFollower(Context context, Executor thread, Listener listener) {
        this.context = context;
        this.thread = thread;
        this.listener = listener;
    }

    /** What the device can spare; null for no limit. */
    Long spareBytes() {
        return followed == null ? null : followed.spareBytes;
    }

    /** Let a monitor limit a runtime's memory, unless that is done already. */
    void start(LegoRuntime runtime) {
        if (followed == null) {
            followed = new Followed(runtime);
            followed.monitor.start();
        }
    }

    /** Undo that. */
    void undo() {
        if (followed != null) {
            LegoRuntime runtime = followed.runtime;
            stop();
            runtime.setSpareMemory(null);
        }
    }

    /** Stop the monitor: before the runtime is closed. */
    void stop() {
        if (followed != null) {
            followed.monitor.close();
            followed = null;
        }
    }

    private final class Followed implements MemoryMonitor.Listener {
        final LegoRuntime runtime;
        final MemoryMonitor monitor;
        Long spareBytes;

        Followed(LegoRuntime runtime) {
            this.runtime = runtime;
            monitor = new MemoryMonitor(context, runtime, MemoryPolicy.of(runtime.scheduler()), this);
        }

        @Override
        public void onSpareMemory(final Long spare, PlanSwitch done) {
            thread.execute(new Runnable() {
                @Override
                public void run() {
                    if (followed == Followed.this) {
                        spareBytes = spare;
                        listener.onSpareMemory();
                    }
                }
            });
        }

        @Override
        public void onFailed(final LegoException failed) {
            thread.execute(new Runnable() {
                @Override
                public void run() {
                    if (followed == Followed.this) {
                        listener.onFailed(failed);
                    }
                }
            });
        }
    }
}
