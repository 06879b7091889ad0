package org.legodnn;

import java.util.Arrays;

/**
 * A model input, layout HWC, and how to make it from pixels: scale 0..255 to {@code low..high}, subtract the mean,
 * divide by the standard deviation (empty: 0 and 1; one value stands for all channels).
 */
public final class InputSpec extends TensorSpec {
    private final String fit;
    private final int fill;
    private final double low;
    private final double high;
    private final double[] mean;
    private final double[] std;

    /**
     * @param fit how pictures of other proportions are brought to the shape; "none" if the input is no picture
     * @param fill the value of a letterbox's margins, 0 to 255
     */
    InputSpec(String name, int[] shape, String fit, int fill, double low, double high, double[] mean, double[] std) {
        super(name, shape);
        this.fit = fit;
        this.fill = fill;
        this.low = low;
        this.high = high;
        this.mean = mean.clone();
        this.std = std.clone();
    }

    /** One value for each channel, one for all, or none. */
    public double[] mean() {
        return mean.clone();
    }

    /** One value for each channel, one for all, or none. */
    public double[] std() {
        return std.clone();
    }

    /**
     * The input that a picture of any size makes: stretched, cropped or letterboxed as the store says
     * (bilinear-antialias, see docs/store.md), then as {@link #fromPixels}. To the bit what the Python package makes of
     * it.
     * For a worker thread.
     *
     * @param pixels 0..255, height x width x as many channels as the model takes
     * @throws InputException another number of pixels, or the model takes no pictures
     */
    public float[] fromPicture(int[] pixels, int height, int width) {
        int[] shape = pictureShape();
        int channels = shape[2];
        if (height < 1 || width < 1 || pixels.length != (long) height * width * channels) {
            throw new InputException(this + " takes " + channels + " values for each of " + height + " x " + width
                    + " pixels, got " + pixels.length);
        }
        float[] input = new float[elements()];
        fit((y, row) -> System.arraycopy(pixels, y * row.length, row, 0, row.length), height, width, input);
        return input;
    }

    /** The input that a picture's rows make, brought to the model's size as the store says. */
    private void fit(Resize.Rows picture, int height, int width, float[] input) {
        checkLength(input);
        int[] shape = shape();
        int channels = shape[2];
        if (fit.equals("crop")) {
            double part = Math.min((double) height / shape[0], (double) width / shape[1]);
            double rows = (height - shape[0] * part) / 2;
            double columns = (width - shape[1] * part) / 2;
            Resize.resize(picture, height, width, channels, rows, columns, shape[0], shape[1],
                    (y, row) -> scale(row, input, y * row.length));
        } else if (fit.equals("letterbox")) {
            double scale = Math.min((double) shape[0] / height, (double) shape[1] / width);
            int inHeight = Math.max(1, (int) Math.rint(height * scale));
            int inWidth = Math.max(1, (int) Math.rint(width * scale));
            int above = (shape[0] - inHeight) / 2;
            int before = (shape[1] - inWidth) / 2;
            int[] margin = new int[shape[1] * channels];
            Arrays.fill(margin, fill);
            for (int y = 0; y < shape[0]; y++) {
                scale(margin, input, y * margin.length);
            }
            Resize.resize(picture, height, width, channels, 0, 0, inHeight, inWidth,
                    (y, row) -> scale(row, input, ((above + y) * shape[1] + before) * channels));
        } else {
            Resize.resize(picture, height, width, channels, 0, 0, shape[0], shape[1],
                    (y, row) -> scale(row, input, y * row.length));
        }
    }

    private int[] pictureShape() {
        int[] shape = shape();
        boolean picture = shape.length == 3 && (shape[2] == 1 || shape[2] == 3 || shape[2] == 4);
        if (!picture || fit.equals("none")) {
            throw new InputException(this + " is no picture");
        }
        return shape;
    }

