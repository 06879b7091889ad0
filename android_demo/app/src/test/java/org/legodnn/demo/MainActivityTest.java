package org.legodnn.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.ActivityManager;
import android.content.Context;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.Insets;
import android.graphics.Rect;
import android.view.View;
import android.view.ViewGroup;
import android.view.WindowInsets;
import android.widget.CheckBox;
import android.widget.ScrollView;
import android.widget.TextView;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.TimeZone;
import java.util.concurrent.Callable;
import org.json.JSONException;
import org.json.JSONObject;
import org.junit.After;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.legodnn.LegoModel;
import org.legodnn.OptionProfile;
import org.legodnn.Segment;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** The screen as a person meets it, where TensorFlow Lite cannot run: planning and drawing can. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = 34, qualifiers = "w400dp-h900dp-port-xhdpi")
public class MainActivityTest {
    private Shown shown;

    private void start() throws Exception {
        shown = Shown.started();
    }

    @After
    public void end() {
        if (shown != null) {
            shown.end();
        }
    }

    @Test
    public void movingTheMemorySliderDrawsAnotherPlanThatHoldsTheBudget() throws Exception {
        start();
        List<String> before = shown.drawn();
        Bitmap pictureBefore = Shown.picture(shown.chains().get(0));
        Bitmap otherBefore = Shown.picture(shown.chains().get(1));
        shown.slider(R.id.memory).setProgress(300);
        List<String> after = shown.awaitOther(before);
        assertEquals(before.size(), after.size());
        assertFalse("the pictures are the same", pictureBefore.sameAs(Shown.picture(shown.chains().get(0)))
                && otherBefore.sameAs(Shown.picture(shown.chains().get(1))));
        double limit = Shown.number(shown.text(R.id.memory_label), "at most ([0-9.]+) MB");
        double predicted = Shown.number(shown.text(R.id.total_memory), "Memory of both: ([0-9.]+) MB");
        assertTrue(predicted + " MB of " + limit, predicted <= limit + 0.005);
        assertEquals(shown.activity().getString(R.string.plan_holds), shown.text(R.id.status));
        assertTrue(shown.text(R.id.switched), shown.text(R.id.switched).startsWith("Planned in"));
    }

    @Test
    public void movingTheLatencySliderMakesPredictionsFaster() throws Exception {
        start();
        List<String> before = shown.drawn();
        shown.slider(R.id.latency).setProgress(500);
        shown.awaitOther(before);
        double limit = Shown.number(shown.text(R.id.latency_label), "at most ([0-9.]+) ms");
        for (String predicted : shown.texts(R.id.latency_predicted)) {
            assertTrue(predicted + " of " + limit, Shown.number(predicted, "([0-9.]+) ms") <= limit + 0.0005);
        }
    }

    @Test
    public void aBlockIsFilledInTheColourOfItsPrecisionAsFarAsChannelsAreKept() throws Exception {
        start();
        List<String> before = shown.drawn();
        shown.slider(R.id.latency).setProgress(Limits.LEAST + 10);
        shown.awaitOther(before);
        int pruned = 0;
        for (BlocksView chain : shown.chains()) {
            Bitmap picture = Shown.picture(chain);
            for (BlocksView.Piece piece : chain.shown()) {
                int colour = piece.fixed
                        ? R.color.fixed : piece.precision.equals("int8") ? R.color.int8 : R.color.float32;
                assertTrue(piece.name + " is nowhere in its colour",
                        Shown.count(picture, shown.activity().getColor(colour)) > 100);
                pruned += piece.sparsity > 0 ? 1 : 0;
            }
        }
        assertTrue("no block was pruned under a tight latency", pruned > 0);
        // The same block with fewer channels has less of its colour.
        BlocksView view = shown.chains().get(0);
        int whole = filled(view, 0);
        assertEquals(0.5, (double) filled(view, 0.5) / whole, 0.05);
        assertEquals(0.1, (double) filled(view, 0.9) / whole, 0.05);
    }

    @Test
    public void nothingLiesUnderTheSystemsBars() throws Exception {
        for (String orientation : new String[] {"+port", "+land"}) {
            RuntimeEnvironment.setQualifiers(orientation);
            start();
            View root = shown.activity().<ViewGroup>findViewById(android.R.id.content).getChildAt(0);
            root.dispatchApplyWindowInsets(new WindowInsets.Builder()
                    .setInsets(WindowInsets.Type.systemBars(), Insets.of(31, 60, 22, 90)).build());
            root.measure(exactly(1200), exactly(1000));
            root.layout(0, 0, 1200, 1000);
            Rect free = new Rect(31, 60, 1200 - 22, 1000 - 90);
            for (int id : new int[] {R.id.scroll, R.id.memory, R.id.latency}) {
                View view = shown.activity().findViewById(id);
                Rect place = new Rect(0, 0, view.getWidth(), view.getHeight());
                ((ViewGroup) root).offsetDescendantRectToMyCoords(view, place);
                assertTrue(orientation + ": " + view + " at " + place, free.contains(place));
            }
            end();
        }
        shown = null;
    }

