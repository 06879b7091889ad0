package org.legodnn;

/**
 * A model input, layout HWC, and how to make it from pixels: scale 0..255 to {@code low..high}, subtract the mean,
 * divide by the standard deviation (empty: 0 and 1; one value stands for all channels).
 */
public final class InputSpec extends TensorSpec {
    private final String fit;
    private final double low;
    private final double high;
    private final double[] mean;
    private final double[] std;

    /** @param fit how pictures of other proportions are brought to the shape; "none" if the input is no picture */
    InputSpec(String name, int[] shape, String fit, double low, double high, double[] mean, double[] std) {
        super(name, shape);
        this.fit = fit;
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
     * The input that a picture of any size makes: resized as the store says (bilinear-antialias, see docs/store.md), then
     * as {@link #fromPixels}.
     *
     * @param pixels 0..255, height x width x as many channels as the model takes
     * @throws InputException another number of pixels, the model takes no pictures, or none that are stretched
     */
    public float[] fromPicture(int[] pixels, int height, int width) {
        int[] shape = shape();
        if (shape.length != 3 || fit.equals("none")) {
            throw new InputException(this + " is no picture");
        }
        if (!fit.equals("stretch")) {
            throw new InputException("the store brings pictures to " + this + " by " + fit
                    + ", which this library does not do: resize them yourself, and use fromPixels");
        }
        if (height < 1 || width < 1 || pixels.length != (long) height * width * shape[2]) {
            throw new InputException(this + " takes " + shape[2] + " values for each of " + height + " x " + width
                    + " pixels, got " + pixels.length);
        }
        return fromPixels(Resize.resize(pixels, height, width, shape[2], shape[0], shape[1]));
    }

    /**
     * The input that 8-bit pixels of the model's size make.
     *
     * @param pixels 0..255, height x width x channels, as many as {@link #elements}
     * @throws InputException another number of pixels
     */
    public float[] fromPixels(int[] pixels) {
        if (pixels.length != elements()) {
            throw new InputException(this + " takes " + elements() + " pixels, got " + pixels.length);
        }
        float[] values = new float[pixels.length];
        float scale = (float) ((high - low) / 255);
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) low + pixels[i] * scale;
            if (mean.length > 0) {
                values[i] -= (float) mean[i % mean.length];
            }
            if (std.length > 0) {
                values[i] /= (float) std[i % std.length];
            }
        }
        return values;
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
