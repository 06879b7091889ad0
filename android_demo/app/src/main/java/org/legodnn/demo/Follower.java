package org.legodnn.demo;

import android.content.Context;
import java.util.Collections;
import java.util.concurrent.Executor;
import org.legodnn.Budget;
import org.legodnn.LegoRuntime;
import org.legodnn.governing.AndroidMonitor;
import org.legodnn.governing.Decision;
import org.legodnn.governing.Governor;
import org.legodnn.governing.Outcome;

/**
 * Keeps a runtime within what the device can spare while that is wished. It is used on one thread, which also hears.
 */
final class Follower {
    private final Context context;
    private final Executor thread;
    private final Runnable decided;
    /** What the sliders ask for. */
    private Budget own = Budget.none();
    /** Null while nothing is followed. */
    private Governor governor;
    private LegoRuntime runtime;
    private Decision last;
    private Outcome outcome;

    /**
     * @param thread runs tasks on the thread that uses this
     * @param decided run on that thread after each decision, while a runtime is followed
     */
    Follower(Context context, Executor thread, Runnable decided) {
        this.context = context;
        this.thread = thread;
        this.decided = decided;
    }

    /** What the device can spare; null for no limit. */
    Long spareBytes() {
        Long bytes = last == null ? null : last.budget().memoryBytes();
        return bytes == null || bytes.equals(own.memoryBytes()) ? null : bytes;
    }

    /** Whether no plan is as small as the device would have it, so that the nearest one runs. */
    boolean isNearest() {
        return last != null && outcome == Outcome.NEAREST;
    }

    /** Give a runtime another budget; throws what {@link LegoRuntime#setBudget} does. */
    void setBudget(LegoRuntime runtime, Budget budget) {
        if (governor == null) {
            runtime.setBudget(budget);
        } else {
            governor.setBudget(budget);
        }
        own = budget;
    }

    /** Let the device limit a runtime, unless that is done already. */
    void start(LegoRuntime followed) {
        if (governor != null) {
            return;
        }
        final Governor started = new Governor(followed, new AndroidMonitor(context));
        started.setListener((decision, outcome, message, plan) -> thread.execute(() -> {
            if (governor == started) { // what comes of one that was stopped is no news
                last = decision;
                this.outcome = outcome;
                decided.run();
            }
        }));
        runtime = followed;
        governor = started;
        governor.start();
    }

    /** Undo that: the sliders alone count again. */
    void undo() {
        if (governor != null) {
            stop();
            runtime.keepWithin(Long.MAX_VALUE);
            runtime.replan(own, Collections.<String, Double>emptyMap());
        }
    }

    /** Stop following; the runtime stays as it is. */
    void stop() {
        if (governor != null) {
            governor.close();
            governor = null;
            last = null;
        }
    }
}
