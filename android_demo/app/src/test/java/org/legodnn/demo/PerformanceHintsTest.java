package org.legodnn.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import android.content.Context;
import android.os.Build;
import android.os.PerformanceHintManager;
import android.os.Process;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.legodnn.PerformanceHints;
import org.legodnn.WorkloadException;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.Implementation;
import org.robolectric.annotation.Implements;
import org.robolectric.util.ReflectionHelpers;

/** What the system is told of inferences, where it listens. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = 34, shadows = PerformanceHintsTest.Device.class)
public class PerformanceHintsTest {
    /** The native part of the system's class: notes what it is told. */
    @Implements(PerformanceHintManager.class)
    public static class Device {
        static final List<String> TOLD = Collections.synchronizedList(new ArrayList<>());
        static final AtomicInteger busy = new AtomicInteger();
        static volatile boolean together;
        static boolean supports;

        private static void note(String told) {
            together |= busy.incrementAndGet() > 1;
            Thread.yield();
            TOLD.add(told);
            busy.decrementAndGet();
        }

        @Implementation
        protected static long nativeAcquireManager() {
            return 1;
        }

        @Implementation
        protected static long nativeCreateSession(long manager, int[] threads, long targetNanos) {
            TOLD.add(Arrays.toString(threads) + " may take " + targetNanos);
            return supports ? 2 : 0;
        }

        @Implementation
        protected static void nativeUpdateTargetWorkDuration(long session, long nanos) {
            note("may take " + nanos);
        }

        @Implementation
        protected static void nativeReportActualWorkDuration(long session, long nanos) {
            note("took " + nanos);
        }

        @Implementation
        protected static void nativeCloseSession(long session) {
            note("closed");
        }
    }

    private final Context context = RuntimeEnvironment.getApplication();

    @Before
    public void forget() {
        Device.TOLD.clear();
        Device.supports = true;
    }

    private boolean used() {
        try (PerformanceHints hints = PerformanceHints.ofThisThread(context, 8)) {
            hints.report(5.5);
            hints.setTarget(12);
            return hints.supported();
        }
    }

    @Test
    public void theSystemIsToldOfThisThreadsInferences() {
        assertTrue(used());
        assertEquals(Arrays.asList("[" + Process.myTid() + "] may take 8000000", "took 5500000", "may take 12000000",
                "closed"), Device.TOLD);
    }

    @Test
    public void afterItWasClosedTheSystemIsToldNothing() {
        PerformanceHints hints = PerformanceHints.ofThisThread(context, 8);
        hints.close();
        hints.report(5.5);
        hints.setTarget(12);
        hints.close();
        assertFalse(hints.supported());
        assertEquals("the session is gone: Android would end the process", "closed",
                Device.TOLD.get(Device.TOLD.size() - 1));
        assertEquals(2, Device.TOLD.size());
    }

    /** Android's sessions are for one thread at a time, and targets come with plans, from the governor's. */
    @Test
    public void otherThreadsMaySetTargetsWhileInferencesAreReported() throws InterruptedException {
        PerformanceHints hints = PerformanceHints.ofThisThread(context, 8);
        Device.busy.set(0);
        Device.together = false;
        Thread other = new Thread(() -> {
            for (int i = 1; i < 300; i++) {
                hints.setTarget(i);
            }
        });
        other.start();
        for (int i = 1; i < 300; i++) {
            hints.report(i);
        }
        hints.close();
        other.join();
        assertFalse(Device.together);
    }

    @Test
    public void aDeviceWithoutSupportIsToldNothing() {
        Device.supports = false;
        assertFalse(used());
        assertEquals(1, Device.TOLD.size());
    }

    @Test
    public void before12NoOneIsAsked() {
        ReflectionHelpers.setStaticField(Build.VERSION.class, "SDK_INT", 30);
        assertFalse(used());
        assertTrue(Device.TOLD.isEmpty());
    }

    @Test
    public void timesThatAreNoneAreRefused() {
        assertThrows(WorkloadException.class, () -> PerformanceHints.ofThisThread(context, 0));
        try (PerformanceHints hints = PerformanceHints.ofThisThread(context, 8)) {
            assertThrows(WorkloadException.class, () -> hints.report(Double.NaN));
            assertThrows(WorkloadException.class, () -> hints.setTarget(-1));
        }
    }
}
