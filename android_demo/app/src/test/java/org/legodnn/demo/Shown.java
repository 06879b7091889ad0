package org.legodnn.demo;

import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.os.Bundle;
import android.util.DisplayMetrics;
import android.view.View;
import android.view.ViewGroup;
import android.view.WindowManager;
import android.widget.SeekBar;
import android.widget.TextView;
import java.io.File;
import java.io.FileOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.robolectric.Robolectric;
import org.robolectric.android.controller.ActivityController;

/** The app as it is shown: what a person reads, sees and moves. */
final class Shown {
    private final ActivityController<MainActivity> controller;

    private Shown(ActivityController<MainActivity> controller) {
        this.controller = controller;
    }

    /** Start the app, and wait until a plan is drawn. */
    static Shown started() throws Exception {
        return started(new Intent());
    }

    static Shown started(Intent intent) throws Exception {
        Shown shown = new Shown(Robolectric.buildActivity(MainActivity.class, intent).setup());
        shown.awaitChains();
        return shown;
    }

    void awaitChains() throws Exception {
        Await.until("both models drawn, sliders enabled", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                String failed = activity().getString(R.string.failed, "");
                assertFalse(text(R.id.status), text(R.id.status).startsWith(failed));
                return chains().size() == 2 && slider(R.id.memory).isEnabled();
            }
        });
    }

    void end() {
        controller.pause().stop().destroy();
    }

    /** The system ended the app while it was not seen, and now a person comes back to it. */
    Shown comeBack() throws Exception {
        Bundle saved = new Bundle();
        controller.pause().stop().saveInstanceState(saved).destroy();
        Shown shown = new Shown(Robolectric.buildActivity(MainActivity.class).setup(saved));
        shown.awaitChains();
        return shown;
    }

    /** The device was turned; to be called when its configuration is another. */
    void rotated() {
        controller.configurationChange();
    }

    MainActivity activity() {
        return controller.get();
    }

    boolean screenStaysOn() {
        int flags = activity().getWindow().getAttributes().flags;
        return (flags & WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON) != 0;
    }

    SeekBar slider(int id) {
        return activity().findViewById(id);
    }

    String text(int id) {
        return activity().<TextView>findViewById(id).getText().toString();
    }

    /** The text of one field of each model. */
    List<String> texts(int id) {
        List<String> texts = new ArrayList<>();
        for (View card : cards()) {
            texts.add(card.<TextView>findViewById(id).getText().toString());
        }
        return texts;
    }

    /** The row of a model's table in which a field stands. */
    List<View> row(int model, int id) {
        List<View> cells = new ArrayList<>();
        ViewGroup row = (ViewGroup) cards().get(model).findViewById(id).getParent();
        for (int i = 0; i < row.getChildCount(); i++) {
            cells.add(row.getChildAt(i));
        }
        return cells;
    }

    List<BlocksView> chains() {
        List<BlocksView> chains = new ArrayList<>();
        for (View card : cards()) {
            chains.add(card.<BlocksView>findViewById(R.id.blocks));
        }
        return chains;
    }

    private List<View> cards() {
        List<View> cards = new ArrayList<>();
        ViewGroup models = activity().findViewById(R.id.models);
        for (int i = 0; i < models.getChildCount(); i++) {
            cards.add(models.getChildAt(i));
        }
        return cards;
    }

    /** What is drawn of all models, such as "block1 0.4 int8". */
    List<String> drawn() {
        List<String> words = new ArrayList<>();
        for (BlocksView chain : chains()) {
            for (BlocksView.Piece piece : chain.shown()) {
                words.add(piece.name + " " + piece.sparsity + " " + piece.precision);
            }
        }
        return words;
    }

    List<String> awaitOther(final List<String> before) throws Exception {
        Await.until("another plan drawn, but " + text(R.id.status), new Callable<Boolean>() {
            @Override
            public Boolean call() {
                return !drawn().equals(before);
            }
        });
        return drawn();
    }

    void awaitText(final int id, final String part) throws Exception {
        Await.until("'" + part + "'", new Callable<Boolean>() {
            @Override
            public Boolean call() {
                return text(id).contains(part);
            }
        });
    }

    void awaitPlanHolds() throws Exception {
        awaitText(R.id.status, activity().getString(R.string.plan_holds));
    }

    /** The number at a pattern's group. */
    static double number(String words, String pattern) {
        Matcher matcher = Pattern.compile(pattern).matcher(words);
        assertTrue(words, matcher.find());
        return Double.parseDouble(matcher.group(1));
    }

    static Bitmap picture(View view) {
        Bitmap bitmap = Bitmap.createBitmap(view.getWidth(), view.getHeight(), Bitmap.Config.ARGB_8888);
        view.draw(new Canvas(bitmap));
        return bitmap;
    }

    /** How many pixels have a colour. */
    static int count(Bitmap picture, int colour) {
        int[] pixels = new int[picture.getWidth() * picture.getHeight()];
        picture.getPixels(pixels, 0, picture.getWidth(), 0, 0, picture.getWidth(), picture.getHeight());
        int count = 0;
        for (int pixel : pixels) {
            count += pixel == colour ? 1 : 0;
        }
        return count;
    }

    /** The whole window as a picture, kept where a folder for pictures is named. */
    void save(String name) throws Exception {
        View window = activity().getWindow().getDecorView();
        DisplayMetrics display = activity().getResources().getDisplayMetrics();
        // After a rotation nothing else lays it out.
        window.measure(exactly(display.widthPixels), exactly(display.heightPixels));
        window.layout(0, 0, display.widthPixels, display.heightPixels);
        Bitmap picture = picture(window);
        int background = count(picture, picture.getPixel(0, 0));
        assertTrue("nothing is drawn", background < picture.getWidth() * picture.getHeight());
        String folder = System.getProperty("legodnn.screenshots");
        if (folder != null) {
            assertTrue(new File(folder).isDirectory() || new File(folder).mkdirs());
            try (FileOutputStream out = new FileOutputStream(new File(folder, name))) {
                assertTrue(picture.compress(Bitmap.CompressFormat.PNG, 100, out));
            }
        }
    }

    private static int exactly(int pixels) {
        return View.MeasureSpec.makeMeasureSpec(pixels, View.MeasureSpec.EXACTLY);
    }
}