    private static int exactly(int pixels) {
        return View.MeasureSpec.makeMeasureSpec(pixels, View.MeasureSpec.EXACTLY);
    }

    private int filled(BlocksView view, double sparsity) {
        view.show("m", Collections.singletonList(new BlocksView.Piece("b", false, sparsity, "int8", false)), false);
        return Shown.count(Shown.picture(view), shown.activity().getColor(R.color.int8));
    }

    @Test
    public void anImpossibleBudgetIsExplainedAndTheOldPlanStays() throws Exception {
        start();
        List<String> before = shown.drawn();
        shown.slider(R.id.memory).setProgress(400);
        List<String> held = shown.awaitOther(before);
        shown.slider(R.id.memory).setProgress(0);
        shown.awaitText(R.id.status, "Memory is");
        String words = shown.text(R.id.status);
        assertTrue(words, words.contains("MB short") && words.contains("would do"));
        assertTrue(words, words.contains("keeps running"));
        assertEquals(held, shown.drawn());
        shown.slider(R.id.latency).setProgress(0);
        shown.awaitText(R.id.status, "wider would do");
        shown.save("refused.png");
        shown.slider(R.id.memory).setProgress(Limits.MAX);
        shown.slider(R.id.latency).setProgress(Limits.MAX);
        shown.awaitPlanHolds();
        assertEquals(before, shown.drawn());
    }

    @Test
    public void whatAnExplanationSaysWouldDoDoes() throws Exception {
        start();
        shown.slider(R.id.memory).setProgress(0);
        shown.awaitText(R.id.status, "Memory is");
        double enough = Shown.number(shown.text(R.id.status), "([0-9.]+) MB would do");
        for (int progress = 1; progress < Limits.MAX; progress++) {
            shown.slider(R.id.memory).setProgress(progress);
            if (Shown.number(shown.text(R.id.memory_label), "at most ([0-9.]+) MB") > enough) {
                break;
            }
        }
        shown.awaitPlanHolds();
    }

