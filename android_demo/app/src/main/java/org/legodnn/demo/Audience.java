package org.legodnn.demo;

import android.os.Handler;
import android.os.Looper;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Brings what an {@link Engine} has to say to the main thread, where one that listens later is told the latest again.
 */
final class Audience {
    private final Handler main = new Handler(Looper.getMainLooper());

    // The main thread's own.
    private Engine.Listener listener;
    private Ready ready;
    private Screen screen;
    private String failure;
    /** Whether a profiling has ended; then why it failed, or null, and how long it took. */
    private boolean profiled;
    private String unprofiled;
    private long seconds;

    /** Tell this listener from now on; null for none. On the main thread. */
    void set(Engine.Listener next) {
        listener = next;
        if (next == null) {
            return;
        }
        if (ready != null) {
            next.onReady(ready);
        }
        if (screen != null) {
            next.onScreen(screen);
        }
        if (profiled) {
            next.onProfiled(unprofiled, seconds);
        }
        if (failure != null) { // last, as it came: what is shown takes the place of an earlier one
            next.onFailed(failure);
        }
    }

    /** This device's profiles as JSON, by model; empty until it was profiled. On the main thread. */
    Map<String, String> ownProfiles() {
        return ready != null && ready.own ? ready.profiles : new LinkedHashMap<String, String>();
    }

    void ready(Ready now) {
        main.post(() -> {
            ready = now;
            if (listener != null) {
                listener.onReady(now);
            }
        });
    }

    void screen(Measurement source, Screen now) {
        main.post(() -> {
            if (source.isStopped()) {
                return; // of a plan that no longer runs
            }
            screen = now;
            failure = null; // of what was asked before
            if (listener != null) {
                listener.onScreen(now);
            }
        });
    }

    void profiling(String model, int done, int total) {
        main.post(() -> {
            profiled = false;
            failure = null;
            if (listener != null) {
                listener.onProfiling(model, done, total);
            }
        });
    }

    void profiled(String why, long took) {
        main.post(() -> {
            profiled = true;
            unprofiled = why;
            seconds = took;
            if (listener != null) {
                listener.onProfiled(why, took);
            }
        });
    }

    void recognised(String words) {
        main.post(() -> {
            if (listener != null) {
                listener.onRecognised(words);
            }
        });
    }

    void failed(String reason) {
        main.post(() -> {
            failure = reason;
            if (listener != null) {
                listener.onFailed(reason);
            }
        });
    }
}
