package org.legodnn;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import org.junit.Test;
import org.legodnn.internal.json.JsonObject;

/** Camera frames become the inputs that Python makes of the same planes, however they lie in memory. */
public class YuvFrameTest {
    private static final double[] NONE = {};
    private final InputSpec spec = new InputSpec("x", new int[] {4, 4, 3}, "stretch", 0, 0, 1, NONE, NONE);

    /** A plane whose bytes tests/vectors/frames.py gives, with other ones between them, and none after the last. */
    private static ByteBuffer laidOut(int width, int height, long seed, int rowStride, int pixelStride) {
        byte[] bytes = new byte[(height - 1) * rowStride + (width - 1) * pixelStride + 1];
        Arrays.fill(bytes, (byte) 77);
        for (int n = 0; n < height * width; n++) {
            long i = n + seed;
            bytes[n / width * rowStride + n % width * pixelStride] =
                    (byte) ((i * i * 7 + i * 13 + i * 31 % 17 * 11) % 256);
        }
        return ByteBuffer.wrap(bytes);
    }

    private static YuvFrame frame(JsonObject one) {
        int[] size = Vectors.ints(one, "size");
        int padding = (int) Vectors.number(one.get("padding"));
        int apart = Vectors.string(one, "layout").equals("interleaved") ? 2 : 1;
        long seed = (long) Vectors.number(one.get("seed"));
        int width = (size[1] + 1) / 2;
        int height = (size[0] + 1) / 2;
        int row = width * apart + padding;
        int rowOfY = size[1] + padding;
        YuvFrame.Plane y = new YuvFrame.Plane(laidOut(size[1], size[0], seed, rowOfY, 1), rowOfY, 1);
        YuvFrame.Plane u = new YuvFrame.Plane(laidOut(width, height, seed + 1000, row, apart), row, apart);
        YuvFrame.Plane v = new YuvFrame.Plane(laidOut(width, height, seed + 2000, row, apart), row, apart);
        YuvFrame whole = new YuvFrame(size[1], size[0], y, u, v);
        if (!one.has("crop")) {
            return whole.turned((int) Vectors.number(one.get("turn")));
        }
        int[] crop = Vectors.ints(one, "crop");
        return whole.crop(crop[0], crop[1], crop[2] - crop[0], crop[3] - crop[1])
                .turned((int) Vectors.number(one.get("turn")));
    }

    @Test
    public void framesBecomeTheSameInputs() throws Exception {
        Answers.check("frames", 30, one -> {
            double[] range = Vectors.doubles(Vectors.list(one, "range"));
            InputSpec asked = new InputSpec("x", Vectors.ints(one, "shape"), Vectors.string(one, "fit"), 114, range[0],
                    range[1], NONE, NONE);
            List<Object> found = new ArrayList<>();
            for (float value : asked.fromYuv(frame(one))) {
                found.add((double) value);
            }
            return found;
        });
    }

    private static YuvFrame.Plane plane(int bytes, int rowStride, int pixelStride) {
        return new YuvFrame.Plane(ByteBuffer.allocateDirect(bytes), rowStride, pixelStride);
    }

    @Test
    public void planesThatAreTooSmallAreRefused() {
        new YuvFrame(4, 4, plane(16, 4, 1), plane(7, 4, 2), plane(7, 4, 2)); // the last value needs no stride after it
        for (YuvFrame.Plane less : Arrays.asList(plane(6, 4, 2), plane(7, 1, 1), plane(7, 4, 0), plane(7, -4, 1))) {
            assertTrue(assertThrows(InputException.class,
                    () -> new YuvFrame(4, 4, plane(16, 4, 1), plane(7, 4, 2), less)).getMessage().contains("plane v"));
        }
        assertThrows(InputException.class, () -> new YuvFrame(4, 5, plane(19, 4, 1), plane(6, 2, 1), plane(6, 2, 1)));
        assertThrows(InputException.class, () -> new YuvFrame(0, 4, plane(4, 4, 1), plane(4, 4, 1), plane(4, 4, 1)));
    }

