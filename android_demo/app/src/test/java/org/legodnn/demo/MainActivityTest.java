package org.legodnn.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.util.DisplayMetrics;
import android.view.View;
import android.view.ViewGroup;
import android.widget.SeekBar;
import android.widget.TextView;
import java.io.File;
import java.io.FileOutputStream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.After;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** The screen as a person meets it: on the JVM TensorFlow Lite cannot run, planning and drawing can. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = 34, qualifiers = "w400dp-h900dp-port-xhdpi")
public class MainActivityTest {
    private ActivityController<MainActivity> controller;

    private void start() throws Exception {
        controller = Robolectric.buildActivity(MainActivity.class).setup();
        awaitChains();
    }

    private void awaitChains() throws Exception {
        Await.until("both models drawn, sliders enabled", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                String failed = controller.get().getString(R.string.failed, "");
                assertFalse(text(R.id.status), text(R.id.status).startsWith(failed));
                return chains().size() == 2 && slider(R.id.memory).isEnabled();
            }
        });
    }

    @After
    public void end() {
        if (controller != null) {
            controller.pause().stop().destroy();
        }
    }

    private SeekBar slider(int id) {
        return controller.get().findViewById(id);
    }

    private String text(int id) {
        return controller.get().<TextView>findViewById(id).getText().toString();
    }

    private List<BlocksView> chains() {
        List<BlocksView> chains = new ArrayList<>();
        ViewGroup models = controller.get().findViewById(R.id.models);
        for (int i = 0; i < models.getChildCount(); i++) {
            chains.add(models.getChildAt(i).<BlocksView>findViewById(R.id.blocks));
        }
        return chains;
    }

    /** What is drawn of all models, such as "block1 0.4 int8". */
    private List<String> drawn() {
        List<String> words = new ArrayList<>();
        for (BlocksView chain : chains()) {
            for (BlocksView.Piece piece : chain.shown()) {
                words.add(piece.name + " " + piece.sparsity + " " + piece.precision);
            }
        }
        return words;
    }

    private List<String> awaitOther(final List<String> before) throws Exception {
        Await.until("another plan drawn, but " + text(R.id.status), new Callable<Boolean>() {
            @Override
            public Boolean call() {
                return !drawn().equals(before);
            }
        });
        return drawn();
    }

    private void awaitText(final int id, final String part) throws Exception {
        Await.until("'" + part + "'", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                return text(id).contains(part);
            }
        });
    }

    private static Bitmap picture(View view) {
        Bitmap bitmap = Bitmap.createBitmap(view.getWidth(), view.getHeight(), Bitmap.Config.ARGB_8888);
        view.draw(new Canvas(bitmap));
        return bitmap;
    }

    @Test
    public void movingTheMemorySliderDrawsAnotherPlanThatHoldsTheBudget() throws Exception {
        start();
        List<String> before = drawn();
        Bitmap pictureBefore = picture(chains().get(0));
        slider(R.id.memory).setProgress(300);
        List<String> after = awaitOther(before);
        assertEquals(before.size(), after.size());
        assertFalse("the picture is the same", pictureBefore.sameAs(picture(chains().get(0))));
        double limit = number(text(R.id.memory_label), "at most ([0-9.]+) MB");
        double predicted = number(text(R.id.total_memory), "Memory: ([0-9.]+) MB");
        assertTrue(predicted + " MB of " + limit, predicted <= limit + 0.005);
        assertEquals(controller.get().getString(R.string.plan_holds), text(R.id.status));
        assertTrue(text(R.id.switched), text(R.id.switched).startsWith("Planned in"));
    }

    private static double number(String words, String pattern) {
        Matcher matcher = Pattern.compile(pattern).matcher(words);
        assertTrue(words, matcher.find());
        return Double.parseDouble(matcher.group(1));
    }

    @Test
    public void movingTheLatencySliderMakesPredictionsFaster() throws Exception {
        start();
        List<String> before = drawn();
        slider(R.id.latency).setProgress(500);
        awaitOther(before);
        double limit = number(text(R.id.latency_label), "at most ([0-9.]+) ms");
        ViewGroup models = controller.get().findViewById(R.id.models);
        for (int i = 0; i < models.getChildCount(); i++) {
            TextView predicted = models.getChildAt(i).findViewById(R.id.latency_predicted);
            assertTrue(predicted.getText() + " of " + limit,
                    number(predicted.getText().toString(), "([0-9.]+) ms") <= limit + 0.0005);
        }
    }

    @Test
    public void aBlockIsFilledInTheColourOfItsPrecisionAsFarAsChannelsAreKept() throws Exception {
        start();
        List<String> before = drawn();
        slider(R.id.latency).setProgress(Limits.LEAST + 10);
        awaitOther(before);
        int seen = 0;
        for (BlocksView chain : chains()) {
            Bitmap picture = picture(chain);
            for (BlocksView.Piece piece : chain.shown()) {
                int colour = piece.fixed ? R.color.fixed : piece.precision.equals("int8") ? R.color.int8 : R.color.float32;
                assertTrue(piece.name + " is nowhere in its colour",
                        count(picture, controller.get().getColor(colour)) > 100);
                seen += piece.sparsity > 0 ? 1 : 0;
            }
        }
        assertTrue("no block was pruned under a tight latency", seen > 0);
        // The same block with fewer channels has less of its colour.
        BlocksView view = chains().get(0);
        int most = filled(view, 0);
        int some = filled(view, 0.5);
        int least = filled(view, 0.9);
        assertEquals(0.5, (double) some / most, 0.05);
        assertEquals(0.1, (double) least / most, 0.05);
    }

    private int filled(BlocksView view, double sparsity) {
        view.show("m", Collections.singletonList(
                new BlocksView.Piece("b", false, sparsity, "int8", false)), false);
        return count(picture(view), controller.get().getColor(R.color.int8));
    }

    private static int count(Bitmap picture, int colour) {
        int[] pixels = new int[picture.getWidth() * picture.getHeight()];
        picture.getPixels(pixels, 0, picture.getWidth(), 0, 0, picture.getWidth(), picture.getHeight());
        int count = 0;
        for (int pixel : pixels) {
            count += pixel == colour ? 1 : 0;
        }
        return count;
    }

    @Test
    public void anImpossibleBudgetIsExplainedAndTheOldPlanStays() throws Exception {
        start();
        List<String> before = drawn();
        slider(R.id.memory).setProgress(400);
        List<String> held = awaitOther(before);
        slider(R.id.memory).setProgress(0);
        awaitText(R.id.status, "Memory is");
        String words = text(R.id.status);
        assertTrue(words, words.contains("MB short") && words.contains("would do"));
        assertTrue(words, words.contains("keeps running"));
        assertEquals(held, drawn());
        slider(R.id.latency).setProgress(0);
        awaitText(R.id.status, "wider would do");
        slider(R.id.memory).setProgress(Limits.MAX);
        slider(R.id.latency).setProgress(Limits.MAX);
        awaitText(R.id.status, controller.get().getString(R.string.plan_holds));
        assertEquals(before, drawn());
    }

    @Test
    public void whatAnExplanationSaysWouldDoDoes() throws Exception {
        start();
        slider(R.id.memory).setProgress(0);
        awaitText(R.id.status, "Memory is");
        double enough = number(text(R.id.status), "([0-9.]+) MB would do");
        for (int progress = 1; progress < Limits.MAX; progress++) {
            slider(R.id.memory).setProgress(progress);
            if (number(text(R.id.memory_label), "at most ([0-9.]+) MB") > enough) {
                break;
            }
        }
        awaitText(R.id.status, controller.get().getString(R.string.plan_holds));
    }

    @Test
    public void rotationKeepsTheSlidersAndThePlan() throws Exception {
        start();
        List<String> before = drawn();
        slider(R.id.memory).setProgress(350);
        List<String> planned = awaitOther(before);
        awaitText(R.id.status, controller.get().getString(R.string.plan_holds));
        assertNull(controller.get().findViewById(R.id.scroll_controls));
        MainActivity portrait = controller.get();
        RuntimeEnvironment.setQualifiers("w900dp-h400dp-land");
        controller.configurationChange();
        assertNotEquals(portrait, controller.get());
        awaitChains();
        assertTrue(controller.get().findViewById(R.id.scroll_controls) != null);
        assertEquals(350, slider(R.id.memory).getProgress());
        assertEquals(Limits.MAX, slider(R.id.latency).getProgress());
        awaitText(R.id.memory_label, "at most");
        assertEquals(planned, drawn());
        save("landscape.png");
    }

    @Test
    public void noPermissionIsAsked() throws Exception {
        PackageManager packages = RuntimeEnvironment.getApplication().getPackageManager();
        assertNull(packages.getPackageInfo("org.legodnn.demo", PackageManager.GET_PERMISSIONS).requestedPermissions);
    }

    @Test
    public void withoutTheNativeLibraryItSaysSoAndPlansAllTheSame() throws Exception {
        start();
        assertTrue(text(R.id.note), text(R.id.note).startsWith(controller.get().getString(R.string.no_native)));
        assertFalse(controller.get().findViewById(R.id.profile).isEnabled());
        assertFalse(controller.get().findViewById(R.id.share).isEnabled());
        assertTrue(text(R.id.total_memory).contains(controller.get().getString(R.string.not_measured)));
    }

    @Test
    public void whatIsDrawnIsAlsoSaid() throws Exception {
        start();
        for (BlocksView chain : chains()) {
            String words = chain.getContentDescription().toString();
            for (BlocksView.Piece piece : chain.shown()) {
                assertTrue(words, words.contains(piece.name));
            }
            assertTrue(words, words.contains("% of channels"));
        }
        assertTrue(slider(R.id.memory).getContentDescription().length() > 0);
        assertTrue(slider(R.id.latency).getContentDescription().length() > 0);
    }

    @Test
    @Config(qualifiers = "+night")
    public void darkModeHasColoursOfItsOwn() throws Exception {
        start();
        TextView status = controller.get().findViewById(R.id.status);
        assertEquals(0xE6FFFFFF, status.getCurrentTextColor());
        slider(R.id.latency).setProgress(500);
        awaitOther(drawn());
        save("dark.png");
    }

    @Test
    public void theScreenCanBeDrawn() throws Exception {
        start();
        List<String> before = drawn();
        slider(R.id.latency).setProgress(700);
        final List<String> faster = awaitOther(before);
        slider(R.id.memory).setProgress(350);
        Await.until("a plan or a refusal", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                return !drawn().equals(faster)
                        || text(R.id.status).startsWith(controller.get().getString(R.string.infeasible));
            }
        });
        save("portrait.png");
    }

    private static int exactly(int pixels) {
        return View.MeasureSpec.makeMeasureSpec(pixels, View.MeasureSpec.EXACTLY);
    }

    /** The whole window as a picture, where a folder for pictures is named. */
    private void save(String name) throws Exception {
        View window = controller.get().getWindow().getDecorView();
        DisplayMetrics display = controller.get().getResources().getDisplayMetrics();
        window.measure(exactly(display.widthPixels), exactly(display.heightPixels)); // after a rotation nothing else does
        window.layout(0, 0, display.widthPixels, display.heightPixels);
        Bitmap picture = picture(window);
        assertTrue("nothing is drawn", count(picture, picture.getPixel(0, 0)) < picture.getWidth() * picture.getHeight());
        String folder = System.getProperty("legodnn.screenshots");
        if (folder != null) {
            assertTrue(new File(folder).isDirectory() || new File(folder).mkdirs());
            try (FileOutputStream out = new FileOutputStream(new File(folder, name))) {
                assertTrue(picture.compress(Bitmap.CompressFormat.PNG, 100, out));
            }
        }
    }
}