    /**
     * The input that a picture of any size makes whose pixels are packed as {@code android.graphics.Color} has them, 8
     * bits each of alpha, red, green and blue from the highest; then as {@link #fromPicture}. A model of one channel
     * gets the luma that the Python package gives it, one of three no alpha.
     * For a worker thread.
     *
     * @param argb height x width, not premultiplied
     * @throws InputException another number of pixels, or the model takes no pictures
     */
    public float[] fromArgb(int[] argb, int height, int width) {
        float[] input = new float[elements()];
        fromArgb(argb, height, width, input);
        return input;
    }

    /**
     * The same into an array of the caller's, which can be used for one picture after another.
     * For a worker thread.
     *
     * @param input of {@link #elements} values
     * @throws InputException the model takes no pictures, or an array has another size
     */
    public void fromArgb(int[] argb, int height, int width, float[] input) {
        if (height < 1 || width < 1 || argb.length != (long) height * width) {
            throw new InputException("a picture of " + height + " x " + width + " has " + (long) height * width
                    + " pixels, got " + argb.length);
        }
        fromPacked((y, row) -> System.arraycopy(argb, y * width, row, 0, width), height, width, input);
    }

    /** The input that a picture makes whose rows are packed pixels, put into an array of {@link #elements} values. */
    void fromPacked(Resize.Rows picture, int height, int width, float[] input) {
        int channels = pictureShape()[2];
        int[] packed = new int[width];
        fit((y, row) -> {
            picture.row(y, packed);
            for (int x = 0; x < width; x++) {
                unpack(packed[x], row, x * channels, channels);
            }
        }, height, width, input);
    }

    /**
     * The input that a camera's frame makes; then as {@link #fromArgb}.
     * For a worker thread.
     *
     * @throws InputException the model takes no pictures
     */
    public float[] fromYuv(YuvFrame frame) {
        float[] input = new float[elements()];
        fromYuv(frame, input);
        return input;
    }

    /**
     * The same into an array of the caller's, which can be used for one frame after another.
     * For a worker thread.
     *
     * @param input of {@link #elements} values
     * @throws InputException the model takes no pictures, or the array has another size
     */
    public void fromYuv(YuvFrame frame, float[] input) {
        fromPacked((y, row) -> {
            for (int x = 0; x < row.length; x++) {
                row[x] = frame.argb(x, y);
            }
        }, frame.height(), frame.width(), input);
    }

    /** The channels of a packed pixel, put where pixels of so many channels have them. */
    private static void unpack(int argb, int[] pixels, int at, int channels) {
        int red = argb >> 16 & 255;
        int green = argb >> 8 & 255;
        int blue = argb & 255;
        if (channels == 1) {
            pixels[at] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16; // ITU-R 601, as Pillow has it
            return;
        }
        pixels[at] = red;
        pixels[at + 1] = green;
        pixels[at + 2] = blue;
        if (channels == 4) {
            pixels[at + 3] = argb >>> 24;
        }
    }

    /**
     * The input that 8-bit pixels of the model's size make.
     * For a worker thread.
     *
     * @param pixels 0..255, height x width x channels, as many as {@link #elements}
     * @throws InputException another number of pixels
     */
    public float[] fromPixels(int[] pixels) {
        if (pixels.length != elements()) {
            throw new InputException(this + " takes " + elements() + " pixels, got " + pixels.length);
        }
        float[] input = new float[pixels.length];
        scale(pixels, input, 0);
        return input;
    }

    private void checkLength(float[] input) {
        if (input.length != elements()) {
            throw new InputException(this + " has " + elements() + " values, and the array has " + input.length);
        }
    }

    /** Put pixels into an input, from a place on that is the first channel's. */
    private void scale(int[] pixels, float[] input, int at) {
        float scale = (float) ((high - low) / 255);
        for (int i = 0; i < pixels.length; i++) {
            float value = (float) low + pixels[i] * scale;
            if (mean.length > 0) {
                value -= (float) mean[i % mean.length];
            }
            if (std.length > 0) {
                value /= (float) std[i % std.length];
            }
            input[at + i] = value;
        }
    }

    /** What 0 becomes. */
    public double low() {
        return low;
    }

    /** What 255 becomes. */
    public double high() {
        return high;
    }
}
