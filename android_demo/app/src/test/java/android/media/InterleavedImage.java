package android.media;

import android.graphics.Rect;
import java.nio.ByteBuffer;

/**
 * An image as most cameras give it: colours lie interleaved, Cr first, in one buffer, and rows have bytes to spare. It
 * is in this package since images have no public constructor.
 */
public final class InterleavedImage extends Image {
    private final int width;
    private final int height;
    private final Plane[] planes = new Plane[3];
    private final int format;
    private Rect part;

    /** Each byte is its place times 7. */
    public InterleavedImage(int width, int height, int rowStride, int format) {
        this.width = width;
        this.height = height;
        this.format = format;
        planes[0] = new Part(filled(height * rowStride), 0, rowStride, 1);
        ByteBuffer colours = filled(height / 2 * rowStride);
        planes[1] = new Part(colours, 1, rowStride, 2);
        planes[2] = new Part(colours, 0, rowStride, 2);
    }

    private static ByteBuffer filled(int size) {
        ByteBuffer bytes = ByteBuffer.allocateDirect(size);
        for (int i = 0; i < size; i++) {
            bytes.put(i, (byte) (i * 7));
        }
        return bytes;
    }

    private static final class Part extends Plane {
        private final ByteBuffer buffer;
        private final int rowStride;
        private final int pixelStride;

        Part(ByteBuffer whole, int start, int rowStride, int pixelStride) {
            ByteBuffer from = whole.duplicate();
            from.position(start);
            this.buffer = from.slice();
            this.rowStride = rowStride;
            this.pixelStride = pixelStride;
        }

        @Override
        public int getRowStride() {
            return rowStride;
        }

        @Override
        public int getPixelStride() {
            return pixelStride;
        }

        @Override
        public ByteBuffer getBuffer() {
            return buffer;
        }
    }

    @Override
    public int getFormat() {
        return format;
    }

    @Override
    public int getWidth() {
        return width;
    }

    @Override
    public int getHeight() {
        return height;
    }

    @Override
    public long getTimestamp() {
        return 0;
    }

    /** Hidden in the public interface. */
    public int getTransform() {
        return 0;
    }

    /** Hidden in the public interface. */
    public int getScalingMode() {
        return 0;
    }

    @Override
    public Plane[] getPlanes() {
        return planes;
    }

    @Override
    public Rect getCropRect() {
        return part == null ? new Rect(0, 0, width, height) : part;
    }

    @Override
    public void setCropRect(Rect other) {
        part = other;
    }

    @Override
    public void close() {
        // nothing is held
    }
}
