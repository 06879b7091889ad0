package org.legodnn;

import android.graphics.Bitmap;

/** Inputs of models from Android's pictures. */
public final class Bitmaps {
    private Bitmaps() {}

    /**
     * The input that a picture makes, prepared as the model's store says: to the bit what the Python package makes of
     * the same pixels. Android decodes JPEG files not quite as others do, and does not turn pictures by their EXIF
     * orientation. Of a picture with transparent parts, decode it with {@code inPremultiplied = false}.
     * For a worker thread.
     *
     * @param bitmap of any size and configuration; it is left as it is
     * @param spec what the model takes, such as {@code store.manifest().inputs().get(0)}
     * @return for {@link LegoRuntime#infer(String, float[])}
     * @throws InputException the model takes no pictures
     */
    public static float[] input(Bitmap bitmap, InputSpec spec) {
        float[] input = new float[spec.elements()];
        input(bitmap, spec, input);
        return input;
    }

    /**
     * The same into an array of the caller's, which can be used for one picture after another.
     * For a worker thread.
     *
     * @param input of as many values as the model takes
     * @throws InputException the model takes no pictures, or the array has another size
     */
    public static void input(Bitmap bitmap, InputSpec spec, float[] input) {
        boolean readable = bitmap.getConfig() == Bitmap.Config.ARGB_8888;
        Bitmap picture = readable ? bitmap : bitmap.copy(Bitmap.Config.ARGB_8888, false); // one of the GPU's, say
        int width = picture.getWidth();
        spec.fromPacked(
                (y, row) -> picture.getPixels(row, 0, width, 0, y, width, 1), picture.getHeight(), width, input);
    }
}
