package org.legodnn.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.ActivityManager;
import android.content.Context;
import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.Color;
import android.os.PowerManager;
import android.os.Process;
import android.view.MotionEvent;
import android.view.View;
import android.widget.FrameLayout;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.legodnn.Assets;
import org.legodnn.Budget;
import org.legodnn.LegoModel;
import org.legodnn.Profile;
import org.legodnn.Profiler;
import org.legodnn.ProfilerOptions;
import org.legodnn.Store;
import org.legodnn.StoreException;
import org.legodnn.Workload;
import org.legodnn.WorkloadException;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** Measuring and profiling with pieces that write a constant, so on any machine. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE) // as in the other test, so that both share what Robolectric loads
@Config(sdk = 34)
public class EngineTest implements Engine.Listener {
    /** Bytes: options are profiled as whole ones. */
    private static final double ROUNDED = 20;

    private final Context context = RuntimeEnvironment.getApplication();
    private ConstantExecutor constant;
    private Engine engine;
    private Ready ready;
    private Screen screen;
    private boolean profiled;
    private int steps;
    private String failure;
    private boolean shownAfterFailure;
    private String recognised;

    @Override
    public void onReady(Ready now) {
        ready = now;
    }

    @Override
    public void onScreen(Screen now) {
        screen = now;
        shownAfterFailure = true;
    }

    @Override
    public void onProfiling(String model, int done, int total) {
        steps++;
    }

    @Override
    public void onProfiled(String reason, long seconds) {
        profiled = true;
        failure = reason;
    }

    @Override
    public void onRecognised(String words) {
        recognised = words;
    }

    @Override
    public void onFailed(String reason) {
        failure = reason;
        shownAfterFailure = false;
    }

    @Before
    public void start() {
        constant = new ConstantExecutor();
        engine = new Engine(
                context, constant, ProfilerOptions.DEFAULTS.withRounds(5).withWeighings(1).withMemory(constant));
        engine.setListener(this);
    }

    @After
    public void end() {
        engine.close();
    }

