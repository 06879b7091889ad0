package org.legodnn.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assume.assumeTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.AlertDialog;
import android.content.Context;
import android.content.Intent;
import android.os.PowerManager;
import java.io.File;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.legodnn.BlockRows;
import org.legodnn.Budget;
import org.legodnn.LegoModel;
import org.legodnn.LegoRuntime;
import org.legodnn.ModelTable;
import org.legodnn.OptionRow;
import org.legodnn.Profile;
import org.legodnn.Profiler;
import org.legodnn.ProfilerOptions;
import org.legodnn.RuntimeBuilder;
import org.legodnn.SwitchCharge;
import org.legodnn.TfLiteExecutor;
import org.legodnn.Workload;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.shadows.ShadowAlertDialog;

/** The whole app, inference and profiling included: where this machine has a native library of TensorFlow Lite. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = 34, qualifiers = "w400dp-h900dp-port-xhdpi")
public class MeasuredTest {
    private Shown shown;

    @Before
    public void start() throws Exception {
        assumeTrue("no native library of TensorFlow Lite", Engine.nativeLibraryLoads());
        shown = Shown.started(new Intent().putExtra(MainActivity.ROUNDS, 30).putExtra(MainActivity.WEIGHINGS, 3));
    }

    @After
    public void end() {
        if (shown != null) {
            shown.end();
        }
    }

    private void awaitMeasured() throws Exception {
        Await.until("all measured", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                String failed = shown.activity().getString(R.string.failed, "");
                assertTrue(shown.text(R.id.status), !shown.text(R.id.status).startsWith(failed));
                return shown.text(R.id.total_memory).matches(".* [0-9.]+ MB measured.*");
            }
        });
    }

    @Test
    public void plansAreRunAndMeasuredOnTheDigitsAndTheDeviceIsProfiled() throws Exception {
        awaitMeasured();
        for (int i = 0; i < 2; i++) {
            double predicted = Shown.number(shown.texts(R.id.accuracy_predicted).get(i), "([0-9.]+)");
            double measured = Shown.number(shown.texts(R.id.accuracy_measured).get(i), "([0-9.]+)");
            assertEquals("accuracy", predicted, measured, 0.1);
            assertTrue(Shown.number(shown.texts(R.id.latency_measured).get(i), "([0-9.]+) ms") > 0);
            assertTrue(Shown.number(shown.texts(R.id.memory_measured).get(i), "([0-9.]+) MB") >= 0);
        }

        shown.activity().findViewById(R.id.profile).performClick();
        assertTrue("sliders stay away while it is profiled", !shown.slider(R.id.memory).isEnabled());
        assertTrue("the screen stays on", shown.screenStaysOn());
        Await.until("profiled", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                return shown.activity().findViewById(R.id.share).isEnabled();
            }
        });
        assertTrue("the screen may go off again", !shown.screenStaysOn());
        assertNull("nobody asked to share", ShadowAlertDialog.getLatestAlertDialog());
        shown.activity().findViewById(R.id.share).performClick();
        AlertDialog dialog = ShadowAlertDialog.getLatestAlertDialog();
        Workload packed = new Packed(RuntimeEnvironment.getApplication()).workload();
        List<String> files = new ArrayList<>();
        for (LegoModel model : packed.models()) {
            files.add(model.table().name() + ".profile.json");
        }
        assertEquals(files, Arrays.asList(shadowOf(dialog).getItems()));
        shadowOf(dialog).clickOnItem(1);
        Intent chooser = shadowOf(shown.activity()).getNextStartedActivity();
        Intent sent = chooser.getParcelableExtra(Intent.EXTRA_INTENT, Intent.class);
        assertEquals(Intent.ACTION_SEND, sent.getAction());
        assertEquals(files.get(1), sent.getStringExtra(Intent.EXTRA_SUBJECT));
        Profile profile = Profile.parse(sent.getStringExtra(Intent.EXTRA_TEXT));
        profile.checkStore(packed.models().get(1).store());
        assertTrue(profile.device().toString(), profile.device().executor().startsWith("tensorflow-lite"));
        awaitMeasured();
        for (int i = 0; i < 2; i++) { // as it is, and turned
            String note = shown.text(R.id.note);
            assertTrue(note, note.matches("Predictions are this device's own, profiled "
                    + "[A-Z][a-z]{2} \\d+, \\d{4}, \\d+:\\d\\d [AP]M\\.\nProfiling took \\d\\d:\\d\\d\\."));
            assertTrue(shown.activity().findViewById(R.id.share).isEnabled());
            shown.rotated();
            awaitMeasured();
        }
        PowerManager power = (PowerManager) shown.activity().getSystemService(Context.POWER_SERVICE);
        shadowOf(power).setIsPowerSaveMode(true);
        shown.activity().findViewById(R.id.profile).performClick();
        shown.awaitText(R.id.note, "power saving is on");
        awaitMeasured();
        assertTrue("still to be read", shown.text(R.id.note).contains("power saving is on"));

        List<String> before = shown.drawn();
        shown.slider(R.id.latency).setProgress(Limits.LEAST + 2);
        shown.awaitOther(before);
        shown.awaitText(R.id.switched, "switched");
        awaitMeasured();
        for (String measured : shown.texts(R.id.latency_measured)) {
            assertNotNull(measured);
            assertTrue(measured, measured.endsWith(" ms"));
        }
        shown.save("portrait.png");
    }

    /**
     * Files and threads that the virtual machine may open by itself meanwhile, such as archives of classes and
     * compilers. A leak would be of hundreds: one for each switch, or for each piece that was timed.
     */
    private static final int OF_THE_MACHINE = 20;

    /** Threads or open files of this process, as the kernel lists them. */
    private static int count(String list) {
        return new File("/proc/self/" + list).list().length;
    }

    @Test
    public void aThousandSwitchesAndAProfilingLeaveNoThreadsAndNoFilesOpen() throws Exception {
        shown.end();
        shown = null;
        Workload packed = new Packed(RuntimeEnvironment.getApplication()).workload();
        RuntimeBuilder builder = LegoRuntime.builder().switchCharge(SwitchCharge.NONE);
        for (LegoModel model : packed.models()) {
            builder.addModel(model.onAnyDevice());
        }
        int files;
        int threads;
        try (LegoRuntime runtime = builder.build()) {
            long most = runtime.plan().memoryBytes();
            switched(runtime, most, 50); // what a first use opens, and the virtual machine's own threads
            files = count("fd");
            threads = count("task");
            assertTrue(switched(runtime, most, 1000) > 500);
            assertTrue(files + " open files, then " + count("fd"), count("fd") <= files + OF_THE_MACHINE);
            assertTrue(threads + " threads, then " + count("task"), count("task") <= threads + OF_THE_MACHINE);
        }
        Profiler.profile(packed.models().get(0).store(), new TfLiteExecutor(),
                ProfilerOptions.DEFAULTS.withThreads(1, 2).withRounds(2).withWeighings(1), null);
        assertTrue(files + " open files, then " + count("fd"), count("fd") <= files + OF_THE_MACHINE);
        Await.until("threads to end: " + threads + ", " + count("task"),
                () -> count("task") <= threads + OF_THE_MACHINE);
    }

    /** Switch so often; how often a plan took something other than the one before. */
    private static int switched(LegoRuntime runtime, long most, int times) {
        Random random = new Random(times);
        long least = 0;
        for (ModelTable table : runtime.scheduler().tables()) {
            for (BlockRows segment : table.segments()) {
                least += segment.options().stream().mapToLong(OptionRow::memoryBytes).min().getAsLong();
            }
        }
        int switched = 0;
        for (int i = 0; i < times; i++) {
            Budget budget = Budget.none().withMemoryBytes(least + (long) ((most - least) * random.nextDouble()));
            switched += runtime.setBudget(budget).loaded().isEmpty() ? 0 : 1;
        }
        return switched;
    }
}
