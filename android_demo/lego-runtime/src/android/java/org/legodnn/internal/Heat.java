package org.legodnn.internal;

import android.content.Context;
import android.os.Build;

/** What a device tells of heat. */
public abstract class Heat {
    /** What this device tells: before Android 10 nothing. */
    public static Heat of(Context context) {
        return Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q ? new ThermalService(context) : new Unknown();
    }

    /** Why the processors are slowed down; empty if they are not. */
    public abstract String throttled();

    /** Run something whenever that changes, until {@link #stop}. */
    public abstract void start(Runnable changed);

    /** Stop listening. */
    public abstract void stop();

    private static final class Unknown extends Heat {
        @Override
        public String throttled() {
            return "";
        }

        @Override
        public void start(Runnable changed) {
            // nothing to listen to
        }

        @Override
        public void stop() {
            // nothing was listened to
        }
    }
}