    @Test
    public void partsAndTurnsThatAreNoneAreRefused() {
        YuvFrame frame = new YuvFrame(4, 4, plane(16, 4, 1), plane(4, 2, 1), plane(4, 2, 1));
        assertThrows(InputException.class, () -> frame.turned(45));
        assertThrows(InputException.class, () -> frame.turned(-90));
        assertThrows(InputException.class, () -> frame.crop(0, 0, 5, 4));
        assertThrows(InputException.class, () -> frame.crop(Integer.MAX_VALUE, 0, 2, 1));
        assertThrows(InputException.class, () -> frame.crop(0, 0, 0, 4));
        assertTrue(assertThrows(InputException.class, () -> frame.turned(90).crop(0, 0, 2, 2)).getMessage()
                .contains("cut out first"));
        assertEquals(2, frame.crop(1, 0, 2, 3).turned(180).width());
        assertEquals(3, frame.crop(1, 0, 2, 3).turned(270).width());
    }

    @Test
    public void theBufferIsCopiedAndItsPositionLeft() {
        ByteBuffer y = ByteBuffer.allocate(20);
        y.position(4);
        YuvFrame frame = new YuvFrame(4, 4, new YuvFrame.Plane(y, 4, 1), plane(4, 2, 1), plane(4, 2, 1));
        assertEquals(4, y.position());
        float[] before = spec.fromYuv(frame);
        y.put(10, (byte) 200);
        assertArrayEquals(before, spec.fromYuv(frame), 0);
    }

    @Test
    public void inputsAreWrittenIntoArraysOfTheCallers() {
        YuvFrame frame = new YuvFrame(4, 4, plane(16, 4, 1), plane(4, 2, 1), plane(4, 2, 1));
        float[] input = new float[48];
        spec.fromYuv(frame, input);
        assertArrayEquals(spec.fromYuv(frame), input, 0);
        spec.fromArgb(new int[16], 4, 4, input);
        assertArrayEquals(new float[48], input, 0);
        assertThrows(InputException.class, () -> spec.fromYuv(frame, new float[47]));
        InputSpec odd = new InputSpec("x", new int[] {4, 4, 2}, "stretch", 0, 0, 1, NONE, NONE);
        assertThrows("no picture has two channels", InputException.class, () -> odd.fromYuv(frame));
    }

    /** What this thread has allocated so far, in bytes; by reflection, because Android has no such classes. */
    private static long allocated() throws ReflectiveOperationException {
        Object threads = Class.forName("java.lang.management.ManagementFactory").getMethod("getThreadMXBean")
                .invoke(null);
        return (long) Class.forName("com.sun.management.ThreadMXBean").getMethod("getThreadAllocatedBytes", long.class)
                .invoke(threads, Thread.currentThread().getId());
    }

    @Test
    public void aFrameOfACameraLeavesLittleGarbage() throws ReflectiveOperationException {
        int width = 640;
        int height = 480;
        YuvFrame.Plane bright = new YuvFrame.Plane(ByteBuffer.allocate(width * height), width, 1);
        YuvFrame.Plane colour = new YuvFrame.Plane(ByteBuffer.allocate(width * height / 2), width, 2);
        YuvFrame frame = new YuvFrame(width, height, bright, colour, colour).turned(90);
        int[] argb = new int[width * height];
        for (String fit : new String[] {"stretch", "crop", "letterbox"}) {
            InputSpec spec = new InputSpec(
                    "x", new int[] {224, 224, 3}, fit, 114, 0, 1, new double[0], new double[0]);
            float[] input = new float[spec.elements()];
            spec.fromYuv(frame, input);
            spec.fromArgb(argb, height, width, input);
            long before = allocated();
            spec.fromYuv(frame, input);
            spec.fromArgb(argb, height, width, input);
            long used = allocated() - before;
            assertTrue(fit + ": " + used, used < width * height);
        }
    }
}