    private void awaitMeasured() throws Exception {
        Await.until("both models and memory measured", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                return failure != null || screen != null && screen.measuredBytes != null;
            }
        });
        assertNull(failure);
    }

    @Test
    public void bothModelsAreMeasuredOnTheBundledDigits() throws Exception {
        awaitMeasured();
        Digits digits = new Packed(context).digits();
        float[] nine = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
        int nines = 0;
        for (int i = 0; i < digits.count(); i++) {
            nines += digits.isRight(i, nine) ? 1 : 0;
        }
        assertTrue(nines + " of " + digits.count(), nines > 0 && nines < digits.count() / 2);
        assertEquals(2, screen.models.size());
        for (Screen.Model model : screen.models) {
            assertEquals((double) nines / digits.count(), model.measured.accuracy, 0);
            assertTrue(model.measured.latencyMs > 0);
            assertTrue(model.original.latencyMs > 0 && model.original.memoryBytes > 0);
            assertEquals("without limits", model.original.accuracy, model.accuracy, 0.05);
        }
    }

    private void profile() throws Exception {
        profiled = false;
        engine.profile();
        Await.until("profiled", () -> profiled);
        assertNull(failure);
    }

    private void inTheBackground(boolean background) {
        ActivityManager.RunningAppProcessInfo own = new ActivityManager.RunningAppProcessInfo();
        own.pid = Process.myPid();
        own.importance = background ? ActivityManager.RunningAppProcessInfo.IMPORTANCE_CACHED
                : ActivityManager.RunningAppProcessInfo.IMPORTANCE_FOREGROUND;
        shadowOf((ActivityManager) context.getSystemService(Context.ACTIVITY_SERVICE))
                .setProcesses(Collections.singletonList(own));
    }

    @Test
    public void aProfileWarnsThatTheAppWasInTheBackground() throws Exception {
        awaitMeasured();
        inTheBackground(false);
        profile();
        for (String json : engine.ownProfiles().values()) {
            assertFalse(json, json.contains("background"));
        }
        inTheBackground(true);
        profile();
        for (String json : engine.ownProfiles().values()) {
            assertTrue(json, json.contains("figures may be too high: the app was in the background"));
        }
    }

    @Test
    public void memoryIsMeasuredAsItIsPredictedWhateverElseTheProcessHolds() throws Exception {
        awaitMeasured();
        profile();
        constant.others = 50_000_000; // the app grew by something else
        for (int position : new int[] {Limits.MAX, 700, 400, Limits.LEAST}) {
            Screen before = screen;
            engine.setBudget(ready.limits.budget(position, Limits.MAX));
            Await.until("measured", () -> failure != null || screen != before && screen.measuredBytes != null);
            assertNull(failure);
            long predicted = 0;
            for (Screen.Model model : screen.models) {
                assertEquals(model.name, model.memoryBytes, model.measured.memoryBytes, ROUNDED);
                predicted += model.memoryBytes;
            }
            assertEquals(predicted, screen.memoryBytes);
            assertEquals(predicted, screen.measuredBytes, 2 * ROUNDED);
        }
    }

    @Test
    public void profilesOfThisDeviceAreUsedKeptAndShared() throws Exception {
        awaitMeasured();
        assertFalse(ready.own);
        assertTrue(engine.ownProfiles().isEmpty());
        profile();
        assertTrue(ready.own && ready.runs);
        assertEquals("constant", ready.profile.device().executor());
        assertTrue(steps > 0);
        assertEquals(2, engine.ownProfiles().size());
        for (String model : engine.ownProfiles().keySet()) {
            Store store = new Packed(context).workload().get(model).store();
            Intent intent = MainActivity.shareIntent(model, engine.ownProfiles().get(model));
            assertEquals(Intent.ACTION_SEND, intent.getAction());
            Profile.parse(intent.getStringExtra(Intent.EXTRA_TEXT)).checkStore(store);
        }
        engine.close();
        start(); // the next time the app is opened
        awaitMeasured();
        assertTrue(ready.own);
    }

    @Test
    public void theDeviceIsProfiledWithTheThreadsThatThePackedProfilesHave() throws Exception {
        awaitMeasured();
        profile();
        int cores = Runtime.getRuntime().availableProcessors();
        for (LegoModel model : new Packed(context).workload().models()) {
            List<Integer> useful = new ArrayList<>(model.table().threadCounts());
            useful.removeIf(threads -> threads > cores);
            Profile own = Profile.parse(engine.ownProfiles().get(model.table().name()));
            assertEquals(useful, model.withProfile(own).table().threadCounts());
        }
    }

    @Test
    public void ownProfilesWithoutTheWorkloadsThreadsAreNotUsed() throws Exception {
        awaitMeasured();
        profile();
        Workload packed = new Packed(context).workload();
        OwnProfiles kept = new OwnProfiles(context);
        LegoModel first = packed.models().get(0);
        ProfilerOptions one = ProfilerOptions.DEFAULTS.withRounds(1).withWeighings(1).withMemory(constant);
        Profile oneThread = Profiler.profile(first.store(), constant, one, null);
        kept.save(kept.load(packed, constant).withModel(first.withProfile(oneThread)));
        assertNotNull(kept.load(packed, constant));
        assertNull(kept.load(packed.withModel(first.withTable(first.table().withThreads(4))), constant));
    }

    @Test
    public void whatIsAskedForAfterClosingIsDropped() throws Exception {
        awaitMeasured();
        engine.close();
        engine.follow(true);
        engine.profile();
        engine.setBudget(Budget.none());
        engine.close();
        assertEquals(0, steps);
    }

    @Test
    public void aStoreThatWasDamagedOnTheDeviceIsUnpackedAgain() throws Exception {
        awaitMeasured();
        Packed packed = new Packed(context);
        Store store = packed.workload().models().get(0).store();
        File file = store.verifiedFile(store.manifest().segments().get(0).original());
        try (RandomAccessFile content = new RandomAccessFile(file, "rw")) {
            content.seek(100);
            int was = content.read();
            content.seek(100);
            content.write(was ^ 1);
        }
        Store again = packed.workload().models().get(0).store();
        assertEquals(store.id(), again.id());
        again.verifiedFile(again.manifest().segments().get(0).original());
    }

    @Test
    public void storesOfAnotherVersionOfTheAppAndHalfUnpackedOnesAreRemoved() throws Exception {
        awaitMeasured();
        Packed packed = new Packed(context);
        Store store = packed.workload().models().get(0).store();
        File old = new File(store.folder().getParentFile(), store.id().replaceAll(".", "0"));
        File killed = new File(store.folder().getPath() + ".tmp");
        assertTrue(old.mkdir() && new File(old, "manifest.json").createNewFile() && killed.mkdir());
        assertEquals(store.folder(), packed.workload().models().get(0).store().folder());
        assertFalse(old.exists() || killed.exists());
    }

    @Test
    public void aFullStorageIsToldAndLeavesNothingBehind() throws Exception {
        File blocked = new File(context.getCacheDir(), "a file");
        assertTrue(blocked.createNewFile());
        StoreException error = assertThrows(StoreException.class, () -> Assets.workload(
                context.getAssets(), "workload.json", new File(blocked, "stores")));
        assertTrue(error.getMessage(), error.getMessage().contains("is the storage full?"));
        assertThrows(StoreException.class, () -> Assets.open(context.getAssets(), "stores/nobody", blocked));
    }

    @Test
    public void anAppWithoutAWorkloadSaysSo() {
        WorkloadException error = assertThrows(WorkloadException.class, () -> Assets.workload(
                context.getAssets(), "models/workload.json", context.getCacheDir()));
        assertTrue(error.getMessage(), error.getMessage().contains("legodnn bundle"));
        assertThrows("no text", WorkloadException.class, () -> Assets.workload(
                context.getAssets(), "digits.bin", context.getCacheDir()));
    }

    @Test(expected = IOException.class)
    public void digitsThatEndEarlyAreRefused() throws Exception {
        Digits.read(new ByteArrayInputStream(new byte[] {0, 0, 0, 2, 0, 0, 0, 1, 7, 7, 0, 0, 0, 0}));
    }

    @Test
    public void aPhoneThatSavesPowerIsNotProfiled() throws Exception {
        awaitMeasured();
        PowerManager power = (PowerManager) context.getSystemService(Context.POWER_SERVICE);
        shadowOf(power).setIsPowerSaveMode(true);
        engine.profile();
        Await.until("an answer", () -> profiled);
        assertTrue(failure, failure.contains("power saving is on"));
        assertFalse(ready.own);
    }

    @Test
    public void aDrawnDigitIsShownToBothModels() throws Exception {
        awaitMeasured();
        DigitPad pad = new DigitPad(context, null);
        new FrameLayout(context).addView(pad);
        pad.measure(View.MeasureSpec.makeMeasureSpec(400, View.MeasureSpec.EXACTLY),
                View.MeasureSpec.makeMeasureSpec(240, View.MeasureSpec.EXACTLY));
        pad.layout(0, 0, pad.getMeasuredWidth(), pad.getMeasuredHeight());
        assertEquals(pad.getHeight(), pad.getWidth());
        List<Bitmap> drawn = new ArrayList<>();
        pad.setListener(drawn::add);
        for (int[] one : new int[][] {{0, 120, 30}, {2, 120, 210}, {1, 120, 210}}) { // down, moved, up
            pad.onTouchEvent(MotionEvent.obtain(0, 5000, one[0], one[1], one[2], 0));
        }
        assertEquals("when the line has ended", 1, drawn.size());
        assertEquals("white", 255, Color.red(drawn.get(0).getPixel(3, 4)), 100);
        assertEquals("black", 0, Color.red(drawn.get(0).getPixel(0, 4)));
        engine.recognise(drawn.get(0));
        Await.until("an answer", () -> recognised != null);
        StringBuilder nines = new StringBuilder();
        for (LegoModel model : new Packed(context).workload().models()) {
            nines.append(nines.length() == 0 ? "" : ", ").append(model.table().name()).append(": 9");
        }
        assertEquals(nines.toString(), recognised);
    }

    @Test
    public void aDigitThatCannotBeRecognisedIsToldAndTheNextOneMayBe() throws Exception {
        awaitMeasured();
        Bitmap digit = Bitmap.createBitmap(8, 8, Bitmap.Config.ARGB_8888);
        constant.broken = true;
        engine.recognise(digit);
        Await.until("a failure", () -> failure != null);
        assertEquals("no luck", failure);
        constant.broken = false;
        engine.recognise(digit);
        Await.until("an answer", () -> recognised != null);
    }

    @Test
    public void whatFailedIsNotToldAgainOnceSomethingElseIsShown() throws Exception {
        awaitMeasured();
        constant.broken = true;
        engine.recognise(Bitmap.createBitmap(8, 8, Bitmap.Config.ARGB_8888));
        Await.until("a failure", () -> failure != null);
        constant.broken = false;
        Screen before = screen;
        engine.setBudget(ready.limits.budget(700, Limits.MAX));
        Await.until("another plan", () -> screen != before);
        failure = null;
        engine.setListener(this); // after a rotation, say
        assertNull(failure);
    }

    @Test
    public void whereNothingCanBeOpenedAfterProfilingThatIsToldAndTheDeviceMayBeProfiledAgain() throws Exception {
        awaitMeasured();
        constant.full = true;
        engine.profile();
        Await.until("a failure", () -> failure != null);
        assertEquals("no room", failure);
        failure = null;
        engine.setListener(this); // after a rotation, say
        assertEquals("no room", failure);
        assertFalse("a screen of before hides it", shownAfterFailure);
        failure = null;
        constant.full = false;
        profile();
        awaitMeasured();
        assertTrue(ready.own);
    }
}
