package org.legodnn.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.ActivityManager;
import android.app.Application;
import android.content.ComponentCallbacks2;
import android.content.Context;
import android.os.PowerManager;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.legodnn.ClosedException;
import org.legodnn.LegoModel;
import org.legodnn.LegoRuntime;
import org.legodnn.ModelPlan;
import org.legodnn.RuntimeBuilder;
import org.legodnn.SwitchCharge;
import org.legodnn.governing.AndroidMonitor;
import org.legodnn.governing.DecidedChange;
import org.legodnn.governing.Decision;
import org.legodnn.governing.Governor;
import org.legodnn.governing.Pressure;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.annotation.Implementation;
import org.robolectric.annotation.Implements;
import org.robolectric.shadows.ShadowPowerManager;
import org.robolectric.shadows.ShadowSystemClock;

/** A runtime that follows what Android says of memory and heat. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE) // as in the other tests, so that all share what Robolectric loads
@Config(sdk = 34, shadows = AndroidMonitorTest.Device.class)
public class AndroidMonitorTest {
    private static final long MB = 1_000_000;
    private static final long THRESHOLD = 200 * MB;
    private static final double CORES = Runtime.getRuntime().availableProcessors();

    /** Robolectric's class, with the forecast of heat that it lacks. */
    @Implements(PowerManager.class)
    public static class Device extends ShadowPowerManager {
        static float headroom;
        static int forecastSeconds;

        @Implementation
        protected float getThermalHeadroom(int seconds) {
            forecastSeconds = seconds;
            return headroom;
        }
    }

    private final Application context = RuntimeEnvironment.getApplication();
    private final AndroidMonitor monitor = new AndroidMonitor(context);
    private final PowerManager power = (PowerManager) context.getSystemService(Context.POWER_SERVICE);
    private LegoRuntime runtime;
    private Governor governor;

    @Before
    public void start() throws Exception {
        Device.headroom = Float.NaN; // a device that does not tell
        available(2000 * MB, false);
        open(null);
    }

    /** A governed runtime of both models, each of which runs so many times a second. */
    private void open(Double rateHz) throws Exception {
        RuntimeBuilder builder = LegoRuntime.builder().executor(new PlanOnlyExecutor())
                .switchCharge(SwitchCharge.NONE);
        for (LegoModel packed : new Packed(context).workload().models()) {
            LegoModel model = packed.onAnyDevice();
            builder.addModel(rateHz == null ? model : model.withTable(model.table().withRateHz(rateHz)));
        }
        runtime = builder.build();
        governor = new Governor(runtime, monitor);
    }

    @After
    public void end() {
        governor.close();
        runtime.close();
    }

    private void available(long bytes, boolean low) {
        ActivityManager.MemoryInfo info = new ActivityManager.MemoryInfo();
        info.availMem = bytes;
        info.totalMem = 6000 * MB;
        info.threshold = THRESHOLD;
        info.lowMemory = low;
        shadowOf((ActivityManager) context.getSystemService(Context.ACTIVITY_SERVICE)).setMemoryInfo(info);
    }

    private Long limitNow() {
        return governor.step().budget().memoryBytes();
    }

    @Test
    public void withoutMemoryTheSmallestPlanRunsUntilMemoryStays() {
        long whole = runtime.plan().memoryBytes();
        assertEquals(null, limitNow());
        for (long bytes : new long[] {THRESHOLD, 1}) {
            available(bytes, false);
            assertTrue(limitNow() < whole);
            assertTrue(runtime.plan().memoryBytes() < whole);
            available(2000 * MB, false);
            assertTrue("it waits whether the memory stays", limitNow() < whole);
            ShadowSystemClock.advanceBy(Duration.ofSeconds(100));
            assertEquals(null, limitNow());
            assertEquals(whole, runtime.plan().memoryBytes());
        }
    }

    @Test
    @SuppressWarnings("deprecation") // what older devices send
    public void beingSentToTheBackgroundIsNoLackOfMemory() throws Exception {
        monitor.start(() -> { });
        context.onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN);
        context.onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_BACKGROUND);
        assertEquals(null, limitNow());
        long before = runtime.plan().memoryBytes();
        context.onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL);
        assertTrue(limitNow() < before);
        assertTrue(runtime.plan().memoryBytes() < before);
        ShadowSystemClock.advanceBy(Duration.ofSeconds(11));
        limitNow();
        ShadowSystemClock.advanceBy(Duration.ofSeconds(11));
        assertEquals("it was said once", null, limitNow());
        monitor.stop();
        context.onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL);
        assertEquals("nobody listens", null, limitNow());
    }

    @Test
    @SuppressWarnings("deprecation") // what older devices send
    public void memoryThatIsShortAgainAMomentLaterIsNotMissed() {
        monitor.start(() -> { });
        assertEquals(0, Pressure.of(monitor), 0);
        for (int i = 0; i < 2; i++) {
            context.onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL);
            assertEquals(1, Pressure.of(monitor), 0);
            ShadowSystemClock.advanceBy(Duration.ofSeconds(9));
            assertEquals("as long as an average over ten seconds", 1, Pressure.of(monitor), 0);
        }
        ShadowSystemClock.advanceBy(Duration.ofSeconds(2));
        assertEquals(0, Pressure.of(monitor), 0);
        monitor.stop();
    }

    @Test
    public void whatAndroidCallsLowMemoryIsPressure() {
        long whole = runtime.plan().memoryBytes();
        available(2000 * MB, true);
        assertTrue(limitNow() < whole);
    }

    /** Rates at which the originals would keep more processors busy than there are. */
    private void openBusy() throws Exception {
        double atOneHz = 0;
        for (ModelPlan model : runtime.plan().models()) {
            atOneHz += model.latencyMs() / 1e3;
        }
        end();
        open(1.5 * CORES / atOneHz);
        governor.step();
        secondLater(); // from the second reading on it is known how busy the processors are
    }

    private Decision secondLater() {
        ShadowSystemClock.advanceBy(Duration.ofSeconds(1));
        return governor.step();
    }

    @Test
    public void heatHoldsComputeBack() throws Exception {
        openBusy();
        shadowOf(power).setCurrentThermalStatus(PowerManager.THERMAL_STATUS_LIGHT);
        assertEquals("light throttling is not felt", "", reasons(secondLater()));
        shadowOf(power).setCurrentThermalStatus(PowerManager.THERMAL_STATUS_SEVERE);
        Decision hot = secondLater();
        assertTrue(reasons(hot), reasons(hot).contains("held back (heat: thermal status severe)"));
        assertTrue(hot.budget().cores() <= 0.8 * CORES);
        assertTrue(runtime.plan().cores() <= 0.8 * CORES);
    }

    @Test
    public void heatThatIsForetoldHoldsComputeBackToo() throws Exception {
        openBusy();
        for (float headroom : new float[] {Float.NaN, 0.99f}) { // NaN: the device does not tell
            Device.headroom = headroom;
            assertEquals("", reasons(secondLater()));
        }
        Device.headroom = 1;
        Decision hot = secondLater();
        assertTrue(reasons(hot), reasons(hot).contains("held back (heat: severe within 10 s)"));
        assertEquals(10, Device.forecastSeconds);
        assertTrue(runtime.plan().cores() <= 0.8 * CORES);
    }

    private static String reasons(Decision decision) {
        StringBuilder reasons = new StringBuilder();
        for (DecidedChange change : decision.changes()) {
            reasons.append(change.what().equals("cores") ? change.why() : "");
        }
        return reasons.toString();
    }

    @Test
    public void aChangeOfHeatOrMemoryIsHeardAtOnce() {
        AtomicInteger told = new AtomicInteger();
        monitor.start(told::incrementAndGet);
        int before = told.get(); // Android says the status when one begins to listen
        shadowOf(power).setCurrentThermalStatus(PowerManager.THERMAL_STATUS_CRITICAL);
        shadowOf(android.os.Looper.getMainLooper()).idle();
        assertTrue(told.get() > before);
        before = told.get();
        context.onLowMemory();
        assertEquals(before + 1, told.get());
        monitor.stop();
        context.onLowMemory();
        shadowOf(power).setCurrentThermalStatus(PowerManager.THERMAL_STATUS_NONE);
        assertEquals(before + 1, told.get());
    }

    @Test
    public void theGovernorFollowsByItselfAndEndsWithTheRuntime() throws Exception {
        CountDownLatch decided = new CountDownLatch(1);
        governor.setListener((decision, outcome, message, plan) -> decided.countDown());
        governor.start();
        available(THRESHOLD, false);
        context.onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN);
        assertTrue(decided.await(60, TimeUnit.SECONDS));
        runtime.close();
        Await.until("a closed runtime", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                try {
                    governor.step();
                    return false;
                } catch (ClosedException e) {
                    return true;
                }
            }
        });
    }
}
