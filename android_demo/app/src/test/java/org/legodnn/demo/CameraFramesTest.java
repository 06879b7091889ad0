package org.legodnn.demo;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import android.graphics.ImageFormat;
import android.graphics.Rect;
import android.media.InterleavedImage;
import java.nio.ByteBuffer;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.legodnn.CameraFrames;
import org.legodnn.InputException;
import org.legodnn.InputSpec;
import org.legodnn.Workload;
import org.legodnn.YuvFrame;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;

/** Android's images become frames; that those become what Python makes of their planes is tested by vectors. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = 34)
public class CameraFramesTest {
    private static final int WIDTH = 46;
    private static final int HEIGHT = 32;
    private static final int ROW = 64;

    /** The same planes without gaps. */
    private static YuvFrame packed() {
        byte[] y = new byte[WIDTH * HEIGHT];
        byte[] u = new byte[WIDTH / 2 * (HEIGHT / 2)];
        byte[] v = new byte[u.length];
        for (int i = 0; i < y.length; i++) {
            y[i] = (byte) ((i / WIDTH * ROW + i % WIDTH) * 7);
        }
        for (int i = 0; i < u.length; i++) {
            int at = i / (WIDTH / 2) * ROW + i % (WIDTH / 2) * 2;
            v[i] = (byte) (at * 7);
            u[i] = (byte) ((at + 1) * 7);
        }
        return new YuvFrame(WIDTH, HEIGHT, new YuvFrame.Plane(ByteBuffer.wrap(y), WIDTH, 1),
                new YuvFrame.Plane(ByteBuffer.wrap(u), WIDTH / 2, 1),
                new YuvFrame.Plane(ByteBuffer.wrap(v), WIDTH / 2, 1));
    }

    @Test
    public void planesCropAndTurnAreTakenFromTheImage() throws Exception {
        Workload packed = new Packed(RuntimeEnvironment.getApplication()).workload();
        InputSpec spec = packed.models().get(0).store().manifest().inputs().get(0);
        InterleavedImage image = new InterleavedImage(WIDTH, HEIGHT, ROW, ImageFormat.YUV_420_888);
        assertArrayEquals(spec.fromYuv(packed()), spec.fromYuv(CameraFrames.frame(image, 0)), 0);
        image.setCropRect(new Rect(6, 3, 40, 31));
        YuvFrame frame = CameraFrames.frame(image, 90);
        assertEquals(28, frame.width());
        assertEquals(34, frame.height());
        assertArrayEquals(spec.fromYuv(packed().crop(6, 3, 34, 28).turned(90)), spec.fromYuv(frame), 0);
    }

    @Test
    public void otherFormatsAreRefused() {
        InterleavedImage image = new InterleavedImage(WIDTH, HEIGHT, ROW, ImageFormat.NV21);
        assertThrows(InputException.class, () -> CameraFrames.frame(image, 0));
    }
}
