package org.legodnn;

import java.nio.ByteBuffer;

/**
 * A picture in YUV 4:2:0, as cameras give it: {@code ImageFormat.YUV_420_888}. Brightness has a value for each pixel,
 * the two colours have one for each 2 x 2 pixels. Immutable: the planes are copied, so the camera's image can be closed
 * at once.
 *
 * <p>Values are of the whole range 0 to 255, ITU-R 601, as in JPEG files ({@code DataSpace.DATASPACE_JFIF}). Colours
 * are to the bit those that Pillow's {@code convert("RGB")} makes of YCbCr pixels.
 */
public final class YuvFrame {
    private static final int FRACTION_BITS = 6;
    private static final int[] RED_OF_V = table(1.402);
    private static final int[] GREEN_OF_U = table(-0.34414);
    private static final int[] GREEN_OF_V = table(-0.71414);
    private static final int[] BLUE_OF_U = table(1.772);

    private final Plane bright;
    private final Plane u;
    private final Plane v;
    private final int left;
    private final int top;
    private final int width;
    private final int height;
    private final int turn;

    /**
     * A whole picture that is upright.
     *
     * @param width in pixels
     * @param height in pixels
     * @param y the plane of brightness
     * @param u the plane of the first colour, Cb: half as wide and high, rounded up
     * @param v the plane of the second colour, Cr: as large
     * @throws InputException a plane has fewer bytes
     */
    public YuvFrame(int width, int height, Plane y, Plane u, Plane v) {
        if (width < 1 || height < 1) {
            throw new InputException("no picture has " + width + " x " + height + " pixels");
        }
        y.check("y", width, height);
        u.check("u", (width + 1) / 2, (height + 1) / 2);
        v.check("v", (width + 1) / 2, (height + 1) / 2);
        this.bright = y;
        this.u = u;
        this.v = v;
        this.left = 0;
        this.top = 0;
        this.width = width;
        this.height = height;
        this.turn = 0;
    }

    private YuvFrame(YuvFrame of, int left, int top, int width, int height, int turn) {
        this.bright = of.bright;
        this.u = of.u;
        this.v = of.v;
        this.left = left;
        this.top = top;
        this.width = width;
        this.height = height;
        this.turn = turn;
    }

    /** One of a picture's three planes. */
    public static final class Plane {
        private final byte[] bytes;
        private final int rowStride;
        private final int pixelStride;

        /**
         * @param buffer from position to limit, which is copied; it is left as it is
         * @param rowStride bytes from one row to the next
         * @param pixelStride bytes from one value of a row to the next
         */
        public Plane(ByteBuffer buffer, int rowStride, int pixelStride) {
            bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            this.rowStride = rowStride;
            this.pixelStride = pixelStride;
        }

        private void check(String name, int width, int height) {
            long row = (width - 1L) * pixelStride + 1; // in bytes, of which the last row need have no more
            boolean apart = pixelStride >= 1 && (height == 1 || rowStride >= row);
            if (!apart || (height - 1L) * rowStride + row > bytes.length) {
                throw new InputException("plane " + name + " of a frame has " + bytes.length + " bytes, a row each "
                        + rowStride + " and a value each " + pixelStride + " of them, which do not hold " + width
                        + " x " + height + " values");
            }
        }

        private int at(int x, int y) {
            return bytes[y * rowStride + x * pixelStride] & 255;
        }
    }

    /**
     * A part of this picture; to be cut out before it is turned, as camera interfaces give their crop rectangles.
     *
     * @throws InputException it is empty or reaches beyond the picture, or this is turned
     */
    public YuvFrame crop(int left, int top, int width, int height) {
        boolean within = left >= 0 && top >= 0 && width >= 1 && height >= 1 && width <= this.width - left
                && height <= this.height - top;
        if (!within || turn != 0) {
            throw new InputException("no part of " + width + " x " + height + " pixels from (" + left + ", " + top
                    + ") can be cut out of a picture of " + this.width + " x " + this.height
                    + (turn == 0 ? "" : " that is turned; cut out first"));
        }
        return new YuvFrame(this, this.left + left, this.top + top, width, height, 0);
    }

    /**
     * This picture turned clockwise.
     *
     * @param degrees 0, 90, 180 or 270, as CameraX's {@code ImageInfo.getRotationDegrees} says what makes it upright
     * @throws InputException another number
     */
    public YuvFrame turned(int degrees) {
        if (degrees % 90 != 0 || degrees < 0 || degrees > 270) {
            throw new InputException("pictures are turned by 0, 90, 180 or 270 degrees, got " + degrees);
        }
        return new YuvFrame(this, left, top, width, height, (turn + degrees) % 360);
    }

    /** Pixels across, as it is turned. */
    public int width() {
        return turn % 180 == 0 ? width : height;
    }

    /** Pixels from top to bottom, as it is turned. */
    public int height() {
        return turn % 180 == 0 ? height : width;
    }

    /** The pixel at a place of the turned picture, as {@code android.graphics.Color} packs it. */
    int argb(int x, int y) {
        switch (turn) {
            case 90:
                return argbBefore(y, height - 1 - x);
            case 180:
                return argbBefore(width - 1 - x, height - 1 - y);
            case 270:
                return argbBefore(width - 1 - y, x);
            default:
                return argbBefore(x, y);
        }
    }

    private int argbBefore(int x, int y) {
        int across = left + x;
        int down = top + y;
        int light = bright.at(across, down);
        int cb = u.at(across / 2, down / 2);
        int cr = v.at(across / 2, down / 2);
        int red = light + (RED_OF_V[cr] >> FRACTION_BITS);
        int green = light + (GREEN_OF_U[cb] + GREEN_OF_V[cr] >> FRACTION_BITS);
        int blue = light + (BLUE_OF_U[cb] >> FRACTION_BITS);
        return 0xFF000000 | clipped(red) << 16 | clipped(green) << 8 | clipped(blue);
    }

    private static int clipped(int value) {
        return Math.max(0, Math.min(255, value));
    }

    /** What a value of colour adds, fixed-point, a half more cut towards 0, as in Pillow's tables. */
    private static int[] table(double factor) {
        int[] table = new int[256];
        for (int i = 0; i < table.length; i++) {
            table[i] = (int) (factor * (1 << FRACTION_BITS) * (i - 128) + 0.5);
        }
        return table;
    }
}
