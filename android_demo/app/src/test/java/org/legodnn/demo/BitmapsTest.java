package org.legodnn.demo;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.Color;
import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.Random;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.legodnn.Bitmaps;
import org.legodnn.InputSpec;
import org.legodnn.Workload;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** Android's pictures become what models take; that it is what Python makes of their pixels is tested by vectors. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = 34)
public class BitmapsTest {
    private static final int WIDTH = 51;
    private static final int HEIGHT = 37;

    private final int[] argb = new int[WIDTH * HEIGHT];

    private InputSpec spec() throws Exception {
        Random random = new Random(0);
        for (int i = 0; i < argb.length; i++) {
            argb[i] = 0xFF000000 | random.nextInt(1 << 24);
        }
        Workload packed = new Packed(RuntimeEnvironment.getApplication()).workload();
        return packed.models().get(0).store().manifest().inputs().get(0);
    }

    @Test
    public void pixelsAreTakenAsTheyAreThroughAFileToo() throws Exception {
        InputSpec spec = spec();
        float[] wanted = spec.fromArgb(argb, HEIGHT, WIDTH);
        Bitmap picture = Bitmap.createBitmap(argb, WIDTH, HEIGHT, Bitmap.Config.ARGB_8888);
        assertArrayEquals(wanted, Bitmaps.input(picture, spec), 0);
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        picture.compress(Bitmap.CompressFormat.PNG, 100, png);
        Bitmap decoded = BitmapFactory.decodeByteArray(png.toByteArray(), 0, png.size());
        assertArrayEquals(wanted, Bitmaps.input(decoded, spec), 0);
    }

    @Test
    public void otherConfigurationsAreTakenToo() throws Exception {
        InputSpec spec = spec();
        Bitmap coarse = Bitmap.createBitmap(WIDTH, HEIGHT, Bitmap.Config.RGB_565);
        coarse.eraseColor(Color.WHITE);
        Arrays.fill(argb, Color.WHITE);
        assertArrayEquals(spec.fromArgb(argb, HEIGHT, WIDTH), Bitmaps.input(coarse, spec), 0);
        assertEquals("it is left as it is", Bitmap.Config.RGB_565, coarse.getConfig());
    }

    /** What this thread has allocated so far, in bytes; by reflection, because Android has no such classes. */
    private static long allocated() throws ReflectiveOperationException {
        Object threads = Class.forName("java.lang.management.ManagementFactory").getMethod("getThreadMXBean")
                .invoke(null);
        return (long) Class.forName("com.sun.management.ThreadMXBean").getMethod("getThreadAllocatedBytes", long.class)
                .invoke(threads, Thread.currentThread().getId());
    }

    @Test
    public void aPhotographNeedsNoArrayOfItsSize() throws Exception {
        InputSpec spec = spec();
        float[] input = new float[spec.elements()];
        Bitmap photograph = Bitmap.createBitmap(2000, 1500, Bitmap.Config.ARGB_8888);
        Bitmaps.input(photograph, spec, input);
        long before = allocated();
        Bitmaps.input(photograph, spec, input);
        assertTrue("an app's heap may have 128 MB", allocated() - before < 2000 * 1500);
    }
}