    @Test
    public void itStaysWithinWhatTheDeviceCanSpareWhereThatIsAskedFor() throws Exception {
        start();
        List<String> before = shown.drawn();
        ActivityManager.MemoryInfo info = new ActivityManager.MemoryInfo();
        info.availMem = 100;
        info.threshold = 100;
        shadowOf((ActivityManager) shown.activity().getSystemService(Context.ACTIVITY_SERVICE)).setMemoryInfo(info);
        CheckBox follow = shown.activity().findViewById(R.id.follow);
        follow.performClick();
        shown.awaitOther(before);
        shown.awaitText(R.id.follow, "MB now");
        follow.performClick();
        shown.awaitPlanHolds();
        Await.until("the plan from before", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                return shown.drawn().equals(before);
            }
        });
        assertEquals(shown.activity().getString(R.string.follow), shown.text(R.id.follow));
    }

    @Test
    public void aBoxThatIsTickedWhenAPersonComesBackIsMeant() throws Exception {
        start();
        shown.activity().findViewById(R.id.follow).performClick();
        shown.awaitText(R.id.follow, "MB now");
        shown = shown.comeBack();
        assertTrue(shown.activity().<CheckBox>findViewById(R.id.follow).isChecked());
        shown.awaitText(R.id.follow, "MB now");
    }

    @Test
    public void rotationKeepsTheSlidersAndThePlan() throws Exception {
        start();
        List<String> before = shown.drawn();
        shown.slider(R.id.memory).setProgress(350);
        List<String> planned = shown.awaitOther(before);
        assertNull(shown.activity().findViewById(R.id.scroll_controls));
        MainActivity portrait = shown.activity();
        RuntimeEnvironment.setQualifiers("w900dp-h400dp-land");
        shown.rotated();
        assertNotEquals(portrait, shown.activity());
        assertNotNull(shown.activity().findViewById(R.id.scroll_controls));
        assertEquals(350, shown.slider(R.id.memory).getProgress());
        assertEquals(Limits.MAX, shown.slider(R.id.latency).getProgress());
        assertTrue(shown.text(R.id.memory_label), shown.text(R.id.memory_label).contains("at most"));
        assertEquals("drawn at once, as nothing is opened again", planned, shown.drawn());
        shown.save("landscape.png");
    }

    @Test
    public void theSlidersStayInSightHoweverFarTheRestIsScrolled() throws Exception {
        start();
        ScrollView scroll = shown.activity().findViewById(R.id.scroll);
        View sliders = shown.activity().findViewById(R.id.sliders);
        shown.save("start.png");
        scroll.scrollTo(0, 10_000);
        assertTrue("there is more than the screen has room for", scroll.getScrollY() > 0);
        assertNull(scroll.findViewById(R.id.memory));
        assertNotNull(sliders.findViewById(R.id.memory));
        assertEquals(scroll.getBottom(), sliders.getTop());
        assertEquals(((View) sliders.getParent()).getHeight(), sliders.getBottom());
        assertTrue("most of the screen is left for the rest", scroll.getHeight() > 2 * sliders.getHeight());
    }

    @Test
    public void theScreenStaysOnWhileTheDeviceIsProfiled() throws Exception {
        start();
        assertFalse(shown.screenStaysOn());
        shown.activity().onProfiling("m", 1, 2);
        assertTrue(shown.screenStaysOn());
        shown.rotated();
        assertTrue("turned meanwhile", shown.screenStaysOn());
        shown.activity().onProfiled(null, 1);
        assertFalse("it ended", shown.screenStaysOn());
        shown.activity().onProfiling("m", 1, 2);
        assertTrue(shown.screenStaysOn());
        shown.activity().onFailed("no luck");
        assertFalse("it failed", shown.screenStaysOn());
    }

    /** What the originals take in company, by what the store and the profile say of each. */
    private static String[] originals(LegoModel model) throws JSONException {
        double ms = model.table().overheadMs(1);
        long bytes = new JSONObject(model.profile().toJson()).optLong("company_bytes");
        for (Segment segment : model.store().manifest().segments()) {
            for (OptionProfile option : model.profile().options()) {
                if (option.segment().equals(segment.name()) && option.option().equals(segment.original().name())) {
                    ms += option.latency().get(0).medianMs();
                    bytes += option.memoryBytes();
                }
            }
        }
        return new String[] {String.format("%.3f", model.store().manifest().originalAccuracy()),
            String.format("%.3f ms", ms), String.format("%.2f MB", bytes / 1e6)};
    }

    @Test
    public void besidesThePlanStandsWhatTheOriginalModelTakes() throws Exception {
        start();
        List<LegoModel> models = new Packed(RuntimeEnvironment.getApplication()).workload().models();
        for (int position : new int[] {Limits.MAX, 500}) {
            if (position < Limits.MAX) {
                List<String> before = shown.drawn();
                shown.slider(R.id.latency).setProgress(position);
                shown.awaitOther(before);
                assertNotEquals(shown.texts(R.id.latency_original), shown.texts(R.id.latency_predicted));
            }
            for (int i = 0; i < models.size(); i++) {
                List<String> row = new ArrayList<>();
                for (View cell : shown.row(i, R.id.accuracy_original)) {
                    assertTrue(cell.isShown());
                    row.add(((TextView) cell).getText().toString());
                }
                List<String> wanted = new ArrayList<>(Arrays.asList(originals(models.get(i))));
                wanted.add(0, shown.activity().getString(R.string.original));
                assertEquals("whatever runs", wanted, row);
            }
        }
    }

    @Test
    public void datesAreWrittenAsTheDeviceWritesThem() {
        Locale locale = Locale.getDefault();
        TimeZone zone = TimeZone.getDefault();
        try {
            TimeZone.setDefault(TimeZone.getTimeZone("America/New_York"));
            Locale.setDefault(Locale.US);
            assertEquals("Nov 27, 2026, 3:15 PM", MainActivity.date("2026-11-27T20:15:30+00:00"));
            Locale.setDefault(Locale.GERMANY);
            assertEquals("27.11.2026, 15:15", MainActivity.date("2026-11-27T20:15:30.123+00:00"));
            assertEquals("of no date", "now", MainActivity.date("now"));
        } finally {
            Locale.setDefault(locale);
            TimeZone.setDefault(zone);
        }
    }

    @Test
    public void noPermissionIsAsked() throws Exception {
        PackageManager packages = RuntimeEnvironment.getApplication().getPackageManager();
        assertNull(packages.getPackageInfo("org.legodnn.demo", PackageManager.GET_PERMISSIONS).requestedPermissions);
    }

    @Test
    public void withoutTheNativeLibraryItSaysSoAndPlansAllTheSame() throws Exception {
        start();
        assertTrue(shown.text(R.id.note),
                shown.text(R.id.note).startsWith(shown.activity().getString(R.string.no_native)));
        assertFalse(shown.activity().findViewById(R.id.profile).isEnabled());
        assertFalse(shown.activity().findViewById(R.id.share).isEnabled());
        String none = shown.activity().getString(R.string.not_measured);
        assertEquals(Arrays.asList(none, none), shown.texts(R.id.accuracy_measured));
        assertTrue(shown.text(R.id.total_memory).contains(none));
    }

    @Test
    public void whatIsDrawnIsAlsoSaid() throws Exception {
        start();
        for (BlocksView chain : shown.chains()) {
            String words = chain.getContentDescription().toString();
            for (BlocksView.Piece piece : chain.shown()) {
                assertTrue(words, words.contains(piece.name));
            }
            assertTrue(words, words.contains("% of channels"));
        }
        assertTrue(shown.slider(R.id.memory).getContentDescription().length() > 0);
        assertTrue(shown.slider(R.id.latency).getContentDescription().length() > 0);
    }

    @Test
    @Config(qualifiers = "+night")
    public void darkModeHasColoursOfItsOwn() throws Exception {
        start();
        TextView status = shown.activity().findViewById(R.id.status);
        assertEquals(0xE6FFFFFF, status.getCurrentTextColor());
        shown.slider(R.id.latency).setProgress(500);
        shown.awaitOther(shown.drawn());
        shown.save("dark.png");
    }
}
