package org.legodnn.demo;

import static org.junit.Assert.fail;
import static org.robolectric.Shadows.shadowOf;

import android.os.Looper;
import java.util.concurrent.Callable;

/** Waits for the app's own threads, running what they post to the main thread meanwhile. */
final class Await {
    private static final long TIMEOUT_MS = 300_000;

    private Await() {}

    static void until(String what, Callable<Boolean> condition) throws Exception {
        long began = System.currentTimeMillis();
        while (true) {
            shadowOf(Looper.getMainLooper()).idle();
            if (condition.call()) {
                return;
            }
            if (System.currentTimeMillis() - began > TIMEOUT_MS) {
                fail("waited in vain for: " + what);
            }
            Thread.sleep(5);
        }
    }
}
