package org.legodnn;

/**
 * Resizing as {@code bilinear-antialias} means it in a store's manifest: a triangle filter along each axis, as wide as
 * two source pixels or, when shrinking, two target pixels, so that what is shrunk is averaged. Weights are fixed-point
 * numbers, and values are rounded to 8 bits after the width and after the height: the Python package's own bits.
 *
 * <p>It goes from row to row and keeps no more of them than a row of the answer is made of: whole pictures at a
 * camera's rate would keep the garbage collector busy.
 */
final class Resize {
    private static final int FRACTION_BITS = 22;

    private Resize() {}

    /** A picture's rows, or those of an answer: pixels 0..255, width x channels. */
    interface Rows {
        /** A row of the picture is to be put into the array, or is in it. */
        void row(int y, int[] values);
    }

    /** Which source pixels each target pixel of an axis is made of, and what they weigh. */
    private static final class Axis {
        final int[] first;
        final int[][] weights;
        /** Of how many pixels one is made at most. */
        int most;

        Axis(int size, double cut, int newSize) {
            first = new int[newSize];
            weights = new int[newSize][];
            float start = (float) cut; // as Pillow keeps both ends
            float stop = (float) (size - cut);
            double scale = ((double) stop - start) / newSize;
            double support = Math.max(scale, 1);
            for (int to = 0; to < newSize; to++) {
                double centre = start + (to + 0.5) * scale;
                first[to] = Math.max(0, (int) (centre - support + 0.5));
                int end = Math.min(size, (int) (centre + support + 0.5));
                weights[to] = weights(first[to], end, centre, support);
                most = Math.max(most, end - first[to]);
            }
        }
    }

    /**
     * Bring a picture to another height and width.
     *
     * @param source gives those of its rows that are needed, each once and in order
     * @param rows so many at either end are cut away first, which may be parts of a pixel
     * @param columns the same of columns
     * @param target is given the rows of the answer, in order
     */
    static void resize(Rows source, int height, int width, int channels, double rows, double columns, int newHeight,
            int newWidth, Rows target) {
        Axis down = new Axis(height, rows, newHeight);
        Axis across = new Axis(width, columns, newWidth);
        int[] wide = new int[width * channels];
        int[][] narrow = new int[down.most][newWidth * channels]; // row y is at y modulo their number
        int[] found = new int[newWidth * channels];
        int read = 0;
        for (int to = 0; to < newHeight; to++) {
            int first = down.first[to];
            int[] weights = down.weights[to];
            for (read = Math.max(read, first); read < first + weights.length; read++) {
                source.row(read, wide);
                narrow(wide, across, channels, narrow[read % narrow.length]);
            }
            for (int i = 0; i < found.length; i++) {
                int sum = 1 << (FRACTION_BITS - 1);
                for (int k = 0; k < weights.length; k++) {
                    sum += narrow[(first + k) % narrow.length][i] * weights[k];
                }
                found[i] = rounded(sum);
            }
            target.row(to, found);
        }
    }

    private static void narrow(int[] wide, Axis across, int channels, int[] found) {
        for (int to = 0; to < across.first.length; to++) {
            int[] weights = across.weights[to];
            for (int c = 0; c < channels; c++) {
                int sum = 1 << (FRACTION_BITS - 1);
                for (int k = 0, at = across.first[to] * channels + c; k < weights.length; k++, at += channels) {
                    sum += wide[at] * weights[k];
                }
                found[to * channels + c] = rounded(sum);
            }
        }
    }

    private static int rounded(int sum) {
        return Math.max(0, Math.min(255, sum >> FRACTION_BITS));
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
