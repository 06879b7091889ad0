package org.legodnn;

/**
 * A model input, layout HWC, and how to make it from pixels: scale 0..255 to {@code low..high}, subtract the mean,
 * divide by the standard deviation (empty: not done).
 */
public final class InputSpec extends TensorSpec {
    /** What 0 and 255 become. */
    public final double low, high;

    private final double[] mean;
    private final double[] std;

    InputSpec(String name, int[] shape, double low, double high, double[] mean, double[] std) {
        super(name, shape);
        this.low = low;
        this.high = high;
        this.mean = mean.clone();
        this.std = std.clone();
    }

    /** One value for each channel, or none. */
    public double[] mean() {
        return mean.clone();
    }

    /** One value for each channel, or none. */
    public double[] std() {
        return std.clone();
    }

    /**
     * The input that 8-bit pixels make.
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
}
