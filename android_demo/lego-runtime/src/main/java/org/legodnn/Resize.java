package org.legodnn;

/**
 * Resizing as {@code bilinear-antialias} means it in a store's manifest: a triangle filter along each axis, as wide as
 * two source pixels or, when shrinking, two target pixels, so that what is shrunk is averaged. Weights are fixed-point
 * numbers, and values are rounded to 8 bits after the width and after the height: the Python package's own bits.
 */
final class Resize {
    private static final int FRACTION_BITS = 22;

    private Resize() {}

    /** Pixels 0..255, height x width x channels, brought to another height and width. */
    static int[] resize(int[] pixels, int height, int width, int channels, int newHeight, int newWidth) {
        return resize(pixels, height, width, channels, 0, 0, newHeight, newWidth);
    }

    /** The same, when so many rows and columns at either end are cut away first, which may be parts of a pixel. */
    static int[] resize(int[] pixels, int height, int width, int channels, double rows, double columns, int newHeight,
            int newWidth) {
        int[] narrow = along(pixels, height, width, channels, columns, newWidth);
        return along(narrow, 1, height, newWidth * channels, rows, newHeight);
    }

    /** Resize the middle axis of (outer, size, inner) without what is cut away at both its ends. */
    private static int[] along(int[] x, int outer, int size, int inner, double cut, int newSize) {
        if (size == newSize && cut == 0) {
            return x;
        }
        int[] found = new int[outer * newSize * inner];
        float start = (float) cut; // as Pillow keeps both ends
        float stop = (float) (size - cut);
        double scale = ((double) stop - start) / newSize;
        double support = Math.max(scale, 1);
        for (int to = 0; to < newSize; to++) {
            double centre = start + (to + 0.5) * scale;
            int first = Math.max(0, (int) (centre - support + 0.5));
            int end = Math.min(size, (int) (centre + support + 0.5));
            int[] weights = weights(first, end, centre, support);
            for (int o = 0; o < outer; o++) {
                for (int i = 0; i < inner; i++) {
                    int sum = 1 << (FRACTION_BITS - 1);
                    for (int from = first; from < end; from++) {
                        sum += x[(o * size + from) * inner + i] * weights[from - first];
                    }
                    found[(o * newSize + to) * inner + i] = Math.max(0, Math.min(255, sum >> FRACTION_BITS));
                }
            }
        }
        return found;
    }

    /** What source pixels from {@code first} to {@code end} weigh, fixed-point; 1 together. */
    private static int[] weights(int first, int end, double centre, double support) {
        double[] triangle = new double[end - first];
        double total = 0;
        double narrow = 1 / support;
        for (int i = 0; i < triangle.length; i++) {
            triangle[i] = Math.max(0, 1 - Math.abs((i + first - centre + 0.5) * narrow));
            total += triangle[i];
        }
        int[] weights = new int[triangle.length];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = (int) (0.5 + triangle[i] / total * (1 << FRACTION_BITS));
        }
        return weights;
    }
}
