package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assume.assumeTrue;

import java.io.File;
import java.util.Random;

import org.junit.Test;
import org.legodnn.governing.DeviceMonitor;
import org.legodnn.governing.Governor;
import org.legodnn.governing.Readings;

/** A thousand switches, a profiling and many governors leave no threads, no open files and no loaded pieces behind. */
public class LeakTest extends RuntimeTestBase {
    private static final int SWITCHES = 1000;

    /** Open files of this process, or another of the kernel's lists of it. */
    private static int count(String list) {
        String[] entries = new File("/proc/self/" + list).list();
        return entries == null ? -1 : entries.length;
    }

    @Test
    public void nothingIsLeftBehind() throws Exception {
        assumeTrue("no /proc", count("fd") > 0);
        round(50); // what the first use of a class opens, stays open
        int files = count("fd");
        int threads = Thread.getAllStackTraces().size();
        int switched = round(SWITCHES);
        assertTrue("plans changed " + switched + " times", switched > SWITCHES / 2);
        assertEquals(0, executor.open.get());
        assertTrue(files + " open files, then " + count("fd"), count("fd") <= files + 2);
        awaitThreads(threads);
    }

    /** Wait for threads that were told to end. */
    private static void awaitThreads(int most) throws InterruptedException {
        for (int i = 0; i < 12_000 && Thread.getAllStackTraces().size() > most; i++) {
            Thread.sleep(5);
        }
        int threads = Thread.getAllStackTraces().size();
        assertTrue(threads + " threads instead of " + most, threads <= most);
    }

    /** Switch so often, profile once, govern now and then; returns how often something was loaded. */
    private int round(int switches) throws InterruptedException {
        int threads = Thread.getAllStackTraces().size();
        Random random = new Random(0);
        int switched = 0;
        try (LegoRuntime runtime = open(model(chain), model(graph))) {
            for (int i = 0; i < switches; i++) {
                switched += runtime.setBudget(memory(20_000 + random.nextInt(9000))).loaded.isEmpty() ? 0 : 1;
                runtime.infer("chain", X);
                if (i % 20 == 0) {
                    try (Governor governor = new Governor(runtime, new Plenty())) {
                        governor.start();
                    }
                }
            }
            awaitThreads(threads); // a governor that was closed ends before its runtime does
        }
        Profiler.profile(chain, executor, ProfilerOptions.DEFAULTS.withPause(() -> { }).withThreads(1, 2)
                .withRounds(3).withWeighings(1).withMemory(() -> 1000), null);
        return switched;
    }

    private static final class Plenty implements DeviceMonitor {
        @Override
        public Readings read() {
            return new Readings(0, 1_000_000, 1_000_000);
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
