package org.legodnn.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.ActivityManager;
import android.content.ComponentCallbacks2;
import android.content.Context;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.legodnn.Budget;
import org.legodnn.LegoException;
import org.legodnn.LegoModel;
import org.legodnn.LegoRuntime;
import org.legodnn.MemoryMonitor;
import org.legodnn.MemoryPolicy;
import org.legodnn.PlanSwitch;
import org.legodnn.SwitchCharge;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.shadows.ShadowSystemClock;

/** A runtime that follows what Android says of memory. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE) // as in the other tests, so that all share what Robolectric loads
@Config(sdk = 34)
public class MemoryMonitorTest implements MemoryMonitor.Listener {
    private static final long MB = 1_000_000;
    private static final long THRESHOLD = 200 * MB;

    private final Context context = RuntimeEnvironment.getApplication();
    private final List<Long> told = Collections.synchronizedList(new ArrayList<Long>());
    private final List<LegoException> failures = Collections.synchronizedList(new ArrayList<LegoException>());
    private LegoRuntime runtime;
    private MemoryMonitor monitor;

    @Before
    public void start() throws Exception {
        Packed packed = new Packed(context);
        List<LegoModel> models = new ArrayList<>();
        for (String name : packed.models()) {
            models.add(LegoModel.of(packed.store(name), packed.profile(name)).onAnyDevice());
        }
        runtime = new LegoRuntime(new PlanOnlyExecutor(), models, SwitchCharge.NONE, Budget.none());
        available(2000 * MB, false);
        monitor = new MemoryMonitor(context, runtime, MemoryPolicy.of(runtime.scheduler()), this);
        monitor.start();
    }

    @After
    public void end() {
        monitor.close();
        runtime.close();
        assertTrue(failures.toString(), failures.isEmpty());
    }

    @Override
    public void onSpareMemory(Long spareBytes, PlanSwitch done) {
        told.add(spareBytes);
    }

    @Override
    public void onFailed(LegoException problem) {
        failures.add(problem);
    }

    private void available(long bytes, boolean low) {
        ActivityManager.MemoryInfo info = new ActivityManager.MemoryInfo();
        info.availMem = bytes;
        info.totalMem = 6000 * MB;
        info.threshold = THRESHOLD;
        info.lowMemory = low;
        shadowOf((ActivityManager) context.getSystemService(Context.ACTIVITY_SERVICE)).setMemoryInfo(info);
    }

    /** Let the monitor look, and wait until it was told a limit more. */
    private void look(int level) throws Exception {
        final int before = told.size();
        monitor.onTrimMemory(level);
        Await.until("another limit", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                return told.size() > before;
            }
        });
    }

    /** Let the monitor look so often that what it would do is done. */
    private void lookInVain(int level) throws Exception {
        int before = told.size();
        for (int i = 0; i < 20; i++) {
            monitor.onTrimMemory(level);
            Thread.sleep(5);
        }
        assertEquals(before, told.size());
    }

    @Test
    public void withoutMemoryTheSmallestPlanRunsAndTheBudgetStaysTheApplications() throws Exception {
        long whole = runtime.plan().memoryBytes();
        Budget own = Budget.none().withLatencyMs(2 * runtime.plan().models().get(0).latencyMs());
        runtime.setBudget(own);
        for (long bytes : new long[] {THRESHOLD, 1}) {
            available(bytes, false);
            look(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN);
            assertTrue(told.toString(), told.get(told.size() - 1) < runtime.plan().memoryBytes());
            assertTrue(runtime.plan().memoryBytes() < whole);
            assertEquals(own, runtime.budget().withoutMemory());
            available(2000 * MB, false);
            lookInVain(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN); // it waits whether the memory stays
            ShadowSystemClock.advanceBy(Duration.ofSeconds(100));
            look(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN);
            assertNull(told.get(told.size() - 1));
            assertEquals(own, runtime.budget());
        }
    }

    @Test
    public void beingSentToTheBackgroundIsNoLackOfMemory() throws Exception {
        lookInVain(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN);
        lookInVain(ComponentCallbacks2.TRIM_MEMORY_BACKGROUND);
        long before = runtime.plan().memoryBytes();
        look(ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL);
        assertTrue(runtime.plan().memoryBytes() < before);
    }

    @Test
    public void whatAndroidCallsLowMemoryIsPressure() throws Exception {
        available(2000 * MB, true);
        look(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN);
        assertTrue(told.get(0) < 2000 * MB);
    }

    @Test
    public void aClosedRuntimeEndsIt() throws Exception {
        runtime.close();
        lookInVain(ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL);
    }
}
